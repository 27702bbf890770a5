//! Snapshots that could not be written or put in place: counted, logged once a minute, shown by
//! `node` as a metric and a warning. A snapshot is a convenience until the log has grown very long,
//! so a lack of disk or of descriptors is no reason to end: `machine` and `cluster` note it here
//! and try again later. Nothing here tries anything.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::LogLimit;

/// The pause after a snapshot that failed.
pub const RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// The failures since the start.
#[derive(Debug, Default)]
pub struct Failures {
    count: AtomicU64,
    last: Mutex<Option<(Instant, String)>>,
    lines: LogLimit<()>,
}

impl Failures {
    fn last(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        // It is replaced as a whole.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a failure.
    pub fn note(&self, error: &dyn Display) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(unsaid) = self.lines.admit(()) {
            tracing::error!(
                %error,
                unsaid,
                "a snapshot cannot be written: it is tried again, the log grows meanwhile"
            );
        }
        *self.last() = Some((Instant::now(), error.to_string()));
    }

    /// Takes note that it worked.
    pub fn worked(&self) {
        if self.last().take().is_some() {
            tracing::info!("a snapshot was written again");
        }
    }

    /// The number of failures since the start.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The reason why the last snapshot failed; `None` once one has worked.
    pub fn trouble(&self) -> Option<String> {
        self.last().as_ref().map(|(_, why)| why.clone())
    }

    /// True if the last snapshot failed less than [`RETRY_INTERVAL`] ago.
    pub fn is_recent(&self) -> bool {
        self.last().as_ref().is_some_and(|(at, _)| at.elapsed() < RETRY_INTERVAL)
    }
}
