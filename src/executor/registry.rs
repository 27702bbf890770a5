//! The kinds of executor that this program knows: a line for each.

use std::sync::Arc;

use super::amqp::AmqpExecutor;
use super::http::{Error, HttpExecutor, Options};
use super::worker::WorkerExecutor;
use crate::clock::Clock;
use crate::delivery::registry::Registry;
use crate::metrics::PublishMetrics;
use crate::secret::Keys;

/// The executors of a node. `keys` open the secrets of targets, and `messages` counts what is
/// published to brokers.
pub fn registry(
    options: Options,
    messages: PublishMetrics,
    keys: &Arc<Keys>,
    clock: &Arc<dyn Clock>,
) -> Result<Registry, Error> {
    let amqp = AmqpExecutor::new(&options, messages, Arc::clone(keys), Arc::clone(clock));
    let worker = WorkerExecutor::new(&options, Arc::clone(keys));
    let http = HttpExecutor::new(options, Arc::clone(keys), Arc::clone(clock))?;
    Ok(Registry::new([Arc::new(http) as _, Arc::new(amqp) as _, Arc::new(worker) as _]))
}
