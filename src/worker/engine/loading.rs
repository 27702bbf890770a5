//! Loading ownership ranges: several at a time on reader threads, each put into the due queue when
//! it is there. `load` has the queries.

use std::sync::Arc;

use super::event::Event;
use super::journal_read::read_unforgotten;
use super::load::{self, Excluded, Loaded};
use super::reads::Loading;
use super::state::Engine;
use crate::model::Millis;
use crate::model::attempt::JournalEntry;
use crate::model::shard::OwnershipKey;
use crate::telemetry::LogLimit;
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::queue::Instants;

/// The most ranges that are loaded at one time.
const LOADERS: usize = 4;

/// Pause after a load that failed, in milliseconds.
const RETRY_MS: u64 = 250;

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Begins to load ranges, in the order given.
    pub(super) fn load(&mut self, keys: &[OwnershipKey]) {
        let loaders = Arc::new(tokio::sync::Semaphore::new(LOADERS));
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
            let until =
                self.tracker.ownership(*key).map_or(Millis::MAX, |ownership| ownership.until);
            asked.push((*key, self.generation, after, until));
        }
        let (store, plans) = (self.store.clone(), Arc::clone(&self.plans));
        let (journal, events) = (self.journal.clone(), self.events.clone());
        self.sender.runtime.spawn(async move {
            // Read before the store: an entry that the journal forgets meanwhile is in the store.
            let own: Arc<Vec<JournalEntry>> = match read_unforgotten(journal).await {
                Ok(own) => Arc::new(own.into_iter().map(|(_, entry)| entry).collect()),
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
                let Ok(turn) = Arc::clone(&loaders).acquire_owned().await else { return };
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

    /// Puts a loaded range into place.
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
        queue.set_until(
            self.tracker.ownership(key).map_or(Millis::MAX, |ownership| ownership.until),
        );
        self.queue.insert(key, queue);
        if !loading.missed.is_empty() {
            self.pending_reads.edited.extend(loading.missed.iter().map(|(job, _)| *job));
            self.pending_reads.jobs.extend(loading.missed);
            self.awaiting_read.insert(key, self.reads + 1);
        }
    }
}
