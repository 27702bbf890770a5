//! Errors of this node that say nothing about the receiver: no descriptor, no memory, no thread, no
//! name server. The clients of all kinds ask [`LocalError::find`] where nothing was sent; such a
//! call is no attempt. `run` has them counted, and logged once a minute. Nothing is retried here.
//!
//! `EADDRNOTAVAIL` does not count as one. It may mean that no local port is free, but it also
//! follows from an IPv6 address where IPv6 is off, and that holds for good.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::telemetry::LogLimit;

/// The resource that this node lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LocalError {
    Descriptors,
    Memory,
    Threads,
    Resolver,
}

const ALL: [LocalError; 4] =
    [LocalError::Descriptors, LocalError::Memory, LocalError::Threads, LocalError::Resolver];

impl LocalError {
    /// The local error behind an error of the client or of a look-up, if there is one.
    pub(in crate::executor) fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<ResolverDown>() {
                return Some(Self::Resolver);
            }
            if let Some(local) = error.downcast_ref::<io::Error>().and_then(Self::of_io) {
                return Some(local);
            }
            next = error.source();
        }
        None
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        match Errno::from_raw_os_error(error.raw_os_error()?) {
            Errno::MFILE | Errno::NFILE => Some(Self::Descriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            // Sockets that are not ready never show it, so it is from pthread_create(3).
            Errno::AGAIN => Some(Self::Threads),
            _ => None,
        }
    }

    /// The name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
            Self::Threads => "threads",
            Self::Resolver => "resolver",
        }
    }

    /// The text for people.
    pub(in crate::executor) fn text(self) -> &'static str {
        match self {
            Self::Descriptors => "too many open files",
            Self::Memory => "out of memory",
            Self::Threads => "no more threads can be started",
            Self::Resolver => "no name server answers",
        }
    }
}

/// No name server of this node said whether a name exists.
#[derive(Debug, thiserror::Error)]
#[error("no name server answers: {why}")]
pub(in crate::executor) struct ResolverDown {
    /// The reason, for people.
    pub(in crate::executor) why: String,
    /// Whether the look-up took too long, or the wait for its turn.
    pub(in crate::executor) late: bool,
}

/// Whether the error of a look-up says only that it took too long.
pub(in crate::executor) fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<ResolverDown>().is_some_and(|error| error.late)
}

/// Whether the error of a resolver is about the resolver and not about the name. The library hands
/// on only the text of getaddrinfo(3): `EAI_AGAIN` and `EAI_FAIL` of glibc, `EAI_AGAIN` of musl.
pub(in crate::executor) fn is_resolver_down(error: &io::Error) -> bool {
    const TEXTS: [&str; 3] =
        ["Temporary failure in name resolution", "Non-recoverable failure", "Try again"];
    let text = error.to_string();
    error.raw_os_error().is_none() && TEXTS.iter().any(|known| text.contains(known))
}

/// The counts of local errors by kind.
#[derive(Debug, Default)]
pub(crate) struct LocalErrors {
    counts: [AtomicU64; ALL.len()],
    lines: LogLimit<LocalError>,
}

impl LocalErrors {
    /// Counts an error, and logs it if that kind was not logged for a minute. `boot` is in
    /// milliseconds.
    pub(in crate::executor) fn note(&self, error: LocalError, boot: u64) {
        let count = self.counts[error as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if self.lines.admit_at(error, boot).is_some() {
            tracing::error!(
                why = error.text(),
                since_start = count,
                "this node cannot make calls: they are put off, and no attempt is counted"
            );
        }
    }

    /// The counts by name.
    pub(in crate::executor) fn counts(&self) -> Vec<(&'static str, u64)> {
        let count = |error: &LocalError| self.counts[*error as usize].load(Ordering::Relaxed);
        ALL.iter().map(|error| (error.name(), count(error))).collect()
    }
}
