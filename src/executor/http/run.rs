//! The run of a call that has its permit: the request is sent, its answer is read, and both become
//! a reply. `send` calls it. It tells the gate the outcome of the call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::batch_answer::acceptance;
use super::prepared::HttpRequest;
use super::request::OutgoingRequest;
use super::response::{Received, room};
use super::send_error::SendError;
use super::status::{class, complaint, is_answered, outcome};
use crate::delivery::attempt::{Attempt, Class};
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::gate::Gate;
use crate::delivery::interruption::Interruption;
use crate::delivery::reply::Reply;
use crate::model::result_code::ResultCode;

/// A success, as the request that was sent decides what it means.
struct Success<'a> {
    /// The statuses that count as success; empty means 2xx.
    codes: &'a [u16],
    /// Whether the answer may name jobs that failed.
    batch: bool,
}

/// Carries out a call.
pub(super) async fn run(prepared: HttpRequest, mut gate: Gate) -> Reply {
    let HttpRequest { parts, method, url, headers, body, batch, success_codes, tls, allowed } =
        prepared;
    let (tried, timeout) = (gate.tried(), gate.timeout());
    let url = match url {
        Ok(url) => url,
        Err(error) => {
            gate.finish(tried, CallOutcome::Nothing);
            let error = Some(error.to_string());
            return Reply::Done(Attempt { started_boot: tried, error, ..Attempt::default() });
        }
    };
    let room = room(batch, body.len());
    let check = Arc::clone(gate.check());
    let project = gate.project();
    let guard = parts.options.guard.for_project(allowed.as_ref());
    let request =
        OutgoingRequest { method, url, headers, body, project, guard, check: Arc::clone(&check) };
    let time = Arc::clone(gate.time());
    let mut received = None;
    let sending = async {
        parts.runner.send(&request, tls.as_ref(), room, (tried, &time), &mut received).await
    };
    let end = gate.run(sending).await;
    if check.withheld() {
        return Reply::Withheld;
    }
    let sent = check.started();
    let started_boot = sent.unwrap_or(tried);
    let mut attempt = Attempt {
        started_boot,
        duration_ms: u32::try_from(time.clock().boot().saturating_sub(started_boot))
            .unwrap_or(u32::MAX),
        sent: sent.is_some(),
        ..Attempt::default()
    };
    let mut verdict = None;
    match (received, end) {
        // The status counts, also where the body is late or broken.
        (Some(received), end) => {
            let given = if let Err(Interruption::Evicted(after)) = end { after } else { timeout };
            take(&mut attempt, received, given, &Success { codes: &success_codes, batch });
        }
        (None, Err(Interruption::Unwanted)) => {
            attempt.error = Some(Interruption::Unwanted.error(timeout, attempt.sent));
            gate.finish(attempt.started_boot, CallOutcome::Nothing);
            return if attempt.sent { Reply::Unwanted(attempt) } else { Reply::Withheld };
        }
        (None, Ok(Err(SendError::Local(error)))) => return parts.runner.refuse(error, gate),
        (None, Ok(Err(SendError::Unreachable(why)))) => {
            // With a TLS of its own it may be the fault of the call.
            let unreachable = sent.is_none() && tls.is_none();
            verdict = Some(CallOutcome::Failed { down: sent.is_none(), unreachable, after: 0 });
            attempt.error = Some(why);
        }
        (None, Ok(Err(SendError::NotAllowed(why)))) => {
            verdict = Some(CallOutcome::Nothing);
            attempt.error = Some(why);
        }
        (None, Ok(Err(SendError::NotSent(why) | SendError::Receiver(why)))) => {
            attempt.error = Some(why);
        }
        (None, Err(why @ Interruption::Evicted(_))) => {
            // This says nothing about the destination: there was time left.
            verdict = Some(CallOutcome::Nothing);
            attempt.error = Some(why.error(timeout, attempt.sent));
        }
        (None, Ok(Ok(())) | Err(Interruption::TimedOut)) => {
            verdict = Some(CallOutcome::timeout(timeout, sent.is_some()));
            attempt.error = Some(Interruption::TimedOut.error(timeout, sent.is_some()));
        }
    }
    let verdict = verdict.unwrap_or_else(|| outcome(&attempt));
    gate.finish(attempt.started_boot, verdict);
    Reply::Done(attempt)
}

/// Takes over what was received.
fn take(attempt: &mut Attempt, received: Received, timeout: Duration, success: &Success<'_>) {
    let (status, is_hidden) = (received.status, received.is_hidden);
    attempt.code = ResultCode::http(status);
    attempt.class = class(status, received.retry_after, success.codes);
    attempt.answered = is_answered(status);
    attempt.accepted_async = status == 202 && received.accepted_async;
    let flaw;
    (attempt.body, flaw) = received.into_body(timeout);
    if attempt.class != Class::Success {
        let told: &[u8] = if is_hidden { &[] } else { &attempt.body };
        attempt.error = Some(complaint(status, told));
    } else if success.batch {
        attempt.acceptance = acceptance(status, &attempt.body, flaw);
    }
    if is_hidden {
        // The answer of an internal host counts, and nobody reads it.
        attempt.body = Bytes::new();
    }
}
