//! Places in the replicated log, and the ids of events. An id is the same on every node: the
//! lineage of the log, the index of an entry, and the number of a fact within it.

use std::fmt;
use std::str::FromStr;

use crate::model::event::ChangeEvent;

/// A place in the log: behind the fact of that number of that entry. Behind the number 0 of an
/// entry, all entries before it are over, and none of its own facts was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The log index of the entry.
    pub index: u64,
    /// The number of the fact, from 1; 0 for the begin of the entry.
    pub number: u32,
}

impl Position {
    /// The place behind all facts of an entry and of those before it.
    pub fn after_entry(index: u64) -> Self {
        Self { index: index.saturating_add(1), number: 0 }
    }

    /// The place right behind a fact.
    pub fn of(event: &ChangeEvent) -> Self {
        Self { index: event.index, number: event.number }
    }

    /// Says whether everything before it is applied, where `index` is.
    pub fn is_applied(self, index: u64) -> bool {
        self <= Self::after_entry(index)
    }
}

/// The id of an event as clients know it, `<lineage>-<index>.<number>`: the first 32 bits of the
/// lineage in hexadecimal digits, the rest in decimal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// The line of descent of the log. It changes with a restore, and with `recover`.
    pub lineage: u32,
    /// The place in it.
    pub position: Position,
}

/// The text is no id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an event: expected one such as 5f3a9c1e-120934.2")]
pub struct NoEventId;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { index, number } = self.position;
        write!(f, "{:08x}-{index}.{number}", self.lineage)
    }
}

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let read = || {
            let (lineage, position) = text.split_once('-')?;
            let (index, number) = position.split_once('.')?;
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let hex = |b: u8| b.is_ascii_hexdigit();
            let sound = lineage.len() == 8 && lineage.bytes().all(hex);
            if !sound || !digits(index) || !digits(number) {
                return None;
            }
            let position = Position { index: index.parse().ok()?, number: number.parse().ok()? };
            Some(Self { lineage: u32::from_str_radix(lineage, 16).ok()?, position })
        };
        read().ok_or(NoEventId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let position = Position { index: 120_934, number: 2 };
        let id = EventId { lineage: 0x0f3a_9c1e, position };
        assert_eq!(id.to_string(), "0f3a9c1e-120934.2");
        assert_eq!("0f3a9c1e-120934.2".parse(), Ok(id));
        for bad in ["", "5", "0f3a9c1e", "0f3a9c1e-1", "0f3a9c1e-.2", "f3a9c1e-1.2", "+f3a9c1e-1.2"]
        {
            assert_eq!(bad.parse::<EventId>(), Err(NoEventId), "{bad}");
        }
        for bad in ["0f3a9c1e-+1.2", "0f3a9c1e-1.2.3", "0f3a9c1e-99999999999999999999.1", "x-1.2"] {
            assert_eq!(bad.parse::<EventId>(), Err(NoEventId), "{bad}");
        }
    }

    #[test]
    fn a_place_is_applied_when_all_entries_before_it_are() {
        let at = |index, number| Position { index, number };
        assert!(at(5, 3) < Position::after_entry(5) && Position::after_entry(5) < at(6, 1));
        assert!(at(6, 0).is_applied(5) && at(5, 9).is_applied(5));
        assert!(!at(6, 1).is_applied(5) && !at(7, 0).is_applied(5));
    }
}
