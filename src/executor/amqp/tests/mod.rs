//! The pool against a real broker. The parts of a test that several files need are here; each file
//! has the tests of one theme. Without an installed broker they are skipped, and say so.

mod alarm;
mod endings;
mod fake_broker;
mod fields;
mod hostile;
#[path = "../../../../tests/it/harness/ports.rs"]
mod ports;
#[path = "../../../../tests/it/harness/rabbitmq.rs"]
mod rabbitmq;
mod refusals;
mod speed;
#[path = "../../../../tests/it/harness/tcp_proxy.rs"]
mod tcp_proxy;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Map;

use rabbitmq::{PASSWORD, RabbitMq, USER};

use super::broker::{Broker, Exchange};
use super::message::Publish;
use super::pool::Pool;
use crate::clock::{SchedulerTime, SystemClock};
use crate::delivery::attempt::{Attempt, Class};
use crate::delivery::batch::Labels;
use crate::delivery::breaker::Rules;
use crate::delivery::call::Call;
use crate::delivery::call_checks::BeforeSend;
use crate::delivery::call_queue::CallQueue;
use crate::delivery::destination::{Destination, Limits};
use crate::delivery::destination_queues::QueueOptions;
use crate::delivery::gate::Gate;
use crate::delivery::registry::Registry;
use crate::delivery::reply::{JobsAttempt, Reply};
use crate::delivery::request::{PreparedRequest, Sending};
use crate::executor::broker::message::{Message, Properties};
use crate::executor::broker::options::ConnectOptions;
use crate::model::JobId;
use crate::model::call_target::CallTarget;
use crate::model::result_code::ResultCode;
use crate::model::target::{Sealed, SigningSecret};
use crate::secret::SecretText;

/// A pool behind a call queue of its own, as the worker calls it.
struct Publisher {
    pool: Pool,
    calls: CallQueue,
    password: String,
    timeout: Duration,
}

/// A chunk, ready to go.
struct Chunk {
    pool: Pool,
    publish: Publish,
    password: SecretText,
}

impl PreparedRequest for Chunk {
    fn admit(&self) -> Result<(), String> {
        Ok(())
    }

    fn complete(
        &mut self,
        _: &CallTarget,
        _: &Labels<'_>,
        _: &[SigningSecret],
    ) -> Result<(), String> {
        Ok(())
    }

    fn send(self: Box<Self>, gate: Gate) -> Sending {
        Box::pin(async move { self.pool.publish(self.publish, self.password, gate).await })
    }
}

impl Publisher {
    fn new() -> Self {
        let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
        let pool = Pool::new(ConnectOptions::new(Arc::clone(time.clock())));
        Self::over(pool, time)
    }

    fn over(pool: Pool, time: Arc<SchedulerTime>) -> Self {
        // The breaker never opens.
        let breaker = Rules { failures: 0, cooldown: 5_000 };
        let options = QueueOptions { breaker, ..QueueOptions::default() };
        let calls = CallQueue::new(Registry::new([]), &options, time);
        let timeout = Duration::from_secs(30);
        Self { pool, calls, password: PASSWORD.to_owned(), timeout }
    }

    async fn publish(&self, publish: Publish) -> Reply {
        self.publish_while(publish, Box::new(|| true)).await
    }

    /// Publishes as long as `before_send` allows it.
    async fn publish_while(&self, publish: Publish, before_send: BeforeSend) -> Reply {
        let destination = Destination::new(publish.broker.address());
        let password = SecretText::from(self.password.clone());
        let request = Chunk { pool: self.pool.clone(), publish, password };
        let call = Call {
            request: Box::new(request),
            destination,
            path: 0,
            project: 1,
            probe: false,
            limits: Limits::default(),
            jobs: 1,
            timeout: self.timeout,
            before_send,
            unwanted: None,
        };
        self.calls.call(call).await
    }
}

/// The broker of the tests as an executor names it, with a user and a virtual host.
fn broker(rabbit: &RabbitMq, user: &str, vhost: &str) -> Broker {
    Broker {
        tls: false,
        host: "127.0.0.1".to_owned(),
        port: rabbit.port(),
        vhost: vhost.to_owned(),
        user: user.to_owned(),
        password: Sealed("sealed".to_owned()),
        ca: String::new(),
    }
}

fn message(job: JobId, routing_key: &str) -> Message {
    Message {
        job,
        execution: format!("execution-{job}"),
        routing_key: routing_key.to_owned(),
        properties: Properties {
            persistent: true,
            timestamp: 1_700_000_000,
            ..Properties::default()
        },
        body: Bytes::from(format!("body of {job}")),
    }
}

/// A chunk of messages for an exchange that must be there.
fn chunk(broker: Broker, exchange: &str, messages: Vec<Message>) -> Publish {
    let exchange = Exchange { name: exchange.to_owned(), declare: None };
    Publish { broker, exchange, mandatory: true, messages }
}

/// The jobs of a reply with what became of them: the class, the code and the error.
fn told(reply: &Reply) -> Vec<(JobId, Class, ResultCode, String)> {
    let Reply::PerJob { parts, .. } = reply else { panic!("{reply:?}") };
    let mut all = Vec::new();
    for JobsAttempt { jobs, attempt } in parts {
        let Attempt { class, code, error, .. } = attempt;
        let error = error.clone().unwrap_or_default();
        assert!(!error.contains("never-shown"), "the password is told: {error}");
        all.extend(jobs.iter().map(|job| (*job, *class, *code, error.clone())));
    }
    all.sort_by_key(|(job, ..)| *job);
    all
}

/// The jobs that were delivered.
fn delivered(reply: &Reply) -> Vec<JobId> {
    let told = told(reply).into_iter();
    told.filter(|(_, class, ..)| *class == Class::Success).map(|(job, ..)| job).collect()
}

fn no_fields() -> Map<String, serde_json::Value> {
    Map::new()
}
