//! What became of a chunk, as the worker and the breakers are told. `pool` asks when a call is
//! over. It decides nothing about another try.
//!
//! | what happened | for the jobs | for the breaker |
//! |---|---|---|
//! | confirmed | success | fine |
//! | returned (312), rejected (nack), exchange missing or other | another attempt | fine |
//! | the channel was closed over a message (403, 406, 311) | refused as one, is split | fine |
//! | no connection, no login, connection lost, no confirm in time | another attempt | failure |
//! | blocked, no place, waiting for the next try to connect | put off, no attempt | nothing |

use crate::delivery::attempt::{Attempt, Class, Judged};
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::gate::Gate;
use crate::delivery::interruption::Interruption;
use crate::delivery::reply::{JobsAttempt, Reply, Rest};
use crate::metrics::PublishMetrics;
use crate::model::postponement::Obstacle;
use crate::model::result_code::ResultCode;
use crate::model::{JobId, Millis};

use super::exchanges::is_missing;
use super::message::Publish;
use crate::executor::broker::failure::{BY_PROXY, Failure, NO_ROUTE, Unconnected};
use crate::executor::broker::publish::{Fate, Progress};

/// The time for which a blocked broker is left alone, in milliseconds.
const BLOCKED_MS: u64 = 2_000;
/// The time after which a chunk without a place is tried again, in milliseconds.
const FULL_MS: Millis = 1_000;

const UNROUTED: &str = "no queue is bound for this routing key: the broker returned the message";
const REJECTED: &str =
    "the broker does not take the message (nack): a queue is full, or has failed";

/// The most parts of a reply before the broker's texts are left out: it may say something else of
/// each message.
const MOST_PARTS: usize = 8;
const FURTHER: &str = "not delivered: the reason is left out after many other reasons";

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    /// It waits for a place at its exchange.
    Waiting,
    /// The exchange is declared, a channel is opened.
    Preparing,
    Sending,
}

/// The reason why a call ended before its messages were decided about.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// The next try to connect is at this instant of the boot clock.
    Wait(u64),
    Unconnected(Unconnected),
    /// The broker takes no messages.
    Blocked,
    /// The exchange cannot be used.
    Exchange(Failure),
    /// The connection ended before a message was handed over.
    Lost(Failure),
}

/// A call that is over.
pub(super) struct EndedCall<'a> {
    pub(super) chunk: &'a Publish,
    pub(super) progress: &'a Progress,
    pub(super) phase: Phase,
    pub(super) end: Result<Result<(), Stop>, Interruption>,
}

/// The reply to a call. Tells the gate what the call means for the broker, and counts.
pub(super) fn reply(call: EndedCall<'_>, gate: Gate, metrics: &PublishMetrics) -> Reply {
    if call.progress.has_begun() {
        begun(&call, gate, metrics)
    } else {
        not_begun(call, gate, metrics)
    }
}

/// The reply to a call of which no message was handed over.
fn not_begun(call: EndedCall<'_>, gate: Gate, metrics: &PublishMetrics) -> Reply {
    let tried = gate.tried();
    let failed = CallOutcome::Failed { down: true, unreachable: false, after: 0 };
    let later = |gate: Gate, ms: Millis, outcome, obstacle| {
        let until = gate.time().now() + ms;
        gate.finish(tried, outcome);
        Reply::Refused { until, obstacle }
    };
    let (failure, answered, outcome) = match call.end {
        _ if gate.check().withheld() => return Reply::Withheld,
        Ok(Ok(())) => return unwritable(&call, gate, metrics),
        Ok(Err(Stop::Wait(at))) => {
            let wait = at.saturating_sub(gate.time().clock().boot()) as Millis;
            return later(gate, wait, CallOutcome::Nothing, Obstacle::Failing);
        }
        Ok(Err(Stop::Blocked)) => {
            let asked = CallOutcome::Asked { after: BLOCKED_MS };
            return later(gate, BLOCKED_MS as Millis, asked, Obstacle::Asked);
        }
        Ok(Err(Stop::Unconnected(Unconnected::Local(error)))) => {
            let obstacle = Obstacle::Node(error.text().to_owned());
            return later(gate, 0, CallOutcome::Nothing, obstacle);
        }
        Ok(Err(Stop::Unconnected(Unconnected::Full))) => {
            return later(gate, FULL_MS, CallOutcome::Nothing, Obstacle::Full);
        }
        Ok(Err(Stop::Unconnected(Unconnected::ByProxy))) => {
            let obstacle = Obstacle::Node(BY_PROXY.to_owned());
            return later(gate, 0, CallOutcome::Nothing, obstacle);
        }
        Ok(Err(Stop::Unconnected(Unconnected::Unreached { text, anybody }))) => {
            let outcome = CallOutcome::Failed { down: true, unreachable: anybody, after: 0 };
            (Failure::of_connection(text), false, outcome)
        }
        Ok(Err(Stop::Unconnected(Unconnected::Refused(failure)) | Stop::Lost(failure))) => {
            (failure, false, failed)
        }
        Ok(Err(Stop::Exchange(failure))) => {
            let text = format!("exchange {:?}: {}", call.chunk.exchange.name, failure.text);
            (Failure { text, ..failure }, true, CallOutcome::Fine)
        }
        Err(_) if call.phase == Phase::Waiting => {
            return later(gate, FULL_MS, CallOutcome::Nothing, Obstacle::Full);
        }
        Err(Interruption::Unwanted) => {
            gate.finish(tried, CallOutcome::Nothing);
            return Reply::Withheld;
        }
        Err(why @ Interruption::Evicted(_)) => {
            let text = why.error(gate.timeout(), false);
            (Failure::of_connection(text), false, CallOutcome::Nothing)
        }
        Err(Interruption::TimedOut) => {
            let timeout = gate.timeout();
            let what = match call.phase {
                Phase::Connecting => "no connection",
                _ => "no answer of the broker",
            };
            let text = format!("timeout: {what} within {timeout:?}");
            (Failure::of_connection(text), false, CallOutcome::timeout(timeout, false))
        }
    };
    // One job of a probe has failed, and not a thousand.
    let most = gate.max_jobs().filter(|_| outcome != CallOutcome::Fine).unwrap_or(usize::MAX);
    let part = Part::first(most, call.chunk, Class::Retry { after: None }, failure, answered);
    let rest = if most < call.chunk.messages.len() { Rest::Again } else { Rest::None };
    let label = if answered { "exchange" } else { "unconnected" };
    let parts = vec![part.attempt(&gate, call.chunk, (metrics, label))];
    gate.finish(tried, outcome);
    Reply::PerJob { parts, rest }
}

/// The reply to a call whose messages cannot be written, all of them.
fn unwritable(call: &EndedCall<'_>, gate: Gate, metrics: &PublishMetrics) -> Reply {
    let parts = parts(call, None).into_iter();
    let parts = parts.map(|(part, label)| part.attempt(&gate, call.chunk, (metrics, label)));
    let parts = parts.collect();
    let (tried, rest) = (gate.tried(), rest(call, &gate));
    gate.finish(tried, CallOutcome::Nothing);
    Reply::PerJob { parts, rest }
}

/// The reason why messages were not handed over.
fn rest(call: &EndedCall<'_>, gate: &Gate) -> Rest {
    if !call.progress.fates.contains(&Fate::Unsent) {
        Rest::None
    } else if gate.check().refused() {
        Rest::Withheld
    } else if call.progress.blocked {
        let until = gate.time().now() + BLOCKED_MS as Millis;
        Rest::Refused { until, obstacle: Obstacle::Asked }
    } else {
        // The call was a probe, or the channel has ended.
        Rest::Again
    }
}

/// The reply to a call of which messages were handed over.
fn begun(call: &EndedCall<'_>, gate: Gate, metrics: &PublishMetrics) -> Reply {
    let began = gate.check().started().unwrap_or_else(|| gate.tried());
    let decided = |fate: &Fate| matches!(fate, Fate::Taken | Fate::Rejected | Fate::Returned(..));
    let some_decided = call.progress.fates.iter().any(decided);
    let timeout = gate.timeout();
    let failed = CallOutcome::Failed { down: true, unreachable: false, after: 0 };
    let (unknown, outcome) = match (&call.progress.ended, &call.end) {
        (Some(failure), _) => {
            (failure.clone(), if failure.of_channel { CallOutcome::Fine } else { failed })
        }
        (None, Err(why @ (Interruption::Unwanted | Interruption::Evicted(_)))) => {
            (Failure::of_connection(why.error(timeout, true)), CallOutcome::Nothing)
        }
        (None, Err(Interruption::TimedOut) | Ok(_)) => {
            let text = format!("timeout: the broker did not confirm it within {timeout:?}");
            let outcome = match call.end {
                Err(_) if !some_decided => CallOutcome::timeout(timeout, true),
                _ => CallOutcome::Fine,
            };
            (Failure::of_connection(text), outcome)
        }
    };
    let unwanted = matches!(call.end, Err(Interruption::Unwanted));
    let parts = parts(call, Some(&unknown)).into_iter();
    let parts = parts.map(|(part, label)| part.attempt(&gate, call.chunk, (metrics, label)));
    let parts: Vec<JobsAttempt> = parts.collect();
    let whole = gate.time().clock().boot().saturating_sub(began);
    let confirmed = call.progress.fates.iter().filter(|fate| decided(fate)).count();
    metrics.confirmed(whole, confirmed as u64);
    let rest = rest(call, &gate);
    gate.finish(began, outcome);
    told(parts, rest, unwanted)
}

/// The reply with these parts. A call is unwanted as a whole only where nothing of it is decided:
/// what was confirmed before its jobs were deleted stays delivered.
fn told(mut parts: Vec<JobsAttempt>, rest: Rest, unwanted: bool) -> Reply {
    let undecided = |part: &JobsAttempt| part.attempt.class != Class::Success;
    if unwanted && rest == Rest::None && parts.len() == 1 && parts.iter().all(undecided) {
        return Reply::Unwanted(parts.remove(0).attempt);
    }
    Reply::PerJob { parts, rest }
}

/// Jobs with the same attempt.
struct Part {
    jobs: Vec<JobId>,
    class: Class,
    judged: Judged,
    code: ResultCode,
    error: Option<String>,
    answered: bool,
    sent: bool,
}

/// The parts of a chunk, each with its label in the metrics; `unknown` is why some are undecided.
fn parts(call: &EndedCall<'_>, unknown: Option<&Failure>) -> Vec<(Part, &'static str)> {
    let retry = Class::Retry { after: None };
    let mut parts: Vec<(Part, &'static str)> = Vec::new();
    for (fate, message) in call.progress.fates.iter().zip(&call.chunk.messages) {
        let (class, judged, code, error, label) = match (fate, unknown) {
            (Fate::Unsent, _) | (Fate::Sent, None) => continue,
            (Fate::Unwritable(error), _) => {
                (Class::Refused, Judged::OneByOne, ResultCode::None, error.to_string(), "refused")
            }
            (Fate::Taken, _) => {
                let (code, text) = (ResultCode::Amqp(0), String::new());
                (Class::Success, Judged::OneByOne, code, text, "confirmed")
            }
            (Fate::Rejected, _) => {
                (retry, Judged::OneByOne, ResultCode::None, REJECTED.to_owned(), "rejected")
            }
            (Fate::Returned(code, said), _) => {
                let text = match *code {
                    NO_ROUTE => UNROUTED.to_owned(),
                    code => format!("the broker returned the message: {code} {said}"),
                };
                (retry, Judged::OneByOne, ResultCode::Amqp(*code), text, "returned")
            }
            (Fate::Sent, Some(why)) if why.of_channel && !is_missing(why) => {
                (Class::Refused, Judged::AsOne, why.code, why.text.clone(), "refused")
            }
            (Fate::Sent, Some(why)) => {
                let label = if is_missing(why) { "exchange" } else { "unconfirmed" };
                (retry, Judged::OneByOne, why.code, why.text.clone(), label)
            }
        };
        let error = Some(error).filter(|error| !error.is_empty());
        let (code, error) = if parts.len() < MOST_PARTS || error.is_none() {
            (code, error)
        } else {
            (ResultCode::None, Some(FURTHER.to_owned()))
        };
        let known = parts.iter_mut().find(|(part, of)| {
            *of == label && part.class == class && part.code == code && part.error == error
        });
        if let Some((part, _)) = known {
            part.jobs.push(message.job);
        } else {
            let answered = !matches!(label, "unconfirmed");
            let sent = !matches!(fate, Fate::Unwritable(_));
            let jobs = vec![message.job];
            parts.push((Part { jobs, class, judged, code, error, answered, sent }, label));
        }
    }
    parts
}

impl Part {
    /// The first jobs of a chunk, at most so many, none of which was sent.
    fn first(most: usize, chunk: &Publish, class: Class, failure: Failure, answered: bool) -> Self {
        Self {
            jobs: chunk.messages.iter().take(most).map(|message| message.job).collect(),
            class,
            judged: Judged::OneByOne,
            code: failure.code,
            error: Some(failure.text),
            answered,
            sent: false,
        }
    }

    /// The attempt of its jobs, which is counted.
    fn attempt(
        self,
        gate: &Gate,
        chunk: &Publish,
        (metrics, label): (&PublishMetrics, &'static str),
    ) -> JobsAttempt {
        metrics.published(&chunk.broker.address(), label, self.jobs.len() as u64);
        let started_boot = gate.check().started().unwrap_or_else(|| gate.tried());
        let duration = gate.time().clock().boot().saturating_sub(started_boot);
        let attempt = Attempt {
            class: self.class,
            code: self.code,
            answered: self.answered,
            started_boot,
            duration_ms: u32::try_from(duration).unwrap_or(u32::MAX),
            sent: self.sent,
            error: self.error,
            judged: self.judged,
            ..Attempt::default()
        };
        JobsAttempt { jobs: self.jobs, attempt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_confirmed_stays_delivered_when_the_jobs_of_a_call_are_deleted() {
        let part = |job, class| JobsAttempt {
            jobs: vec![job],
            attempt: Attempt { class, ..Attempt::default() },
        };
        let unknown = part(1, Class::Retry { after: None });
        let confirmed = part(2, Class::Success);
        let all = vec![confirmed.clone(), unknown.clone()];
        let per_job = |parts, rest| Reply::PerJob { parts, rest };
        assert_eq!(told(all.clone(), Rest::None, true), per_job(all, Rest::None));
        let one = vec![unknown.clone()];
        assert_eq!(told(one.clone(), Rest::None, true), Reply::Unwanted(unknown.attempt));
        assert_eq!(told(one.clone(), Rest::Withheld, true), per_job(one.clone(), Rest::Withheld));
        assert_eq!(told(one.clone(), Rest::None, false), per_job(one, Rest::None));
        let one = vec![confirmed];
        assert_eq!(told(one.clone(), Rest::None, true), per_job(one, Rest::None));
    }
}
