//! An async task: the receipt of a `POST /jobs`. Stored by `store::tasks`, served by
//! `api::async_tasks`.

use serde::{Deserialize, Serialize};

use super::{JobId, Millis};

/// The receipt: which jobs a request made. Its `output` is read from the jobs themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The task's number.
    pub id: u64,
    /// The request's id, a UUID, named in the `Location` of the 202.
    pub request: u128,
    /// How far the task has come.
    pub state: TaskState,
    /// The jobs it made: (first id, how many), ascending.
    pub jobs: Vec<(JobId, u64)>,
    /// The instant at which it was accepted.
    pub created: Millis,
}

/// The state of a task; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// The task has not begun.
    NotStarted = 0,
    /// Chunks are staged, not yet active.
    InProgress = 1,
    /// The jobs are there.
    Succeeded = 2,
    /// The task failed; nothing was created.
    Failed = 3,
}
