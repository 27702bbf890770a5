//! The publishing of actions at one broker. `bus` hands actions to [`hand_out`]; up to eight tasks
//! publish what waits in chunks, each over a channel that it holds alone (`executor::broker`). An
//! action that reached no queue, or whose exchange is missing, is published once more when the
//! topology is there again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::action::{Act, Action};
use super::broker_link::{BrokerLink, NotNow};
use super::declared::TopologyOf;
use super::waiting_actions::{Check, Published, WaitingAction};
use crate::bus::hand_out::HandOut;
use crate::delivery::call_checks::BeforeSend;
use crate::executor::Actions;
use crate::executor::broker::failure::{Failure, NOT_FOUND, Unanswered, Unconnected};
use crate::executor::broker::held::HeldChannel;
use crate::executor::broker::publish::{Admission, Chunk, Fate, Outgoing, Progress};
use crate::executor::broker::role::Role;

/// The tries to publish an action.
const TRIES: u32 = 2;
/// The time for which a blocked broker is left alone, in milliseconds.
const BLOCKED_MS: u64 = 2_000;
/// The time after which an action that reached nobody is tried again, in milliseconds.
const NOBODY_MS: u64 = 5_000;

const BLOCKED: &str = "the broker takes no messages: it lacks memory or disk";
const NOBODY: &str = "no worker has bound a queue to the job's action exchange";

/// Publishes an action of a job.
pub(super) async fn hand_out(
    link: Arc<BrokerLink>,
    of: TopologyOf,
    (act, action): (Act, Action),
    before_send: Option<BeforeSend>,
) -> HandOut {
    let check: Option<Check> = before_send.map(|check| Arc::new(Mutex::new(check)));
    let action = Arc::new(action);
    let refused = |ms: u64, why: String| HandOut::Refused { until: link.now() + ms, why };
    let mut last = String::new();
    for _ in 0..TRIES {
        if let Err(NotNow { until, why }) = prepare(&link, &of).await {
            return HandOut::Refused { until, why };
        }
        let waiting = (act, Arc::clone(&action), check.clone());
        last = match enqueue(&link, waiting).await {
            Published::Confirmed => return HandOut::Passed,
            Published::Withheld => return HandOut::Withheld,
            Published::Blocked => return refused(BLOCKED_MS, BLOCKED.to_owned()),
            Published::Unwritable(error) => return HandOut::Failed { error, for_good: true },
            Published::Unconfirmed(error) | Published::Rejected(error) => {
                return HandOut::Failed { error, for_good: false };
            }
            Published::Returned(_) if of.actions == Actions::Exchange => {
                return refused(NOBODY_MS, NOBODY.to_owned());
            }
            Published::Returned(why) | Published::Missing(why) => {
                link.forget(&of);
                why
            }
            Published::Unsent(why) => why,
        };
    }
    let NotNow { until, why } = link.not_now(last);
    HandOut::Refused { until, why }
}

/// Takes an offer back that is not under way.
pub(super) fn withdraw(link: &BrokerLink, run: &str) {
    let withdrawn = link.actions().withdraw(run);
    if let Some(waiting) = withdrawn {
        reply(link, waiting, Published::Withheld);
    }
}

/// Makes sure of the connection and the topology.
async fn prepare(link: &BrokerLink, of: &TopologyOf) -> Result<(), NotNow> {
    let live = link.connection(Role::Publisher).await?;
    let blocked = || NotNow { until: link.now() + BLOCKED_MS, why: BLOCKED.to_owned() };
    if live.connection.is_blocked() {
        return Err(blocked());
    }
    let ensured = live.connection.unless_blocked(link.ensure_now(&live, of)).await;
    ensured.unwrap_or_else(|| Err(blocked()))
}

/// Puts an action to the others that wait, and waits until it is decided about.
async fn enqueue(
    link: &Arc<BrokerLink>,
    (act, action, check): (Act, Arc<Action>, Option<Check>),
) -> Published {
    let (reply, decided) = oneshot::channel();
    let starts = link.actions().push(WaitingAction { act, action, check, reply });
    if starts {
        tokio::spawn(run(Arc::clone(link)));
    }
    let stopping = || Published::Unconfirmed("this node has failed, or is stopping".to_owned());
    decided.await.unwrap_or_else(|_| stopping())
}

/// Publishes chunks as long as something waits.
async fn run(link: Arc<BrokerLink>) {
    // What falls due together is handed out together, in many tasks.
    tokio::task::yield_now().await;
    loop {
        let Some(chunk) = link.actions().take() else { return };
        publish(&link, chunk).await;
    }
}

fn reply(link: &BrokerLink, waiting: WaitingAction, published: Published) {
    let outcome = match published {
        Published::Confirmed => "ok",
        Published::Withheld => "withheld",
        Published::Returned(_) => "returned",
        Published::Unconfirmed(_) => "unconfirmed",
        _ => "refused",
    };
    let kind = match waiting.act {
        Act::Run => "run",
        Act::Cancel => "cancel",
    };
    link.shared.metrics.message(kind, outcome);
    // Without a receiver nobody wants the run any more.
    let _ = waiting.reply.send(published);
}

/// Publishes a chunk.
async fn publish(link: &BrokerLink, chunk: Vec<WaitingAction>) {
    let unsent = |why: String| vec![Published::Unsent(why); chunk.len()];
    let published = match hold(link).await {
        Ok(held) => carry_out(held, &chunk).await,
        Err(Some(why)) => unsent(why),
        Err(None) => vec![Published::Blocked; chunk.len()],
    };
    for (waiting, published) in chunk.into_iter().zip(published) {
        link.actions().decided(&waiting.action.message.execution);
        reply(link, waiting, published);
    }
}

/// A channel for a chunk. The error is the reason why there is none; `None` if it is blocked.
async fn hold(link: &BrokerLink) -> Result<HeldChannel, Option<String>> {
    let live = link.connection(Role::Publisher).await.map_err(|no| Some(no.why))?;
    let connection = &live.connection;
    let lost = || Some("the connection to the broker was lost".to_owned());
    let holding = async {
        let place = connection.place().await.ok_or_else(lost)?;
        let channel = connection.channel().await.map_err(|error| {
            Some(match error {
                Unanswered::Full => Unconnected::Full.text().to_owned(),
                Unanswered::Failed(failure) => failure.text,
            })
        })?;
        let metrics = link.shared.options.metrics.clone();
        Ok(HeldChannel::new(Arc::clone(connection), channel, metrics, vec![place]))
    };
    connection.unless_blocked(holding).await.unwrap_or(Err(None))
}

/// Publishes a chunk over a channel.
async fn carry_out(mut held: HeldChannel, chunk: &[WaitingAction]) -> Vec<Published> {
    let messages: Vec<Outgoing<'_>> = chunk
        .iter()
        .map(|WaitingAction { action, .. }| Outgoing {
            exchange: &action.exchange,
            message: &action.message,
        })
        .collect();
    let withheld: Vec<AtomicBool> = chunk.iter().map(|_| AtomicBool::new(false)).collect();
    let admit = |n: usize| {
        // Whoever offered it may want it no more.
        let passes = !chunk[n].reply.is_closed()
            && chunk[n].check.as_ref().is_none_or(|check| {
                let mut check = check.lock().unwrap_or_else(PoisonError::into_inner);
                check()
            });
        if passes {
            return Admission::Goes;
        }
        withheld[n].store(true, Ordering::Relaxed);
        Admission::Stays
    };
    let mut progress = Progress::new(messages.len(), None);
    let to_publish = Chunk { messages: &messages, mandatory: true };
    progress.publish(&mut held, &to_publish, admit).await;
    progress.attribute(chunk.iter().map(|waiting| &waiting.action.message));
    let missing = progress.ended.as_ref().is_some_and(is_missing);
    let ended = progress.ended.take().map(|failure| failure.text);
    let ended = ended.unwrap_or_else(|| "the channel to the broker was closed".to_owned());
    let is_blocked = progress.blocked;
    let withheld = withheld.into_iter().map(AtomicBool::into_inner);
    let fates = std::mem::take(&mut progress.fates).into_iter().zip(withheld);
    fates
        .map(|(fate, withheld)| match fate {
            _ if withheld => Published::Withheld,
            Fate::Unsent if is_blocked => Published::Blocked,
            Fate::Unsent => Published::Unsent(ended.clone()),
            Fate::Unwritable(error) => Published::Unwritable(error.to_string()),
            Fate::Sent if missing => Published::Missing(ended.clone()),
            Fate::Sent => Published::Unconfirmed(ended.clone()),
            Fate::Taken => Published::Confirmed,
            Fate::Rejected => {
                Published::Rejected("the broker does not take the message (nack)".to_owned())
            }
            Fate::Returned(code, text) => Published::Returned(format!("{code} {text}")),
        })
        .collect()
}

/// Whether a channel was closed because an exchange is missing.
fn is_missing(failure: &Failure) -> bool {
    failure.of_channel && failure.number() == NOT_FOUND
}
