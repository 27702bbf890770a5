//! Jobs in a few words, by their numbers: for lists of what happened and of what is to come, which
//! hold the numbers only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::job::Job;
use crate::model::target_text::TargetText;
use crate::model::{JobId, ProjectId};
use crate::store::{executors, jobs};

/// The most jobs of one request.
pub const MOST_LABELLED: usize = 1_000;

/// A job in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLabel {
    /// The client's own id, or the name on a broker.
    pub name: Option<String>,
    /// The project.
    pub project: ProjectId,
    /// The URL that is called, or the name of the executor or the kind of target.
    pub target: String,
}

/// Labels that were read in one transaction: each job and each executor is read once.
pub(in crate::app) struct Labels<'c> {
    conn: &'c Connection,
    jobs: HashMap<JobId, Option<JobLabel>>,
    executors: HashMap<u64, String>,
}

impl<'c> Labels<'c> {
    pub(in crate::app) fn new(conn: &'c Connection) -> Self {
        Self { conn, jobs: HashMap::new(), executors: HashMap::new() }
    }

    /// The label of a job; `None` where there is no such job any more.
    pub(in crate::app) fn of(&mut self, id: JobId) -> rusqlite::Result<Option<&JobLabel>> {
        if !self.jobs.contains_key(&id) {
            let label = match jobs::get(self.conn, id)? {
                Some(job) => Some(self.label(&job)?),
                None => None,
            };
            self.jobs.insert(id, label);
        }
        Ok(self.jobs.get(&id).and_then(Option::as_ref))
    }

    fn label(&mut self, job: &Job) -> rusqlite::Result<JobLabel> {
        let definition = &job.definition;
        let target = match definition.target_text() {
            TargetText::Text(text) => text.to_owned(),
            TargetText::Executor(id) => self.executor(id)?,
        };
        let name = job.external_id.clone().or_else(|| definition.worker_name.clone());
        Ok(JobLabel { name, project: definition.project, target })
    }

    fn executor(&mut self, id: u64) -> rusqlite::Result<String> {
        Ok(match self.executors.entry(id) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(executors::name(self.conn, id)?).clone(),
        })
    }
}

impl App {
    /// Reads the labels of jobs, of the first [`MOST_LABELLED`] that are named. Jobs that do not
    /// exist are left out.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub async fn label_jobs(
        &self,
        actor: &Actor,
        mut ids: Vec<JobId>,
    ) -> Result<HashMap<JobId, JobLabel>, Error> {
        authorize(actor, Action::JobsRead, Resource::Any)?;
        ids.truncate(MOST_LABELLED);
        let found = self.read(actor, move |conn| {
            let mut labels = Labels::new(conn);
            for id in ids {
                labels.of(id)?;
            }
            let known = labels.jobs.into_iter();
            Ok(known.filter_map(|(id, label)| Some((id, label?))).collect())
        });
        found.await
    }
}
