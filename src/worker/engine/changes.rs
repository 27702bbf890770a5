//! Feeding changes into the due queue: a change says where to look, one read at a time looks there,
//! and its result replaces what the queue held.
//!
//! The engine's loop calls these methods. `caught_up_to` is the log time up to which all of
//! that is done; no watermark goes above it (the caught-up rule). Whole ownership ranges are loaded
//! by `loading`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::Event;
use super::load::{self, Reread};
use super::reads::{Found, ReadDone};
use super::state::Engine;
use crate::command::Change;
use crate::model::shard::{Shard, ShardId, shard_of};
use crate::model::{JobId, Millis};
use crate::store::{meta, pending, projects, shards};
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// Pause after a read that failed, in milliseconds.
const RETRY_MS: u64 = 250;

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Notes the reads that a change makes necessary.
    pub(super) fn note_change(&mut self, change: &Change) {
        if change.replaced {
            self.rebuild();
        }
        let pending_reads = &mut self.pending_reads;
        pending_reads.stamp = pending_reads.stamp.max(change.stamp);
        pending_reads.shards |= change.shards;
        pending_reads.jobs.extend(&change.created);
        if !change.edited.is_empty() {
            self.view.jobs_changed(change.edited.clone());
            self.sender.hanging_calls.changed(&change.edited);
            pending_reads.jobs.extend(change.edited.iter().map(|job| (*job, 1)));
            pending_reads.edited.extend(&change.edited);
        }
        pending_reads.rows.extend(&change.pending);
        if change.targets {
            self.view.targets_changed();
            pending_reads.pauses = true;
        }
    }

    /// Drops everything that was derived from the store, and wants shards, ranges and rows read
    /// again (the level rule). What is in flight stays known to the tracker.
    pub(super) fn rebuild(&mut self) {
        for key in self.queue.keys().collect::<Vec<_>>() {
            self.queue.remove(key);
        }
        self.loading.clear();
        self.awaiting_read.clear();
        self.view.jobs_changed(Vec::new());
        self.sender.hanging_calls.any_changed();
        self.pending_reads.shards = true;
        self.pending_reads.afresh = true;
        self.pending_reads.pauses = true;
        for key in self.view.ownerships().into_keys() {
            self.rows.drop_shard(key.0);
            self.pending_reads.rows.insert(key.0);
            self.awaiting_read.insert(key, self.reads + 1);
        }
    }

    /// Begins the next read, if something is wanted and no read is under way.
    pub(super) fn start_reads(&mut self) {
        if self.reading || self.time.clock().boot() < self.retry_boot {
            return;
        }
        let ours: BTreeSet<ShardId> = self.view.ownerships().into_keys().map(|key| key.0).collect();
        self.pending_reads.rows.retain(|shard| ours.contains(shard));
        if ours.is_empty() {
            self.pending_reads.jobs.clear();
            self.pending_reads.edited.clear();
        }
        if self.pending_reads.is_empty() {
            self.caught_up_to = self.caught_up_to.max(self.pending_reads.stamp);
            return;
        }
        let pending_reads = std::mem::take(&mut self.pending_reads);
        self.pending_reads.stamp = pending_reads.stamp;
        self.reading = true;
        self.reads += 1;
        let (number, store, plans) = (self.reads, self.store.clone(), Arc::clone(&self.plans));
        let events = self.events.clone();
        self.sender.runtime.spawn(async move {
            let pending_reads = Arc::new(pending_reads);
            let asked = Arc::clone(&pending_reads);
            let found = store
                .load(move |conn| {
                    let mut rows = Vec::new();
                    for shard in &asked.rows {
                        rows.push((*shard, pending::to_send(conn, *shard)?));
                    }
                    Ok(Found {
                        log_time: if asked.afresh { Some(meta::log_time(conn)?) } else { None },
                        shards: if asked.shards { Some(shards::all(conn)?) } else { None },
                        jobs: load::jobs(conn, &plans, &asked.jobs, &asked.edited, &ours)?,
                        pending: rows,
                        pauses: if asked.pauses {
                            let all = projects::pauses_after(conn, Millis::MIN)?;
                            Some(all.into_iter().collect())
                        } else {
                            None
                        },
                    })
                })
                .await;
            // The closure is gone by now, and with it its share of the list.
            let pending_reads = Arc::into_inner(pending_reads).unwrap_or_default();
            // The engine is gone only when the process ends.
            let _ = events.send(Event::Read(ReadDone { number, pending_reads, found }));
        });
    }

    /// Puts the result of a read into place.
    pub(super) fn on_read(&mut self, done: ReadDone) {
        self.reading = false;
        let ReadDone { number, pending_reads, found } = done;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the store cannot be read; trying again");
                self.pending_reads.add(pending_reads);
                self.retry_boot = self.time.clock().boot() + RETRY_MS;
                return;
            }
        };
        let Reread { jobs, plans } = found.jobs;
        for (shard, ids) in &jobs {
            self.invalidate(*shard, ids);
        }
        let now = self.time.now();
        for (shard, ids) in &jobs {
            let edited = |id: &JobId| pending_reads.edited.contains(id);
            let edited: Vec<JobId> = ids.iter().copied().filter(edited).collect();
            if !edited.is_empty() {
                self.view.changes_known(*shard, &edited, now);
            }
        }
        for (plan, member) in plans {
            let shard = shard_of(member.job);
            for key in self.view.ownership_keys(shard) {
                let stated = self.tracker.stated(key).unwrap_or(Millis::MIN);
                if let Some(queue) = self.queue.get_mut(key) {
                    queue.set_after(stated);
                    queue.add(&plan, member);
                }
            }
        }
        if let Some(pauses) = found.pauses {
            self.pauses = pauses;
            self.queue.release(Millis::MAX);
        }
        for (shard, rows) in found.pending {
            self.rows.reread(shard, rows);
        }
        // After a rebuild an older read loads nothing: its ranges would be older than the log time
        // that the wanted read will name.
        if let Some(shards) = found.shards.filter(|_| !self.pending_reads.afresh) {
            self.take_shards(shards);
        }
        self.caught_up_to =
            self.caught_up_to.max(pending_reads.stamp).max(found.log_time.unwrap_or(Millis::MIN));
        self.awaiting_read.retain(|_, awaits| *awaits > number);
    }

    /// Drops these jobs from the queue. Ranges that are being loaded read them once more.
    fn invalidate(&mut self, shard: ShardId, ids: &[JobId]) {
        self.tracker.reread(shard);
        for key in self.view.ownership_keys(shard) {
            if let Some(loading) = self.loading.get_mut(&key) {
                loading.missed.extend(ids.iter().map(|id| (*id, 1)));
            }
            if let Some(queue) = self.queue.get_mut(key) {
                queue.remove(ids);
            }
        }
    }

    /// Takes the shards as the store has them: ends ranges that are not this node's any more,
    /// begins new ones.
    fn take_shards(&mut self, shards: Vec<Shard>) {
        let before = self.view.ownerships();
        self.view.set_shards(self.node, shards);
        let ownerships = self.view.ownerships();
        self.rows.set_ownerships(ownerships.keys().copied().collect());
        for key in before.keys().filter(|key| !ownerships.contains_key(key)) {
            self.queue.remove(*key);
            self.loading.remove(key);
            self.awaiting_read.remove(key);
            self.tracker.end(*key);
            if !ownerships.keys().any(|(shard, _)| *shard == key.0) {
                self.rows.drop_shard(key.0);
            }
        }
        let mut load = Vec::new();
        for (key, ownership) in ownerships {
            self.tracker.begin(key, ownership);
            if let Some(queue) = self.queue.get_mut(key) {
                queue.set_until(ownership.until);
            } else if !self.loading.contains_key(&key) {
                load.push(key);
            }
            if !before.contains_key(&key) {
                // No watermark is stated before the rows of a range are known: a closing range
                // would end too soon.
                self.pending_reads.rows.insert(key.0);
                self.awaiting_read.insert(key, self.reads + 1);
            }
        }
        self.load(&load);
    }
}
