//! The consumers of one job: of its reports, and of its heartbeats. `listening` asks for one job
//! after the other.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};

use super::broker_link::{BrokerLink, LiveLink};
use super::declared::TopologyOf;
use super::names::{self, Subject};
use super::topology::{Undeclared, text};
use crate::bus::address::BusAddress;
use crate::executor::broker::failure::Unanswered;
use crate::model::Millis;

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
    for subject in [Subject::Status, Subject::Heartbeat] {
        let queue = names::of(&listened.of.name, subject);
        let options = BasicConsumeOptions::default();
        let (tag, none) = (ShortString::default(), FieldTable::default());
        let consuming = channel.basic_consume(text(&queue), tag, options, none);
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
