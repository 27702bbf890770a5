//! A call under way, of any kind: it ends in time, whatever its executor does. `call_queue` starts
//! it with the permit.
//!
//! One timer at a time watches a call. Most calls are over by the first one. A call that is slow or
//! hangs moves its permit on, so that others may have its worker. A call that is over before its
//! executor has replied (its time is up, its jobs are deleted, others need its place) is
//! interrupted: the executor hears of it in [`Gate::run`](super::gate::Gate::run) and replies with
//! what it knows. One that does not is cut off, and this module replies in its place.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use super::call_checks::{SendCheck, Unwanted};
use super::call_outcome::CallOutcome;
use super::destination_queues::CallPermit;
use super::fair_queue::Stage;
use super::interruption::Interruption;
use super::reply::{Reply, Rest};
use super::request::Sending;
use crate::clock::SchedulerTime;
use crate::model::postponement::Obstacle;

/// A call counts as slow after this time: another project that waits may have its worker.
const SLOW: Duration = Duration::from_millis(100);
/// A call counts as hanging after this time: it gives its worker back.
const HANGING: Duration = Duration::from_secs(1);
/// The time that an executor has to reply to an interruption. It needs none but on a busy machine,
/// as it has only to put together what it knows.
const LAST_WORD: Duration = Duration::from_millis(250);

/// The obstacle of a call that its executor kept back without having been told to.
const KEPT_BACK: &str = "its program kept it back for no reason";

/// A call that has its permit.
pub(super) struct RunningCall {
    pub(super) check: Arc<SendCheck>,
    pub(super) permit: CallPermit,
    /// The longest time for the call.
    pub(super) timeout: Duration,
    pub(super) unwanted: Option<Unwanted>,
    pub(super) time: Arc<SchedulerTime>,
    /// The instant at which the call was tried, in boot-clock milliseconds.
    pub(super) tried: u64,
}

impl RunningCall {
    /// Runs a call up to its end.
    pub(super) async fn run(mut self, mut sending: Sending) -> Reply {
        let mut interruption = None;
        let reply = match self.ended(&mut sending).await {
            Ok(reply) => reply,
            Err(why) => {
                interruption = Some(why);
                self.check.interrupt(why);
                let last_word = tokio::time::timeout(LAST_WORD, &mut sending).await;
                last_word.unwrap_or_else(|_| self.cut_off(why))
            }
        };
        // Whatever an executor left running sends nothing more.
        drop(sending);
        self.check.close();
        let reply = self.verified(reply, interruption);
        if let Some((began, outcome)) = self.check.outcome() {
            self.permit.finish(began, outcome);
        }
        reply
    }

    /// Waits for the reply, or for the end of the call. It tells the permit how far the call has
    /// come.
    async fn ended(&mut self, mut sending: &mut Sending) -> Result<Reply, Interruption> {
        let timeout = self.timeout;
        // Most calls are over by the first of these, and set no other timer.
        let mut done = tokio::time::timeout(timeout.min(SLOW), &mut sending).await;
        if done.is_err() && timeout > SLOW {
            self.permit.advance(Stage::Slow);
            let rest = timeout.min(HANGING).saturating_sub(SLOW);
            done = tokio::time::timeout(rest, &mut sending).await;
        }
        let left = timeout.saturating_sub(HANGING);
        if done.is_err() && !left.is_zero() {
            self.permit.advance(Stage::Hanging);
            let unwanted = self.unwanted.take();
            let unwanted = async {
                match unwanted {
                    Some(unwanted) => unwanted().await,
                    None => std::future::pending().await,
                }
            };
            done = tokio::select! {
                done = tokio::time::timeout(left, sending) => done,
                () = unwanted => return Err(Interruption::Unwanted),
                () = self.permit.evicted() => {
                    return Err(Interruption::Evicted(Duration::from_millis(self.age())));
                }
            };
        }
        done.map_err(|_| Interruption::TimedOut)
    }

    /// The time since the call was tried, in milliseconds.
    fn age(&self) -> u64 {
        self.time.clock().boot().saturating_sub(self.tried)
    }

    /// The reply in place of an executor that has not replied.
    fn cut_off(&self, why: Interruption) -> Reply {
        tracing::error!(?why, "an executor did not end its call in time: it is cut off");
        if self.check.withheld() {
            return Reply::Withheld;
        }
        let sent = self.check.started();
        let started_boot = sent.unwrap_or(self.tried);
        let duration = self.time.clock().boot().saturating_sub(started_boot);
        let attempt = Attempt {
            started_boot,
            duration_ms: u32::try_from(duration).unwrap_or(u32::MAX),
            sent: sent.is_some(),
            error: Some(why.error(self.timeout, sent.is_some())),
            ..Attempt::default()
        };
        if why == Interruption::TimedOut {
            let outcome = CallOutcome::timeout(self.timeout, attempt.sent);
            self.check.finish(started_boot, outcome);
        }
        match why {
            Interruption::Unwanted if attempt.sent => Reply::Unwanted(attempt),
            Interruption::Unwanted => Reply::Withheld,
            Interruption::TimedOut | Interruption::Evicted(_) => Reply::Done(attempt),
        }
    }

    /// The reply, but that jobs which were kept back for no reason are put off: they would come
    /// again at once, and for ever.
    fn verified(&self, reply: Reply, interruption: Option<Interruption>) -> Reply {
        if self.check.refused() || interruption.is_some() {
            return reply;
        }
        let (until, obstacle) = (self.time.now(), Obstacle::Node(KEPT_BACK.to_owned()));
        match reply {
            Reply::Withheld => Reply::Refused { until, obstacle },
            Reply::PerJob { parts, rest: Rest::Withheld } => {
                Reply::PerJob { parts, rest: Rest::Refused { until, obstacle } }
            }
            reply => reply,
        }
    }
}

#[cfg(test)]
mod tests;
