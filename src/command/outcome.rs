//! What comes of a command: the outcome that its proposer is told, why it may be refused, and the
//! bell that it rings on every node. `apply` makes them; the api, the worker and the coordinator
//! read them.

use serde::{Deserialize, Serialize};

use crate::model::run::{Begun, Occurrence};
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis};

/// What a command came to; sent to the proposer only, never stored in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done; nothing more to say (also openraft's own entries).
    #[default]
    Done,
    /// Nothing was changed, and why.
    Rejected(Rejection),
    /// The id of the project or credential that was created.
    Created(u64),
    /// The jobs that were created or staged: (first id, how many), and their stamp.
    Jobs {
        /// The task.
        request: u128,
        /// The jobs.
        jobs: Vec<(JobId, u64)>,
    },
    /// How many of the moves took effect.
    Assigned(u32),
    /// How many records were dropped.
    Dropped(u32),
    /// How many jobs, runs or dead letters were changed.
    Changed(u32),
    /// The manual run that was made.
    Run(Occurrence),
    /// What came of asking for a run.
    Begun(Begun),
    /// What [`super::Command::Conclude`] said.
    Concluded(String),
}

/// Why a command changed nothing. The api turns `kind` into the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The sort of refusal.
    pub kind: RejectionKind,
    /// The message for the caller: lower case, names the field and the fix.
    pub message: String,
}

/// The sorts of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectionKind {
    /// What the command is about does not exist.
    NotFound,
    /// It exists already, or something stands in the way.
    Conflict,
    /// A reference in it leads nowhere (an unknown project).
    Invalid,
    /// The idempotency key was used with another body.
    KeyReused,
    /// It has changed since the caller looked: 412.
    Stale,
    /// The caller may not do that: 403.
    Forbidden,
}

/// The bell: what an applied transaction changed. Listeners look at the books themselves; the
/// fields only say where.
#[expect(clippy::struct_excessive_bools, reason = "independent flags, one a kind of listener")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The log index of the last entry in the transaction.
    pub index: u64,
    /// Log time after it.
    pub stamp: Millis,
    /// New active jobs: (first id, how many).
    pub created: Vec<(JobId, u64)>,
    /// Jobs edited, paused, resumed or deleted, with the definition they had before (if they had
    /// one).
    pub edited: Vec<JobId>,
    /// Some shard changed owner, epoch or closing.
    pub shards: bool,
    /// Shards whose pending rows changed.
    pub pending: Vec<ShardId>,
    /// Records were recorded.
    pub executions: bool,
    /// Credentials changed.
    pub credentials: bool,
    /// The cluster was born, or a node was bound, removed or drained.
    pub nodes: bool,
    /// Settings or pauses of projects, or executors, changed: requests that are built may be wrong.
    pub targets: bool,
    /// The whole state was replaced by a snapshot: all that was derived from it is void.
    pub replaced: bool,
}

impl Rejection {
    /// A refusal of one kind.
    pub fn new(kind: RejectionKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}
