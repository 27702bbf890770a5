//! The index of the segments in memory: positions of records, the forgotten ones, the newest
//! entries themselves, and whether there is room. Handles and the writing thread share it under one
//! lock. Nothing here touches a disk.

use std::collections::VecDeque;

use super::options::Options;
use super::segment::HEADER;
use super::state::{Page, State};
use crate::model::attempt::JournalEntry;

/// The bytes of a segment for which there is one mark. A search on disk reads that much at most.
const MARK_EVERY: u64 = 64 << 10;

/// A file: its first sequence number, its length in use, and the positions of some of its records.
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) end: u64,
    /// (offset, sequence number), ascending; empty while the segment is.
    marks: Vec<(u64, u64)>,
}

impl Segment {
    pub(super) fn new(first: u64) -> Self {
        Self { first, end: HEADER, marks: Vec::new() }
    }

    /// Notes a record at the end.
    pub(super) fn note(&mut self, seq: u64, at: u64, length: u64) {
        if self.marks.last().is_none_or(|(mark, _)| at - mark >= MARK_EVERY) {
            self.marks.push((at, seq));
        }
        self.end = at + length;
    }

    /// A mark at or before a record of this segment.
    fn place(&self, seq: u64) -> (u64, u64) {
        let after = self.marks.partition_point(|(_, mark)| *mark <= seq);
        after.checked_sub(1).map_or((HEADER, self.first), |i| self.marks[i])
    }
}

/// The source of entries.
pub(super) enum Source {
    /// These entries, from memory.
    Memory(Page),
    /// A file of the journal, from a position on.
    Disk {
        incarnation: u128,
        /// The sequence number of the first entry wanted.
        from: u64,
        /// The first sequence number of the file.
        segment: u64,
        /// The mark to begin at: offset and sequence number.
        place: (u64, u64),
        /// The last entry of the file that is on disk.
        upto: u64,
    },
}

/// The index of the segments.
pub(super) struct SegmentIndex {
    incarnation: u128,
    forgotten: u64,
    synced: u64,
    pub(super) segments: VecDeque<Segment>,
    /// The newest entries with the lengths of their records. The last one has the number `synced`.
    window: VecDeque<(usize, JournalEntry)>,
    window_bytes: usize,
    syncs: u64,
    /// The first failure. It is never cleared, as only a restart shows the content of the disk.
    failed: Option<String>,
    /// The lack that the writer found when it last looked.
    pub(super) short_of: Option<String>,
}

impl SegmentIndex {
    pub(super) fn new(
        incarnation: u128,
        forgotten: u64,
        synced: u64,
        segments: VecDeque<Segment>,
    ) -> Self {
        Self {
            incarnation,
            forgotten,
            synced,
            segments,
            window: VecDeque::new(),
            window_bytes: 0,
            syncs: 0,
            failed: None,
            short_of: None,
        }
    }

    /// Puts the newest entries into memory, as far as they fit.
    pub(super) fn fill_window(
        &mut self,
        entries: &[(u64, JournalEntry)],
        sizes: &[usize],
        most: usize,
    ) {
        for ((_, entry), size) in entries.iter().zip(sizes).rev() {
            if self.window_bytes + size > most {
                break;
            }
            self.window_bytes += size;
            self.window.push_front((*size, entry.clone()));
        }
    }

    pub(super) fn incarnation(&self) -> u128 {
        self.incarnation
    }

    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn failed(&self) -> Option<&String> {
        self.failed.as_ref()
    }

    /// Notes a failure. The first one counts.
    pub(super) fn fail(&mut self, why: String) {
        self.failed.get_or_insert(why);
    }

    /// Notes entries that are on disk now, with the lengths of their records, from an offset of the
    /// last segment on.
    pub(super) fn written(&mut self, at: u64, entries: Vec<(usize, JournalEntry)>, most: usize) {
        let mut at = at;
        for (size, entry) in entries {
            self.synced += 1;
            if let Some(segment) = self.segments.back_mut() {
                segment.note(self.synced, at, size as u64);
            }
            at += size as u64;
            self.window_bytes += size;
            self.window.push_back((size, entry));
        }
        while self.window_bytes > most {
            let Some((size, _)) = self.window.pop_front() else { break };
            self.window_bytes -= size;
        }
        self.syncs += 1;
    }

    /// Moves the forgotten position; true if it moved.
    pub(super) fn forget(&mut self, incarnation: u128, upto: u64) -> bool {
        if incarnation != self.incarnation || upto <= self.forgotten {
            return false;
        }
        if upto > self.synced {
            // The cluster saw only entries that were on disk here. New entries with old numbers
            // would be taken for known ones and lost.
            self.fail(format!(
                "the cluster knows entry {upto}, the file ends at {}: the data folder is an old \
                 copy; move its journal folder away and restart",
                self.synced
            ));
            return false;
        }
        self.forgotten = upto;
        let in_window = self.synced - self.forgotten;
        while self.window.len() as u64 > in_window {
            let Some((size, _)) = self.window.pop_front() else { break };
            self.window_bytes -= size;
        }
        true
    }

    /// The source of the entries after a number, as far as they are on disk and not forgotten.
    pub(super) fn find(&self, after: u64, max_bytes: usize) -> Source {
        let from = after.max(self.forgotten).saturating_add(1);
        let in_memory = self.synced + 1 - self.window.len() as u64;
        let (incarnation, mut entries) = (self.incarnation, Vec::new());
        if from > self.synced || from >= in_memory {
            let mut bytes = 0;
            for (size, entry) in self.window.iter().skip((from - in_memory) as usize) {
                bytes += size;
                if !entries.is_empty() && bytes > max_bytes {
                    break;
                }
                entries.push(entry.clone());
            }
            return Source::Memory(Page { incarnation, first: from, entries });
        }
        let index = self.segments.partition_point(|s| s.first <= from).saturating_sub(1);
        let segment = &self.segments[index];
        let upto = self.segments.get(index + 1).map_or(self.synced, |next| next.first - 1);
        let place = segment.place(from);
        Source::Disk { incarnation, from, segment: segment.first, place, upto }
    }

    /// The bytes that are not forgotten yet, rounded up to the last mark.
    fn bytes(&self) -> u64 {
        let from = self.forgotten + 1;
        if from > self.synced {
            return 0;
        }
        let index = self.segments.partition_point(|s| s.first <= from).saturating_sub(1);
        let all: u64 = self.segments.iter().skip(index).map(|s| s.end).sum();
        all - self.segments.get(index).map_or(0, |s| s.place(from).0)
    }

    pub(super) fn state(&self, options: &Options) -> State {
        let bytes = self.bytes();
        let too_much = (bytes > options.max_bytes)
            .then(|| format!("{bytes} bytes wait to be collected: is there a leader?"));
        let trouble = self.failed.clone().or_else(|| self.short_of.clone()).or(too_much);
        State {
            incarnation: self.incarnation,
            synced: self.synced,
            forgotten: self.forgotten,
            bytes,
            has_room: trouble.is_none(),
            syncs: self.syncs,
            failed: self.failed.is_some(),
            trouble,
        }
    }
}
