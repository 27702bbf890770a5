//! How changes reach the queue: the changes says where to look, one read at a time looks there, and
//! what it finds replaces what the queue held. Whole parts are loaded several at a time.
//!
//! `caught_up_to` is the log time up to which all of that is done; no watermark goes above it, or an
//! occurrence of a job that was created a moment ago could end up below W unseen.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::due_queue::OwnershipKey;
use super::engine::{Engine, Event};
use super::load::{self, Excluded, Loaded, Reread};
use super::pauses::Pauses;
use super::ports::{Dispatcher, Lease, StateStore};
use super::record::read_unforgotten;
use super::tracker::Instants;
use crate::command::Change;
use crate::model::attempt::JournalEntry;
use crate::model::job::Pending;
use crate::model::shard::{Shard, ShardId, shard_of};
use crate::model::{JobId, Millis};
use crate::store::{meta, pending, projects, shards};
use crate::telemetry::LogLimit;

/// So many parts are loaded at once.
const LOADERS: usize = 4;
/// How long to leave the store alone when they cannot be read.
const RETRY_MS: u64 = 250;

/// What must be read again.
#[derive(Debug, Default)]
pub(super) struct PendingReads {
    shards: bool,
    /// Everything: nothing of what was read before is in use any more.
    afresh: bool,
    /// (first, how many).
    jobs: Vec<(JobId, u64)>,
    /// Of those, the ones that may have closed plans.
    edited: BTreeSet<JobId>,
    rows: BTreeSet<ShardId>,
    pauses: bool,
    /// Log time of the newest change in it.
    stamp: Millis,
}

impl PendingReads {
    fn is_empty(&self) -> bool {
        !self.shards && !self.pauses && self.jobs.is_empty() && self.rows.is_empty()
    }

    /// The rows of a shard.
    pub(super) fn add_rows(&mut self, shard: ShardId) {
        self.rows.insert(shard);
    }

    fn add(&mut self, other: PendingReads) {
        self.shards |= other.shards;
        self.afresh |= other.afresh;
        self.pauses |= other.pauses;
        self.jobs.extend(other.jobs);
        self.edited.extend(other.edited);
        self.rows.extend(other.rows);
        self.stamp = self.stamp.max(other.stamp);
    }
}

/// A part that is being loaded.
#[derive(Debug, Default)]
pub(super) struct Loading {
    generation: u64,
    /// Jobs that changed meanwhile.
    missed: Vec<(JobId, u64)>,
}

/// A read's outcome.
pub(super) struct ReadDone {
    number: u64,
    pending_reads: PendingReads,
    found: Result<Found, String>,
}

struct Found {
    /// Log time of the store, when they were read afresh: whatever is loaded from now on is at
    /// least as new.
    log_time: Option<Millis>,
    shards: Option<Vec<Shard>>,
    jobs: Reread,
    pending: Vec<(ShardId, Vec<Pending>)>,
    pauses: Option<Pauses>,
}

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Notes what a change makes necessary.
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

    /// All that was derived from the store is void: reads shards, parts and rows again. What is in
    /// flight, and what the tracker knows of it, stays.
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

    /// Begins the next read, if something is wanted and none is under way.
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
                        rows.push((*shard, pending::for_shard(conn, *shard)?));
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
            // The closure, and its share of the pending_reads, are gone by now.
            let pending_reads = Arc::into_inner(pending_reads).unwrap_or_default();
            // The engine is gone only when the process ends.
            let _ = events.send(Event::Read(ReadDone { number, pending_reads, found }));
        });
    }

    /// Puts what a read found into place.
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
        for (plan, member) in plans {
            let shard = shard_of(member.job);
            for key in self.view.ownership_keys(shard) {
                let stated = self.tracker.stated(key).unwrap_or(Millis::MIN);
                if let Some(part) = self.queue.get_mut(key) {
                    part.set_after(stated);
                    part.add(&plan, member);
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
        // Of a read from before a rebuild nothing may be loaded: the one that is wanted now says up
        // to when its parts have caught_up_to, and those would be older.
        if let Some(shards) = found.shards.filter(|_| !self.pending_reads.afresh) {
            self.take_shards(shards);
        }
        self.caught_up_to =
            self.caught_up_to.max(pending_reads.stamp).max(found.log_time.unwrap_or(Millis::MIN));
        self.awaiting_read.retain(|_, awaits| *awaits > number);
    }

    /// What the queue holds of these jobs is void; parts that are being loaded will ask again.
    fn invalidate(&mut self, shard: ShardId, ids: &[JobId]) {
        self.tracker.reread(shard);
        for key in self.view.ownership_keys(shard) {
            if let Some(loading) = self.loading.get_mut(&key) {
                loading.missed.extend(ids.iter().map(|id| (*id, 1)));
            }
            if let Some(part) = self.queue.get_mut(key) {
                part.remove(ids);
            }
        }
    }

    /// Takes the shards as they are now: ends parts that are not ours any more, begins new ones.
    fn take_shards(&mut self, shards: Vec<Shard>) {
        let before = self.view.ownerships();
        self.view.set_shards(self.node, shards);
        let parts = self.view.ownerships();
        self.rows.set_ownerships(parts.keys().copied().collect());
        for key in before.keys().filter(|key| !parts.contains_key(key)) {
            self.queue.remove(*key);
            self.loading.remove(key);
            self.awaiting_read.remove(key);
            self.tracker.end(*key);
            if !parts.keys().any(|(shard, _)| *shard == key.0) {
                self.rows.drop_shard(key.0);
            }
        }
        let mut load = Vec::new();
        for (key, part) in parts {
            self.tracker.begin(key, part);
            if let Some(queue) = self.queue.get_mut(key) {
                queue.set_until(part.until);
            } else if !self.loading.contains_key(&key) {
                load.push(key);
            }
            if !before.contains_key(&key) {
                // No watermark before its rows are known: a closing part would end too soon.
                self.pending_reads.rows.insert(key.0);
                self.awaiting_read.insert(key, self.reads + 1);
            }
        }
        self.load(&load);
    }

    /// Begins to load parts, earliest wanted first.
    pub(super) fn load(&mut self, keys: &[OwnershipKey]) {
        let gate = Arc::new(tokio::sync::Semaphore::new(LOADERS));
        if keys.is_empty() {
            return;
        }
        let mut asked = Vec::new();
        for key in keys {
            self.generation += 1;
            self.queue.remove(*key);
            let loading = Loading { generation: self.generation, missed: Vec::new() };
            self.loading.insert(*key, loading);
            let after = self.tracker.stated(*key).unwrap_or(Millis::MIN);
            let until = self.tracker.part(*key).map_or(Millis::MAX, |part| part.until);
            asked.push((*key, self.generation, after, until));
        }
        let (store, plans) = (self.store.clone(), Arc::clone(&self.plans));
        let (journal, events) = (self.journal.clone(), self.events.clone());
        self.sender.runtime.spawn(async move {
            // Before the store are read: an entry that the journal forgets meanwhile is in them.
            let own: Arc<Vec<JournalEntry>> = match read_unforgotten(journal).await {
                Ok(own) => Arc::new(own),
                Err(error) => {
                    for (key, generation, ..) in asked {
                        // The engine is gone only when the process ends.
                        let _ = events.send(Event::Loaded(key, generation, Err(error.clone())));
                    }
                    return;
                }
            };
            for (key, generation, after, until) in asked {
                // The semaphore is never closed.
                let Ok(turn) = Arc::clone(&gate).acquire_owned().await else { return };
                let (store, plans) = (store.clone(), Arc::clone(&plans));
                let (own, events) = (Arc::clone(&own), events.clone());
                tokio::spawn(async move {
                    let read = move |conn: &rusqlite::Connection| {
                        load::ownership(conn, &plans, key, after, until, &own)
                    };
                    let loaded = store.load(read).await;
                    drop(turn);
                    // The engine is gone only when the process ends.
                    let _ = events.send(Event::Loaded(key, generation, loaded));
                });
            }
        });
    }

    /// Puts a loaded part into place.
    pub(super) fn on_loaded(
        &mut self,
        key: OwnershipKey,
        generation: u64,
        loaded: Result<Loaded, String>,
    ) {
        static LINES: LogLimit<()> = LogLimit::new();
        let current = |loading: &Loading| loading.generation == generation;
        if !self.loading.get(&key).is_some_and(current) {
            return;
        }
        let Some(loading) = self.loading.remove(&key) else { return };
        let Loaded { mut queue, excluded } = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                if let Some(unsaid) = LINES.admit(()) {
                    let shard = key.0;
                    tracing::error!(shard, %error, unsaid, "a shard cannot be loaded; trying again");
                }
                self.pending_reads.shards = true;
                self.retry_boot = self.time.clock().boot() + RETRY_MS;
                return;
            }
        };
        for Excluded { since, due, scheduled, members } in excluded {
            let of = Instants { scheduled, due };
            match since {
                Some(since) => self.tracker.exclude_range(key.0, since, of, &members),
                None => self.tracker.exclude(key.0, of, &members),
            }
        }
        self.tracker.reread(key.0);
        queue.set_until(self.tracker.part(key).map_or(Millis::MAX, |part| part.until));
        self.queue.insert(key, queue);
        if !loading.missed.is_empty() {
            self.pending_reads.edited.extend(loading.missed.iter().map(|(job, _)| *job));
            self.pending_reads.jobs.extend(loading.missed);
            self.awaiting_read.insert(key, self.reads + 1);
        }
    }
}
