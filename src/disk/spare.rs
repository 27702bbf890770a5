//! A reserve of file descriptors for operations that must not fail: the files of the Raft log, of
//! the journal and of snapshots, and SQLite's. [`keep`] opens them ahead. A file that cannot be
//! opened because the process has no descriptor left takes them from there, one step after the
//! other. `node` asks for the reserve and has it filled again; `disk` and `store` use it.
//! Connections never do.
//!
//! Connections are bounded below the limit (`node::descriptors`), so the reserve is for users that
//! are bounded in another way only: callbacks, name lookups, libraries.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::io::Errno;

use crate::telemetry::LogLimit;

/// The size of the reserve, where the system allows it.
pub(crate) const KEPT: usize = 32;
/// The number of descriptors that are released at once: an open of SQLite takes a file, its log and
/// its folder.
const STEP: usize = 4;

/// The reserve. Descriptors are the process's, so there is one.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
/// The intended size.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// Limits the log to one line a minute.
static SAID: LogLimit<()> = LogLimit::new();

fn held() -> MutexGuard<'static, Vec<File>> {
    // A panic of a holder leaves the list of files whole.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps `count` descriptors in reserve from now on.
pub(crate) fn keep(count: usize) {
    WANTED.fetch_max(count, Ordering::Relaxed);
    fill(&mut held());
}

/// Refills the reserve as far as possible. Call it now and then. It never waits: while a file is
/// being opened out of the reserve, that call refills it.
pub(crate) fn refill() {
    match HELD.try_lock() {
        Ok(mut held) => fill(&mut held),
        Err(TryLockError::Poisoned(held)) => fill(&mut held.into_inner()),
        Err(TryLockError::WouldBlock) => {}
    }
}

fn fill(held: &mut Vec<File>) {
    while held.len() < WANTED.load(Ordering::Relaxed) {
        let Ok(file) = File::open("/dev/null") else { return };
        held.push(file);
    }
}

/// Releases a part of the reserve for a long operation when no other descriptor is left; [`refill`]
/// takes it back. It is no promise: others may be faster.
pub(crate) fn lend(count: usize) {
    if File::open("/dev/null").as_ref().is_err_and(is_exhausted) {
        let mut held = held();
        let left = held.len().saturating_sub(count);
        held.truncate(left);
    }
}

/// Opens a file, with descriptors of the reserve where the process has none left. `lacks` says
/// whether an error may come from a lack of descriptors: [`is_exhausted`], or a function of the
/// caller for another type of error.
pub(crate) fn open<T, E>(
    mut open: impl FnMut() -> Result<T, E>,
    lacks: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut result = open();
    if !result.as_ref().is_err_and(&lacks) {
        return result;
    }
    // Callers take turns, so that the released descriptors are for this one.
    let mut held = held();
    let before = held.len();
    while result.as_ref().is_err_and(&lacks) && !held.is_empty() {
        let left = held.len().saturating_sub(STEP);
        held.truncate(left);
        result = open();
    }
    fill(&mut held);
    let left = held.len();
    drop(held);
    if before > left
        && let Some(unsaid) = SAID.admit(())
    {
        tracing::error!(
            left,
            unsaid,
            "this process has no file descriptors left: the reserve is used; raise the hard limit \
             (ulimit -Hn, LimitNOFILE=)"
        );
    }
    result
}

/// Returns whether an error says that no descriptor is left.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_without_descriptors_gets_those_of_the_reserve() {
        keep(KEPT);
        let mut tries = 0;
        let attempt = || {
            tries += 1;
            // Other tests open files meanwhile, so the shortage is simulated.
            if tries <= 3 { Err(Errno::MFILE.into()) } else { Ok(tries) }
        };
        let opened = open(attempt, is_exhausted);
        assert_eq!(opened.unwrap(), 4, "two steps of the reserve were not enough, the third was");
        let never: io::Result<()> = open(|| Err(Errno::MFILE.into()), is_exhausted);
        assert!(is_exhausted(&never.unwrap_err()), "there is an end to it");
        let mut tries = 0;
        let attempt = || {
            tries += 1;
            Err(Errno::NOSPC.into())
        };
        let other: io::Result<()> = open(attempt, is_exhausted);
        assert_eq!((other.unwrap_err().kind(), tries), (io::ErrorKind::StorageFull, 1));
        keep(KEPT);
        assert_eq!(held().len(), KEPT, "it is filled again");
    }

    #[test]
    fn a_refill_does_not_wait_for_a_file_that_is_being_opened() {
        keep(KEPT);
        let mut tries = 0;
        let attempt = || {
            tries += 1;
            if tries == 1 {
                return Err(Errno::MFILE.into());
            }
            // The reserve is for this caller now, however long it takes.
            let (filled, is_filled) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                refill();
                let _ = filled.send(());
            });
            Ok(is_filled.recv_timeout(std::time::Duration::from_secs(20)).is_ok())
        };
        let opened = open(attempt, is_exhausted);
        assert!(opened.unwrap(), "it came back while the reserve was held");
    }
}
