//! The due queue: every part of every shard that this node has, and what is due next in any.
//!
//! `worker::engine` owns it and pops; `worker::classes` says how one part works. Pure: it knows no
//! clock, no lease and no store, only what it is told.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::classes::{Moment, PartQueue, Popped};
use crate::model::Millis;
use crate::model::shard::ShardId;

/// A part: a shard under an epoch.
pub type PartKey = (ShardId, u64);

/// Every so-many-eth turn belongs to what is made up first.
const LATE_TURN: u32 = 4;

/// All parts' queues.
#[derive(Debug, Default)]
pub struct DueQueue {
    parts: BTreeMap<PartKey, PartQueue>,
    turns: u32,
    /// The part that made something up last.
    late: PartKey,
}

impl DueQueue {
    /// Takes in a loaded part (in place of the one of that name, if there is one).
    pub fn insert(&mut self, key: PartKey, part: PartQueue) {
        self.parts.insert(key, part);
    }

    /// Drops a part; says whether it was there.
    pub fn remove(&mut self, key: PartKey) -> bool {
        self.parts.remove(&key).is_some()
    }

    /// One part.
    pub fn part(&mut self, key: PartKey) -> Option<&mut PartQueue> {
        self.parts.get_mut(&key)
    }

    /// Whether the part is loaded.
    pub fn has(&self, key: PartKey) -> bool {
        self.parts.contains_key(&key)
    }

    /// The parts, in order.
    pub fn keys(&self) -> impl Iterator<Item = PartKey> {
        self.parts.keys().copied()
    }

    /// The earliest instant at which a part has something due that is not above its `limit`.
    pub fn next_due(&mut self, limit: impl Fn(PartKey) -> Millis) -> Option<Millis> {
        self.first(limit).map(|(due, _)| due)
    }

    /// Takes what is due at the earliest instant of the earliest part, if that is not after the
    /// moment's end; a part gives nothing due above its `limit`. What is made up has a fourth of
    /// the turns, and those that nothing else needs.
    pub fn pop(
        &mut self,
        moment: &Moment<'_>,
        limit: impl Fn(PartKey) -> Millis,
    ) -> Option<(PartKey, Popped)> {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(LATE_TURN) {
            self.pop_late(moment, &limit).or_else(|| self.pop_next(moment, &limit))
        } else {
            self.pop_next(moment, &limit).or_else(|| self.pop_late(moment, &limit))
        }
    }

    fn pop_next(
        &mut self,
        moment: &Moment<'_>,
        limit: impl Fn(PartKey) -> Millis,
    ) -> Option<(PartKey, Popped)> {
        let (_, key) = self.first(&limit).filter(|(due, _)| *due <= moment.until)?;
        let moment = Moment { until: moment.until.min(limit(key)), ..*moment };
        let popped = self.parts.get_mut(&key)?.pop(&moment)?;
        Some((key, popped))
    }

    /// Parts take turns.
    fn pop_late(
        &mut self,
        moment: &Moment<'_>,
        limit: impl Fn(PartKey) -> Millis,
    ) -> Option<(PartKey, Popped)> {
        let late = |(key, part): (&PartKey, &PartQueue)| part.is_late().then_some(*key);
        let after = (Bound::Excluded(self.late), Bound::Unbounded);
        let keys = self.parts.range(after).chain(self.parts.range(..=self.late));
        let keys: Vec<PartKey> = keys.filter_map(late).collect();
        for key in keys {
            if let Some(popped) = self.parts.get_mut(&key)?.pop_late(moment.now.min(limit(key))) {
                self.late = key;
                return Some((key, popped));
            }
        }
        None
    }

    /// Looks again at what paused projects had due up to an instant.
    pub fn release(&mut self, until: Millis) {
        self.parts.values_mut().for_each(|part| part.release(until));
    }

    /// Whether something is made up.
    pub fn is_late(&self) -> bool {
        self.parts.values().any(PartQueue::is_late)
    }

    /// How many jobs wait whose next occurrence is due by an instant.
    pub fn waiting(&self, by: Millis) -> u64 {
        self.parts.values().map(|part| part.waiting(by)).sum()
    }

    fn first(&mut self, limit: impl Fn(PartKey) -> Millis) -> Option<(Millis, PartKey)> {
        let parts = self.parts.iter_mut();
        let due = parts.filter_map(|(key, part)| {
            part.next_due().filter(|due| *due <= limit(*key)).map(|due| (due, *key))
        });
        due.min()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
