//! The kind of queues: what it checks for the API, and on which terms its occurrences are offered.
//! `executor::registry` makes one for a node.

use std::sync::Arc;

use serde_json::Value;

use super::settings::WorkerSettings;
use super::show::show;
use super::validate::validate;
use crate::delivery::batch::{Batch, BatchJob};
use crate::delivery::destination::{Address, Destination};
use crate::delivery::executor::{Executor, Grouping, Invalid, QueueSettings, Renderer};
use crate::delivery::request::Rendered;
use crate::executor::amqp::call_address;
use crate::executor::broker::failure::BY_PROXY;
use crate::executor::guard::TargetGuard;
use crate::executor::http::Options;
use crate::model::JobId;
use crate::model::call_target::CallTarget;
use crate::model::target::WORKER;
use crate::model::target_pattern::TargetAddress;
use crate::secret::Keys;

/// The executor of queues.
pub(in crate::executor) struct WorkerExecutor {
    /// The addresses that brokers may have.
    guard: TargetGuard,
    /// Whether `EgressProxy` is set. Then no broker is spoken to.
    by_proxy: bool,
    keys: Arc<Keys>,
}

impl WorkerExecutor {
    /// The executor. `keys` seal the passwords of brokers.
    pub(in crate::executor) fn new(options: &Options, keys: Arc<Keys>) -> Self {
        Self { guard: options.guard.clone(), by_proxy: options.proxy.is_some(), keys }
    }
}

impl Executor for WorkerExecutor {
    fn kind(&self) -> &'static str {
        WORKER
    }

    fn validate(&self, given: &Value, old: Option<&Value>) -> Result<Value, Invalid> {
        const BUS: &str = "worker.bus";
        let settings = validate(given, old, &self.guard, &self.keys)?;
        if self.by_proxy && settings.rabbitmq.is_some() {
            let message = format!("{BUS}: {BY_PROXY}: unset it, or give bus embedded");
            return Err(Invalid::new(BUS, message));
        }
        serde_json::to_value(settings).map_err(|error| Invalid::new(WORKER, error.to_string()))
    }

    fn show(&self, settings: &Value) -> Value {
        WorkerSettings::read(settings).map_or(Value::Null, |settings| show(&settings).into())
    }

    /// Workers that claim their runs need none.
    fn needs_settings(&self) -> bool {
        false
    }

    /// Nothing is sent there.
    fn address(&self, _: &CallTarget) -> Address {
        Address { destination: Destination::new(WORKER), path: 0, name: WORKER.into() }
    }

    fn grouping(&self, _: &CallTarget) -> Grouping {
        Grouping::Offer
    }

    fn call_address(&self, target: &CallTarget) -> Option<TargetAddress> {
        call_address(&WorkerSettings::of(target).ok()?.rabbitmq?.broker)
    }

    fn queue(&self, target: &CallTarget) -> Option<QueueSettings> {
        let WorkerSettings { bus, heartbeat_timeout, rabbitmq } =
            WorkerSettings::of(target).ok()?;
        let takes_data = rabbitmq.as_ref().is_some_and(|rabbitmq| rabbitmq.include_data);
        let broker = rabbitmq.map(|rabbitmq| rabbitmq.broker.address());
        Some(QueueSettings { bus, heartbeat_timeout, takes_data, broker })
    }

    fn renderer<'r>(&'r self, _: &'r CallTarget, _: Batch<'r>) -> Box<dyn Renderer + 'r> {
        Box::<Unrendered>::default()
    }
}

/// Renders nothing: all jobs fail.
#[derive(Default)]
struct Unrendered(Vec<JobId>);

impl Renderer for Unrendered {
    fn push(&mut self, job: &BatchJob<'_>) {
        self.0.push(job.id);
    }

    fn finish(self: Box<Self>) -> Rendered {
        let why = "nothing is sent to a queue: workers take what is in it".to_owned();
        Rendered { requests: Vec::new(), failed: vec![(self.0, why)] }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::run_terms::BusKind;
    use crate::model::target::Configured;

    fn executor(by_proxy: bool) -> WorkerExecutor {
        let keys = Arc::new(Keys::new(&"ab".repeat(32), "node", "pass").unwrap());
        WorkerExecutor { guard: TargetGuard::default(), by_proxy, keys }
    }

    fn target(settings: Value) -> CallTarget {
        CallTarget::Settings(Box::new(Configured { kind: WORKER.to_owned(), settings }))
    }

    #[test]
    fn a_queue_is_offered_from_and_says_its_terms() {
        let kind = executor(false);
        let settings = kind.validate(&json!({"heartbeatTimeout": "30s"}), None).unwrap();
        assert_eq!(kind.show(&settings), json!({"bus": "embedded", "heartbeatTimeout": "30s"}));
        let target = target(settings);
        assert_eq!(kind.grouping(&target), Grouping::Offer);
        let known = QueueSettings {
            bus: BusKind::Embedded,
            heartbeat_timeout: Some(30_000),
            takes_data: false,
            broker: None,
        };
        assert_eq!(kind.queue(&target), Some(known));
        assert!(!kind.is_for_jobs(), "a queue has a name, which only an executor has");
    }

    #[test]
    fn settings_of_a_newer_program_are_no_queue_and_do_no_harm() {
        let kind = executor(false);
        for stored in [json!({"bus": "nats"}), json!(null), json!({})] {
            assert_eq!(kind.show(&stored), Value::Null, "{stored}");
            assert_eq!(kind.queue(&target(stored)), None);
        }
        let later = json!({"bus": "embedded", "colour": "red"});
        assert!(kind.queue(&target(later)).is_some());
        assert_eq!(kind.queue(&CallTarget::Http(Box::default())), None);
    }

    #[test]
    fn brokers_are_not_spoken_to_by_a_proxy() {
        let kind = executor(true);
        let broker = json!({"bus": "rabbitmq", "url": "amqp://u:hunter2@h"});
        let error = kind.validate(&broker, None).unwrap_err();
        assert_eq!(error.field, "worker.bus");
        assert!(error.message.contains("EgressProxy") && !error.message.contains("hunter2"));
        assert!(kind.validate(&json!({}), None).is_ok(), "no connection leaves for this");
    }
}
