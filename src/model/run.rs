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
//!
//! The run of an occurrence that a worker performs has phases beside that:
//!
//! ```text
//!   published ──> pending ──> running ──────────> over, or a row again
//!   claimed ─────────────────> │  cancel, timeout
//!                     └────────┴──> cancelling ──> over
//! ```

use serde::{Deserialize, Serialize};

use super::delivery::{Overlap, Retry};
use super::run_terms::{BusKind, RunTerms};
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
    /// The part of a run that a worker has been handed; the supervisor of the shard watches over
    /// its silence, and `deadline` has no part in that.
    pub worker: Option<Box<WorkerRun>>,
}

/// The part of a run that a worker performs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRun {
    /// The phase.
    pub phase: Phase,
    /// The instant at which it was handed out: claimed, or published.
    pub since: Millis,
    /// Why it is to be cancelled; only in the phase of that.
    pub why: Option<CancelCause>,
    /// The worker; empty while it is not known.
    pub worker: String,
    /// Per cent, 0 to 100, as the worker said last.
    pub progress: Option<u8>,
    /// The worker's words with that.
    pub message: Option<String>,
    /// The terms under which it was taken.
    pub terms: RunTerms,
}

/// The phase of a run that a worker performs. It only goes forward as long as the attempt is the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// A broker has it, and nobody has said that it began.
    Pending = 0,
    /// A worker has it.
    Running = 1,
    /// It is to be stopped.
    Cancelling = 2,
}

impl Phase {
    /// The phase of a stored number.
    pub fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Pending,
            2 => Self::Cancelling,
            _ => Self::Running,
        }
    }
}

/// Why a run is cancelled: it decides about the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// A client asked for it.
    Client {
        /// The name of the client.
        by: Option<String>,
    },
    /// Nobody began within the start timeout.
    NotStarted,
    /// It took longer than its run timeout.
    TimedOut,
}

impl Run {
    /// Returns whether a report names this attempt and this worker, as far as it names any.
    pub fn fits(&self, attempt: u32, worker: &str) -> bool {
        let own = self.worker.as_deref().map_or("", |kept| kept.worker.as_str());
        let known = !own.is_empty() && !worker.is_empty();
        (attempt == 0 || attempt == self.attempt) && (!known || own == worker)
    }

    /// The number of the queue whose workers perform it, once it was handed out to one.
    pub fn queue(&self) -> Option<u64> {
        let terms = &self.worker.as_deref()?.terms;
        (terms.bus != BusKind::Http).then_some(terms.executor)
    }

    /// The bus by which it was handed out; that of HTTP for a receiver that promised to report.
    pub fn bus(&self) -> BusKind {
        self.worker.as_deref().map_or(BusKind::Http, |kept| kept.terms.bus)
    }

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
