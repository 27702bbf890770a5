//! The reads that the engine wants, and their results. Data only; `changes` and `loading` use it.

use std::collections::BTreeSet;

use super::load::Reread;
use crate::model::job::Pending;
use crate::model::shard::{Shard, ShardId};
use crate::model::{JobId, Millis};
use crate::worker::queue::Pauses;

/// The reads that are wanted.
#[derive(Debug, Default)]
pub(super) struct PendingReads {
    pub(super) shards: bool,
    /// Nothing that was read before is in use any more.
    pub(super) afresh: bool,
    /// Runs of jobs: (first id, how many).
    pub(super) jobs: Vec<(JobId, u64)>,
    /// Those of the jobs that may have closed plans.
    pub(super) edited: BTreeSet<JobId>,
    pub(super) rows: BTreeSet<ShardId>,
    pub(super) pauses: bool,
    /// The log time of the newest change in it.
    pub(super) stamp: Millis,
}

impl PendingReads {
    pub(super) fn is_empty(&self) -> bool {
        !self.shards && !self.pauses && self.jobs.is_empty() && self.rows.is_empty()
    }

    /// Wants the rows of a shard.
    pub(super) fn add_rows(&mut self, shard: ShardId) {
        self.rows.insert(shard);
    }

    pub(super) fn add(&mut self, other: PendingReads) {
        self.shards |= other.shards;
        self.afresh |= other.afresh;
        self.pauses |= other.pauses;
        self.jobs.extend(other.jobs);
        self.edited.extend(other.edited);
        self.rows.extend(other.rows);
        self.stamp = self.stamp.max(other.stamp);
    }
}

/// An ownership range that is being loaded.
#[derive(Debug, Default)]
pub(super) struct Loading {
    pub(super) generation: u64,
    /// Jobs that changed meanwhile.
    pub(super) missed: Vec<(JobId, u64)>,
}

/// The outcome of a read.
pub(in crate::worker) struct ReadDone {
    pub(super) number: u64,
    pub(super) pending_reads: PendingReads,
    pub(super) found: Result<Found, String>,
}

pub(super) struct Found {
    /// The log time of the store, for a read after a rebuild: everything loaded from then on is at
    /// least as new.
    pub(super) log_time: Option<Millis>,
    pub(super) shards: Option<Vec<Shard>>,
    pub(super) jobs: Reread,
    pub(super) pending: Vec<(ShardId, Vec<Pending>)>,
    pub(super) pauses: Option<Pauses>,
}
