//! Results on their way into the journal, and what is settled once they are synced. Data only;
//! `record` writes them.

use std::sync::Arc;

use super::pending::RowResult;
use crate::model::Millis;
use crate::model::attempt::{AttemptRecord, JournalEntry, Watermark};
use crate::model::members::Members;
use crate::model::shard::ShardId;
use crate::worker::send::Head;

/// Results that are not in the journal yet.
#[derive(Debug, Default)]
pub(in crate::worker) struct Results {
    pub(super) records: Vec<AttemptRecord>,
    pub(super) finished: Vec<FinishedWork>,
    pub(super) intervals: Vec<(ShardId, Millis)>,
    pub(super) watermarks: Vec<Watermark>,
}

/// A piece of work that is over.
#[derive(Debug)]
pub(super) struct FinishedWork {
    pub(super) head: Arc<Head>,
    /// The members of a first attempt that became a dead letter, were deferred or were offered: the
    /// epoch rule decides about them.
    pub(super) left: Option<Members>,
    /// The results for its pending row.
    pub(super) done: Vec<RowResult>,
}

impl Results {
    /// Adds a finished piece of work with its records.
    pub(super) fn add_finished(&mut self, head: Arc<Head>, records: Vec<AttemptRecord>) {
        let left = records.iter().filter(|b| b.verdict.needs_its_epoch() && b.pending.is_none());
        let mut left: Vec<_> = left.flat_map(|record| record.members.iter()).collect();
        left.sort_unstable();
        let left = (!left.is_empty()).then(|| Members::from_sorted(left));
        let done =
            records.iter().filter(|record| record.pending.is_some()).map(RowResult::of).collect();
        self.finished.push(FinishedWork { head, left, done });
        self.records.extend(records);
    }

    /// Adds a piece of work whose members the supervisor has journaled, as offered or as taken.
    pub(super) fn add_offered(&mut self, head: Arc<Head>, members: Members) {
        // Of a row the engine is told each entry.
        let left = (head.row.is_none() && !members.is_empty()).then_some(members);
        self.finished.push(FinishedWork { head, left, done: Vec::new() });
    }

    /// Adds the record of an interval of skipped occurrences that began at `since`.
    pub(super) fn add_interval(&mut self, shard: ShardId, since: Millis, record: AttemptRecord) {
        self.intervals.push((shard, since));
        self.records.push(record);
    }

    /// Says whether nothing is to be written or settled.
    pub(super) fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.intervals.is_empty() && self.watermarks.is_empty()
    }

    pub(super) fn entries(&self) -> Vec<JournalEntry> {
        let mut entries: Vec<_> = self.records.iter().cloned().map(JournalEntry::Attempt).collect();
        if !self.watermarks.is_empty() {
            entries.push(JournalEntry::Watermarks(self.watermarks.clone()));
        }
        entries
    }

    pub(super) fn put_before(self, later: &mut Results) {
        let mut all = self;
        all.records.append(&mut later.records);
        all.finished.append(&mut later.finished);
        all.intervals.append(&mut later.intervals);
        all.watermarks.append(&mut later.watermarks);
        *later = all;
    }
}
