//! The AMQP kind of target: what it tells the worker about a target, and what it checks for the
//! API. `executor::registry` makes one for a node.

use std::sync::Arc;

use serde_json::Value;

use super::broker::in_brackets;
use super::content::Content;
use super::parts::Parts;
use super::payload;
use super::plan::{Plan, Unrendered};
use super::pool::Pool;
use super::render::ChunkRenderer;
use super::settings::Settings;
use super::url::call_address;
use super::{show, validate};
use crate::clock::Clock;
use crate::delivery::batch::Batch;
use crate::delivery::destination::{Address, Destination};
use crate::delivery::executor::{ClientFields, DataCheck, Executor, Grouping, Invalid, Renderer};
use crate::delivery::secret_cache::SecretCache;
use crate::executor::broker::failure::BY_PROXY;
use crate::executor::broker::options::ConnectOptions;
use crate::executor::http::Options;
use crate::metrics::PublishMetrics;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::target::AMQP;
use crate::model::target_pattern::TargetAddress;
use crate::secret::Keys;

/// The executor of AMQP targets. Cloning gives another handle to the same connections.
#[derive(Clone)]
pub(in crate::executor) struct AmqpExecutor(Arc<Parts>);

impl AmqpExecutor {
    /// An executor without connections. `keys` open the passwords of brokers, `metrics` count
    /// messages.
    pub(in crate::executor) fn new(
        options: &Options,
        metrics: PublishMetrics,
        keys: Arc<Keys>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let pool = ConnectOptions::of(options, metrics, clock);
        Self::of(Parts {
            publisher: Box::new(Pool::new(pool)),
            secrets: SecretCache::new(keys),
            by_proxy: options.proxy.is_some(),
            guard: options.guard.clone(),
            max_body: options.payload_max_bytes,
        })
    }

    /// An executor of these parts.
    pub(super) fn of(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Executor for AmqpExecutor {
    fn kind(&self) -> &'static str {
        AMQP
    }

    fn validate(&self, given: &Value, old: Option<&Value>) -> Result<Value, Invalid> {
        if self.0.by_proxy {
            return Err(Invalid::new(AMQP, format!("{BY_PROXY}: unset it, or call over HTTP")));
        }
        let settings = validate::validate(given, old, &self.0.guard, self.0.secrets.keys())?;
        serde_json::to_value(settings).map_err(|error| Invalid::new(AMQP, error.to_string()))
    }

    fn show(&self, settings: &Value) -> Value {
        Settings::read(settings).map_or(Value::Null, |settings| show::show(&settings))
    }

    fn client_fields(&self) -> ClientFields {
        ClientFields { maps: &["headers", "arguments"], values: &["body"] }
    }

    fn is_for_jobs(&self) -> bool {
        true
    }

    fn validate_message(&self, given: &Value) -> Result<Value, Invalid> {
        Ok(Content::message(given)?.show().into())
    }

    /// Whatever is admitted here can be written for every occurrence of the job, unless the limit
    /// of bodies is lowered.
    fn data_check(&self, to: &CallTarget, job: &JobDefinition) -> Result<DataCheck, Invalid> {
        const FIELD: &str = "data";
        let settings = Settings::of(to).map_err(|error| Invalid::new(AMQP, error))?;
        let plan = Plan::new(&settings, job.message.as_deref(), self.0.max_body)?;
        let unfit = |error: Unrendered| {
            let message = format!("job data does not fit: {error}");
            match error {
                Unrendered::Body(payload::Error::TooLarge(_)) => Invalid::too_large(FIELD, message),
                Unrendered::Body(payload::Error::Base64) => Invalid::new(FIELD, message),
                Unrendered::TooLong(_) | Unrendered::Headers(_) => Invalid::unfit(FIELD, message),
            }
        };
        Ok(Box::new(move |data| plan.check(data).map_err(unfit)))
    }

    fn address(&self, target: &CallTarget) -> Address {
        let Ok(settings) = Settings::of(target) else {
            // All jobs of it fail before anything is sent.
            return Address { destination: Destination::new(AMQP), path: 0, name: AMQP.into() };
        };
        let broker = settings.broker;
        let destination = Destination::new(broker.address());
        let usual = if broker.tls { 5_671 } else { 5_672 };
        let port = match broker.port {
            port if port == usual => String::new(),
            port => format!(":{port}"),
        };
        let vhost = match broker.vhost.as_str() {
            "/" => String::new(),
            vhost => format!("/{vhost}"),
        };
        let name = format!("{}{port}{vhost}", in_brackets(&broker.host));
        Address { destination, path: 0, name: name.into() }
    }

    fn call_address(&self, target: &CallTarget) -> Option<TargetAddress> {
        call_address(&Settings::of(target).ok()?.broker)
    }

    fn grouping(&self, _: &CallTarget) -> Grouping {
        Grouping::Chunk
    }

    fn renderer<'r>(&'r self, target: &'r CallTarget, batch: Batch<'r>) -> Box<dyn Renderer + 'r> {
        Box::new(ChunkRenderer::new(&self.0, target, batch))
    }

    fn local_errors(&self) -> Vec<(&'static str, u64)> {
        self.0.publisher.local_errors()
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
