//! The loop of the engine: takes in changes, reports and the lease, and does what follows, until it
//! is to stop.
//!
//! The handle starts it. The loop is level-triggered (the level rule): after a lost notification it
//! reads everything again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{broadcast, mpsc, watch};

use super::dispatch::BUILDERS;
use super::event::Event;
use super::state::Engine;
use super::status::WorkerStatus;
use crate::command::Change;
use crate::model::Millis;
use crate::model::shard::OwnershipKey;
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::send::SendEvent;

/// The longest that a stop waits for what is in flight, in milliseconds.
const STOP_MS: u64 = 10_000;

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Runs until told to stop and what was in flight is over, or [`STOP_MS`] have passed.
    pub(in crate::worker) async fn run(
        mut self,
        mut changes: broadcast::Receiver<Arc<Change>>,
        mut sent: mpsc::UnboundedReceiver<SendEvent>,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut lease = self.lease.changed();
        let urgent = Arc::clone(&self.sender.urgent);
        let mut deadline: Option<u64> = None;
        self.rebuild();
        let (mut news, mut wake) = (true, 0);
        loop {
            news |= self.drain_changes(&mut changes);
            while let Ok(event) = sent.try_recv() {
                news |= self.on_send_event(event);
            }
            while let Ok(event) = events.try_recv() {
                news = true;
                self.on_event(event);
            }
            // Results alone gather while a write is under way: the end of the write is an event.
            if news || !self.appending {
                news = false;
                if *stop.borrow() && deadline.is_none() {
                    deadline = Some(self.time.clock().boot() + STOP_MS);
                }
                self.start_reads();
                let limits = self.limits();
                if deadline.is_none() {
                    self.fire(&limits);
                }
                self.flush(deadline.is_some());
                self.publish();
                if let Some(deadline) = deadline {
                    let quiet = self.tracker.open() == 0 && self.rows.busy() == 0;
                    let written = self.results.is_empty() && !self.appending && !self.dirty;
                    if (quiet && written) || self.time.clock().boot() >= deadline {
                        return;
                    }
                }
                wake = self.wake(&limits, deadline);
            }
            let clock = Arc::clone(self.time.clock());
            tokio::select! {
                received = changes.recv() => {
                    news = true;
                    match received {
                        Ok(change) => self.note_change(&change),
                        Err(broadcast::error::RecvError::Lagged(_)) => self.rebuild(),
                        // The cluster is gone: nothing will change any more.
                        Err(broadcast::error::RecvError::Closed) => return,
                    }
                }
                // While a write is under way, results do not wake this task one by one.
                event = sent.recv(), if !self.appending => {
                    if let Some(event) = event { news = self.on_send_event(event) }
                }
                () = urgent.notified() => {}
                event = events.recv() => if let Some(event) = event {
                    news = true;
                    self.on_event(event);
                },
                moved = lease.changed() => {
                    news = true;
                    if moved.is_err() { return }
                }
                () = clock.sleep_until(wake) => news = true,
                stopped = stop.changed(), if deadline.is_none() => {
                    news = true;
                    if stopped.is_err() {
                        deadline = Some(self.time.clock().boot() + STOP_MS);
                    }
                }
            }
        }
    }

    /// Takes in all changes that were published. Says whether there was one.
    fn drain_changes(&mut self, changes: &mut broadcast::Receiver<Arc<Change>>) -> bool {
        let mut received = false;
        loop {
            match changes.try_recv() {
                Ok(change) => self.note_change(&change),
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.rebuild(),
                Err(_) => return received,
            }
            received = true;
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Read(done) => self.on_read(done),
            Event::Loaded(key, generation, loaded) => self.on_loaded(key, generation, loaded),
            Event::Appended(results, outcome) => self.on_appended(results, outcome),
        }
    }

    /// The instant at which something is to be done without an event, on the boot clock.
    fn wake(&mut self, limits: &BTreeMap<OwnershipKey, Millis>, deadline: Option<u64>) -> u64 {
        let boot = self.time.clock().boot();
        let mut wake = self.next_statement().unwrap_or(boot + 60_000);
        if self.retry_boot > boot {
            wake = wake.min(self.retry_boot);
        }
        if let Some(deadline) = deadline {
            return wake.min(deadline);
        }
        if self.has_room && self.building < BUILDERS.min(self.max_queue) {
            let limit = |key: OwnershipKey| limits.get(&key).copied().unwrap_or(Millis::MIN);
            let ahead = self.ahead();
            let due = self.queue.next_due(limit).map(|due| due - ahead);
            let view = Arc::clone(&self.view);
            let ours = |shard, at| view.owner_of_row(shard, at).is_some_and(|key| at <= limit(key));
            let next = due.into_iter().chain(self.rows.next(ours)).min();
            if let Some(at) = next {
                wake = wake.min(self.time.boot_at(at));
            }
        }
        wake
    }

    /// Publishes the status and the gauges.
    fn publish(&mut self) {
        let now = self.time.now();
        let behind = self.queue.next_due(|_| Millis::MAX).is_some_and(|due| due <= now);
        let due = if behind || self.queue.has_catch_up() { self.queue.waiting(now) } else { 0 };
        self.status.publish(
            &self.sender.metrics,
            WorkerStatus {
                ownerships: self.queue.keys().count() as u64,
                loading: self.loading.len() as u64,
                due,
                rows: self.rows.waiting(),
                offers: 0, // the handle of the worker knows
                taken: 0,
                built: self.sender.in_flight_limits.built() as u64,
                in_flight: self.sender.in_flight.load(Ordering::Relaxed),
                working: self.reading || self.appending || self.building > 0,
                caught_up_to: self.caught_up_to,
                has_room: self.has_room,
            },
        );
    }
}
