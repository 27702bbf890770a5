//! The ring of facts and the cursor of a reader, as plain data. `feed` owns the one ring of a node,
//! each subscription has a cursor.
//!
//! The ring has every fact between its floor and its end, without a gap: where facts are missing,
//! all before them go too, and the floor is behind them. So one comparison tells a reader whether
//! it has missed anything (*the floor tells*).

use std::collections::VecDeque;
use std::sync::Arc;

use super::position::{EventId, Position};
use crate::command::Change;
use crate::model::event::{ChangeEvent, Fact};

/// The facts between two places of the log.
#[derive(Debug)]
pub(super) struct Ring {
    lineage: u32,
    events: VecDeque<Arc<ChangeEvent>>,
    bytes: usize,
    /// The most bytes, about. The newest fact stays, however large it is.
    limit: usize,
    /// All facts behind this place are there.
    floor: Position,
    /// All facts before this place are there, or were.
    end: Position,
}

/// The place of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(EventId);

/// Why a reader cannot go on where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// The facts behind its place are not kept any more, or this node never had them.
    Expired,
    /// The log is another one: the cluster was restored or recovered.
    Lineage,
}

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The next facts; the cursor is behind them.
    Events(Vec<Arc<ChangeEvent>>),
    /// There are none yet; the cursor is at the end.
    Nothing,
    /// The cursor's place is not applied here yet.
    Ahead,
    /// Facts are missing; the cursor is at the end now.
    Lost {
        /// The reason.
        reason: LostReason,
        /// The cursor's place before.
        from: EventId,
        /// Its place now.
        to: EventId,
    },
}

impl Ring {
    /// A ring of so many bytes, which begins behind an entry.
    pub(super) fn new(limit: usize, lineage: u32, applied: u64) -> Self {
        let end = Position::after_entry(applied);
        Self { lineage, events: VecDeque::new(), bytes: 0, limit, floor: end, end }
    }

    /// Adds the facts of an applied transaction, and says whether readers have to look again, other
    /// than those that are ahead. One that is behind the end already adds nothing.
    pub(super) fn add(&mut self, change: &Change) -> bool {
        if Position::after_entry(change.index) <= self.end {
            return false;
        }
        if change.replaced {
            self.restart(self.lineage, change.index);
            return true;
        }
        let mut wakes = false;
        for event in change.events.facts() {
            if event.fact == Fact::Gap {
                self.restart(self.lineage, change.index);
                return true;
            }
            if Position::of(event) > self.end {
                wakes = true;
                // The clone is counted, which may take less than the original.
                let event = Arc::new(event.clone());
                self.bytes += size(&event);
                self.events.push_back(event);
            }
        }
        self.end = Position::after_entry(change.index);
        while self.bytes > self.limit && self.events.len() > 1 {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= size(&oldest);
            self.floor = Position::of(&oldest);
        }
        wakes
    }

    /// Begins anew behind an entry: what is before it is lost, or of another log.
    pub(super) fn restart(&mut self, lineage: u32, applied: u64) {
        *self = Self::new(self.limit, lineage, applied);
    }

    /// The lineage of the log.
    pub(super) fn lineage(&self) -> u32 {
        self.lineage
    }

    /// The place behind all that was added.
    pub(super) fn end(&self) -> EventId {
        EventId { lineage: self.lineage, position: self.end }
    }

    /// The bytes that its facts take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of its facts, added up anew.
    #[cfg(test)]
    pub(super) fn recounted(&self) -> usize {
        self.events.iter().map(|event| size(event)).sum()
    }

    /// Reads the next facts, at most `most`, and moves the cursor behind them.
    pub(super) fn read(&self, cursor: &mut Cursor, most: usize) -> Read {
        let from = cursor.0;
        let reason = if from.lineage != self.lineage {
            Some(LostReason::Lineage)
        } else if from.position < self.floor {
            Some(LostReason::Expired)
        } else {
            None
        };
        if let Some(reason) = reason {
            cursor.0 = self.end();
            return Read::Lost { reason, from, to: cursor.0 };
        }
        if from.position > self.end {
            return Read::Ahead;
        }
        let first = self.events.partition_point(|event| Position::of(event) <= from.position);
        let events: Vec<_> = self.events.iter().skip(first).take(most).map(Arc::clone).collect();
        let all = first + events.len() == self.events.len();
        cursor.0.position = match events.last() {
            Some(last) if !all => Position::of(last),
            _ => self.end,
        };
        if events.is_empty() { Read::Nothing } else { Read::Events(events) }
    }
}

impl Cursor {
    /// The cursor of a reader that has seen all up to an id.
    pub fn new(seen: EventId) -> Self {
        Self(seen)
    }

    /// Moves to a place without what lies between.
    pub fn go_to(&mut self, place: EventId) {
        self.0 = place;
    }

    /// The id up to which the reader has seen all.
    pub fn id(&self) -> EventId {
        self.0
    }
}

/// The bytes that a fact takes in a ring, about.
fn size(event: &ChangeEvent) -> usize {
    // The counts of the `Arc`, and its place in the ring.
    size_of::<ChangeEvent>() + 3 * size_of::<usize>() + event.fact.heap()
}
