//! The bus against a real broker, with workers as they were published for Simple Scheduler: a file
//! for each theme. Without an installed broker the tests are skipped, and say so.

mod actions;
mod confirms;
mod failures;
mod listening;
#[path = "../../../../tests/it/harness/ports.rs"]
#[allow(clippy::duplicate_mod, reason = "the pool's tests need a broker, too")]
mod ports;
#[path = "../../../../tests/it/harness/rabbitmq.rs"]
#[allow(clippy::duplicate_mod, reason = "the pool's tests need a broker, too")]
mod rabbitmq;
mod reports;
mod security;
#[path = "../../../../tests/it/harness/tcp_proxy.rs"]
#[allow(clippy::duplicate_mod, reason = "the pool's tests need a broker, too")]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod tcp_proxy;
mod topology;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use rabbitmq::{PASSWORD, RabbitMq as Rabbit, USER};

use super::RabbitMq;
use super::bus::RabbitMqOptions;
use crate::bus::address::{Attachment, BusAddress};
use crate::bus::event::{BusEvent, Heard, WorkerSaid};
use crate::bus::hand_out::{Bus as _, HandOut, Ticket};
use crate::clock::SystemClock;
use crate::executor::Options;
use crate::metrics::{BusMetrics, PublishMetrics};
use crate::model::call_target::CallTarget;
use crate::model::shard::ShardId;
use crate::model::target::{Configured, WORKER};
use crate::secret::{Keys, purpose};

/// The longest wait for a fact.
const PATIENCE: Duration = Duration::from_secs(30);
/// The shard of all jobs but where a test says another one.
const SHARD: ShardId = 5;

/// A node with its bus.
struct Node {
    bus: RabbitMq,
    events: UnboundedReceiver<BusEvent>,
    target: Arc<CallTarget>,
    /// The addresses that are attached.
    attached: Vec<Attachment>,
    sender: crate::bus::event::BusEvents,
}

fn keys() -> Arc<Keys> {
    Arc::new(Keys::new(&"ab".repeat(32), "node", "pass").unwrap())
}

/// The settings of a queue at a broker's port, with some changed.
fn target(port: u16, vhost: &str, more: &Value) -> Arc<CallTarget> {
    let password = keys().seal(PASSWORD, purpose::PASSWORD);
    let mut rabbitmq = json!({"broker": {
        "tls": false, "host": "127.0.0.1", "port": port, "vhost": vhost, "user": USER,
        "password": password,
    }});
    rabbitmq.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let settings = json!({"bus": "rabbitmq", "rabbitmq": rabbitmq});
    Arc::new(CallTarget::Settings(Box::new(Configured { kind: WORKER.to_owned(), settings })))
}

impl Node {
    fn new(port: u16, vhost: &str, more: &Value) -> Self {
        Self::with(Options::default(), target(port, vhost, more))
    }

    fn with(connections: Options, target: Arc<CallTarget>) -> Self {
        let bus = RabbitMq::new(RabbitMqOptions {
            connections,
            messages: PublishMetrics::default(),
            metrics: BusMetrics::default(),
            keys: keys(),
            clock: Arc::new(SystemClock),
        });
        let (sender, events) = unbounded_channel();
        Self { bus, events, target, attached: Vec::new(), sender }
    }

    fn address(&self, name: &str) -> BusAddress {
        let target = Arc::clone(&self.target);
        BusAddress { queue: 9, project: 1, target, name: name.into() }
    }

    /// Attaches further jobs of the shard.
    fn attach(&mut self, names: &[&str]) {
        for name in names {
            let address = self.address(name);
            let next_due = self.attached.len() as i64;
            self.attached.push(Attachment { address, next_due });
        }
        self.bus.attach(SHARD, self.attached.clone(), self.sender.clone());
    }

    /// Attaches jobs, and waits until they are heard.
    async fn listen(&mut self, names: &[&str]) {
        self.attach(names);
        let up = self.event().await;
        assert!(matches!(up, BusEvent::Up { shard: SHARD, queue: 9 }), "{up:?}");
    }

    async fn event(&mut self) -> BusEvent {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event").expect("the bus lives")
    }

    /// What a worker says next.
    async fn heard(&mut self) -> Heard {
        loop {
            match self.event().await {
                BusEvent::Heard(heard) => return heard,
                // Each attach is answered.
                BusEvent::Up { .. } => {}
                other @ BusEvent::Down { .. } => panic!("{other:?}"),
            }
        }
    }

    /// What a worker says next, acknowledged: the run and the words.
    async fn said(&mut self) -> (String, WorkerSaid) {
        let heard = self.heard().await;
        heard.receipt.done();
        (heard.run, heard.said)
    }

    /// Waits until nobody is heard.
    async fn down(&mut self) -> String {
        loop {
            match self.event().await {
                BusEvent::Down { why, .. } => return why,
                BusEvent::Up { .. } => {}
                BusEvent::Heard(heard) => panic!("{heard:?}"),
            }
        }
    }

    /// Offers a run until the broker has it.
    async fn offer(&self, name: &str, run: &str) {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let offer = self.bus.offer(&self.address(name), ticket(run), Box::new(|| true));
            match offer.await {
                HandOut::Passed => return,
                other => assert!(tokio::time::Instant::now() < until, "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A ticket for a run.
fn ticket(run: &str) -> Ticket {
    Ticket { run: run.to_owned(), ..super::bus::tests::ticket(SHARD) }
}

/// A run id.
fn run(number: u32) -> String {
    format!("{number:024x}")
}

/// A report without further keys.
fn started() -> WorkerSaid {
    WorkerSaid::Started { progress: None, message: None }
}

const DONE: WorkerSaid = WorkerSaid::Done { result: None };
