//! The options by which connections are made. The registry of executors fills them in for messages
//! of jobs, and `node` for the bus.

use std::sync::Arc;
use std::time::Duration;

use super::places::ConnectionPlaces;
use crate::clock::Clock;
use crate::executor::http::Options;
use crate::executor::outbound::guard::TargetGuard;
use crate::executor::outbound::lookup::Lookup;
use crate::executor::outbound::member_guard::MemberGuard;
#[cfg(test)]
use crate::executor::outbound::resolver::SystemLookup;
use crate::metrics::PublishMetrics;

/// The options.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    /// The addresses that brokers may have.
    pub(crate) guard: TargetGuard,
    /// The Raft ports of the members, which are no brokers whatever `guard` allows.
    pub(crate) member_guard: Arc<MemberGuard>,
    /// The resolver of names.
    pub(crate) lookup: Arc<dyn Lookup>,
    /// The places for connections.
    pub(crate) places: Arc<ConnectionPlaces>,
    /// Whether `EgressProxy` is set. Nothing is published then: AMQP does not leave by a proxy.
    pub(crate) by_proxy: bool,
    /// The longest wait for a connection with its login; at most the timeout of the call.
    pub(crate) connect_timeout: Duration,
    /// The counters of messages.
    pub(crate) metrics: PublishMetrics,
    /// The clock of the node.
    pub(crate) clock: Arc<dyn Clock>,
}

impl ConnectOptions {
    /// The options of connections of a node, from those of its callbacks.
    pub(crate) fn of(options: &Options, metrics: PublishMetrics, clock: Arc<dyn Clock>) -> Self {
        Self {
            guard: options.guard.clone(),
            member_guard: Arc::clone(&options.member_guard),
            lookup: Arc::clone(&options.lookup),
            places: Arc::default(),
            by_proxy: options.proxy.is_some(),
            connect_timeout: options.connect_timeout,
            metrics,
            clock,
        }
    }

    /// Options that allow all addresses.
    #[cfg(test)]
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
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

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("guard", &self.guard)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
