//! What goes to the journal, and when the tracker may believe it: results in groups as they come,
//! watermarks now and then, always after the results that they cover.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::due_queue::OwnershipKey;
use super::engine::{Engine, Event};
use super::pending::RowResult;
use super::ports::{Dispatcher, Lease, StateStore};
use super::work::Head;
use crate::journal::Journal;
use crate::model::Millis;
use crate::model::attempt::{AttemptRecord, JournalEntry, Watermark};
use crate::model::members::Members;
use crate::model::shard::ShardId;

/// Watermarks are stated so often while results come in or a part is closing, in milliseconds ...
const BUSY_MS: u64 = 250;
/// ... and so often when nothing happens.
const IDLE_MS: u64 = 5_000;
/// How long to leave the journal alone when it cannot be written.
const RETRY_MS: u64 = 250;
/// So many bytes of the own journal are read at a time.
const READ_BYTES: usize = 4 << 20;

/// Results on their way into the journal, and what is settled once they are there.
#[derive(Debug, Default)]
pub(super) struct Results {
    records: Vec<AttemptRecord>,
    over: Vec<FinishedWork>,
    ranges: Vec<(ShardId, Millis)>,
    marks: Vec<Watermark>,
}

/// A piece of work that is over.
#[derive(Debug)]
struct FinishedWork {
    head: Arc<Head>,
    /// What was given up, or put off, at the first attempt.
    left: Option<Members>,
    /// What came of its pending row.
    done: Vec<RowResult>,
}

impl Results {
    /// A piece of work is over with these records.
    pub(super) fn over(&mut self, head: Arc<Head>, records: Vec<AttemptRecord>) {
        let left = records.iter().filter(|b| b.verdict.needs_its_epoch() && b.pending.is_none());
        let mut left: Vec<_> = left.flat_map(|record| record.members.iter()).collect();
        left.sort_unstable();
        let left = (!left.is_empty()).then(|| Members::from_sorted(left));
        let done =
            records.iter().filter(|record| record.pending.is_some()).map(RowResult::of).collect();
        self.over.push(FinishedWork { head, left, done });
        self.records.extend(records);
    }

    /// A page of occurrences that began at `since` is over with this record.
    pub(super) fn range(&mut self, shard: ShardId, since: Millis, record: AttemptRecord) {
        self.ranges.push((shard, since));
        self.records.push(record);
    }

    /// Whether nothing is to be written or settled.
    pub(super) fn is_empty(&self) -> bool {
        self.over.is_empty() && self.ranges.is_empty() && self.marks.is_empty()
    }

    fn entries(&self) -> Vec<JournalEntry> {
        let mut entries: Vec<_> = self.records.iter().cloned().map(JournalEntry::Attempt).collect();
        if !self.marks.is_empty() {
            entries.push(JournalEntry::Watermarks(self.marks.clone()));
        }
        entries
    }

    fn put_before(self, later: &mut Results) {
        let mut all = self;
        all.records.append(&mut later.records);
        all.over.append(&mut later.over);
        all.ranges.append(&mut later.ranges);
        all.marks.append(&mut later.marks);
        *later = all;
    }
}

/// What the journal holds and the cluster has not yet recorded. Blocks. An error where there is more
/// that cannot be read now: what was done according to it would be done again.
pub(super) fn unforgotten(journal: &Journal) -> Result<Vec<JournalEntry>, String> {
    let mut entries = Vec::new();
    let mut after = journal.state().forgotten;
    loop {
        // As it was before the read: what comes meanwhile need not be in it.
        let synced = journal.state().synced;
        let page = journal.read(after, READ_BYTES);
        let Some(last) = (page.entries.len() as u64).checked_sub(1) else {
            return if page.first > synced {
                Ok(entries)
            } else {
                Err(format!("entry {} of the journal cannot be read", page.first))
            };
        };
        after = page.first + last;
        entries.extend(page.entries);
    }
}

/// The same on a thread of its own, which nothing else keeps busy.
pub(super) async fn read_unforgotten(journal: Journal) -> Result<Vec<JournalEntry>, String> {
    let (answer, read) = oneshot::channel();
    let thread = std::thread::Builder::new().name("journal-read".to_owned());
    let spawned = thread.spawn(move || {
        // Whoever asked may be gone with the process.
        let _ = answer.send(unforgotten(&journal));
    });
    spawned.map_err(|error| format!("no thread reads the journal: {error}"))?;
    read.await.map_err(|_| "the journal was not read to its end".to_owned())?
}

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Writes what there is to write; one write at a time, so that results gather meanwhile.
    pub(super) fn flush(&mut self, last: bool) {
        let boot = self.time.clock().boot();
        if self.appending || boot < self.retry_boot {
            return;
        }
        let due = self.next_statement().is_some_and(|at| at <= boot);
        if due || (last && self.dirty) {
            let marks = self.watermarks();
            self.results.marks.extend(marks);
            self.stated_boot = boot;
            self.dirty = false;
        }
        if self.results.is_empty() {
            self.has_room = self.journal.state().has_room;
            return;
        }
        let results = std::mem::take(&mut self.results);
        let entries = results.entries();
        if entries.is_empty() {
            // Nothing came of it that must be written down.
            self.settle_results(results);
            return;
        }
        self.appending = true;
        let (journal, events) = (self.journal.clone(), self.events.clone());
        self.sender.runtime.spawn(async move {
            let outcome = journal.append(entries).await.map(|_| ()).map_err(|e| e.to_string());
            // The engine is gone only when the process ends.
            let _ = events.send(Event::Appended(results, outcome));
        });
    }

    /// A write is done, or failed.
    pub(super) fn on_appended(&mut self, results: Results, outcome: Result<(), String>) {
        self.appending = false;
        if let Err(error) = outcome {
            tracing::error!(%error, "the journal cannot be written; firing stops until it can");
            self.has_room = false;
            self.dirty = true;
            self.retry_boot = self.time.clock().boot() + RETRY_MS;
            results.put_before(&mut self.results);
            return;
        }
        self.has_room = self.journal.state().has_room;
        for record in &results.records {
            self.sender.metrics.ended(record.verdict, record.members.len());
        }
        self.settle_results(results);
    }

    fn settle_results(&mut self, results: Results) {
        self.dirty |= !results.over.is_empty() || !results.ranges.is_empty();
        for mark in results.marks {
            self.tracker.watermark_recorded((mark.shard, mark.epoch), mark.at);
        }
        for (shard, since) in results.ranges {
            self.tracker.finished(shard, since);
        }
        for FinishedWork { head, left, done } in results.over {
            if let Some((id, _)) = head.row {
                self.rows.piece_finished(id, done);
                continue;
            }
            let now = self.tracker.ownership_of(head.key.0, head.due);
            if let (Some(left), Some(key)) = (left, now.filter(|key| *key != head.key)) {
                // Under a past epoch: for the present one that says nothing.
                self.tracker.withdrawn(head.key.0, head.instants(), &left);
                self.load(&[key]);
            } else {
                self.tracker.finished(head.key.0, head.due);
            }
        }
    }

    /// When watermarks are to be stated next, on the boot clock; `None` without parts, and while a
    /// write is under way.
    pub(super) fn next_statement(&self) -> Option<u64> {
        if self.appending {
            return None;
        }
        let parts = self.view.ownerships();
        if parts.is_empty() {
            return None;
        }
        let closing = parts.iter().any(|(key, part)| part.closing && !self.tracker.is_closed(*key));
        let pause = if self.dirty || closing { BUSY_MS } else { IDLE_MS };
        Some((self.stated_boot + pause).max(self.retry_boot))
    }

    /// The watermarks that may be stated now.
    fn watermarks(&mut self) -> Vec<Watermark> {
        let now = self.time.now();
        let ready: Vec<OwnershipKey> =
            self.queue.keys().filter(|key| !self.awaiting_read.contains_key(key)).collect();
        let mut marks = Vec::new();
        for key in ready {
            let (shard, epoch) = key;
            let Some(part) = self.tracker.part(key) else { continue };
            let mut most = self.lease.max_watermark(shard, &part);
            if part.closing && !self.rows.is_clear(shard, part.until) {
                most = most.min(part.until - 1);
            }
            let undispatched =
                self.queue.get_mut(key).and_then(super::shard_queue::ShardQueue::undispatched);
            let w = self.tracker.watermark(key, undispatched, now, self.caught_up_to, most);
            let w = w.filter(|w| self.lease.state_watermark(shard, &part, *w));
            marks.extend(w.map(|at| Watermark { shard, epoch, at }));
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Options;

    #[tokio::test]
    async fn a_journal_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        // Nothing is kept in memory.
        let options = Options { min_free: 0, rotate: 4_096, window: 0, ..Options::default() };
        let (journal, _) = Journal::open(dir.path(), options).unwrap();
        let entry = |at| JournalEntry::Watermarks(vec![Watermark { shard: 7, epoch: 3, at }; 4]);
        for at in 0..300 {
            journal.append(vec![entry(at)]).await.unwrap();
        }
        let all: Vec<_> = (0..300).map(entry).collect();
        assert_eq!(read_unforgotten(journal.clone()).await.unwrap(), all);
        journal.forget(journal.state().incarnation, 100);
        assert_eq!(read_unforgotten(journal.clone()).await.unwrap(), all[100..]);
        // Its last file is out of reach, as all are for a process without a free descriptor.
        let mut files: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let last = files.pop().unwrap();
        let away = dir.path().join("away");
        std::fs::rename(&last, &away).unwrap();
        let why = read_unforgotten(journal.clone()).await.unwrap_err();
        assert!(why.contains("cannot be read"), "{why}");
        // What is forgotten meanwhile need not be read.
        std::fs::rename(&away, &last).unwrap();
        journal.forget(journal.state().incarnation, 300);
        assert_eq!(read_unforgotten(journal).await, Ok(Vec::new()));
    }
}
