//! The limit of `bench --amqp`: the bare client library publishes messages of the same bodies to a
//! queue of the same kind on the same broker, with confirms, and consumes them. `messages` asks
//! before the nodes start and after they have ended.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, PublisherConfirm};
use tokio::task::JoinSet;

use super::broker::Broker;
use super::inbox::Inbox;

/// The bytes of a body.
pub(super) const BODY_BYTES: usize = 256;
/// Channels that publish side by side, on one connection.
const CHANNELS: usize = 8;
/// Messages that a channel has under way without a confirm, at most.
const WINDOW: usize = 1_024;
/// Measurements before the run, and as many after it.
const ROUNDS: usize = 3;
/// The longest time for a round.
const ROUND_TIMEOUT: Duration = Duration::from_mins(2);
/// The delivery mode of a message that queues write to disk.
const PERSISTENT: u8 = 2;

/// The body of each message.
pub(super) fn body() -> String {
    "x".repeat(BODY_BYTES)
}

/// Messages a second of each round, from the first publish to the last arrival; all are confirmed,
/// too.
pub(super) async fn measure(broker: &Broker, messages: usize) -> anyhow::Result<Vec<f64>> {
    let mut inbox = Inbox::open(broker).await?;
    let connection = broker.connect().await?;
    let mut channels = Vec::with_capacity(CHANNELS);
    for _ in 0..CHANNELS {
        let opened = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        channels.push(opened.await.map_err(|error| broker.error(&error))?);
    }
    let mut rates = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let round = round(&channels, &mut inbox, messages);
        let taken = tokio::time::timeout(ROUND_TIMEOUT, round).await;
        let taken = taken.context("--amqp: the bare client did not end in two minutes")??;
        rates.push(messages as f64 / taken.as_secs_f64());
    }
    Ok(rates)
}

/// Publishes so many messages; the time until the last one has arrived.
async fn round(
    channels: &[Channel],
    inbox: &mut Inbox,
    messages: usize,
) -> anyhow::Result<Duration> {
    let queue = inbox.queue().to_owned();
    let begun = Instant::now();
    let mut publishing = JoinSet::new();
    for (n, channel) in channels.iter().enumerate() {
        let own = messages * (n + 1) / channels.len() - messages * n / channels.len();
        publishing.spawn(publish(channel.clone(), queue.clone(), own));
    }
    let arrived = async {
        for _ in 0..messages {
            inbox.next().await?;
        }
        anyhow::Ok(begun.elapsed())
    };
    let confirmed = async {
        while let Some(published) = publishing.join_next().await {
            published??;
        }
        anyhow::Ok(())
    };
    let (taken, ()) = tokio::try_join!(arrived, confirmed)?;
    Ok(taken)
}

/// Publishes messages on a channel, and waits for all confirms.
async fn publish(channel: Channel, queue: String, messages: usize) -> anyhow::Result<()> {
    let body = body();
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let mut waiting = VecDeque::with_capacity(WINDOW);
    for _ in 0..messages {
        if waiting.len() == WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            confirmed(oldest).await?;
        }
        let (queue, properties) = (queue.as_str().into(), properties.clone());
        let publish = channel.basic_publish("".into(), queue, options, body.as_bytes(), properties);
        waiting.push_back(publish.await?);
    }
    for confirm in waiting {
        confirmed(confirm).await?;
    }
    Ok(())
}

async fn confirmed(confirm: PublisherConfirm) -> anyhow::Result<()> {
    anyhow::ensure!(confirm.await?.is_ack(), "--amqp: the broker refused a message (nack)");
    Ok(())
}
