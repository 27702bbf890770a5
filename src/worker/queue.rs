//! The due queue: every part of every shard that this node has, and what is due next in any.
//!
//! `worker::engine` owns it and pops; `worker::classes` says how one part works. Pure: it knows no
//! clock, no lease and no store, only what it is told.

use std::collections::BTreeMap;

use super::classes::{PartQueue, Popped};
use crate::model::Millis;
use crate::model::shard::ShardId;

/// A part: a shard under an epoch.
pub type PartKey = (ShardId, u64);

/// All parts' queues.
#[derive(Debug, Default)]
pub struct DueQueue {
    parts: BTreeMap<PartKey, PartQueue>,
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

    /// Takes what is due at the earliest instant of the earliest part, if that is not after `now`;
    /// a part gives nothing due above its `limit`. For `stale` see [`PartQueue::pop`].
    pub fn pop(
        &mut self,
        now: Millis,
        stale: Millis,
        limit: impl Fn(PartKey) -> Millis,
    ) -> Option<(PartKey, Popped)> {
        let (_, key) = self.first(&limit).filter(|(due, _)| *due <= now)?;
        let popped = self.parts.get_mut(&key)?.pop(now.min(limit(key)), stale)?;
        Some((key, popped))
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
