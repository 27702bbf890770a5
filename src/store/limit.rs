//! The bounds of one read: a deadline, and a flag by which somebody else ends it. SQLite's progress
//! handler asks it about every thousand steps of its machine, so that a scan, a sort and a chain of
//! small statements end alike. The api makes one for each read; `pool` sets it on the connection, and
//! ends all of them before the file is replaced. Reads of the worker have none.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Why a read was ended before it was through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its deadline passed.
    Deadline,
    /// Whoever asked does not wait for it any more.
    Gone,
    /// The state is being replaced by a snapshot.
    Replaced,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deadline => "it took too long",
            Self::Gone => "nobody waits for it any more",
            Self::Replaced => "the state is being replaced by a snapshot",
        })
    }
}

/// Between two questions to a [`ReadLimit`]: steps of SQLite's machine, some ten microseconds.
pub(super) const STEPS: i32 = 1_000;

/// Not ended by anybody; the deadline is asked beside it.
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
    /// A read that may go on for so long from now on.
    pub fn within(time: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(time), ended: AtomicU8::new(OPEN) }
    }

    /// A read that may take its time, and ends only when it is told to.
    pub fn endless() -> Self {
        Self { deadline: None, ended: AtomicU8::new(OPEN) }
    }

    /// The instant after which the read is ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ends the read, if it is not through: nobody waits for it any more.
    pub fn give_up(&self) {
        self.end(GONE);
    }

    /// Ends the read, if it is not through: the file is about to be replaced.
    pub(super) fn replace(&self) {
        self.end(REPLACED);
    }

    fn end(&self, why: u8) {
        // The first reason stands.
        let _ = self.ended.compare_exchange(OPEN, why, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Why the read has to end, if it has to.
    pub fn ended(&self) -> Option<End> {
        match self.ended.load(Ordering::Relaxed) {
            GONE => Some(End::Gone),
            REPLACED => Some(End::Replaced),
            _ => self.deadline.filter(|at| Instant::now() >= *at).map(|_| End::Deadline),
        }
    }
}
