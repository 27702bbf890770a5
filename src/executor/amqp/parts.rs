//! The parts of the AMQP executor that its chunks share. Each chunk holds them until it is over.

use super::message::Publish;
use super::pool::Pool;
use crate::delivery::gate::Gate;
use crate::delivery::request::Sending;
use crate::delivery::secret_cache::SecretCache;
use crate::executor::guard::TargetGuard;
use crate::secret::SecretText;

/// The way by which chunks are published: the pool of connections, and in tests a record of them.
pub(super) trait Publisher: Send + Sync {
    /// Publishes a chunk with the opened password of its broker. Dropping the future ends the call.
    fn publish(&self, chunk: Publish, password: SecretText, gate: Gate) -> Sending;

    /// The number of calls that this node could not make, by the name of the reason.
    fn local_errors(&self) -> Vec<(&'static str, u64)>;
}

impl Publisher for Pool {
    fn publish(&self, chunk: Publish, password: SecretText, gate: Gate) -> Sending {
        let pool = self.clone();
        Box::pin(async move { pool.publish(chunk, password, gate).await })
    }

    fn local_errors(&self) -> Vec<(&'static str, u64)> {
        self.local_errors()
    }
}

/// The parts.
pub(super) struct Parts {
    pub(super) publisher: Box<dyn Publisher>,
    pub(super) secrets: SecretCache,
    /// Whether `EgressProxy` is set.
    pub(super) by_proxy: bool,
    /// The addresses that brokers may have.
    pub(super) guard: TargetGuard,
    /// The most bytes of a body: `HTTPExecutorPayloadMaxSizeMb`.
    pub(super) max_body: usize,
}
