//! Writing to the journal: results as they come, watermarks every now and then, and the
//! consequences once they are synced.
//!
//! The journal-before-log rule is kept here: the tracker and the rows learn of a result only when
//! its entry is synced. So is the order of the watermark rule: a watermark is written after the
//! results that it covers.

use super::event::Event;
use super::results::{FinishedWork, Results};
use super::state::Engine;
use crate::model::attempt::Watermark;
use crate::model::shard::OwnershipKey;
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::queue::{Instants, ShardQueue};

/// Time between two statements of watermarks while results come in or a range is closing, in
/// milliseconds.
const BUSY_MS: u64 = 250;

/// The same while nothing happens.
const IDLE_MS: u64 = 5_000;

/// Pause after a write that failed, in milliseconds.
const RETRY_MS: u64 = 250;

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Writes results and watermarks. One write at a time, so that results gather meanwhile. `last`
    /// says that the worker stops.
    pub(super) fn flush(&mut self, last: bool) {
        let boot = self.time.clock().boot();
        if self.appending || boot < self.retry_boot {
            return;
        }
        let due = self.next_statement().is_some_and(|at| at <= boot);
        if due || (last && self.dirty) {
            let watermarks = self.watermarks();
            self.results.watermarks.extend(watermarks);
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
            // Nothing came of it that has to be recorded.
            self.settle_results(results);
            if last {
                // The last statement follows now: no event would remind of it.
                self.flush(last);
            }
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

    /// Takes the outcome of a write.
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
        self.dirty |= !results.finished.is_empty() || !results.intervals.is_empty();
        for mark in results.watermarks {
            self.tracker.watermark_recorded((mark.shard, mark.epoch), mark.at);
        }
        for (shard, since) in results.intervals {
            self.tracker.finished(shard, since);
        }
        for record in &results.records {
            let of = Instants { scheduled: record.scheduled, due: record.due };
            self.tracker.settled(record.shard, of, &record.members);
        }
        for FinishedWork { head, left, done } in results.finished {
            if let Some((id, _)) = head.row {
                self.rows.piece_finished(id, done);
                continue;
            }
            let now = self.tracker.ownership_of(head.key.0, head.due);
            if let (Some(left), Some(key)) = (left, now.filter(|key| *key != head.key)) {
                // A dead letter, a deferral or an offer under a past epoch (the epoch rule): the
                // present range takes the occurrence up again. The load leaves out what a worker
                // has taken.
                self.tracker.withdrawn(head.key.0, head.instants(), &left);
                self.load(&[key]);
            } else {
                self.tracker.finished(head.key.0, head.due);
            }
        }
    }

    /// The instant of the next statement of watermarks, on the boot clock. `None` without ranges,
    /// and while a write is under way.
    pub(super) fn next_statement(&self) -> Option<u64> {
        if self.appending {
            return None;
        }
        let ownerships = self.view.ownerships();
        if ownerships.is_empty() {
            return None;
        }
        let closing = ownerships
            .iter()
            .any(|(key, ownership)| ownership.closing && !self.tracker.is_closed(*key));
        let pause = if self.dirty || closing { BUSY_MS } else { IDLE_MS };
        Some((self.stated_boot + pause).max(self.retry_boot))
    }

    /// The watermarks that may be stated now.
    fn watermarks(&mut self) -> Vec<Watermark> {
        let now = self.time.now();
        let ready: Vec<OwnershipKey> =
            self.queue.keys().filter(|key| !self.awaiting_read.contains_key(key)).collect();
        let mut watermarks = Vec::new();
        for key in ready {
            let (shard, epoch) = key;
            let Some(ownership) = self.tracker.ownership(key) else { continue };
            let mut most = self.lease.max_watermark(shard, &ownership);
            let is_drained = || {
                self.rows.is_clear(shard, ownership.until)
                    && self.supervisor.is_drained(shard, epoch)
            };
            if ownership.closing && !is_drained() {
                most = most.min(ownership.until - 1);
            }
            let undispatched = self.queue.get_mut(key).and_then(ShardQueue::undispatched);
            let watermark = self.tracker.watermark(key, undispatched, now, self.caught_up_to, most);
            let watermark = watermark
                .filter(|watermark| self.lease.state_watermark(shard, &ownership, *watermark));
            watermarks.extend(watermark.map(|at| Watermark { shard, epoch, at }));
        }
        watermarks
    }
}
