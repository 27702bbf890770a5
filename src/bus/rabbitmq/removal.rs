//! The removal of a deleted job's exchanges and queues: of those that nobody uses and that are
//! empty. `bus` calls it. Whatever holds a message or has a consumer stays.

use std::time::Duration;

use lapin::Channel;
use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use super::broker_link::LiveLink;
use super::declared::TopologyOf;
use super::topology::{Part, open, parts, text};
use crate::executor::broker::failure::{NOT_FOUND, Unanswered};

/// The longest wait until this node's own consumers of a queue are gone.
const OWN_CONSUMERS: Duration = Duration::from_secs(5);
/// The time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Removes a topology. Returns what is left of it; the error is the reason why that is not known.
pub(super) async fn remove(live: &LiveLink, of: &TopologyOf) -> Result<Vec<String>, String> {
    let (mut left, mut channel) = (Vec::new(), None);
    let parts = parts(&of.name, of.actions);
    // An exchange is unused when no queue is bound to it.
    let queues = parts.iter().filter(|part| matches!(part, Part::Queue(_)));
    let exchanges = parts.iter().filter(|part| matches!(part, Part::Exchange(_)));
    for part in queues.chain(exchanges) {
        let opened = open(&live.connection, channel.take()).await;
        let opened = opened.map_err(|_| "the connection to the broker was lost".to_owned())?;
        match live.connection.answered(delete(&opened, part)).await {
            Ok(()) => channel = Some(opened),
            Err(Unanswered::Failed(failure)) if !failure.of_channel => return Err(failure.text),
            // What is missing is no rest.
            Err(Unanswered::Failed(failure)) if failure.number() == NOT_FOUND => {}
            Err(Unanswered::Failed(_)) => left.extend(part.name().map(str::to_owned)),
            Err(Unanswered::Full) => return Err("there is no room for a channel".to_owned()),
        }
    }
    Ok(left)
}

async fn delete(channel: &Channel, part: &Part) -> lapin::Result<()> {
    match part {
        Part::Queue(name) => {
            let until = tokio::time::Instant::now() + OWN_CONSUMERS;
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let look = || channel.queue_declare(text(name), passive, FieldTable::default());
            while look().await?.consumer_count() > 0 && tokio::time::Instant::now() < until {
                tokio::time::sleep(LOOK).await;
            }
            let options = QueueDeleteOptions { if_unused: true, if_empty: true, nowait: false };
            channel.queue_delete(text(name), options).await.map(drop)
        }
        Part::Exchange(name) => {
            let options = ExchangeDeleteOptions { if_unused: true, nowait: false };
            channel.exchange_delete(text(name), options).await
        }
        Part::Binding { .. } => Ok(()),
    }
}
