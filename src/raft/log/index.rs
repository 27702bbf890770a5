//! The index of the log: the newest entries in memory, the place of every entry by segment and
//! offset. Shared by the log's handle, its readers and its thread; it never touches a file.

use std::collections::VecDeque;

use openraft::entry::RaftEntry;

use super::segment::Marks;
use crate::raft::types::{Entry, LogId};

/// Entries kept in memory, in bytes of their commands and a little more.
const CACHE: usize = 16 << 20;
/// The bytes that an entry costs beside its command.
const OVERHEAD: usize = 64;

/// An entry's place on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// The log as it is known in memory.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Vote and purge mark, as they were last given to the thread.
    pub(super) marks: Marks,
    /// The committed hint.
    pub(super) committed: Option<LogId>,
    /// The last entry's id (the purge mark when there are none).
    pub(super) last: Option<LogId>,
    /// The index of the first place.
    pub(super) first: u64,
    places: VecDeque<Place>,
    cache: VecDeque<(Entry, usize)>,
    cached_bytes: usize,
    /// Entries below this are on the disk and may leave the cache.
    written: u64,
    /// The segment being written and the next offset in it.
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The highest segment number ever used since the start: a number is never used twice, so that
    /// a reader that still holds a removed file cannot take it for another.
    pub(super) highest: u64,
}

impl Index {
    /// One past the last index; meaningless while there is no entry and no purge mark.
    pub(super) fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes an entry that follows the last one.
    pub(super) fn push(&mut self, entry: Entry, place: Place) {
        if self.places.is_empty() {
            self.first = entry.index();
        }
        self.last = Some(entry.log_id());
        self.places.push_back(place);
        let size = cost(&entry);
        self.cached_bytes += size;
        self.cache.push_back((entry, size));
        self.shrink();
    }

    /// Notes that entries below `next` are on the disk.
    pub(super) fn written(&mut self, next: u64) {
        self.written = self.written.max(next);
        self.shrink();
    }

    fn shrink(&mut self) {
        let mut first = self.next() - self.cache.len() as u64;
        while self.cached_bytes > CACHE && first < self.written {
            let Some((_, size)) = self.cache.pop_front() else { return };
            self.cached_bytes -= size;
            first += 1;
        }
    }

    /// Entries `from..to`, as far as `budget` bytes go (at least one): from memory, or the places
    /// to read them from. One answer has only entries or only places.
    pub(super) fn get(&self, from: u64, to: u64, budget: usize) -> Found {
        let (from, to) = (from.max(self.first), to.min(self.next()));
        if from >= to {
            return Found::Entries(Vec::new());
        }
        let cached = self.next() - self.cache.len() as u64;
        let mut bytes = 0;
        let mut fits = |size: usize| {
            let fits = bytes == 0 || bytes + size <= budget;
            bytes += size;
            fits
        };
        if from >= cached {
            let wanted = self.cache.range((from - cached) as usize..(to - cached) as usize);
            Found::Entries(
                wanted.take_while(|(_, size)| fits(*size)).map(|(e, _)| e.clone()).collect(),
            )
        } else {
            let end = to.min(cached);
            let wanted =
                self.places.range((from - self.first) as usize..(end - self.first) as usize);
            Found::Places(from, wanted.take_while(|p| fits(p.length as usize)).copied().collect())
        }
    }

    /// Goes on in a new segment.
    pub(super) fn begin_segment(&mut self) {
        self.highest = self.highest.max(self.segment) + 1;
        (self.segment, self.offset) = (self.highest, super::segment::MAGIC.len() as u64);
    }

    /// The length of all entries after an index.
    pub(super) fn bytes_after(&self, index: u64) -> u64 {
        let skip = (index + 1).saturating_sub(self.first) as usize;
        self.places.iter().skip(skip).map(|p| u64::from(p.length)).sum()
    }

    /// The segment of the first entry.
    pub(super) fn first_segment(&self) -> Option<u64> {
        self.places.front().map(|p| p.segment)
    }

    /// True if entries from an index on are still where they were.
    pub(super) fn still_at(&self, from: u64, places: &[Place]) -> bool {
        from >= self.first
            && (from - self.first) as usize + places.len() <= self.places.len()
            && self.places.range((from - self.first) as usize..).zip(places).all(|(a, b)| a == b)
    }

    /// Drops what comes at or after an index; gives the place where it began.
    pub(super) fn truncate(&mut self, from: u64, last: Option<LogId>) -> Option<Place> {
        let keep = from.saturating_sub(self.first) as usize;
        let place = self.places.get(keep).copied()?;
        while self.places.len() > keep {
            self.places.pop_back();
            if let Some((_, size)) = self.cache.pop_back() {
                self.cached_bytes -= size;
            }
        }
        self.written = self.written.min(from);
        self.last = last;
        (self.segment, self.offset) = (place.segment, place.offset);
        Some(place)
    }

    /// Drops what is at or before a log id; gives the segments that nothing is left in, below the
    /// first that is still needed.
    pub(super) fn purge(&mut self, upto: &LogId) -> Vec<u64> {
        let before = self.places.front().map(|p| p.segment);
        while self.first <= upto.index && !self.places.is_empty() {
            self.first += 1;
            let cached = self.cache.len() > self.places.len() - 1;
            self.places.pop_front();
            if cached && let Some((_, size)) = self.cache.pop_front() {
                self.cached_bytes -= size;
            }
        }
        self.marks.purged = self.marks.purged.max(Some(*upto));
        let Some(before) = before else {
            self.last = self.last.max(Some(*upto));
            self.first = self.first.max(upto.index + 1);
            return Vec::new();
        };
        if let Some(place) = self.places.front() {
            return (before..place.segment).collect();
        }
        // Nothing is left: the next entry, which may lie anywhere beyond, begins a new segment.
        self.last = self.last.max(Some(*upto));
        self.first = upto.index + 1;
        let gone = (before..=self.segment).collect();
        self.begin_segment();
        gone
    }
}

/// The answer of [`Index::get`].
pub(super) enum Found {
    /// The entries themselves, from memory.
    Entries(Vec<Entry>),
    /// Their places, from the first one's index on.
    Places(u64, Vec<Place>),
}

fn cost(entry: &Entry) -> usize {
    let command = match &entry.payload {
        openraft::EntryPayload::Normal(proposal) => proposal.command.len(),
        _ => 0,
    };
    command + OVERHEAD
}
