//! The replicated state of the model: a small copy of the rules of `command::apply` for records, on
//! top of the real transitions of a shard.

use std::collections::BTreeMap;

use scheduler0::model::Millis;
use scheduler0::model::shard::{Move, Shard};

use super::scenario::START;

/// An occurrence: shard and due instant (the model has one job a shard).
pub(crate) type Key = (u16, Millis);

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered,
    Dead,
    Retry(Millis),
}

/// A journal entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JournalEntry {
    Result { key: Key, epoch: u64, attempt: u32, outcome: Outcome },
    Watermark { shard: u16, epoch: u64, watermark: Millis },
}

/// The payload of a log entry.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Nothing,
    Assign(Vec<Move>),
    Record {
        node: usize,
        incarnation: u64,
        first: u64,
        notes: Vec<JournalEntry>,
    },
    /// A change of the members, which are in [`Entry::members`].
    Members,
}

/// A log entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    pub(crate) stamp: Millis,
    pub(crate) payload: Payload,
    /// A bit for each member, from this entry on.
    pub(crate) members: u64,
}

/// A pending row: the next attempt and its instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingRow {
    pub(crate) attempt: u32,
    pub(crate) next_at: Millis,
}

/// The state after some entries.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) index: u64,
    pub(crate) stamp: Millis,
    pub(crate) assign_index: u64,
    pub(crate) shards: Vec<Shard>,
    /// Occurrences with an end state; true for a delivery.
    pub(crate) ends: BTreeMap<Key, bool>,
    pub(crate) rows: BTreeMap<Key, PendingRow>,
    /// The last recorded entry of each journal, by node and incarnation.
    pub(crate) cursors: BTreeMap<(usize, u64), u64>,
    /// The number of moves that took effect.
    pub(crate) moved: u64,
}

impl State {
    pub(crate) fn new(shards: u16) -> Self {
        Self {
            index: 0,
            stamp: START,
            assign_index: 0,
            shards: (0..shards).map(|id| Shard::new(id, START)).collect(),
            ends: BTreeMap::new(),
            rows: BTreeMap::new(),
            cursors: BTreeMap::new(),
            moved: 0,
        }
    }

    pub(crate) fn has(&self, key: Key) -> bool {
        self.ends.contains_key(&key) || self.rows.contains_key(&key)
    }

    pub(crate) fn cursor(&self, node: usize, incarnation: u64) -> u64 {
        self.cursors.get(&(node, incarnation)).copied().unwrap_or(0)
    }

    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.index += 1;
        self.stamp = self.stamp.max(entry.stamp);
        match &entry.payload {
            Payload::Nothing | Payload::Members => {}
            Payload::Assign(moves) => {
                self.assign_index = self.index;
                for change in moves {
                    let shard = &mut self.shards[usize::from(change.shard)];
                    self.moved += u64::from(shard.apply(change));
                }
            }
            Payload::Record { node, incarnation, first, notes } => {
                for (note, seq) in notes.iter().zip(*first..) {
                    // A new incarnation is taken from its first record on, and no other.
                    if seq == self.cursor(*node, *incarnation) + 1 {
                        self.cursors.insert((*node, *incarnation), seq);
                        self.take(*node as u64 + 1, *note);
                    }
                }
            }
        }
    }

    fn take(&mut self, by: u64, note: JournalEntry) {
        match note {
            JournalEntry::Watermark { shard, epoch, watermark } => {
                self.shards[usize::from(shard)].advance(by, epoch, watermark);
            }
            JournalEntry::Result { key, epoch, attempt, outcome } => {
                let live = self.shards[usize::from(key.0)].is_live(by, epoch);
                let ended = self.ends.contains_key(&key);
                match outcome {
                    Outcome::Delivered => {
                        self.ends.insert(key, true);
                        self.rows.remove(&key);
                    }
                    Outcome::Dead if live && !ended => {
                        self.ends.insert(key, false);
                        self.rows.remove(&key);
                    }
                    Outcome::Retry(next_at) if !ended => {
                        let newer =
                            self.rows.get(&key).is_none_or(|r| live && r.attempt <= attempt);
                        if newer {
                            self.rows.insert(key, PendingRow { attempt: attempt + 1, next_at });
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
