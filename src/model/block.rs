//! What a sending came to: one block for all jobs that went out as one, and what follows from it.
//!
//! The worker makes blocks, the journal carries them, the collector proposes them, `command::apply`
//! stores them, the api shows them job by job.

use serde::{Deserialize, Serialize};

use super::members::Members;
use super::shard::ShardId;
use super::{JobId, Millis, NodeId, ProjectId};

/// The result of one request (or of a decision not to send one), for all jobs that it carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
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
    /// For a range: the verdict (a skip) holds for every planned occurrence of the members due from
    /// this instant to `due`. `None` for a single instant.
    pub since: Option<Millis>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// What it came to.
    pub verdict: Verdict,
    /// The HTTP status that came back; 0 when none did.
    pub http_code: u16,
    /// When the request's first byte went out, by the sender's scheduler time.
    pub started: Millis,
    /// How long it took, in milliseconds.
    pub duration: u32,
    /// The jobs.
    pub members: Members,
    /// What went wrong, at most [`MAX_ERROR`] bytes.
    pub error: Option<String>,
    /// The pending row that this attempt was made for; `None` for a first attempt from the plan.
    pub pending: Option<u64>,
}

/// The longest error text that is kept, in bytes.
pub const MAX_ERROR: usize = 500;

/// What a block means for its occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// End state: a receiver accepted it.
    Delivered,
    /// A failed attempt; the next one is due at the instant given.
    Retry {
        /// When to try again.
        at: Millis,
    },
    /// End state: given up, a dead letter.
    Dead,
    /// End state: not sent, and why.
    Skipped(SkipReason),
}

/// Why an occurrence was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipReason {
    /// The job or its project was paused.
    Paused,
    /// The run before it was still under way.
    Overlap,
    /// It was too late, and the misfire policy says not to make it up.
    Misfire,
    /// The schedule was changed.
    Edited,
    /// The job was deleted or is past its end.
    Ended,
    /// The job is disabled.
    Disabled,
}

impl Verdict {
    /// The number under which it is stored; see [`Verdict::from_code`].
    pub fn code(self) -> i64 {
        match self {
            Verdict::Delivered => 0,
            Verdict::Retry { .. } => 1,
            Verdict::Dead => 2,
            Verdict::Skipped(reason) => 10 + reason as i64,
        }
    }

    /// The verdict of a stored number (a retry's instant is not kept with it).
    pub fn from_code(code: i64) -> Self {
        match code {
            0 => Verdict::Delivered,
            1 => Verdict::Retry { at: 0 },
            10 => Verdict::Skipped(SkipReason::Paused),
            11 => Verdict::Skipped(SkipReason::Overlap),
            12 => Verdict::Skipped(SkipReason::Misfire),
            13 => Verdict::Skipped(SkipReason::Edited),
            14 => Verdict::Skipped(SkipReason::Ended),
            15 => Verdict::Skipped(SkipReason::Disabled),
            _ => Verdict::Dead,
        }
    }

    /// Whether the occurrence is over with it.
    pub fn is_end(self) -> bool {
        !matches!(self, Verdict::Retry { .. })
    }

    /// Its name, as listed.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Delivered => "delivered",
            Verdict::Retry { .. } => "failed",
            Verdict::Dead => "dead",
            Verdict::Skipped(_) => "skipped",
        }
    }
}

/// A watermark statement: everything of this shard due up to `at` is in the journal before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The shard.
    pub shard: ShardId,
    /// The epoch of the owner (or closing owner) that states it.
    pub epoch: u64,
    /// W.
    pub at: Millis,
}

/// One entry of a node's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalEntry {
    /// A result.
    Block(Block),
    /// Watermarks, written after all results that they cover. W = H of a closing epoch is the
    /// closing statement.
    Watermarks(Vec<Watermark>),
}

/// A stretch of one node's journal, as the collector proposes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose journal.
    pub node: NodeId,
    /// Which file: random, made with it.
    pub incarnation: u128,
    /// The sequence number of the first entry.
    pub first: u64,
    /// The entries, consecutive.
    pub entries: Vec<JournalEntry>,
}

/// The id of an occurrence: the same over retries, failover, restart and restore, because it is a
/// function of nothing but the cluster, the job and the scheduled instant.
pub fn execution_id(cluster: u128, job: JobId, scheduled: Millis) -> String {
    format!("{:08x}-{job:x}-{scheduled:x}", (cluster >> 96) as u32)
}

/// Job and scheduled instant of an execution id; `None` when it is not one.
pub fn parse_execution_id(text: &str) -> Option<(JobId, Millis)> {
    let mut parts = text.split('-');
    let _cluster = u32::from_str_radix(parts.next()?, 16).ok()?;
    let job = u64::from_str_radix(parts.next()?, 16).ok()?;
    let scheduled = i64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some((job, scheduled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_id_names_its_job_and_instant() {
        let id = execution_id(0xdead_beef << 96, 77, 1_763_700_000_000);
        assert_eq!(id, format!("deadbeef-4d-{:x}", 1_763_700_000_000_i64));
        assert_eq!(parse_execution_id(&id), Some((77, 1_763_700_000_000)));
        assert_eq!(parse_execution_id("deadbeef-4d"), None);
    }

    #[test]
    fn verdicts_read_back_from_their_codes() {
        for v in [Verdict::Delivered, Verdict::Dead, Verdict::Skipped(SkipReason::Disabled)] {
            assert_eq!(Verdict::from_code(v.code()), v);
        }
    }
}
