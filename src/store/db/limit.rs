//! The bounds of one read: a deadline, and a flag by which another thread ends it. SQLite's
//! progress handler asks it about every thousand steps of its virtual machine, so that a scan, a
//! sort and a chain of small statements end alike. The api makes one for each read; `pool` sets it
//! on the connection, and ends all of them before the file is replaced. Reads of the worker have
//! none.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// The reason that ended a read before it was through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// Its deadline passed.
    Deadline,
    /// The caller does not wait for it any more.
    Gone,
    /// The state is being replaced by a snapshot.
    Replaced,
}

impl std::fmt::Display for ReadEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deadline => "it took too long",
            Self::Gone => "nobody waits for it any more",
            Self::Replaced => "the state is being replaced by a snapshot",
        })
    }
}

/// The steps of SQLite's virtual machine between two questions to a [`ReadLimit`]: some ten
/// microseconds.
pub(super) const STEPS: i32 = 1_000;

/// Not ended by another thread; the deadline is looked at besides.
const OPEN: u8 = 0;
const GONE: u8 = 1;
const REPLACED: u8 = 2;

/// The bounds of one read.
#[derive(Debug)]
pub struct ReadLimit {
    deadline: Option<Instant>,
    ended: AtomicU8,
}

impl ReadLimit {
    /// The bounds of a read that may take this long from now on.
    pub fn within(time: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(time), ended: AtomicU8::new(OPEN) }
    }

    /// The bounds of a read without a deadline: it ends only when another thread ends it.
    pub fn endless() -> Self {
        Self { deadline: None, ended: AtomicU8::new(OPEN) }
    }

    /// The instant after which the read is ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ends the read, if it is not through, because its caller is gone.
    pub fn give_up(&self) {
        self.end(GONE);
    }

    /// Ends the read, if it is not through, because the file is about to be replaced.
    pub(super) fn replace(&self) {
        self.end(REPLACED);
    }

    fn end(&self, why: u8) {
        // The first reason stands.
        let _ = self.ended.compare_exchange(OPEN, why, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// The reason why the read has to end, if it has to.
    pub fn ended(&self) -> Option<ReadEnd> {
        match self.ended.load(Ordering::Relaxed) {
            GONE => Some(ReadEnd::Gone),
            REPLACED => Some(ReadEnd::Replaced),
            _ => self.deadline.filter(|at| Instant::now() >= *at).map(|_| ReadEnd::Deadline),
        }
    }
}
