//! The status of the worker, for renewals, `status` and `/metrics`. The engine publishes it,
//! anybody reads it, and nothing waits for it.

use std::sync::{Mutex, PoisonError};

use crate::metrics::Metrics;
use crate::model::Millis;

/// The status of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Ownership ranges that are loaded and fire.
    pub ownerships: u64,
    /// Ownership ranges that are being loaded.
    pub loading: u64,
    /// Jobs that are due and not yet begun.
    pub due: u64,
    /// Pending rows that wait for their instant.
    pub rows: u64,
    /// Requests that are built and wait.
    pub built: u64,
    /// Requests that are on their way.
    pub in_flight: u64,
    /// Occurrences that wait for a worker at this node.
    pub offers: u64,
    /// Runs that workers have from this node.
    pub taken: u64,
    /// True if the engine is reading, building requests or writing to the journal at this moment,
    /// or the supervisor is.
    pub working: bool,
    /// The log time up to which all changes are in the queue.
    pub caught_up_to: Millis,
    /// True if results can be recorded. Without room nothing fires, and the node should be relieved
    /// of its shards.
    pub has_room: bool,
}

/// The last published [`WorkerStatus`].
#[derive(Debug)]
pub(in crate::worker) struct Status(Mutex<WorkerStatus>);

impl Default for Status {
    fn default() -> Self {
        Self(Mutex::new(WorkerStatus { has_room: true, ..WorkerStatus::default() }))
    }
}

impl Status {
    pub(super) fn publish(&self, metrics: &Metrics, now: WorkerStatus) {
        metrics.shards_owned.set(now.ownerships as i64);
        metrics.queue_due.set(now.due as i64);
        metrics.queue_built.set(now.built as i64);
        metrics.in_flight.set(now.in_flight as i64);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    pub(in crate::worker) fn get(&self) -> WorkerStatus {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
