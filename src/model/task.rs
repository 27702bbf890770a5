//! An async task: the receipt of a `POST /jobs`. Stored by `store::tasks`, served by
//! `api::async_tasks`.

use serde::{Deserialize, Serialize};

use super::{JobId, Millis};

/// The receipt: which jobs a request made. Its `output` is read from the jobs themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub id: u64,
    /// The request's id, a UUID, named in the `Location` of the 202.
    pub request: u128,
    /// How far it is.
    pub state: TaskState,
    /// The jobs it made: (first id, how many), ascending.
    pub jobs: Vec<(JobId, u64)>,
    /// When it was accepted.
    pub created: Millis,
}

/// How far a task is; the numbers are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// Nothing done yet.
    NotStarted = 0,
    /// Chunks are staged, not yet active.
    InProgress = 1,
    /// The jobs are there.
    Succeeded = 2,
    /// Given up; nothing was created.
    Failed = 3,
}
