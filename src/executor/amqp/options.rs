//! The options of the pool. The registry of executors fills them in.

use std::sync::Arc;
use std::time::Duration;

use super::places::ConnectionPlaces;
use crate::clock::Clock;
use crate::executor::outbound::guard::TargetGuard;
use crate::executor::outbound::lookup::Lookup;
use crate::executor::outbound::member_guard::MemberGuard;
#[cfg(test)]
use crate::executor::outbound::resolver::SystemLookup;
use crate::metrics::PublishMetrics;

/// The options.
#[derive(Clone)]
pub(super) struct PoolOptions {
    /// The addresses that brokers may have.
    pub(super) guard: TargetGuard,
    /// The Raft ports of the members, which are no brokers whatever `guard` allows.
    pub(super) member_guard: Arc<MemberGuard>,
    /// The resolver of names.
    pub(super) lookup: Arc<dyn Lookup>,
    /// The places for connections.
    pub(super) places: Arc<ConnectionPlaces>,
    /// Whether `EgressProxy` is set. Nothing is published then: AMQP does not leave by a proxy.
    pub(super) by_proxy: bool,
    /// The longest wait for a connection with its login; at most the timeout of the call.
    pub(super) connect_timeout: Duration,
    /// The counters of messages.
    pub(super) metrics: PublishMetrics,
    /// The clock of the node.
    pub(super) clock: Arc<dyn Clock>,
}

impl PoolOptions {
    /// Options that allow all addresses.
    #[cfg(test)]
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            guard: TargetGuard::default(),
            member_guard: Arc::default(),
            lookup: Arc::<SystemLookup>::default(),
            places: Arc::default(),
            by_proxy: false,
            connect_timeout: Duration::from_secs(10),
            metrics: PublishMetrics::default(),
            clock,
        }
    }
}

impl std::fmt::Debug for PoolOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolOptions")
            .field("guard", &self.guard)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
