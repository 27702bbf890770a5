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

use super::PATIENCE;
use super::rabbitmq::RabbitMq as Rabbit;

/// The worker of a job.
pub(super) struct Worker {
    pub(super) channel: Channel,
    pub(super) name: String,
    actions: Option<Consumer>,
}

impl Worker {
    /// A worker that declares nothing and consumes nothing yet.
    pub(super) async fn new(rabbit: &Rabbit, vhost: &str, name: &str) -> Self {
        Self { channel: rabbit.channel(vhost).await, name: name.to_owned(), actions: None }
    }

    /// A worker that runs.
    pub(super) async fn start(rabbit: &Rabbit, vhost: &str, name: &str) -> Self {
        let mut worker = Self::new(rabbit, vhost, name).await;
        worker.register().await;
        worker.consume(&format!("scheduler.job.{name}.action")).await;
        worker
    }

    /// Declares the exchange and the three queues.
    async fn register(&self) {
        let (name, none) = (format!("scheduler.job.{}", self.name), FieldTable::default());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let topic = ExchangeKind::Topic;
        let declared =
            self.channel.exchange_declare(name.as_str().into(), topic, durable, none.clone());
        declared.await.unwrap();
        for word in ["action", "status", "heartbeat"] {
            let queue = format!("{name}.{word}");
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            let declared = self.channel.queue_declare(queue.as_str().into(), durable, none.clone());
            declared.await.unwrap();
            let options = QueueBindOptions::default();
            let (queue, name) = (queue.as_str().into(), name.as_str().into());
            self.channel.queue_bind(queue, name, word.into(), options, none.clone()).await.unwrap();
        }
    }

    /// Takes actions off a queue from now on.
    pub(super) async fn consume(&mut self, queue: &str) {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = self.channel.basic_consume(queue.into(), "".into(), options, none).await;
        self.actions = Some(consumer.unwrap());
    }

    /// The next action, as it stands in the message.
    pub(super) async fn action(&mut self) -> (String, BasicProperties) {
        let consumer = self.actions.as_mut().expect("a consumer");
        let next = tokio::time::timeout(PATIENCE, consumer.next()).await;
        let delivery = next.expect("an action").expect("a consumer").unwrap();
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        (String::from_utf8(delivery.data).unwrap(), delivery.properties)
    }

    /// Says a status of a run.
    pub(super) async fn say(&self, run: &str, status: &str) {
        let body = json!({"jobName": self.name, "runId": run, "status": status});
        self.publish("status", &body).await;
    }

    /// Says that it is alive.
    pub(super) async fn beat(&self, run: &str) {
        self.publish("heartbeat", &json!({"jobName": self.name, "runId": run})).await;
    }

    async fn publish(&self, word: &str, body: &Value) {
        let exchange = format!("scheduler.job.{}", self.name);
        self.send(&exchange, word, body.to_string().as_bytes()).await;
    }

    /// Publishes whatever to wherever.
    pub(super) async fn send(&self, exchange: &str, key: &str, body: &[u8]) {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let publish =
            self.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
        publish.await.unwrap();
    }
}
