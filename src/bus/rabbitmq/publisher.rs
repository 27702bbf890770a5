//! The publishing of actions at one broker. `bus` calls [`hand_out`] with each action; up to eight
//! tasks publish the waiting actions in chunks, each over a channel of its own (`chunk`). An
//! action that reached no queue, or whose exchange is missing, is published once more when the
//! topology is there again.

use std::future;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::action::{Act, Action};
use super::broker_link::{BrokerLink, NotNow};
use super::chunk::ActionChunk;
use super::declared::TopologyOf;
use super::offers::Check;
use super::waiting_actions::{Published, WaitingAction};
use crate::bus::hand_out::HandOut;
use crate::executor::Actions;
use crate::executor::broker::failure::{Unanswered, Unconnected};
use crate::executor::broker::held::HeldChannel;
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
    check: Option<Arc<Check>>,
) -> HandOut {
    let action = Arc::new(action);
    let (mut last, mut may_be_out) = (link.not_now(String::new()), false);
    for _ in 0..TRIES {
        let trying = async {
            prepare(&link, &of).await?;
            Ok::<_, NotNow>(enqueue(&link, (act, Arc::clone(&action), check.clone())).await)
        };
        let tried = tokio::select! {
            tried = trying => tried,
            // Wherever its action waits, nobody wants it any more.
            () = is_back(check.as_deref()) => Ok(Published::Withheld),
        };
        last = match tried {
            Ok(Published::Confirmed) => return HandOut::Passed,
            Ok(Published::Unwritable(error)) => return HandOut::Failed { error, for_good: true },
            Ok(Published::Unconfirmed(error) | Published::Rejected(error)) => {
                return HandOut::Failed { error, for_good: false };
            }
            Ok(Published::Withheld) if !may_be_out => return HandOut::Withheld,
            Ok(Published::Withheld) => break,
            Ok(Published::Blocked) => {
                last = blocked(&link);
                break;
            }
            Ok(Published::Returned(_)) if of.actions == Actions::Exchange => {
                let until = link.now() + NOBODY_MS;
                last = NotNow { until, ..link.not_this_job(NOBODY) };
                break;
            }
            Ok(Published::Returned(why)) => {
                link.forget(&of);
                link.not_this_job(why)
            }
            Ok(Published::Missing(why)) => {
                link.forget(&of);
                may_be_out = true;
                link.not_this_job(why)
            }
            Ok(Published::Unsent(why)) => link.not_now(why),
            Err(not_now) => {
                last = not_now;
                break;
            }
        };
        if let Some(check) = &check {
            check.came_back();
        }
    }
    let NotNow { until, why, of_broker } = last;
    if may_be_out {
        return HandOut::Failed { error: why, for_good: false };
    }
    HandOut::Refused { until, why, of_broker }
}

/// Waits until an offer is taken back.
async fn is_back(check: Option<&Check>) {
    match check {
        Some(check) => check.is_back().await,
        None => future::pending().await,
    }
}

fn blocked(link: &BrokerLink) -> NotNow {
    let (until, why) = (link.now() + BLOCKED_MS, BLOCKED.to_owned());
    NotNow { until, why, of_broker: true }
}

/// Makes sure of the connection and the topology.
async fn prepare(link: &BrokerLink, of: &TopologyOf) -> Result<(), NotNow> {
    let live = link.connection(Role::Publisher).await?;
    if live.connection.is_blocked() {
        return Err(blocked(link));
    }
    let ensured = live.connection.unless_blocked(link.ensure_now(&live, of)).await;
    ensured.unwrap_or_else(|| Err(blocked(link)))
}

/// Puts an action to the others that wait, and waits until it is decided about.
async fn enqueue(
    link: &Arc<BrokerLink>,
    (act, action, check): (Act, Arc<Action>, Option<Arc<Check>>),
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
    // The supervision offers all runs that fall due together at once, in many tasks.
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

/// Publishes a chunk. Each action is decided about as soon as the broker has decided.
async fn publish(link: &BrokerLink, waiting: Vec<WaitingAction>) {
    let mut chunk = ActionChunk::new(waiting, |waiting, published| {
        link.actions().decided(&waiting.action.message.execution);
        reply(link, waiting, published);
    });
    match hold(link).await {
        Ok(held) => chunk.carry_out(held, &*link.shared.options.clock).await,
        Err(Some(why)) => chunk.end(&Published::Unsent(why)),
        Err(None) => chunk.end(&Published::Blocked),
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
