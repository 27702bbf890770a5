//! The numbers of jobs of projects.

use std::collections::HashMap;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::ProjectId;
use crate::store::projects;

impl App {
    /// Counts the jobs of each of these projects, whatever their status.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub async fn count_project_jobs(
        &self,
        actor: &Actor,
        ids: Vec<ProjectId>,
    ) -> Result<HashMap<ProjectId, u64>, Error> {
        authorize(actor, Action::JobsRead, Resource::Any)?;
        let counted = self.read(actor, move |conn| {
            ids.into_iter().map(|id| Ok((id, projects::job_count(conn, id)?))).collect()
        });
        counted.await
    }
}
