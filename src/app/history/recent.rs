//! The newest attempts of several jobs at once, for lists that show how each job does.

use std::collections::HashMap;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::{JobId, Millis};
use crate::store::executions::{self, Execution, Filter};

impl App {
    /// Reads the newest attempts of jobs, each due at an instant of the job's own or later, at most
    /// `count` of each job, newest first. The instants bound what is looked at: a job that fires
    /// once a week costs no more than one that fires each second.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub async fn recent_executions(
        &self,
        actor: &Actor,
        jobs: Vec<(JobId, Millis)>,
        count: u64,
    ) -> Result<HashMap<JobId, Vec<Execution>>, Error> {
        authorize(actor, Action::HistoryRead, Resource::Any)?;
        let found = self.read(actor, move |conn| {
            let newest = |(job, from)| {
                let filter = Filter { job: Some(job), from: Some(from), ..Filter::default() };
                Ok((job, executions::newest_of_job(conn, job, &filter, count)?))
            };
            jobs.into_iter().map(newest).collect()
        });
        found.await
    }
}
