//! The options of the HTTP executor. `node` fills them in from the configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::config::EgressProxy;
use crate::executor::outbound::guard::TargetGuard;
use crate::executor::outbound::lookup::Lookup;
use crate::executor::outbound::member_guard::MemberGuard;
use crate::executor::outbound::resolver::SystemLookup;

/// The options of an executor.
#[derive(Clone)]
pub struct Options {
    /// The longest wait for a connection; at most the timeout of the call.
    pub connect_timeout: Duration,
    /// The most bytes of a request's body: `HTTPExecutorPayloadMaxSizeMb`.
    pub payload_max_bytes: usize,
    /// The most connections that are kept for the next request, over all origins.
    pub max_idle: usize,
    /// The addresses that calls may go to.
    pub guard: TargetGuard,
    /// The Raft ports of the members, which calls may not go to whatever `guard` allows.
    pub member_guard: Arc<MemberGuard>,
    /// The resolver of names.
    pub lookup: Arc<dyn Lookup>,
    /// The proxy that calls leave by: `EgressProxy`.
    pub proxy: Option<EgressProxy>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            payload_max_bytes: 2 << 20,
            max_idle: 128,
            connect_timeout: Duration::from_secs(10),
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
            .field("payload_max_bytes", &self.payload_max_bytes)
            .field("max_idle", &self.max_idle)
            .field("connect_timeout", &self.connect_timeout)
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
