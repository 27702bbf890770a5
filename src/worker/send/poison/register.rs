//! The register of poison: who is suspect, and the order in which suspects are written.
//!
//! The builder marks up to [`PoisonRegister::WINDOW`] occurrences at a time (the mark rule). Which
//! of them a process died with cannot be told, so the next process writes each of them alone under
//! a mark of its own. Nothing else is written or marked meanwhile: the mark that a second death
//! leaves names one occurrence. The register judges nothing but that.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::crashes::{Crash, counted, stored};
use super::marks::{self, AttemptKey, Mark, MarkFile};
use crate::disk;
use crate::model::{JobId, Millis};
use crate::worker::send::work::Head;

/// The number of processes that must have died with an occurrence to make it poison.
const FATAL: u32 = 2;

/// The treatment of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker::send) enum Suspicion {
    /// Write it with others.
    None,
    /// A process died with it, or with what was written beside it: write it alone.
    Alone,
    /// Do not write it.
    Poison,
}

/// The occurrences that earlier processes died with, and the marks of this one.
#[derive(Debug, Default)]
pub struct PoisonRegister {
    marks: Option<MarkFile>,
    crashes: BTreeMap<AttemptKey, BTreeMap<JobId, u32>>,
    /// Held for writing while something is written alone, for reading while other things are.
    turn: RwLock<()>,
}

impl PoisonRegister {
    /// The most occurrences that share a mark.
    pub(in crate::worker::send) const WINDOW: usize = marks::WINDOW;

    /// Opens the register in a node's folder and counts what its last process left. `start` is the
    /// number of this start, which never repeats.
    pub fn open(dir: &Path, start: u64, now: Millis) -> io::Result<Self> {
        disk::create_dir(dir)?;
        let (deaths, ended) = (dir.join("deaths"), dir.join("ended"));
        let known = stored::<Vec<Crash>>(&deaths)?.unwrap_or_default();
        let last_ended: Option<u64> = stored(&ended)?;
        let mut found = marks::left(dir)?;
        found.retain(|(left, ..)| Some(*left) != last_ended);
        for (left, key, jobs) in &found {
            let ((scheduled, _, attempt), jobs) = (key, jobs.len());
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
        let marks = MarkFile::create(dir, ended, start)?;
        let mut crashes: BTreeMap<AttemptKey, BTreeMap<JobId, u32>> = BTreeMap::new();
        for crash in all {
            crashes.entry(crash.key).or_default().insert(crash.job, crash.count);
        }
        Ok(Self { marks: Some(marks), crashes, turn: RwLock::new(()) })
    }

    /// The suspicions against the occurrences of a head.
    pub(in crate::worker::send) fn suspicions(&self, head: &Head) -> Suspicions<'_> {
        Suspicions(self.crashes.get(&key(head)))
    }

    /// A mark, not yet set, for all windows that are written one after the other.
    pub(in crate::worker) fn mark(&self, head: &Head) -> Mark<'_> {
        Mark::new(self.marks.as_ref(), key(head))
    }

    /// Writes an occurrence that processes died with. Nothing else is written meanwhile, and its
    /// mark is gone before anything is again. Blocks for as long as others write; never call it
    /// within [`PoisonRegister::together`].
    pub(in crate::worker::send) fn alone<T>(
        &self,
        mark: &mut Mark<'_>,
        job: JobId,
        write: impl FnOnce() -> T,
    ) -> T {
        let _turn = self.turn.write().unwrap_or_else(PoisonError::into_inner);
        mark.set(std::iter::once(job));
        let written = write();
        mark.clear();
        written
    }

    /// Writes windows that may be written beside others; `write` marks each. Blocks while something
    /// is written alone.
    pub(in crate::worker::send) fn together<'r, T>(
        &'r self,
        mark: &mut Mark<'r>,
        write: impl FnOnce(&mut Mark<'r>) -> T,
    ) -> T {
        let _turn = self.turn.read().unwrap_or_else(PoisonError::into_inner);
        let written = write(mark);
        mark.clear();
        written
    }

    /// The guard that notes the good end of this process when it is dropped.
    pub(in crate::worker) fn clean_exit(&self) -> CleanExit {
        CleanExit(self.marks.as_ref().map(|marks| (marks.ended.clone(), marks.start)))
    }
}

/// Notes, when it is dropped, that this process ends in good order. What is marked at that moment,
/// or later until the process is gone, then counts for no crash. Dropping it blocks for a sync.
#[derive(Debug)]
pub(in crate::worker) struct CleanExit(Option<(PathBuf, u64)>);

impl Drop for CleanExit {
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

fn key(head: &Head) -> AttemptKey {
    (head.scheduled, head.run, head.attempt)
}

/// The suspicions against the occurrences of one head; see [`PoisonRegister::suspicions`].
#[derive(Clone, Copy)]
pub(in crate::worker::send) struct Suspicions<'r>(Option<&'r BTreeMap<JobId, u32>>);

impl Suspicions<'_> {
    /// The suspicion against a job's occurrence.
    pub(in crate::worker::send) fn of(self, job: JobId) -> Suspicion {
        match self.0.and_then(|jobs| jobs.get(&job)) {
            None => Suspicion::None,
            Some(count) if *count < FATAL => Suspicion::Alone,
            Some(_) => Suspicion::Poison,
        }
    }

    /// Says whether there is no suspicion against any.
    pub(in crate::worker::send) fn is_empty(self) -> bool {
        self.0.is_none()
    }
}

/// The error text of a poison occurrence's dead letter.
pub(in crate::worker::send) fn reason() -> String {
    format!(
        "poison: {FATAL} processes of its node died while they wrote its request; replay it by hand \
         when the cause is known"
    )
}

#[cfg(test)]
mod tests {
    use super::super::marks::{HEADER, SLOT, SLOTS, parse};
    use super::*;

    fn head(scheduled: Millis, attempt: u32) -> Head {
        Head { scheduled, attempt, run: 3, ..Head::default() }
    }

    /// Opens the register as a start of the node does. A process counts as killed when its marks
    /// were leaked (`std::mem::forget`).
    fn start(dir: &Path, number: u64) -> PoisonRegister {
        PoisonRegister::open(&dir.join("rendering"), number, 1_000).unwrap()
    }

    /// Lets a process die while it writes these jobs.
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
        drop(first.clean_exit());
        // What is still being written may be marked after that.
        die(&first, &head, &[5]);
        std::mem::forget(before);
        let second = start(dir.path(), 2);
        assert!(second.suspicions(&head).is_empty());
        // The next one that dies counts.
        die(&second, &head, &[5]);
        assert_eq!(start(dir.path(), 3).suspicions(&head).of(5), Suspicion::Alone);
        drop(PoisonRegister::default().clean_exit());
    }

    #[test]
    fn a_mark_cut_off_at_any_byte_is_none_and_a_damaged_file_no_reason_not_to_start() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(7_000, 1);
        die(&start(dir.path(), 1), &head, &[4, 5, 6]);
        let path = dir.path().join("rendering/marks");
        let bytes = std::fs::read(&path).unwrap();
        let length = HEADER + 3 * 8;
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
            assert_eq!(marks.iter().filter(|mark| mark.has_slot()).count(), 64);
        }
        let none = PoisonRegister::default();
        none.mark(&head(1, 1)).set([1].into_iter());
        assert!(none.suspicions(&head(1, 1)).is_empty());
    }
}
