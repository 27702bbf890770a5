//! A worker as it was published for Simple Scheduler: it declares the topology as its library does,
//! takes actions off the queue, and publishes statuses and heartbeats, transient and without
//! confirms, to the exchange of its job.

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Consumer, ExchangeKind};
use serde_json::{Value, json};

use crate::harness::PATIENCE;
use crate::harness::rabbitmq::RabbitMq;

/// The worker of a job.
pub(super) struct PublishedWorker {
    channel: Channel,
    name: String,
    actions: Consumer,
}

/// What a worker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) action: String,
    pub(super) run: String,
    pub(super) attempt: i64,
}

impl PublishedWorker {
    /// Registers, and takes actions from now on.
    pub(super) async fn start(rabbit: &RabbitMq, vhost: &str, name: &str) -> Self {
        let channel = rabbit.channel(vhost).await;
        let (exchange, none) = (format!("scheduler.job.{name}"), FieldTable::default());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let topic = ExchangeKind::Topic;
        let declared =
            channel.exchange_declare(exchange.as_str().into(), topic, durable, none.clone());
        declared.await.expect("an exchange");
        for word in ["action", "status", "heartbeat"] {
            let queue = format!("{exchange}.{word}");
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            let declared = channel.queue_declare(queue.as_str().into(), durable, none.clone());
            declared.await.expect("a queue");
            let (queue, to) = (queue.as_str().into(), exchange.as_str().into());
            let bound = channel.queue_bind(
                queue,
                to,
                word.into(),
                QueueBindOptions::default(),
                none.clone(),
            );
            bound.await.expect("a binding");
        }
        let queue = format!("{exchange}.action");
        let options = BasicConsumeOptions::default();
        let actions = channel.basic_consume(queue.as_str().into(), "".into(), options, none).await;
        Self { channel, name: name.to_owned(), actions: actions.expect("a consumer") }
    }

    /// What it is told next, acknowledged.
    pub(super) async fn told(&mut self) -> Told {
        let next = tokio::time::timeout(PATIENCE, self.actions.next()).await;
        let next = next.unwrap_or_else(|_| panic!("no action for {}", self.name));
        let delivery = next.expect("a consumer").expect("an open channel");
        delivery.acker.ack(BasicAckOptions::default()).await.expect("an open channel");
        let body: Value = serde_json::from_slice(&delivery.data).expect("JSON");
        assert_eq!(body["jobName"], self.name, "{body}");
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
        let (action, run) = (text("action"), text("runId"));
        let id = delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned());
        assert_eq!(id.as_deref(), Some(run.as_str()));
        let headers = delivery.properties.headers().as_ref().expect("headers").inner();
        let attempt = headers["scheduler-attempt"].as_long_long_int();
        let attempt = attempt.or(headers["scheduler-attempt"].as_long_int().map(i64::from));
        Told { action, run, attempt: attempt.unwrap_or_else(|| panic!("{headers:?}")) }
    }

    /// The run that it is told to perform next.
    pub(super) async fn run(&mut self) -> String {
        let told = self.told().await;
        assert_eq!(told.action, "run", "{told:?}");
        told.run
    }

    /// Says a status of a run.
    pub(super) async fn say(&self, run: &str, status: &str) {
        let body = json!({"jobName": self.name, "runId": run, "status": status});
        self.send("status", body.to_string().as_bytes()).await;
    }

    /// Says that it is alive.
    pub(super) async fn beat(&self, run: &str) {
        let body = json!({"jobName": self.name, "runId": run});
        self.send("heartbeat", body.to_string().as_bytes()).await;
    }

    /// Publishes whatever under a word.
    pub(super) async fn send(&self, word: &str, body: &[u8]) {
        let exchange = format!("scheduler.job.{}", self.name);
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let publish = self.channel.basic_publish(
            exchange.as_str().into(),
            word.into(),
            options,
            body,
            properties,
        );
        publish.await.expect("an open channel");
    }
}
