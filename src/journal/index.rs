//! What is known in memory of the journal's files: where records are, which are forgotten, the
//! newest entries themselves, and whether there is room. Handles and the writing thread share it
//! under one lock; nothing here touches a disk.

use std::collections::VecDeque;

use super::segment::HEADER;
use super::{Options, Page, State};
use crate::model::attempt::JournalEntry;

/// One mark for so many bytes of a segment: finding a record on disk reads that much at most.
const MARK_EVERY: u64 = 64 << 10;

/// A file: its first number, its length in use, and the places of some of its records.
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) end: u64,
    /// (offset, sequence number), ascending; none while it is empty.
    marks: Vec<(u64, u64)>,
}

impl Segment {
    pub(super) fn new(first: u64) -> Self {
        Self { first, end: HEADER, marks: Vec::new() }
    }

    /// Takes note of a record at the end.
    pub(super) fn note(&mut self, seq: u64, at: u64, length: u64) {
        if self.marks.last().is_none_or(|(mark, _)| at - mark >= MARK_EVERY) {
            self.marks.push((at, seq));
        }
        self.end = at + length;
    }

    /// A place at or before a record of this segment.
    fn place(&self, seq: u64) -> (u64, u64) {
        let after = self.marks.partition_point(|(_, mark)| *mark <= seq);
        after.checked_sub(1).map_or((HEADER, self.first), |i| self.marks[i])
    }
}

/// Where entries are to be had.
pub(super) enum Source {
    /// Here they are.
    Memory(Page),
    /// In a file.
    Disk {
        incarnation: u128,
        /// The first one wanted.
        from: u64,
        /// The file's first number.
        segment: u64,
        /// Where to begin in it: offset and the number of the record there.
        place: (u64, u64),
        /// The last one there that is on disk.
        upto: u64,
    },
}

/// The index.
pub(super) struct SegmentIndex {
    incarnation: u128,
    forgotten: u64,
    synced: u64,
    pub(super) segments: VecDeque<Segment>,
    /// The newest entries with the lengths of their records; the last one is number `synced`.
    window: VecDeque<(usize, JournalEntry)>,
    window_bytes: usize,
    syncs: u64,
    /// Set once, never cleared: only a restart tells what is on disk.
    failed: Option<String>,
    /// What the writer found missing when it last looked.
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

    /// Puts what fits of the newest entries into memory.
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

    /// The first reason is the one that counts.
    pub(super) fn fail(&mut self, why: String) {
        self.failed.get_or_insert(why);
    }

    /// Takes note of entries that are on disk now: with the lengths of their records, from an
    /// offset of the last segment.
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

    /// Moves the forgotten position; says whether it moved.
    pub(super) fn forget(&mut self, incarnation: u128, upto: u64) -> bool {
        if incarnation != self.incarnation || upto <= self.forgotten {
            return false;
        }
        if upto > self.synced {
            // The cluster only ever saw what was on disk here. New entries under old numbers would
            // be taken for known and be lost.
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

    /// Where the entries after a number are, as far as they are on disk and not forgotten.
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

    /// Bytes not yet forgotten, rounded up to the last mark.
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
