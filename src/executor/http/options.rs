//! The options of the HTTP executor. `node` fills them in from the configuration.

use std::sync::Arc;
use std::time::Duration;

use super::guard::TargetGuard;
use super::lookup::Lookup;
use super::member_guard::MemberGuard;
use super::resolver::SystemLookup;
use crate::config::EgressProxy;
use crate::delivery::breaker::Rules;
use crate::delivery::destination::Limits;
use crate::delivery::destination_queues::QueueOptions;

/// The options of an executor.
#[derive(Clone)]
pub struct Options {
    /// The most calls under way with a worker: `MaxWorkers`.
    pub max_workers: usize,
    /// The longest wait for a connection; at most the timeout of the call.
    pub connect_timeout: Duration,
    /// The longest time for a call, answer included, unless the call names another one:
    /// `JobExecutionTimeout`.
    pub timeout: Duration,
    /// The most calls under way beyond `max_workers`: see [`QueueOptions::max_hanging`].
    pub max_hanging: usize,
    /// The most connections that are kept for the next request, over all origins.
    pub max_idle: usize,
    /// The limits of each destination, whatever limits a call brings: `DestinationConcurrency`,
    /// `DestinationRatePerSecond`.
    pub limits: Limits,
    /// The rules of the breakers: `BreakerFailures`, `BreakerCooldownSeconds`.
    pub breaker: Rules,
    /// The addresses that calls may go to.
    pub guard: TargetGuard,
    /// The Raft ports of the members, which calls may not go to whatever `guard` allows.
    pub member_guard: Arc<MemberGuard>,
    /// The resolver of names.
    pub lookup: Arc<dyn Lookup>,
    /// The proxy that calls leave by: `EgressProxy`.
    pub proxy: Option<EgressProxy>,
}

impl Options {
    /// The options of the queues.
    pub(super) fn queues(&self) -> QueueOptions {
        QueueOptions {
            max_workers: self.max_workers,
            max_hanging: self.max_hanging,
            limits: self.limits,
            breaker: self.breaker,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        let QueueOptions { max_workers, max_hanging, limits, breaker } = QueueOptions::default();
        Self {
            max_workers,
            max_hanging,
            max_idle: 128,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            limits,
            breaker,
            guard: TargetGuard::default(),
            member_guard: Arc::default(),
            lookup: Arc::<SystemLookup>::default(),
            proxy: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("max_workers", &self.max_workers)
            .field("max_hanging", &self.max_hanging)
            .field("max_idle", &self.max_idle)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("limits", &self.limits)
            .field("breaker", &self.breaker)
            .field("guard", &self.guard)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// An error of the setup of an executor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client could not be made.
    #[error("the HTTP client for callbacks cannot be set up: {0}")]
    Client(String),
}
