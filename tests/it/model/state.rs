//! The model's replicated state: what a log of entries comes to. A small copy of the rules of
//! `command::apply` for records, on top of the real transitions of a shard.

use std::collections::BTreeMap;

use scheduler0::model::Millis;
use scheduler0::model::shard::{Move, Shard};

use super::world::BORN;

/// An occurrence: shard and due instant (the model has one job a shard).
pub(crate) type Key = (u16, Millis);

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Delivered,
    Dead,
    Retry(Millis),
}

/// A journal entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    Result { key: Key, epoch: u64, attempt: u32, came: Came },
    Watermark { shard: u16, epoch: u64, w: Millis },
}

/// What a log entry says.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    Nothing,
    Assign(Vec<Move>),
    Record {
        node: usize,
        incarnation: u64,
        first: u64,
        notes: Vec<Note>,
    },
    /// Who belongs to the cluster is [`Entry::members`].
    Members,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    pub(crate) stamp: Millis,
    pub(crate) says: Says,
    /// A bit for each member, from this entry on.
    pub(crate) members: u64,
}

/// A pending row: the next attempt and its instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) attempt: u32,
    pub(crate) next_at: Millis,
}

#[derive(Clone, Debug)]
pub(crate) struct Books {
    pub(crate) index: u64,
    pub(crate) stamp: Millis,
    pub(crate) assign_index: u64,
    pub(crate) shards: Vec<Shard>,
    /// End states: whether delivered.
    pub(crate) ends: BTreeMap<Key, bool>,
    pub(crate) rows: BTreeMap<Key, Row>,
    /// The last record taken from each journal: of a node, of an incarnation.
    pub(crate) cursors: BTreeMap<(usize, u64), u64>,
    pub(crate) moved: u64,
}

impl Books {
    pub(crate) fn new(shards: u16) -> Self {
        Self {
            index: 0,
            stamp: BORN,
            assign_index: 0,
            shards: (0..shards).map(|id| Shard::new(id, BORN)).collect(),
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
        match &entry.says {
            Says::Nothing | Says::Members => {}
            Says::Assign(moves) => {
                self.assign_index = self.index;
                for change in moves {
                    let shard = &mut self.shards[usize::from(change.shard)];
                    self.moved += u64::from(shard.apply(change));
                }
            }
            Says::Record { node, incarnation, first, notes } => {
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

    fn take(&mut self, by: u64, note: Note) {
        match note {
            Note::Watermark { shard, epoch, w } => {
                self.shards[usize::from(shard)].advance(by, epoch, w);
            }
            Note::Result { key, epoch, attempt, came } => {
                let live = self.shards[usize::from(key.0)].is_live(by, epoch);
                let ended = self.ends.contains_key(&key);
                match came {
                    Came::Delivered => {
                        self.ends.insert(key, true);
                        self.rows.remove(&key);
                    }
                    Came::Dead if live && !ended => {
                        self.ends.insert(key, false);
                        self.rows.remove(&key);
                    }
                    Came::Retry(next_at) if !ended => {
                        let newer =
                            self.rows.get(&key).is_none_or(|r| live && r.attempt <= attempt);
                        if newer {
                            self.rows.insert(key, Row { attempt: attempt + 1, next_at });
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
