//! Errors of this node that say nothing of the receiver: no descriptor, no memory, no name server.
//! `Executor::call` asks [`LocalError::of`] where nothing was sent; such a call is no attempt. Counts
//! them, and says so in the log once a minute; it never retries anything.
//!
//! `EADDRNOTAVAIL` is none of them: it may mean that no local port is free, but it also is what comes of
//! an IPv6 address where IPv6 is off, and that holds for good.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::telemetry::LogLimit;

/// What this node lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LocalError {
    Descriptors,
    Memory,
    Resolver,
}

const ALL: [LocalError; 3] = [LocalError::Descriptors, LocalError::Memory, LocalError::Resolver];

impl LocalError {
    /// The kind of an error of the client or of a look-up, if it is one of these.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<ResolverDown>() {
                return Some(Self::Resolver);
            }
            if let Some(own) = error.downcast_ref::<io::Error>().and_then(Self::of_io) {
                return Some(own);
            }
            next = error.source();
        }
        None
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        match Errno::from_raw_os_error(error.raw_os_error()?) {
            Errno::MFILE | Errno::NFILE => Some(Self::Descriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            _ => None,
        }
    }

    /// Its name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
            Self::Resolver => "resolver",
        }
    }

    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Descriptors => "too many open files",
            Self::Memory => "out of memory",
            Self::Resolver => "no name server answers",
        }
    }
}

/// The name server of this node did not say whether a name exists.
#[derive(Debug, thiserror::Error)]
#[error("no name server answers: {why}")]
pub(super) struct ResolverDown {
    /// In words.
    pub(super) why: String,
    /// Nothing came in time: a look-up that began, or one that had to wait for its turn.
    pub(super) late: bool,
}

/// Whether the error of a look-up says no more than that nothing came in time.
pub(super) fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<ResolverDown>().is_some_and(|error| error.late)
}

/// Whether a resolver's error is about the resolver and not about the name. The library has the text
/// of getaddrinfo(3) alone: `EAI_AGAIN` and `EAI_FAIL` of glibc, `EAI_AGAIN` of musl.
pub(super) fn is_resolver_down(error: &io::Error) -> bool {
    const TEXTS: [&str; 3] =
        ["Temporary failure in name resolution", "Non-recoverable failure", "Try again"];
    let text = error.to_string();
    error.raw_os_error().is_none() && TEXTS.iter().any(|known| text.contains(known))
}

/// How often each kind came.
#[derive(Debug, Default)]
pub(super) struct LocalErrors {
    counts: [AtomicU64; ALL.len()],
    lines: LogLimit<LocalError>,
}

impl LocalErrors {
    /// Counts one; says so if that was not said for a minute. `boot` is in milliseconds.
    pub(super) fn note(&self, error: LocalError, boot: u64) {
        let count = self.counts[error as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if self.lines.admit_at(error, boot).is_some() {
            tracing::error!(
                why = error.words(),
                since_start = count,
                "this node cannot make calls: they are put off, and no attempt is counted"
            );
        }
    }

    /// The counts by name.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let count = |error: &LocalError| self.counts[*error as usize].load(Ordering::Relaxed);
        ALL.iter().map(|error| (error.name(), count(error))).collect()
    }
}
