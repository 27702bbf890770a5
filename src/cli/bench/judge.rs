//! The judge of arrivals: asks the oracle once there is one, counts what is early before that, and
//! notes the first arrival after a restart. `receiver` and `inbox` tell it what arrives, `run`
//! reads it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::oracle::{Oracle, TOLERANCE_MS};
use crate::model::Millis;

/// The judge of a run.
#[derive(Debug, Default)]
pub(super) struct Judge {
    oracle: OnceLock<Oracle>,
    /// Arrivals before their instant while there was no oracle yet.
    early: AtomicU64,
    /// Set while the first arrival after a node's restart is awaited; and the time of that arrival.
    awaited: AtomicBool,
    again: Mutex<Option<Instant>>,
}

impl Judge {
    /// Sets the oracle that judges from now on. Only the first call counts.
    pub(super) fn judge_by(&self, oracle: Oracle) -> &Oracle {
        self.oracle.get_or_init(|| oracle)
    }

    /// The oracle, if there is one yet.
    pub(super) fn oracle(&self) -> Option<&Oracle> {
        self.oracle.get()
    }

    /// Judges what arrived together at `at`: jobs with their due instants, all of one instant.
    pub(super) fn arrived(&self, jobs: impl Iterator<Item = (u64, Millis)>, at: Millis) {
        if self.awaited.load(Ordering::Acquire) && self.awaited.swap(false, Ordering::AcqRel) {
            self.again.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
        }
        if let Some(oracle) = self.oracle.get() {
            oracle.arrived(jobs, at);
        } else {
            let early = jobs.filter(|(_, due)| at + TOLERANCE_MS < *due).count();
            self.early.fetch_add(early as u64, Ordering::Relaxed);
        }
    }

    /// Awaits the next arrival.
    pub(super) fn await_next(&self) {
        self.awaited.store(true, Ordering::Release);
    }

    /// The time of the awaited arrival, if it has come.
    pub(super) fn came_again(&self) -> Option<Instant> {
        *self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Arrivals before their instant while there was no oracle.
    pub(super) fn early(&self) -> u64 {
        self.early.load(Ordering::Relaxed)
    }
}
