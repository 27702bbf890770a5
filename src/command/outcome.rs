//! The results of commands: the outcome for the proposer, the rejection of a command, and the
//! change that is published on every node. `apply` makes them; the api, the worker and the
//! coordinator read them.

use serde::{Deserialize, Serialize};

use super::change_events::ChangeEvents;
use super::minute_counts::MinuteCounts;
use crate::model::offer::OfferId;
use crate::model::run::{Begun, Occurrence};
use crate::model::run_report::RunState;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis};

/// The outcome of a command. It goes to the proposer only and is never part of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done, without a result; also the outcome of openraft's own entries.
    #[default]
    Done,
    /// Refused: nothing was changed.
    Rejected(Rejection),
    /// The id of the project, credential or executor that was created.
    Created(u64),
    /// The jobs that were created; none for jobs that were staged.
    Jobs {
        /// The id of the request, which is that of its async task.
        request: u128,
        /// The jobs as ranges (first id, count).
        jobs: Vec<(JobId, u64)>,
    },
    /// The number of moves that took effect.
    Assigned(u32),
    /// The number of records that were dropped.
    Dropped(u32),
    /// The number of jobs, runs or dead letters that were changed.
    Changed(u32),
    /// The manual run that was added.
    Run(Occurrence),
    /// The answer to `BeginRun`.
    Begun(Begun),
    /// The answer that `Conclude` carried.
    Concluded(String),
    /// What became of each report of a `ReportRuns`, in their order.
    Reports(Vec<Reported>),
    /// What became of the jobs of a `ReshapeJobs`.
    Reshaped(Reshaped),
}

/// What became of the jobs of an edit of many. Those that do not exist are in none of the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshaped {
    /// The number of those that were changed.
    pub changed: u32,
    /// The number of those that were so already.
    pub unchanged: u32,
    /// Those that have another definition by now: they were left alone.
    pub moved: Vec<JobId>,
    /// The number of those that were refused the change.
    pub refused: u32,
    /// The first of those that were refused, with its reason.
    pub first_refused: Option<(JobId, Rejection)>,
}

/// The outcome of one report on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reported {
    /// It counted, or what it says was so already: the state of the run after it.
    Counted(RunState),
    /// It changed nothing.
    Refused {
        /// The state of the run; `None` where nothing is known of one.
        state: Option<RunState>,
        /// `NotFound` for a run that the store does not have (yet); `Conflict` for one that is over
        /// or that somebody else has.
        why: Rejection,
    },
}

/// The refusal of a command, which changed nothing. The api turns `kind` into the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The kind of refusal.
    pub kind: RejectionKind,
    /// The message for the caller: lower case, names the field and the fix.
    pub message: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectionKind {
    /// The subject of the command does not exist: 404.
    NotFound,
    /// It exists already, or the present state forbids the change: 409.
    Conflict,
    /// A value of the command is invalid, such as the id of an unknown project.
    Invalid,
    /// The idempotency key was used with another body before.
    KeyReused,
    /// The subject has another version than the caller expects: 412.
    Stale,
    /// The caller may not do this: 403.
    Forbidden,
    /// The account would have more than its limit: 403.
    QuotaExceeded,
    /// The account lacks a feature that the job needs: 403.
    FeatureDisabled,
}

/// The parts of the state that an applied transaction changed. The node publishes it on its change
/// feed. Listeners read the state itself; the fields only tell them where.
#[expect(clippy::struct_excessive_bools, reason = "independent flags, one a kind of listener")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The log index of the last entry in the transaction.
    pub index: u64,
    /// Log time after it.
    pub stamp: Millis,
    /// New jobs as ranges (first id, count).
    pub created: Vec<(JobId, u64)>,
    /// Jobs that were edited, paused, resumed or deleted.
    pub edited: Vec<JobId>,
    /// Some shard changed its owner, epoch or closing owner.
    pub shards: bool,
    /// Shards whose pending rows changed.
    pub pending: Vec<ShardId>,
    /// Occurrences whose runs changed: begun, taken, reported on, over. See `crowded`.
    pub runs: Vec<Occurrence>,
    /// Offers that came, changed or went: the numbers of their pending rows. See `crowded`.
    pub offers: Vec<OfferId>,
    /// Shards of which more runs or offers changed than are named: those are to be read again
    /// whole. No more than [`Change::MOST_NAMED`] of either are named.
    pub crowded: Vec<ShardId>,
    /// Attempt records were added or dropped.
    pub executions: bool,
    /// Credentials changed.
    pub credentials: bool,
    /// The cluster was born, or a node was bound, removed or drained.
    pub nodes: bool,
    /// Settings or pauses of projects, or executors, changed: requests that are built already may
    /// be wrong.
    pub targets: bool,
    /// A snapshot replaced the whole state: everything derived from it is void.
    pub replaced: bool,
    /// The facts for the event stream; of what a snapshot brought there are none.
    pub events: ChangeEvents,
    /// The attempt records that were added, by the minute in which they were due.
    pub minutes: MinuteCounts,
}

impl Change {
    /// The most runs, and the most offers, that one change names: those of a few full commands of
    /// reports and pages of a journal, which may be one transaction.
    pub const MOST_NAMED: usize = 8_192;

    /// Names a run, or its shard where too many are named.
    pub fn add_run(&mut self, of: Occurrence) {
        if self.runs.last() == Some(&of) {
            return;
        }
        if self.runs.len() < Self::MOST_NAMED {
            self.runs.push(of);
        } else {
            self.crowd(shard_of(of.job));
        }
    }

    /// Names an offer of a shard, or the shard where too many are named.
    pub fn add_offer(&mut self, offer: OfferId, shard: ShardId) {
        if self.offers.last() == Some(&offer) {
            return;
        }
        if self.offers.len() < Self::MOST_NAMED {
            self.offers.push(offer);
        } else {
            self.crowd(shard);
        }
    }

    fn crowd(&mut self, shard: ShardId) {
        if !self.crowded.contains(&shard) {
            self.crowded.push(shard);
        }
    }
}

impl Rejection {
    /// A refusal with a message for the caller.
    pub fn new(kind: RejectionKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}
