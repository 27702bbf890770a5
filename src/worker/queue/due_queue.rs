//! The due queue of this node: a queue for each ownership range, and the earliest due instant of
//! all.
//!
//! The engine owns it and takes out what is due. `shard_queue` says how the queue of one range
//! works. Pure: it knows no clock, no lease and no store, only what it is told.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::popped::{Moment, Popped};
use super::shard_queue::ShardQueue;
use crate::model::Millis;
use crate::model::shard::OwnershipKey;

/// One turn in so many belongs to catching up first.
const CATCH_UP_TURN: u32 = 4;

/// The queues of all ownership ranges.
#[derive(Debug, Default)]
pub struct DueQueue {
    queues: BTreeMap<OwnershipKey, ShardQueue>,
    turns: u32,
    /// The range that gave out a catch-up instant last.
    last_catch_up: OwnershipKey,
}

impl DueQueue {
    /// Adds the queue of a loaded range, in place of an older one.
    pub fn insert(&mut self, key: OwnershipKey, queue: ShardQueue) {
        self.queues.insert(key, queue);
    }

    /// Drops the queue of a range, and says whether it was there.
    pub fn remove(&mut self, key: OwnershipKey) -> bool {
        self.queues.remove(&key).is_some()
    }

    /// The queue of a range, if it is loaded.
    pub fn get_mut(&mut self, key: OwnershipKey) -> Option<&mut ShardQueue> {
        self.queues.get_mut(&key)
    }

    /// Says whether the queue of a range is loaded.
    pub fn has(&self, key: OwnershipKey) -> bool {
        self.queues.contains_key(&key)
    }

    /// The ranges, in order.
    pub fn keys(&self) -> impl Iterator<Item = OwnershipKey> {
        self.queues.keys().copied()
    }

    /// The earliest instant that is due in any range and not above that range's `limit`.
    pub fn next_due(&mut self, limit: impl Fn(OwnershipKey) -> Millis) -> Option<Millis> {
        self.first(limit).map(|(due, _)| due)
    }

    /// Takes what is due at the earliest instant of the earliest range, if that instant is not
    /// after `moment.until`. A range gives nothing due above its `limit`. Catching up gets a fourth
    /// of the turns, and those that nothing else needs.
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

    /// Takes a catch-up instant. Ranges take turns.
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

    /// Looks again at what was held because of a pause and is due up to an instant.
    pub fn release(&mut self, until: Millis) {
        self.queues.values_mut().for_each(|queue| queue.release(until));
    }

    /// Says whether any range catches up.
    pub fn has_catch_up(&self) -> bool {
        self.queues.values().any(ShardQueue::has_catch_up)
    }

    /// The number of jobs whose next occurrence is due by an instant.
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
