//! A run: an occurrence of a job that is under way and that others may have to wait for, because
//! the job does not allow overlap or because the receiver accepted it and reports later.
//!
//! ```text
//!   BeginRun ──> begun ──answer──> over (delivered, retry, dead)
//!                  └──202, async──> running ──complete | fail──> over
//!                                      └── silent or too long ──> lost ──> retry or dead
//! ```
//!
//! `worker` begins one before it sends (where overlap matters), a record says that one was
//! accepted, `api` reports on it, and `command::apply` keeps the row. An occurrence has at most one
//! run.

use serde::{Deserialize, Serialize};

use super::delivery::{Overlap, Retry};
use super::shard::ShardId;
use super::{JobId, Millis, NodeId, ProjectId};

/// The identity of an occurrence, which is also the key of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Occurrence {
    /// The job's number.
    pub job: JobId,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of a manual run; 0 for a planned one.
    pub run: u64,
}

/// The request of a sender to begin a run. It is answered before the sender calls the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginRun {
    /// The occurrence that is to be sent.
    pub occurrence: Occurrence,
    /// The project of the job.
    pub project: ProjectId,
    /// The shard of the job.
    pub shard: ShardId,
    /// The sender and its epoch: refused unless that epoch is live.
    pub node: NodeId,
    /// The epoch; see `node`.
    pub epoch: u64,
    /// The due instant.
    pub due: Millis,
    /// The number of the attempt.
    pub attempt: u32,
    /// The pending row that the attempt is made for.
    pub pending: Option<u64>,
    /// The overlap policy.
    pub overlap: Overlap,
    /// The longest duration of the attempt, in milliseconds. A run whose sender is silent for
    /// longer is lost.
    pub timeout: Millis,
    /// The retry policy for a lost run.
    pub retry: Retry,
}

/// The answer to a [`BeginRun`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begun {
    /// The sender may send.
    Go,
    /// Another run is under way. The occurrence is skipped, and the store has recorded that.
    Skipped,
    /// The occurrence waits behind another run, as a pending row.
    Queued,
    /// The occurrence has ended, or another node owns it: the sender sends and records nothing.
    NotYours,
}

/// The promise of a receiver that answered `202` with `Scheduler-Async: true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The longest duration from the answer on, in milliseconds.
    pub run_timeout: Option<Millis>,
    /// The longest silence, in milliseconds.
    pub heartbeat_timeout: Option<Millis>,
    /// The retry policy for a failure.
    pub retry: Retry,
}

/// A run as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The occurrence that was sent.
    pub occurrence: Occurrence,
    /// The project of the job.
    pub project: ProjectId,
    /// The shard of the job.
    pub shard: ShardId,
    /// The due instant.
    pub due: Millis,
    /// The number of the attempt.
    pub attempt: u32,
    /// Attempts before this series (see `Pending::base`).
    pub base: u32,
    /// The sender and its epoch.
    pub node: NodeId,
    /// The epoch; see `node`.
    pub epoch: u64,
    /// Set once the receiver has accepted it.
    pub accepted: bool,
    /// The instant at which it began.
    pub started: Millis,
    /// The last sign of life.
    pub heard: Millis,
    /// The instant after which it is lost; [`Millis::MAX`] for never.
    pub deadline: Millis,
    /// The longest silence, in milliseconds.
    pub heartbeat_timeout: Option<Millis>,
    /// The end of its run timeout.
    pub ends: Option<Millis>,
    /// The retry policy for a failure.
    pub retry: Retry,
    /// Set for a manual run that ignored other runs.
    pub forced: bool,
}

impl Run {
    /// The instant at which it is lost, if it may be.
    pub fn bounded_by(&self) -> Option<Millis> {
        Some(self.deadline).filter(|deadline| *deadline < Millis::MAX)
    }
}

/// The report of a receiver or a client on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The run is done.
    Complete,
    /// The run failed; with `retry: false` for good.
    Fail {
        /// The reason in the receiver's words, at most [`super::attempt::MAX_ERROR`] bytes.
        error: Option<String>,
        /// Allows another attempt.
        retry: bool,
    },
    /// The run goes on.
    Heartbeat,
    /// A client does not want it any more.
    Cancel,
}
