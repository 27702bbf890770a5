//! The exchanges and queues of a job: what there is, and how it is made sure of. `broker_link` asks
//! before anything is published or consumed.
//!
//! Everything is declared at once, on a channel that a connection keeps for that. What the broker
//! refuses may be there otherwise, made by workers or by hand: then each thing is declared by
//! itself, and what is there in whatever form is taken as it is.

use std::sync::Arc;

use futures_util::future::try_join_all;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use super::names::{self, Subject};
use crate::executor::Actions;
use crate::executor::broker::connection::BrokerConnection;
use crate::executor::broker::failure::{Failure, Unanswered, Unconnected};
use crate::executor::broker::kept::Live;
use crate::executor::broker::values::short;

/// A connection with its channel for declarations, on which one job's are made at a time.
#[derive(Default)]
pub(super) struct Declarer(tokio::sync::Mutex<Option<Channel>>);

/// The reason why a topology is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undeclared {
    /// The broker refuses it.
    Refused(String),
    /// The connection failed meanwhile, or has no room.
    Lost(String),
}

/// A part of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Exchange(String),
    Queue(String),
    Binding { queue: String, exchange: String, key: &'static str },
}

impl Part {
    /// The name of an exchange or a queue.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Exchange(name) | Self::Queue(name) => Some(name),
            Self::Binding { .. } => None,
        }
    }
}

/// The parts of the topology of a job, in the order in which they are made.
pub(super) fn parts(name: &str, actions: Actions) -> Vec<Part> {
    let exchange = names::exchange(name);
    let mut parts = vec![Part::Exchange(exchange.clone())];
    let bound = |subject: Subject, exchange: &str, key| Part::Binding {
        queue: names::of(name, subject),
        exchange: exchange.to_owned(),
        key,
    };
    let action = names::of(name, Subject::Action);
    match actions {
        Actions::Queue => {
            parts.push(Part::Queue(action));
            parts.push(bound(Subject::Action, &exchange, Subject::Action.word()));
        }
        Actions::Exchange => parts.push(Part::Exchange(action)),
    }
    for subject in [Subject::Status, Subject::Heartbeat] {
        let own = names::of(name, subject);
        parts.push(Part::Queue(own.clone()));
        parts.push(Part::Exchange(own.clone()));
        parts.push(bound(subject, &exchange, subject.word()));
        // Whatever its type and whatever key workers publish with, but for their own inventions.
        parts.extend(["#", subject.word(), ""].map(|key| bound(subject, &own, key)));
    }
    parts
}

/// Makes sure of the topology of a job.
pub(super) async fn declare(
    live: &Live<Declarer>,
    name: &str,
    actions: Actions,
) -> Result<(), Undeclared> {
    let connection = &live.connection;
    let mut kept = live.known.0.lock().await;
    let channel = open(connection, kept.take()).await?;
    let parts = parts(name, actions);
    // They are few, so that all are polled in their order, and so are their frames.
    let all = try_join_all(parts.iter().map(|part| make(&channel, part, false)));
    let Err(refusal) = connection.answered(all).await else {
        connection.note_worked();
        *kept = Some(channel);
        return Ok(());
    };
    if of_channel(refusal).is_err() {
        return Err(Undeclared::Lost("the connection to the broker was lost".to_owned()));
    }
    let mut channel = None;
    for part in &parts {
        channel = Some(make_sure(connection, channel, part).await?);
    }
    connection.note_worked();
    *kept = channel;
    Ok(())
}

/// Makes sure of one part; returns the channel for the next one.
async fn make_sure(
    connection: &Arc<BrokerConnection>,
    channel: Option<Channel>,
    part: &Part,
) -> Result<Channel, Undeclared> {
    let channel = open(connection, channel).await?;
    let Err(refusal) = connection.answered(make(&channel, part, false)).await else {
        return Ok(channel);
    };
    let failure = of_channel(refusal)?;
    let what = match part {
        Part::Exchange(name) => format!("exchange {name:?}"),
        Part::Queue(name) => format!("queue {name:?}"),
        Part::Binding { queue, exchange, .. } => format!("binding {queue:?} to {exchange:?}"),
    };
    let refused = Undeclared::Refused(format!("{what}: {}", failure.text));
    if matches!(part, Part::Binding { .. }) {
        return Err(refused);
    }
    // It is there otherwise, or this user may not declare it: is it there at all?
    let channel = open(connection, None).await?;
    match connection.answered(make(&channel, part, true)).await {
        Ok(()) => Ok(channel),
        Err(missing) => of_channel(missing).and(Err(refused)),
    }
}

/// Declares a part, or asks whether it is there.
async fn make(channel: &Channel, part: &Part, passive: bool) -> lapin::Result<()> {
    let none = FieldTable::default();
    match part {
        Part::Exchange(name) => {
            let durable = ExchangeDeclareOptions { passive, durable: true, ..Default::default() };
            channel.exchange_declare(text(name), ExchangeKind::Topic, durable, none).await
        }
        Part::Queue(name) => {
            let durable = QueueDeclareOptions { passive, durable: true, ..Default::default() };
            channel.queue_declare(text(name), durable, none).await.map(drop)
        }
        Part::Binding { queue, exchange, key } => {
            let (queue, exchange) = (text(queue), text(exchange));
            let options = QueueBindOptions::default();
            channel.queue_bind(queue, exchange, text(key), options, none).await
        }
    }
}

/// A name of a job whose length was checked; an empty one otherwise, which the broker refuses.
pub(super) fn text(name: &str) -> ShortString {
    short("the name", name).unwrap_or_default()
}

/// The channel that was kept, if it is open, or a new one.
pub(super) async fn open(
    connection: &Arc<BrokerConnection>,
    kept: Option<Channel>,
) -> Result<Channel, Undeclared> {
    if let Some(channel) = kept.filter(|channel| channel.status().connected()) {
        return Ok(channel);
    }
    let opened = connection.on_new_channel(|channel| async { Ok(channel) }).await;
    opened.map_err(lost)
}

/// The failure of a channel; an error if more than that failed.
fn of_channel(unanswered: Unanswered) -> Result<Failure, Undeclared> {
    match unanswered {
        Unanswered::Failed(failure) if failure.of_channel => Ok(failure),
        other => Err(lost(other)),
    }
}

fn lost(unanswered: Unanswered) -> Undeclared {
    Undeclared::Lost(match unanswered {
        Unanswered::Full => Unconnected::Full.text().to_owned(),
        Unanswered::Failed(failure) => failure.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_the_exchanges_and_queues_of_published_workers() {
        let binding = |queue: &str, exchange: &str, key| Part::Binding {
            queue: format!("scheduler.job.n.{queue}"),
            exchange: format!("scheduler.job.n{exchange}"),
            key,
        };
        let part = |name: &str| format!("scheduler.job.n{name}");
        let with_queue = parts("n", Actions::Queue);
        let expected = [
            Part::Exchange(part("")),
            Part::Queue(part(".action")),
            binding("action", "", "action"),
            Part::Queue(part(".status")),
            Part::Exchange(part(".status")),
            binding("status", "", "status"),
            binding("status", ".status", "#"),
            binding("status", ".status", "status"),
            binding("status", ".status", ""),
        ];
        assert_eq!(with_queue[..9], expected);
        assert!(with_queue.len() <= 30, "`try_join_all` polls up to 30 in their order");
        let with_exchange = parts("n", Actions::Exchange);
        assert_eq!(with_exchange[1], Part::Exchange(part(".action")));
        assert!(!with_exchange.contains(&Part::Queue(part(".action"))), "it would only grow");
        assert_eq!(with_exchange[2..], with_queue[3..]);
    }
}
