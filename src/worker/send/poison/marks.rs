//! The file of marks: a fixed number of slots, each with the occurrences that are being written at
//! this moment. The register sets marks; the next start of the node reads what a dead process left.
//!
//! A slot is a page: CRC-32 of all that follows, number of jobs (u16), attempt (u32), start of the
//! node (u64), scheduled instant (i64), run (u64), then the job ids (u64 each), all little-endian.
//! A slot with no jobs is free. A mark costs one write to the page cache, some microseconds, and so
//! does taking it away. Nothing here judges what a mark means.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk;
use crate::model::{JobId, Millis};

/// The most windows that are marked at one time: more than there are readers of the state.
pub(super) const SLOTS: u16 = 64;
/// The most occurrences that share a mark.
pub(super) const WINDOW: usize = 256;
/// Bytes of a slot.
pub(super) const SLOT: usize = 4_096;
/// Bytes before the jobs of a mark: checksum, number of jobs, attempt, start, instant, run.
pub(super) const HEADER: usize = 4 + 2 + 4 + 8 + 8 + 8;

/// The key that the occurrences of a window share: scheduled instant, run, attempt.
pub(super) type AttemptKey = (Millis, u64, u32);

/// A mark that a dead process left: the start of the node, and what was marked.
pub(super) type LeftMark = (u64, AttemptKey, Vec<JobId>);

/// The file of marks of this process, open.
#[derive(Debug)]
pub(super) struct MarkFile {
    file: File,
    /// The file that says that this process has ended in good order.
    pub(super) ended: PathBuf,
    /// The start of this node.
    pub(super) start: u64,
    free: Mutex<Vec<u16>>,
    /// A mark could not be written: no more are tried.
    broken: AtomicBool,
}

impl MarkFile {
    /// Creates the file anew, all slots free.
    pub(super) fn create(dir: &Path, ended: PathBuf, start: u64) -> io::Result<Self> {
        let file = disk::create_over(&path(dir))?;
        disk::write_at(&file, &vec![0; SLOT * usize::from(SLOTS)], 0)?;
        disk::sync_dir(dir)?;
        let free = Mutex::new((0..SLOTS).collect());
        Ok(Self { file, ended, start, free, broken: AtomicBool::new(false) })
    }

    fn free(&self) -> MutexGuard<'_, Vec<u16>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, slot: u16, bytes: &[u8]) {
        if self.broken.load(Ordering::Relaxed) {
            return;
        }
        let offset = u64::from(slot) * SLOT as u64;
        if let Err(error) = disk::write_at(&self.file, bytes, offset)
            && !self.broken.swap(true, Ordering::Relaxed)
        {
            tracing::error!(
                %error,
                "what is being rendered cannot be marked: until the next start no poison \
                 occurrence is recognized"
            );
        }
    }
}

/// A mark, set or not. Dropping it takes it away and gives its slot back.
pub(in crate::worker) struct Mark<'r> {
    key: AttemptKey,
    slot: Option<(&'r MarkFile, u16)>,
    set: bool,
}

impl<'r> Mark<'r> {
    /// Reserves a slot. Without a file, or a free slot, the mark does nothing.
    pub(super) fn new(file: Option<&'r MarkFile>, key: AttemptKey) -> Self {
        let slot = file.and_then(|file| Some((file, file.free().pop()?)));
        Self { key, slot, set: false }
    }

    /// Marks these jobs' occurrences, at most [`WINDOW`], in place of what was marked before.
    pub(in crate::worker) fn set(&mut self, jobs: impl Iterator<Item = JobId>) {
        let Some((file, slot)) = self.slot else { return };
        let (scheduled, run, attempt) = self.key;
        let mut bytes = Vec::with_capacity(HEADER + 8 * WINDOW);
        bytes.extend([0; 6]);
        bytes.extend(attempt.to_le_bytes());
        bytes.extend(file.start.to_le_bytes());
        bytes.extend(scheduled.to_le_bytes());
        bytes.extend(run.to_le_bytes());
        let jobs = jobs.take(WINDOW).map(u64::to_le_bytes);
        jobs.for_each(|job| bytes.extend(job));
        let count = ((bytes.len() - HEADER) / 8) as u16;
        bytes[4..6].copy_from_slice(&count.to_le_bytes());
        let sum = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        self.set = true;
        file.write(slot, &bytes);
    }

    /// Takes the mark away, keeping its slot.
    pub(super) fn clear(&mut self) {
        if let Some((file, slot)) = self.slot
            && std::mem::take(&mut self.set)
        {
            file.write(slot, &[0; 6]);
        }
    }

    /// True if the mark has a slot.
    #[cfg(test)]
    pub(super) fn has_slot(&self) -> bool {
        self.slot.is_some()
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.clear();
        if let Some((file, slot)) = self.slot {
            file.free().push(slot);
        }
    }
}

/// The file's path in the folder of the register.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("marks")
}

/// Reads the marks that the last process left; none, if there is no file.
pub(super) fn left(dir: &Path) -> io::Result<Vec<LeftMark>> {
    let bytes = match std::fs::read(path(dir)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(bytes.chunks(SLOT).filter_map(parse).collect())
}

/// Reads a slot; `None` where it is free, or was cut off while it was written.
pub(super) fn parse(slot: &[u8]) -> Option<LeftMark> {
    let (sum, rest) = slot.split_first_chunk::<4>()?;
    let count = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
    let whole = rest.get(..HEADER - 4 + 8 * count)?;
    if count == 0 || crc32fast::hash(whole) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (attempt, rest) = whole[2..].split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk()?;
    let (scheduled, rest) = rest.split_first_chunk()?;
    let (run, rest) = rest.split_first_chunk()?;
    let jobs = rest.as_chunks().0.iter().map(|job| u64::from_le_bytes(*job)).collect();
    let key =
        (i64::from_le_bytes(*scheduled), u64::from_le_bytes(*run), u32::from_le_bytes(*attempt));
    Some((u64::from_le_bytes(*start), key, jobs))
}
