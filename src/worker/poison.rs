//! Poison occurrences: those whose request cannot be written without the process dying. A crash
//! leaves behind what was being written, the next process of the node reads it, and what two
//! processes died with is given up (`dead`, reason `poison`) instead of ending a third.
//!
//! | file in `DataDir/rendering` | holds | written |
//! |---|---|---|
//! | `marks` | 64 slots: what is being written at this moment | before and after, never synced: the cache of the system outlives a process |
//! | `deaths` | what earlier processes died with, and how many of them | at the start, if there is something new |
//! | `ended` | the last start of the node that was stopped in good order: its marks tell of no death | at the end |
//!
//! `worker::builder` marks up to [`PoisonRegister::WINDOW`] occurrences at a time. Which of them was to
//! blame cannot be told, so that the next process writes each of them alone, under a mark of its own
//! ([`PoisonRegister::alone`]): nothing else is written or marked meanwhile, so that the mark that a second
//! death leaves names one. A mark is one write to the page cache, some microseconds for a window, and
//! so is taking it away.
//!
//! What holds: an occurrence (job, scheduled instant, run and attempt: a replay by hand is another
//! attempt) ends at most two processes of a node, and at most two of each node where shards move to
//! other nodes meanwhile, since the register is the node's own. A machine that loses its power keeps
//! what the system wrote back by itself: marks may be missing then, or old ones come back, which
//! does no harm unless the same attempt is written once more. Without a disk that takes marks the
//! register does nothing, and says so once.
//!
//! It never judges anything but that: who is not written for other reasons is `worker::builder`'s.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::work::Head;
use crate::disk;
use crate::model::{JobId, Millis};

/// So many windows may be marked at a time: more than there are readers of the state.
const SLOTS: u16 = 64;
/// Bytes of a slot: a page.
const SLOT: usize = 4_096;
/// Bytes before the jobs of a mark: checksum, number of jobs, attempt, process, instant, run.
const HEAD: usize = 4 + 2 + 4 + 8 + 8 + 8;
/// So many processes must have died.
const FATAL: u32 = 2;
/// What is older is forgotten, in milliseconds: a day.
const REMEMBERED: Millis = 86_400_000;
/// So many occurrences are remembered, those of the last deaths.
const MOST_REMEMBERED: usize = 16_384;

/// What the occurrences of a window have in common: scheduled instant, run, attempt.
type Of = (Millis, u64, u32);

/// An occurrence that processes died with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Death {
    job: JobId,
    of: Of,
    /// How many processes died.
    count: u32,
    /// The start of the node that was the last of them.
    start: u64,
    /// When that was found, by scheduler time.
    found: Millis,
}

/// What to do with an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// Write it with others.
    None,
    /// A process died with it, or with what was written beside it: write it alone.
    Alone,
    /// Do not write it.
    Poison,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct PoisonRegister {
    marks: Option<Marks>,
    deaths: BTreeMap<Of, BTreeMap<JobId, u32>>,
    /// Held for writing while something is written alone, for reading while other things are.
    turn: RwLock<()>,
}

#[derive(Debug)]
struct Marks {
    file: File,
    /// The file that says that this process has ended in good order.
    ended: PathBuf,
    /// The start of this node.
    start: u64,
    free: Mutex<Vec<u16>>,
    /// A mark could not be written.
    broken: AtomicBool,
}

impl PoisonRegister {
    /// So many occurrences share a mark.
    pub(super) const WINDOW: usize = 256;

    /// Opens the register of a node's folder, and counts what its last process left. `start` is the
    /// number of this start, which never repeats.
    pub fn open(dir: &Path, start: u64, now: Millis) -> io::Result<Self> {
        disk::create_dir(dir)?;
        let (marks, deaths, ended) = (dir.join("marks"), dir.join("deaths"), dir.join("ended"));
        let known = known(&deaths)?;
        let last_ended: Option<u64> = stored(&ended)?;
        let mut found = read(&marks)?;
        found.retain(|(left, ..)| Some(*left) != last_ended);
        for (left, of, jobs) in &found {
            let ((scheduled, _, attempt), jobs) = (of, jobs.len());
            tracing::warn!(
                start = left,
                scheduled,
                attempt,
                jobs,
                "a process of this node died while it wrote requests: each goes alone now"
            );
        }
        let (all, is_new) = counted(known, found, now);
        if is_new {
            let body = serde_json::to_vec(&all).map_err(io::Error::other)?;
            disk::replace(&deaths, &body)?;
        }
        let file = disk::create_over(&marks)?;
        disk::write_at(&file, &vec![0; SLOT * usize::from(SLOTS)], 0)?;
        disk::sync_dir(dir)?;
        let mut deaths: BTreeMap<Of, BTreeMap<JobId, u32>> = BTreeMap::new();
        for death in all {
            deaths.entry(death.of).or_default().insert(death.job, death.count);
        }
        let free = Mutex::new((0..SLOTS).collect());
        let marks = Marks { file, ended, start, free, broken: AtomicBool::new(false) };
        Ok(Self { marks: Some(marks), deaths, turn: RwLock::new(()) })
    }

    /// What is known of the occurrences of a head; nothing, if nothing is known of any of them.
    pub(super) fn suspicions(&self, head: &Head) -> Suspicions<'_> {
        Suspicions(self.deaths.get(&of(head)))
    }

    /// A mark to be set: one for all windows that are written one after the other.
    pub(super) fn mark(&self, head: &Head) -> Mark<'_> {
        let slot = self.marks.as_ref().and_then(|marks| Some((marks, marks.lock().pop()?)));
        Mark { of: of(head), slot, set: false }
    }

    /// Has something written that processes died with: nothing else is written meanwhile, and when
    /// anything is again its mark is gone. Blocks for as long as others write, and never within
    /// [`PoisonRegister::together`].
    pub(super) fn alone<T>(&self, mark: &mut Mark<'_>, job: JobId, write: impl FnOnce() -> T) -> T {
        let _turn = self.turn.write().unwrap_or_else(PoisonError::into_inner);
        mark.set(std::iter::once(job));
        let written = write();
        mark.clear();
        written
    }

    /// Has windows written that may be written beside others; `write` marks each. Blocks while
    /// something is written alone.
    pub(super) fn together<'r, T>(
        &'r self,
        mark: &mut Mark<'r>,
        write: impl FnOnce(&mut Mark<'r>) -> T,
    ) -> T {
        let _turn = self.turn.read().unwrap_or_else(PoisonError::into_inner);
        let written = write(mark);
        mark.clear();
        written
    }

    /// What notes the end of this process, where it ends in good order.
    pub(super) fn ending(&self) -> Ending {
        Ending(self.marks.as_ref().map(|marks| (marks.ended.clone(), marks.start)))
    }
}

/// Dropped, it notes that a process ends in good order: what is marked at that moment, or until the
/// process is gone, is no death. That blocks for a sync.
#[derive(Debug)]
pub(super) struct Ending(Option<(PathBuf, u64)>);

impl Drop for Ending {
    fn drop(&mut self) {
        let Some((path, start)) = &self.0 else { return };
        let body = serde_json::to_vec(start).map_err(io::Error::other);
        if let Err(error) = body.and_then(|body| disk::replace(path, &body)) {
            tracing::warn!(
                %error,
                "the end of this process cannot be noted: what is being rendered may be taken for \
                 what it died with"
            );
        }
    }
}

fn of(head: &Head) -> Of {
    (head.scheduled, head.run, head.attempt)
}

/// See [`PoisonRegister::suspicions`].
#[derive(Clone, Copy)]
pub(super) struct Suspicions<'r>(Option<&'r BTreeMap<JobId, u32>>);

impl Suspicions<'_> {
    /// Of a job's occurrence.
    pub(super) fn of(self, job: JobId) -> Suspicion {
        match self.0.and_then(|jobs| jobs.get(&job)) {
            None => Suspicion::None,
            Some(count) if *count < FATAL => Suspicion::Alone,
            Some(_) => Suspicion::Poison,
        }
    }

    /// Whether nothing is known of any.
    pub(super) fn is_empty(self) -> bool {
        self.0.is_none()
    }
}

/// What is said of a poison occurrence.
pub(super) fn reason() -> String {
    format!(
        "poison: {FATAL} processes of its node died while they wrote its request; replay it by hand \
         when the cause is known"
    )
}

/// A mark; dropped, it is taken away.
pub(super) struct Mark<'r> {
    of: Of,
    slot: Option<(&'r Marks, u16)>,
    set: bool,
}

impl Mark<'_> {
    /// Says that these are written now, and what was marked before is not any more. At most
    /// [`PoisonRegister::WINDOW`] are marked.
    pub(super) fn set(&mut self, jobs: impl Iterator<Item = JobId>) {
        let Some((marks, slot)) = self.slot else { return };
        let (scheduled, run, attempt) = self.of;
        let mut bytes = Vec::with_capacity(HEAD + 8 * PoisonRegister::WINDOW);
        bytes.extend([0; 6]);
        bytes.extend(attempt.to_le_bytes());
        bytes.extend(marks.start.to_le_bytes());
        bytes.extend(scheduled.to_le_bytes());
        bytes.extend(run.to_le_bytes());
        let jobs = jobs.take(PoisonRegister::WINDOW).map(u64::to_le_bytes);
        jobs.for_each(|job| bytes.extend(job));
        let count = ((bytes.len() - HEAD) / 8) as u16;
        bytes[4..6].copy_from_slice(&count.to_le_bytes());
        let sum = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        self.set = true;
        marks.write(slot, &bytes);
    }

    /// Says that nothing of it is written any more.
    fn clear(&mut self) {
        if let Some((marks, slot)) = self.slot
            && std::mem::take(&mut self.set)
        {
            marks.write(slot, &[0; 6]);
        }
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.clear();
        if let Some((marks, slot)) = self.slot {
            marks.lock().push(slot);
        }
    }
}

impl Marks {
    fn lock(&self) -> MutexGuard<'_, Vec<u16>> {
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

/// The marks that a process left: its start, and what was marked.
type Left = (u64, Of, Vec<JobId>);

fn read(path: &Path) -> io::Result<Vec<Left>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(bytes.chunks(SLOT).filter_map(parse).collect())
}

/// Reads a slot; `None` where it is free, or cut off in the middle.
fn parse(slot: &[u8]) -> Option<Left> {
    let (sum, rest) = slot.split_first_chunk::<4>()?;
    let count = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
    let whole = rest.get(..HEAD - 4 + 8 * count)?;
    if count == 0 || crc32fast::hash(whole) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (attempt, rest) = whole[2..].split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk()?;
    let (scheduled, rest) = rest.split_first_chunk()?;
    let (run, rest) = rest.split_first_chunk()?;
    let jobs = rest.as_chunks().0.iter().map(|job| u64::from_le_bytes(*job)).collect();
    let of =
        (i64::from_le_bytes(*scheduled), u64::from_le_bytes(*run), u32::from_le_bytes(*attempt));
    Some((u64::from_le_bytes(*start), of, jobs))
}

/// What was known at the last start.
fn known(path: &Path) -> io::Result<Vec<Death>> {
    Ok(stored(path)?.unwrap_or_default())
}

/// What a file of the register holds. One that is damaged says nothing.
fn stored<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let read = match disk::read_checked(path) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::Other => {
            tracing::warn!(%error, "what earlier processes died with is not known any more");
            None
        }
        Err(error) => return Err(error),
    };
    Ok(read.and_then(|body| serde_json::from_slice(&body).ok()))
}

/// What is known with what was found, and whether that is anything new. A process counts once, also
/// where its marks are read again by a start after it.
fn counted(known: Vec<Death>, found: Vec<Left>, now: Millis) -> (Vec<Death>, bool) {
    let before = known.len();
    let mut all: BTreeMap<(Of, JobId), Death> = known
        .into_iter()
        .filter(|death| death.found > now.saturating_sub(REMEMBERED))
        .map(|death| ((death.of, death.job), death))
        .collect();
    let mut is_new = all.len() < before;
    for (start, of, jobs) in found {
        for job in jobs {
            let new = Death { job, of, count: 0, start: 0, found: now };
            let death = all.entry((of, job)).or_insert(new);
            if death.start < start {
                (death.count, death.start, death.found) = (death.count + 1, start, now);
                is_new = true;
            }
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    if all.len() > MOST_REMEMBERED {
        all.sort_by_key(|death| std::cmp::Reverse(death.start));
        all.truncate(MOST_REMEMBERED);
        is_new = true;
    }
    (all, is_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(scheduled: Millis, attempt: u32) -> Head {
        Head { scheduled, attempt, run: 3, ..Head::default() }
    }

    /// The register as a start finds it; the one before is gone as a killed process is, if its marks
    /// were forgotten.
    fn start(dir: &Path, number: u64) -> PoisonRegister {
        PoisonRegister::open(&dir.join("rendering"), number, 1_000).unwrap()
    }

    /// Dies while it writes these.
    fn die(register: &PoisonRegister, head: &Head, jobs: &[JobId]) {
        let mut mark = register.mark(head);
        mark.set(jobs.iter().copied());
        std::mem::forget(mark);
    }

    #[test]
    fn what_one_process_died_with_goes_alone_and_what_two_died_with_is_poison() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(7_000, 1);
        let first = start(dir.path(), 1);
        assert!(first.suspicions(&head).is_empty());
        die(&first, &head, &[4, 5, 6]);
        let second = start(dir.path(), 2);
        let of = |register: &PoisonRegister, job| register.suspicions(&head).of(job);
        for (job, expected) in [(3, Suspicion::None), (4, Suspicion::Alone), (6, Suspicion::Alone)]
        {
            assert_eq!(of(&second, job), expected);
        }
        die(&second, &head, &[5]);
        let third = start(dir.path(), 3);
        for (job, expected) in [(4, Suspicion::Alone), (5, Suspicion::Poison)] {
            assert_eq!(of(&third, job), expected);
        }
        // Another attempt, such as a replay, is another matter.
        let replay = Head { attempt: 2, ..Head { scheduled: 7_000, run: 3, ..Head::default() } };
        assert_eq!(third.suspicions(&replay).of(5), Suspicion::None);
        // It stays so, whatever else later processes die with.
        die(&third, &Head { scheduled: 9_000, ..Head::default() }, &[5]);
        let fourth = start(dir.path(), 4);
        assert_eq!((of(&fourth, 5), of(&fourth, 4)), (Suspicion::Poison, Suspicion::Alone));
    }

    #[test]
    fn what_was_written_leaves_nothing_and_a_mark_only_its_last_window() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(7_000, 1);
        let first = start(dir.path(), 1);
        let mut mark = first.mark(&head);
        mark.set(1..=300);
        drop(mark);
        let second = start(dir.path(), 2);
        assert!(second.suspicions(&head).is_empty());
        let mut mark = second.mark(&head);
        mark.set(1..=256);
        mark.set([300].into_iter());
        std::mem::forget(mark);
        let third = start(dir.path(), 3);
        let suspicions = third.suspicions(&head);
        assert_eq!((suspicions.of(1), suspicions.of(300)), (Suspicion::None, Suspicion::Alone));
        let mut mark = third.mark(&head);
        mark.set(1..=300);
        std::mem::forget(mark);
        let fourth = start(dir.path(), 4);
        let suspicions = fourth.suspicions(&head);
        assert_eq!((suspicions.of(256), suspicions.of(257)), (Suspicion::Alone, Suspicion::None));
    }

    #[test]
    fn what_was_written_without_harm_is_not_marked_when_another_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(7_000, 1);
        die(&start(dir.path(), 1), &head, &[4, 5]);
        let second = start(dir.path(), 2);
        let (mut harmless, mut windows) = (second.mark(&head), second.mark(&head));
        second.together(&mut windows, |mark| {
            mark.set(1..=3);
            assert!(second.turn.try_write().is_err(), "what goes alone waits");
            assert!(second.turn.try_read().is_ok(), "other windows do not");
        });
        second.alone(&mut harmless, 4, || {
            assert!(second.turn.try_read().is_err(), "windows wait");
        });
        // Those two are written and still have their slots when the process dies.
        let mut killer = second.mark(&head);
        second.alone(&mut killer, 5, || ());
        killer.set(std::iter::once(5));
        [harmless, windows, killer].into_iter().for_each(std::mem::forget);
        let third = start(dir.path(), 3);
        let suspicions = third.suspicions(&head);
        for (job, expected) in [(1, Suspicion::None), (4, Suspicion::Alone), (5, Suspicion::Poison)]
        {
            assert_eq!(suspicions.of(job), expected, "{job}");
        }
    }

    #[test]
    fn a_process_that_is_stopped_in_good_order_has_died_with_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(7_000, 1);
        let first = start(dir.path(), 1);
        let mut before = first.mark(&head);
        before.set([4].into_iter());
        drop(first.ending());
        // What is still being written may be marked after that.
        die(&first, &head, &[5]);
        std::mem::forget(before);
        let second = start(dir.path(), 2);
        assert!(second.suspicions(&head).is_empty());
        // The next one that dies counts.
        die(&second, &head, &[5]);
        assert_eq!(start(dir.path(), 3).suspicions(&head).of(5), Suspicion::Alone);
        drop(PoisonRegister::default().ending());
    }

    #[test]
    fn a_process_counts_once_however_often_its_marks_are_read() {
        let left = |start| vec![(start, (7_000, 0, 1), vec![5])];
        let (once, is_new) = counted(Vec::new(), left(9), 1_000);
        assert!(is_new && once[0].count == 1);
        let (again, is_new) = counted(once.clone(), left(9), 2_000);
        assert_eq!((&again, is_new), (&once, false));
        let (twice, is_new) = counted(once.clone(), left(10), 2_000);
        assert!(is_new && twice[0].count == 2);
        let (later, is_new) = counted(once, Vec::new(), 1_000 + REMEMBERED);
        assert!(is_new && later.is_empty());
        let many = vec![(3, (1, 0, 1), (0..20_000).collect()), (4, (2, 0, 1), vec![1])];
        let (many, _) = counted(Vec::new(), many, 0);
        assert_eq!(many.len(), MOST_REMEMBERED);
        assert_eq!(many[0].start, 4, "the last deaths are kept");
    }

    #[test]
    fn a_mark_cut_off_at_any_byte_is_none_and_a_damaged_file_no_reason_not_to_start() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(7_000, 1);
        die(&start(dir.path(), 1), &head, &[4, 5, 6]);
        let path = dir.path().join("rendering/marks");
        let bytes = std::fs::read(&path).unwrap();
        let length = HEAD + 3 * 8;
        let whole = parse(&bytes[(SLOT * usize::from(SLOTS - 1))..]).unwrap();
        assert_eq!(whole, (1, (7_000, 3, 1), vec![4, 5, 6]));
        let slot = &bytes[(SLOT * usize::from(SLOTS - 1))..];
        for cut in 0..length {
            let mut torn = vec![0; SLOT];
            torn[..cut].copy_from_slice(&slot[..cut]);
            let parsed = parse(&torn);
            assert!(parsed.is_none() || torn == slot, "cut at {cut}: {parsed:?}");
        }
        std::fs::write(&path, b"what").unwrap();
        std::fs::write(dir.path().join("rendering/deaths"), b"what is this").unwrap();
        assert!(start(dir.path(), 2).suspicions(&head).is_empty());
    }

    #[test]
    fn there_are_as_many_marks_as_slots_and_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let register = start(dir.path(), 1);
        for _ in 0..2 {
            let marks: Vec<_> = (0..70).map(|n| register.mark(&head(n, 1))).collect();
            assert_eq!(marks.iter().filter(|mark| mark.slot.is_some()).count(), 64);
        }
        let none = PoisonRegister::default();
        none.mark(&head(1, 1)).set([1].into_iter());
        assert!(none.suspicions(&head(1, 1)).is_empty());
    }
}
