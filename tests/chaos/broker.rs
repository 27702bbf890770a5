//! The broker of a run: a real `RabbitMQ` behind a proxy that the nodes reach, and another one for
//! workers, and the receiver of what jobs publish to it. The receiver records each message as an
//! arrival at one more destination, [`MESSAGES`]. `inject` kills the broker, cuts its connections
//! and raises its alarm.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use scheduler0::model::attempt::parse_execution_id;
use scheduler0::model::time::parse_rfc3339;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::hosts::now;
use crate::net::Net;
use crate::receiver::{Answer, Arrival, DESTINATIONS, Receivers};

#[path = "../it/harness/ports.rs"]
mod ports;
#[path = "../it/harness/rabbitmq.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
pub(crate) mod rabbitmq;
#[path = "../it/harness/rabbitmq_kill.rs"]
mod rabbitmq_kill;
#[path = "../it/harness/tcp_proxy.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod tcp_proxy;

use rabbitmq::{PASSWORD, RabbitMq, USER};
use tcp_proxy::TcpProxy;

/// The number of the broker among the destinations: it follows those of calls.
pub(crate) const MESSAGES: usize = DESTINATIONS;
/// The queue of the messages.
const QUEUE: &str = "chaos";
/// The messages that the receiver has taken and not confirmed, at most.
const PREFETCH: u16 = 100;
/// The time between two tries of the receiver to connect.
const RECONNECT: Duration = Duration::from_millis(200);
/// The id of the message that the receiver waits for at the end.
const MARKER: &str = "the last one";
/// The longest time until the receiver has taken what is in the queue.
const DRAINED: Duration = Duration::from_mins(1);

/// The broker of a run.
pub(crate) struct Broker {
    rabbit: Arc<RabbitMq>,
    vhost: String,
    /// The proxy of the nodes.
    proxy: TcpProxy,
    /// The proxy of the workers.
    worker_proxy: TcpProxy,
    gateway: Ipv4Addr,
    receivers: Arc<Receivers>,
    /// One fault at a time changes the broker itself: one that is down takes no orders.
    changing: tokio::sync::Mutex<()>,
    /// True once the last message has come.
    marker: watch::Sender<bool>,
}

impl Broker {
    /// A virtual host of a broker for a run, with the queue of its messages.
    pub(crate) async fn begin(
        rabbit: Arc<RabbitMq>,
        net: &Net,
        receivers: Arc<Receivers>,
    ) -> anyhow::Result<Arc<Self>> {
        let proxy = TcpProxy::start_at(net.gateway(), rabbit.port()).await;
        let worker_proxy = TcpProxy::start_at(net.gateway(), rabbit.port()).await;
        let broker = Arc::new(Self {
            vhost: rabbit.vhost(),
            rabbit,
            proxy,
            worker_proxy,
            gateway: net.gateway(),
            receivers,
            changing: tokio::sync::Mutex::default(),
            marker: watch::Sender::new(false),
        });
        broker.queue().await?;
        Ok(broker)
    }

    /// Its address behind a proxy.
    fn url(&self, proxy: &TcpProxy) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (password, vhost) = (encoded(PASSWORD), encoded(&self.vhost));
        format!("amqp://{USER}:{password}@{}:{}/{vhost}", self.gateway, proxy.port())
    }

    /// The target of a job that publishes to it.
    pub(crate) fn target(&self) -> Value {
        json!({ "url": self.url(&self.proxy), "exchange": "", "routingKey": QUEUE })
    }

    /// The settings of a queue whose runs go over it, with the longest silence of a worker.
    pub(crate) fn queue_settings(&self, silence: &str) -> Value {
        let url = self.url(&self.proxy);
        json!({ "bus": "rabbitmq", "url": url, "heartbeatTimeout": silence })
    }

    /// A connection of a worker.
    pub(crate) async fn connect(&self) -> lapin::Result<Connection> {
        let url = self.url(&self.worker_proxy);
        Connection::connect(&url, ConnectionProperties::default()).await
    }

    /// The connections of nodes so far.
    pub(crate) fn connections(&self) -> u64 {
        self.proxy.connections() as u64
    }

    /// Kills the broker (SIGKILL), and waits until it has started again.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        let _alone = self.changing.lock().await;
        let rabbit = Arc::clone(&self.rabbit);
        tokio::task::spawn_blocking(move || rabbitmq_kill::kill(&rabbit)).await?;
        Ok(())
    }

    /// Cuts all connections of nodes and workers.
    pub(crate) fn cut(&self) {
        self.proxy.cut();
        self.worker_proxy.cut();
    }

    /// Raises the alarm of memory for a while: the broker takes no messages.
    pub(crate) async fn alarm(&self, length: Duration) -> anyhow::Result<()> {
        let _alone = self.changing.lock().await;
        let set = async |on| {
            let rabbit = Arc::clone(&self.rabbit);
            tokio::task::spawn_blocking(move || rabbit.alarm(on)).await
        };
        set(true).await?;
        sleep(length).await;
        Ok(set(false).await?)
    }

    /// A channel with the queue.
    async fn queue(&self) -> lapin::Result<Channel> {
        let channel = self.rabbit.connect(&self.vhost).await?.create_channel().await?;
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await?;
        Ok(channel)
    }

    /// Receives messages until the task is ended. A connection that ends is made anew.
    pub(crate) async fn receive(self: Arc<Self>) {
        loop {
            // An error is a connection that ended with the broker.
            let _ = self.consume().await;
            sleep(RECONNECT).await;
        }
    }

    async fn consume(&self) -> lapin::Result<()> {
        let channel = self.queue().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer =
            channel.basic_consume(QUEUE.into(), "receiver".into(), options, FieldTable::default());
        let mut consumer = consumer.await?;
        while let Some(delivery) = consumer.next().await {
            let delivery = delivery?;
            let message_id = delivery.properties.message_id().as_ref();
            if message_id.is_some_and(|id| id.as_str() == MARKER) {
                self.marker.send_replace(true);
                delivery.ack(BasicAckOptions::default()).await?;
                continue;
            }
            match self.arrival(&delivery) {
                Some(arrival) => self.receivers.note(arrival, delivery.redelivered),
                None => self.receivers.note_broken(format!("{:?}", delivery.properties)),
            }
            // What is not confirmed comes again.
            delivery.ack(BasicAckOptions::default()).await?;
        }
        Ok(())
    }

    /// A message as an arrival; `None` for one that lacks what each message has.
    fn arrival(&self, delivery: &Delivery) -> Option<Arrival> {
        let headers = delivery.properties.headers().as_ref()?.inner();
        let text = |name: &str| match headers.get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        };
        let number = |name: &str| match headers.get(name)? {
            AMQPValue::LongInt(number) => u64::try_from(*number).ok(),
            AMQPValue::LongLongInt(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let id = text("scheduler-execution-id")?;
        let message_id = delivery.properties.message_id().as_ref()?;
        (message_id.as_str() == id).then_some(())?;
        Some(Arrival {
            occurrence: parse_execution_id(&id)?,
            id,
            scheduled: parse_rfc3339(&text("scheduler-scheduled-at")?)?,
            attempt: number("scheduler-attempt")?.try_into().ok()?,
            shard: number("scheduler-shard")?.try_into().ok()?,
            fence: number("scheduler-fence")?,
            destination: MESSAGES,
            sender: None,
            at: now(),
            mono: self.receivers.mono(),
            answer: Answer::Accepted,
        })
    }

    /// Waits until the receiver has noted all that was in the queue at the call. It sends a last
    /// message, and waits for that one.
    pub(crate) async fn drained(&self) -> anyhow::Result<()> {
        let mut marker = self.marker.subscribe();
        let channel = self.queue().await?;
        let properties = BasicProperties::default().with_message_id(MARKER.into());
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), QUEUE.into(), options, b"", properties).await?.await?;
        let seen = tokio::time::timeout(DRAINED, marker.wait_for(|seen| *seen)).await;
        ensure!(seen.is_ok(), "the receiver has not emptied the queue {DRAINED:?} later");
        Ok(())
    }
}
