//! The due queue: every queue of every shard that this node has, and what is due next in any.
//!
//! `worker::engine` owns it and pops; `worker::shard_queue` says how one queue works. Pure: it knows no
//! clock, no lease and no store, only what it is told.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::shard_queue::{Moment, Popped, ShardQueue};
use crate::model::Millis;
use crate::model::shard::ShardId;

/// A queue: a shard under an epoch.
pub type OwnershipKey = (ShardId, u64);

/// Every so-many-eth turn belongs to what is made up first.
const CATCH_UP_TURN: u32 = 4;

/// All queues' queues.
#[derive(Debug, Default)]
pub struct DueQueue {
    queues: BTreeMap<OwnershipKey, ShardQueue>,
    turns: u32,
    /// The queue that made something up last.
    last_catch_up: OwnershipKey,
}

impl DueQueue {
    /// Takes in a loaded queue (in place of the one of that name, if there is one).
    pub fn insert(&mut self, key: OwnershipKey, queue: ShardQueue) {
        self.queues.insert(key, queue);
    }

    /// Drops a queue; says whether it was there.
    pub fn remove(&mut self, key: OwnershipKey) -> bool {
        self.queues.remove(&key).is_some()
    }

    /// One queue.
    pub fn get_mut(&mut self, key: OwnershipKey) -> Option<&mut ShardQueue> {
        self.queues.get_mut(&key)
    }

    /// Whether the queue is loaded.
    pub fn has(&self, key: OwnershipKey) -> bool {
        self.queues.contains_key(&key)
    }

    /// The queues, in order.
    pub fn keys(&self) -> impl Iterator<Item = OwnershipKey> {
        self.queues.keys().copied()
    }

    /// The earliest instant at which a queue has something due that is not above its `limit`.
    pub fn next_due(&mut self, limit: impl Fn(OwnershipKey) -> Millis) -> Option<Millis> {
        self.first(limit).map(|(due, _)| due)
    }

    /// Takes what is due at the earliest instant of the earliest queue, if that is not after the
    /// moment's end; a queue gives nothing due above its `limit`. What is made up has a fourth of
    /// the turns, and those that nothing else needs.
    pub fn pop(
        &mut self,
        moment: &Moment<'_>,
        limit: impl Fn(OwnershipKey) -> Millis,
    ) -> Option<(OwnershipKey, Popped)> {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(CATCH_UP_TURN) {
            self.pop_catch_up(moment, &limit).or_else(|| self.pop_next(moment, &limit))
        } else {
            self.pop_next(moment, &limit).or_else(|| self.pop_catch_up(moment, &limit))
        }
    }

    fn pop_next(
        &mut self,
        moment: &Moment<'_>,
        limit: impl Fn(OwnershipKey) -> Millis,
    ) -> Option<(OwnershipKey, Popped)> {
        let (_, key) = self.first(&limit).filter(|(due, _)| *due <= moment.until)?;
        let moment = Moment { until: moment.until.min(limit(key)), ..*moment };
        let popped = self.queues.get_mut(&key)?.pop(&moment)?;
        Some((key, popped))
    }

    /// Parts take turns.
    fn pop_catch_up(
        &mut self,
        moment: &Moment<'_>,
        limit: impl Fn(OwnershipKey) -> Millis,
    ) -> Option<(OwnershipKey, Popped)> {
        let late =
            |(key, queue): (&OwnershipKey, &ShardQueue)| queue.has_catch_up().then_some(*key);
        let after = (Bound::Excluded(self.last_catch_up), Bound::Unbounded);
        let keys = self.queues.range(after).chain(self.queues.range(..=self.last_catch_up));
        let keys: Vec<OwnershipKey> = keys.filter_map(late).collect();
        for key in keys {
            if let Some(popped) =
                self.queues.get_mut(&key)?.pop_catch_up(moment.now.min(limit(key)))
            {
                self.last_catch_up = key;
                return Some((key, popped));
            }
        }
        None
    }

    /// Looks again at what paused projects had due up to an instant.
    pub fn release(&mut self, until: Millis) {
        self.queues.values_mut().for_each(|queue| queue.release(until));
    }

    /// Whether something is made up.
    pub fn has_catch_up(&self) -> bool {
        self.queues.values().any(ShardQueue::has_catch_up)
    }

    /// How many jobs wait whose next occurrence is due by an instant.
    pub fn waiting(&self, by: Millis) -> u64 {
        self.queues.values().map(|queue| queue.waiting(by)).sum()
    }

    fn first(&mut self, limit: impl Fn(OwnershipKey) -> Millis) -> Option<(Millis, OwnershipKey)> {
        let queues = self.queues.iter_mut();
        let due = queues.filter_map(|(key, queue)| {
            queue.next_due().filter(|due| *due <= limit(*key)).map(|due| (due, *key))
        });
        due.min()
    }
}

#[cfg(test)]
#[path = "due_queue_tests.rs"]
mod tests;
