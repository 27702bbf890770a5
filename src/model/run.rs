//! A run: an occurrence of a job that is under way and that others may have to wait for, because its
//! job does not allow overlap or because the receiver accepted it and reports later.
//!
//! ```text
//!   BeginRun ──> begun ──answer──> over (delivered, retry, dead)
//!                  └──202, async──> running ──complete | fail──> over
//!                                      └── silent or too long ──> lost ──> retry or dead
//! ```
//!
//! `worker` asks for one before it sends (where overlap matters), a record says that one was accepted,
//! `api` reports on it, `command::apply` keeps the row. An occurrence has at most one run.

use serde::{Deserialize, Serialize};

use super::delivery::{Overlap, Retry};
use super::shard::ShardId;
use super::{JobId, Millis, NodeId, ProjectId};

/// What tells an occurrence from all others: also the key of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Occurrence {
    /// The job.
    pub job: JobId,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of a manual run; 0 for a planned one.
    pub run: u64,
}

/// Asks whether an attempt may go out, and notes that it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginRun {
    /// Of what.
    pub occurrence: Occurrence,
    /// The project of the job.
    pub project: ProjectId,
    /// The shard of the job.
    pub shard: ShardId,
    /// Who asks, and under which epoch: refused unless it is a live one.
    pub node: NodeId,
    /// See `node`.
    pub epoch: u64,
    /// When it was due.
    pub due: Millis,
    /// The number of the attempt.
    pub attempt: u32,
    /// The pending row that the attempt is made for.
    pub pending: Option<u64>,
    /// What to do while another one is under way.
    pub overlap: Overlap,
    /// How long the attempt may take, in milliseconds: a run whose sender is silent for longer is
    /// lost.
    pub timeout: Millis,
    /// What follows if it is lost.
    pub retry: Retry,
}

/// What came of a [`BeginRun`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begun {
    /// Send it.
    Go,
    /// Another one is under way; this one is skipped, and the books say so already.
    Skipped,
    /// It waits behind another one, as a pending row.
    Queued,
    /// It is over already, or somebody else's: send nothing, record nothing.
    NotYours,
}

/// What a receiver promised with `202` and `Scheduler-Async: true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// How long it may take from the answer, in milliseconds.
    pub run_timeout: Option<Millis>,
    /// How long it may be silent, in milliseconds.
    pub heartbeat_timeout: Option<Millis>,
    /// What follows if it fails.
    pub retry: Retry,
}

/// A run as the books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Of what.
    pub occurrence: Occurrence,
    /// The project of the job.
    pub project: ProjectId,
    /// The shard of the job.
    pub shard: ShardId,
    /// When it was due.
    pub due: Millis,
    /// The number of the attempt.
    pub attempt: u32,
    /// Attempts before this series (see `Pending::base`).
    pub base: u32,
    /// Who sent it, and under which epoch.
    pub node: NodeId,
    /// See `node`.
    pub epoch: u64,
    /// Whether the receiver has accepted it.
    pub accepted: bool,
    /// When it began.
    pub started: Millis,
    /// The last sign of life.
    pub heard: Millis,
    /// It is lost after this instant; [`Millis::MAX`] where nothing bounds it.
    pub deadline: Millis,
    /// How long it may be silent, in milliseconds.
    pub heartbeat_timeout: Option<Millis>,
    /// The end of its run timeout.
    pub ends: Option<Millis>,
    /// What follows if it fails.
    pub retry: Retry,
    /// A manual run that did not ask whether another is under way.
    pub forced: bool,
}

impl Run {
    /// When it is lost, if it may be.
    pub fn bounded_by(&self) -> Option<Millis> {
        Some(self.deadline).filter(|deadline| *deadline < Millis::MAX)
    }
}

/// What a receiver (or a client) says of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// It is done.
    Complete,
    /// It failed, and why; with `retry: false` for good.
    Fail {
        /// In the receiver's words, at most [`super::attempt::MAX_ERROR`] bytes.
        error: Option<String>,
        /// Whether to try again.
        retry: bool,
    },
    /// It goes on.
    Heartbeat,
    /// A client does not want it any more.
    Cancel,
}
