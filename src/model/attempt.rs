//! The record of one attempt: one for all jobs that were sent together, and the rules that follow
//! from it.
//!
//! The worker makes records, the journal carries them, the collector proposes them,
//! `command::apply` stores them, and the API shows them job by job.

use serde::{Deserialize, Serialize};

pub use super::execution_id::{execution_id, occurrence_id, parse_execution_id};

use super::members::Members;
use super::offer::{Offer, RunProgress, Taken};
use super::result_code::ResultCode;
use super::run::{Accepted, Run};
use super::shard::ShardId;
use super::{Millis, NodeId, ProjectId};

/// The result of one request (or of a decision not to send one), for all jobs that it carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The project of all members.
    pub project: ProjectId,
    /// The shard of all members.
    pub shard: ShardId,
    /// The epoch under which it was sent.
    pub epoch: u64,
    /// The instant at which the members were due: scheduled instant plus jitter.
    pub due: Millis,
    /// The scheduled instant; with the job it makes the execution id.
    pub scheduled: Millis,
    /// The first due instant of a range: its verdict, which is a skip, holds for every planned
    /// occurrence of the members due from then on to `due`. `None` for a single instant.
    pub since: Option<Millis>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// What came of the attempt for each of its members.
    pub verdict: Verdict,
    /// The code that came back.
    pub result: ResultCode,
    /// The instant of the request's first byte, by the sender's scheduler time.
    pub started: Millis,
    /// The duration, in milliseconds.
    pub duration: u32,
    /// The jobs that were sent together.
    pub members: Members,
    /// The error, at most [`MAX_ERROR`] bytes.
    pub error: Option<String>,
    /// The pending row that this attempt was made for; `None` for a first attempt from the plan.
    pub pending: Option<u64>,
    /// The number of a manual run; 0 for planned occurrences.
    pub run: u64,
    /// The members are one-offs: an end state is the end of the jobs.
    pub once: bool,
    /// The origin of the result.
    pub origin: ResultOrigin,
    /// The promise of the receiver that accepted the run; only with [`Verdict::Running`].
    pub accepted: Option<Box<Accepted>>,
    /// The beginning of the answer to a request for a single occurrence, at most [`MAX_RESPONSE`]
    /// bytes.
    pub response: Option<String>,
}

/// The occurrences of one record: those of some jobs of one shard at one scheduled instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrences {
    /// The project of all members.
    pub project: ProjectId,
    /// The shard of all members.
    pub shard: ShardId,
    /// The epoch of the owner that makes the record.
    pub epoch: u64,
    /// The due instant.
    pub due: Millis,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The jobs, all of this project and shard.
    pub members: Members,
}

impl AttemptRecord {
    /// Makes the record of a first attempt at planned occurrences. It has no answer, and started
    /// when they were due.
    pub fn attempt(occurrences: Occurrences, verdict: Verdict) -> Self {
        let Occurrences { project, shard, epoch, due, scheduled, members } = occurrences;
        Self {
            project,
            shard,
            epoch,
            due,
            scheduled,
            since: None,
            attempt: 1,
            verdict,
            result: ResultCode::None,
            started: due,
            duration: 0,
            members,
            error: None,
            pending: None,
            run: 0,
            once: false,
            origin: ResultOrigin::Answer,
            accepted: None,
            response: None,
        }
    }

    /// Makes the record of a decision, at an instant, not to send planned occurrences.
    pub fn skipped(occurrences: Occurrences, reason: SkipReason, at: Millis) -> Self {
        Self { started: at, ..Self::attempt(occurrences, Verdict::Skipped(reason)) }
    }

    /// Makes the record of a run about which a report, or silence, decides. The caller sets verdict
    /// and origin. The record counts as that of a one-off, which has no effect on other jobs.
    pub fn reported(run: &Run, stamp: Millis) -> Self {
        let occurrences = Occurrences {
            project: run.project,
            shard: run.shard,
            epoch: run.epoch,
            due: run.due,
            scheduled: run.occurrence.scheduled,
            members: Members::from_sorted([run.occurrence.job]),
        };
        Self {
            attempt: run.attempt,
            started: run.started,
            duration: (stamp - run.started).clamp(0, u32::MAX.into()) as u32,
            run: run.occurrence.run,
            once: true,
            ..Self::attempt(occurrences, Verdict::Running)
        }
    }

    /// Returns whether the record is a range that contains an occurrence: due in the range, and not
    /// scheduled after its end, which would be an occurrence of a later plan.
    pub fn spans(&self, scheduled: Millis, due: Millis) -> bool {
        self.since.is_some_and(|since| since <= due)
            && due <= self.due
            && scheduled <= self.scheduled
    }
}

/// The origin of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultOrigin {
    /// The answer or its absence, or a decision not to send.
    #[default]
    Answer = 0,
    /// A later report of the receiver.
    Reported = 1,
    /// A run was silent for too long.
    Lost = 2,
    /// A run took too long.
    TimedOut = 3,
    /// A run was cancelled.
    Cancelled = 4,
}

impl ResultOrigin {
    /// The origin of a stored number.
    pub fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Reported,
            2 => Self::Lost,
            3 => Self::TimedOut,
            4 => Self::Cancelled,
            _ => Self::Answer,
        }
    }

    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Reported => "reported",
            Self::Lost => "lost",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The longest answer that is kept, in bytes.
pub const MAX_RESPONSE: usize = 1_024;

/// The longest error text that is kept, in bytes.
pub const MAX_ERROR: usize = 500;

/// An error text, cut to what is kept.
pub fn bounded(mut error: String) -> String {
    let end = error.floor_char_boundary(MAX_ERROR);
    error.truncate(end);
    error
}

/// The meaning of a record for its occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// End state: a receiver accepted it.
    Delivered,
    /// A failed attempt; the next one is due at the instant given.
    Retry {
        /// The instant of the next attempt.
        at: Millis,
    },
    /// End state: dead-lettered.
    Dead,
    /// End state: not sent, and why.
    Skipped(SkipReason),
    /// Deferred: the destination takes nothing at the moment. The occurrence waits as a pending row
    /// with its number of attempts unchanged; the history does not show the deferral.
    Postponed {
        /// The instant of the next try.
        at: Millis,
    },
    /// The receiver accepted it and reports later.
    Running,
}

/// Why an occurrence was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipReason {
    /// The job or its project was paused.
    Paused,
    /// The run before it was still under way.
    Overlap,
    /// The occurrence was too late, and the misfire policy does not catch it up.
    Misfire,
    /// The schedule was changed.
    Edited,
    /// The job was deleted or is past its end.
    Ended,
    /// The job is disabled.
    Disabled,
    /// A client cancelled the run.
    Cancelled,
    /// The occurrence was due before the cluster was restored from a backup that does not contain
    /// it.
    Restored,
    /// As many occurrences of the job waited as may wait.
    QueueFull,
    /// No worker began within the start timeout.
    NotStarted,
    /// The executions of the account were used up for the month.
    Quota,
}

impl SkipReason {
    /// The name in listings and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Overlap => "overlap",
            Self::Misfire => "misfire",
            Self::Edited => "edited",
            Self::Ended => "ended",
            Self::Disabled => "disabled",
            Self::Cancelled => "cancelled",
            Self::Restored => "restored",
            Self::QueueFull => "queue_full",
            Self::NotStarted => "not_started",
            Self::Quota => "quota",
        }
    }
}

impl Verdict {
    /// The number under which it is stored; see [`Verdict::from_code`].
    pub fn code(self) -> i64 {
        match self {
            Verdict::Delivered => 0,
            Verdict::Retry { .. } => 1,
            Verdict::Dead => 2,
            Verdict::Postponed { .. } => 3,
            Verdict::Running => 4,
            Verdict::Skipped(reason) => 10 + reason as i64,
        }
    }

    /// The verdict of a stored number (a retry's instant is not kept with it).
    pub fn from_code(code: i64) -> Self {
        match code {
            0 => Verdict::Delivered,
            1 => Verdict::Retry { at: 0 },
            3 => Verdict::Postponed { at: 0 },
            4 => Verdict::Running,
            10 => Verdict::Skipped(SkipReason::Paused),
            11 => Verdict::Skipped(SkipReason::Overlap),
            12 => Verdict::Skipped(SkipReason::Misfire),
            13 => Verdict::Skipped(SkipReason::Edited),
            14 => Verdict::Skipped(SkipReason::Ended),
            15 => Verdict::Skipped(SkipReason::Disabled),
            16 => Verdict::Skipped(SkipReason::Cancelled),
            17 => Verdict::Skipped(SkipReason::Restored),
            18 => Verdict::Skipped(SkipReason::QueueFull),
            19 => Verdict::Skipped(SkipReason::NotStarted),
            20 => Verdict::Skipped(SkipReason::Quota),
            _ => Verdict::Dead,
        }
    }

    /// Returns whether the occurrence has ended with it.
    pub fn is_end(self) -> bool {
        !matches!(self, Verdict::Retry { .. } | Verdict::Postponed { .. } | Verdict::Running)
    }

    /// Returns whether the verdict counts under a live epoch only. The present owner of the shard
    /// has then neither dead-lettered nor deferred the occurrence.
    pub fn needs_its_epoch(self) -> bool {
        matches!(self, Verdict::Dead | Verdict::Postponed { .. })
    }

    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Delivered => "delivered",
            Verdict::Retry { .. } => "failed",
            Verdict::Dead => "dead",
            Verdict::Skipped(_) => "skipped",
            Verdict::Postponed { .. } => "postponed",
            Verdict::Running => "running",
        }
    }
}

/// A watermark statement: everything of this shard due up to `at` is in the journal before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The shard's number.
    pub shard: ShardId,
    /// The epoch of the owner (or closing owner) that states it.
    pub epoch: u64,
    /// The watermark, in milliseconds: all that is due up to it is over or recorded.
    pub at: Millis,
}

/// An entry of a node's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalEntry {
    /// A result of an attempt.
    Attempt(AttemptRecord),
    /// Watermarks, written after all results that they cover. W = H of a closing epoch is the
    /// closing statement.
    Watermarks(Vec<Watermark>),
    /// Occurrences that wait for a worker. Since level 4, as the entries below.
    Offered(Offer),
    /// Occurrences that a worker or a broker has.
    Taken(Taken),
    /// How far runs are: the newest of each that was not written yet. Best effort.
    Progress(#[serde(with = "super::text")] Vec<RunProgress>),
}

/// A page of one node's journal, as the collector proposes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalBatch {
    /// The node that wrote the journal.
    pub node: NodeId,
    /// A random number made with the journal, which names the physical file.
    pub incarnation: u128,
    /// The sequence number of the first entry.
    pub first: u64,
    /// The entries, consecutive.
    pub entries: Vec<JournalEntry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_read_back_from_their_codes() {
        for v in [
            Verdict::Delivered,
            Verdict::Dead,
            Verdict::Running,
            Verdict::Skipped(SkipReason::Disabled),
            Verdict::Skipped(SkipReason::Cancelled),
            Verdict::Skipped(SkipReason::Restored),
            Verdict::Skipped(SkipReason::QueueFull),
            Verdict::Skipped(SkipReason::NotStarted),
            Verdict::Skipped(SkipReason::Quota),
        ] {
            assert_eq!(Verdict::from_code(v.code()), v);
        }
    }

    #[test]
    fn errors_are_cut_at_a_letter() {
        let long = "ü".repeat(MAX_ERROR);
        let cut = bounded(long);
        assert!(cut.len() <= MAX_ERROR && cut.ends_with('ü'));
    }
}
