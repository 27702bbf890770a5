//! How the worker stands, for renewals, `status` and `/metrics`. The engine publishes, anybody
//! reads; nothing waits for it.

use std::sync::{Mutex, PoisonError};

use crate::metrics::Metrics;
use crate::model::Millis;

/// How the worker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Parts of shards that are loaded and fire.
    pub parts: u64,
    /// Parts that are being loaded.
    pub loading: u64,
    /// Jobs that are due and not yet begun.
    pub due: u64,
    /// Pending rows that wait for their time.
    pub rows: u64,
    /// Requests that are built and wait.
    pub built: u64,
    /// Requests that are on their way.
    pub in_flight: u64,
    /// Whether it is reading, writing requests or journaling at this moment.
    pub working: bool,
    /// The log time up to which all changes are in the queue.
    pub caught_up_to: Millis,
    /// Whether results can be written down; without, nothing fires and the node should be relieved
    /// of its shards.
    pub has_room: bool,
}

/// The last [`Snapshot`].
#[derive(Debug)]
pub(super) struct Status(Mutex<Snapshot>);

impl Default for Status {
    fn default() -> Self {
        Self(Mutex::new(Snapshot { has_room: true, ..Snapshot::default() }))
    }
}

impl Status {
    pub(super) fn publish(&self, metrics: &Metrics, now: Snapshot) {
        metrics.shards_owned.set(now.parts as i64);
        metrics.queue_due.set(now.due as i64);
        metrics.queue_built.set(now.built as i64);
        metrics.in_flight.set(now.in_flight as i64);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    pub(super) fn get(&self) -> Snapshot {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
