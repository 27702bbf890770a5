//! A queue of this run's own on the broker of `bench --amqp`, and its consumer. The queue is
//! durable, like one that jobs publish to, and exclusive: the broker deletes it with the connection
//! of this process, however that ends. `messages` takes the messages of the nodes from one,
//! `bare_publisher` its own from another one.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::task::JoinHandle;

use super::broker::Broker;
use super::judge::Judge;
use crate::clock::{Clock, SystemClock};
use crate::model::attempt::parse_execution_id;

/// A queue that is consumed.
pub(super) struct Inbox {
    queue: String,
    consumer: Consumer,
    // Both end when they are dropped.
    _channel: Channel,
    _connection: Connection,
}

impl Inbox {
    /// Declares a queue of a random name, and begins to consume it.
    pub(super) async fn open(broker: &Broker) -> anyhow::Result<Self> {
        let connection = broker.connect().await?;
        let queue = format!("scheduler0-bench-{:016x}", rand::random::<u64>());
        let opened = async {
            let channel = connection.create_channel().await?;
            let options =
                QueueDeclareOptions { durable: true, exclusive: true, ..Default::default() };
            let none = FieldTable::default();
            channel.queue_declare(queue.as_str().into(), options, none.clone()).await?;
            let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
            let consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, none);
            Ok((consumer.await?, channel))
        };
        let (consumer, channel) = opened.await.map_err(|error| broker.error(&error))?;
        Ok(Self { queue, consumer, _channel: channel, _connection: connection })
    }

    /// The name of the queue.
    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> anyhow::Result<Delivery> {
        let next = self.consumer.next().await;
        next.context("--amqp: the broker ended the consumer of the queue")?
            .context("--amqp: the connection to the broker was lost")
    }

    /// Tells a judge of all messages from now on.
    pub(super) fn judged_by(mut self, judge: Arc<Judge>) -> Judged {
        let queue = self.queue.clone();
        let task = tokio::spawn(async move {
            loop {
                match self.next().await {
                    Ok(message) => {
                        judge.arrived(occurrence(&message).into_iter(), SystemClock.wall());
                    }
                    Err(error) => return error,
                }
            }
        });
        Judged { queue, task }
    }
}

/// Job and scheduled instant of a message.
fn occurrence(message: &Delivery) -> Option<(u64, i64)> {
    let id = parse_execution_id(message.properties.message_id().as_ref()?.as_str())?;
    Some((id.job, id.scheduled))
}

/// A queue whose messages are judged. Dropping it ends the queue.
pub(super) struct Judged {
    queue: String,
    task: JoinHandle<anyhow::Error>,
}

impl Judged {
    /// The name of the queue.
    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// Waits until no more messages can come; the reason. To be called once.
    pub(super) async fn lost(&mut self) -> anyhow::Error {
        (&mut self.task).await.unwrap_or_else(anyhow::Error::from)
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        self.task.abort();
    }
}
