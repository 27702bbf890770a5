//! Async tasks: the receipts of requests that created jobs.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::jobs::stream::JobsLeft;
use crate::app::state::App;
use crate::model::Millis;
use crate::model::task::TaskState;
use crate::store::tasks;

/// The receipt of a request.
#[derive(Debug)]
pub struct TaskRecord {
    /// Its number.
    pub id: u64,
    /// Its state.
    pub state: TaskState,
    /// The instant at which the request was accepted.
    pub created: Millis,
    /// The jobs that the request created.
    pub jobs: JobsLeft,
}

impl App {
    /// Reads the receipt of a request by its id.
    ///
    /// # Errors
    ///
    /// `NotFound` where no node has one; `Unavailable` while there is no leader to say so.
    pub async fn get_task(&self, actor: &Actor, request: u128) -> Result<TaskRecord, Error> {
        authorize(actor, Action::HistoryRead, Resource::Any)?;
        let read = move |conn: &rusqlite::Connection| tasks::get(conn, request);
        let mut found = self.read(actor, read).await?;
        if found.is_none() {
            // Another node may have accepted the task a moment ago.
            self.linearize().await?;
            found = self.read(actor, read).await?;
        }
        let task = found.ok_or_else(missing_task)?;
        let jobs = JobsLeft::new(actor, self.now(), task.jobs);
        Ok(TaskRecord { id: task.id, state: task.state, created: task.created, jobs })
    }
}

/// The error where there is no such receipt.
pub fn missing_task() -> Error {
    Error::not_found("async task cannot be found")
}
