//! The names beside a run: those of its job and of its queue. Each is read once for a page.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Connection;

use crate::model::run_terms::BusKind;
use crate::model::target::{Executor, WORKER};
use crate::model::{JobId, ProjectId};
use crate::store::{executors, jobs};

/// A queue of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    /// Its number.
    pub(super) number: u64,
    /// Its name; its number where it was deleted.
    pub(super) name: String,
    /// Its bus; `None` where it was deleted.
    pub(super) bus: Option<BusKind>,
}

/// A job, as runs name it.
#[derive(Clone, Debug, Default)]
struct JobNames {
    is_gone: bool,
    project: ProjectId,
    name: Option<String>,
    executor: Option<u64>,
}

/// Reads names, each once.
pub(super) struct RunNames<'c> {
    conn: &'c Connection,
    jobs: HashMap<JobId, JobNames>,
    queues: HashMap<u64, Option<Queue>>,
}

impl<'c> RunNames<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Self { conn, jobs: HashMap::new(), queues: HashMap::new() }
    }

    /// The name of a job: the one by which workers know it, else the client's id of it.
    pub(super) fn job(&mut self, id: JobId) -> rusqlite::Result<Option<String>> {
        Ok(self.names(id)?.name.clone())
    }

    /// The project of a job; 0 for one that is gone.
    pub(super) fn project(&mut self, id: JobId) -> rusqlite::Result<ProjectId> {
        Ok(self.names(id)?.project)
    }

    /// Tells whether a job was deleted.
    pub(super) fn is_gone(&mut self, id: JobId) -> rusqlite::Result<bool> {
        Ok(self.names(id)?.is_gone)
    }

    /// The queue whose workers perform a job now; `None` for a job without one.
    pub(super) fn queue_of_job(&mut self, id: JobId) -> rusqlite::Result<Option<Queue>> {
        let Some(executor) = self.names(id)?.executor else { return Ok(None) };
        Ok(self.executor(executor)?.clone())
    }

    /// The queue of a number that an occurrence was offered in.
    pub(super) fn queue(&mut self, number: u64) -> rusqlite::Result<Queue> {
        let deleted = || Queue { number, name: format!("{number} (deleted)"), bus: None };
        Ok(self.executor(number)?.clone().unwrap_or_else(deleted))
    }

    fn names(&mut self, id: JobId) -> rusqlite::Result<&JobNames> {
        match self.jobs.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let names = jobs::get(self.conn, id)?.map(|job| JobNames {
                    is_gone: false,
                    project: job.definition.project,
                    name: job.definition.worker_name.clone().or(job.external_id),
                    executor: job.definition.executor,
                });
                Ok(new.insert(names.unwrap_or(JobNames { is_gone: true, ..JobNames::default() })))
            }
        }
    }

    /// The executor of a number, if it is a queue.
    fn executor(&mut self, number: u64) -> rusqlite::Result<&Option<Queue>> {
        match self.queues.entry(number) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                Ok(new.insert(executors::get(self.conn, number)?.and_then(queue)))
            }
        }
    }
}

/// An executor as a queue; `None` for one of another kind.
fn queue(executor: Executor) -> Option<Queue> {
    if executor.kind != WORKER {
        return None;
    }
    let bus = executor.settings.as_deref().and_then(|settings| settings.get("bus"));
    let bus = bus.and_then(|bus| serde_json::from_value(bus.clone()).ok());
    Some(Queue { number: executor.id, name: executor.name, bus: bus.or(Some(BusKind::Embedded)) })
}
