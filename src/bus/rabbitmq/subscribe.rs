//! The consumers of one job: of its reports, and of its heartbeats. `listening` asks for one job
//! after the other.
//!
//! A broker delivers so many messages to a consumer before it waits for acknowledgements. A
//! heartbeat is acknowledged at once, and a report when it is in the log: one that waits for the
//! record of its run keeps its place. Those behind it must not wait for that, too. A report that is
//! given back comes again before the others of its queue, and one that is published anew comes
//! behind later words on its run. So there are places for all that may wait: of a queue at most
//! 1,024 runs are handed out and not recorded, and a worker says two things of each.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};

use super::broker_link::{BrokerLink, LiveLink};
use super::declared::TopologyOf;
use super::names::{self, Subject};
use super::topology::{Undeclared, text};
use crate::bus::address::BusAddress;
use crate::executor::broker::failure::Unanswered;
use crate::model::Millis;

/// The reports of a job that a node has and has not acknowledged, at most.
const REPORTS: u16 = 2_048;
/// The same of its heartbeats.
const HEARTBEATS: u16 = 256;
/// The places of the consumers of a job.
pub(super) const PLACES_OF_JOB: usize = REPORTS as usize + HEARTBEATS as usize;

/// A job that is listened to.
#[derive(Debug)]
pub(super) struct Listened {
    pub(super) address: BusAddress,
    pub(super) of: TopologyOf,
    pub(super) due: Millis,
}

/// What a consumer gives.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A message.
    Delivery(Box<Delivery>),
    /// The channel has failed.
    Failed(lapin::Error),
    /// The broker has cancelled the consumer, or it was cancelled from here.
    Ended,
}

/// The job and the subject of what comes.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) listened: Arc<Listened>,
    pub(super) subject: Subject,
    /// Tells two consumers of one job apart.
    pub(super) tag: ShortString,
}

/// What comes from one consumer.
pub(super) type Deliveries = BoxStream<'static, (Source, Incoming)>;

/// The consumers of one job.
pub(super) struct Subscription {
    pub(super) tags: Vec<ShortString>,
    pub(super) deliveries: Vec<Deliveries>,
}

/// The reason why a job is not listened to.
#[derive(Debug)]
pub(super) enum Unheard {
    /// This job alone.
    Refused(String),
    /// The channel is closed over it.
    Closed(String),
}

/// Makes sure of a job's topology, and consumes.
pub(super) async fn subscribe(
    link: Arc<BrokerLink>,
    live: LiveLink,
    channel: Channel,
    listened: Arc<Listened>,
) -> Result<Subscription, Unheard> {
    link.ensure(&live, &listened.of, listened.due).await.map_err(|error| match error {
        Undeclared::Refused(why) => Unheard::Refused(why),
        Undeclared::Lost(why) => Unheard::Closed(why),
    })?;
    let mut subscription = Subscription { tags: Vec::new(), deliveries: Vec::new() };
    for (subject, places) in [(Subject::Status, REPORTS), (Subject::Heartbeat, HEARTBEATS)] {
        let queue = names::of(&listened.of.name, subject);
        let options = BasicConsumeOptions::default();
        let (tag, none) = (ShortString::default(), FieldTable::default());
        let consuming = async {
            // It holds for the consumers that are begun from here on.
            channel.basic_qos(places, BasicQosOptions { global: false }).await?;
            channel.basic_consume(text(&queue), tag, options, none).await
        };
        let consumer = live.connection.answered(consuming).await.map_err(|error| {
            // It may be gone again, or have another owner.
            link.forget(&listened.of);
            match error {
                Unanswered::Failed(failure) => {
                    Unheard::Closed(format!("{queue}: {}", failure.text))
                }
                Unanswered::Full => Unheard::Closed("no channel".to_owned()),
            }
        })?;
        let tag = consumer.tag();
        let source = Source { listened: Arc::clone(&listened), subject, tag: tag.clone() };
        subscription.tags.push(tag);
        subscription.deliveries.push(deliveries(consumer, source));
    }
    live.connection.note_worked();
    Ok(subscription)
}

fn deliveries(consumer: Consumer, source: Source) -> Deliveries {
    let last = (source.clone(), Incoming::Ended);
    let each = consumer.map(move |came| {
        let incoming =
            came.map_or_else(Incoming::Failed, |delivery| Incoming::Delivery(Box::new(delivery)));
        (source.clone(), incoming)
    });
    each.chain(stream::once(std::future::ready(last))).boxed()
}
