//! The terms of the configuration, for jobs, queues and projects that say nothing. `handle` fills
//! them in; `route` and `offer_terms` read them. Data only.

use std::time::Duration;

/// The terms where neither job nor project says otherwise.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Defaults {
    /// Retries after the first attempt.
    pub(in crate::worker) retry_max: u32,
    /// The delay before the first retry.
    pub(in crate::worker) retry_delay: Duration,
    /// The timeout of an attempt, answer included.
    pub(in crate::worker) timeout: Duration,
    /// The longest timeout of an attempt, also where more is set.
    pub(in crate::worker) max_timeout: Duration,
    /// The longest silence of a worker that claimed a run.
    pub(in crate::worker) heartbeat_timeout: Duration,
    /// The longest wait for a worker to confirm a cancel.
    pub(in crate::worker) cancel_timeout: Duration,
}
