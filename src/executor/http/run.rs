//! The run of a call that has its permit: the request is sent, its answer is read, and both become
//! a reply. `executor` calls it. It tells the permit how far the call has come, and its outcome.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::call::Call;
use super::client::Client;
use super::egress;
use super::local_error::{LocalError, LocalErrors};
use super::options::{Error, Options};
use super::request::OutgoingRequest;
use super::response::{self, Received, room};
use super::send_error::SendError;
use super::status::{class, complaint, is_answered, outcome};
use super::tls::Identity;
use crate::clock::SchedulerTime;
use crate::delivery::attempt::{Attempt, Class};
use crate::delivery::call_checks::{SendCheck, Unwanted};
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::destination_queues::CallPermit;
use crate::delivery::fair_queue::Stage;
use crate::delivery::reply::Reply;
use crate::model::postponement::Obstacle;

/// A call counts as slow after this time: another project that waits may have its worker.
const SLOW: Duration = Duration::from_millis(100);
/// A call counts as hanging after this time: it gives its worker back.
const HANGING: Duration = Duration::from_secs(1);
/// The error of a call that was ended because its job was deleted.
pub(super) const UNWANTED: &str = "ended while it was under way: its job was deleted";

/// Carries out calls.
pub(super) struct Runner {
    client: Client,
    local_errors: LocalErrors,
    options: Arc<Options>,
    time: Arc<SchedulerTime>,
}

/// The end of the exchange of a request and its answer.
enum End {
    /// The answer was read, as far as it is read.
    Answered,
    /// There is no answer.
    Failed(SendError),
    /// The time of the call was up.
    TimedOut,
    /// The jobs of the call were deleted.
    Unwanted,
    /// Other calls needed the place of the call, after this time.
    Evicted(Duration),
}

/// The parts of a call that its exchange needs.
struct Exchange<'a> {
    request: &'a OutgoingRequest,
    tls: Option<&'a Arc<Identity>>,
    /// The length of the body that is kept.
    room: usize,
    timeout: Duration,
    unwanted: Option<Unwanted>,
    /// The instant at which the call was tried, in boot-clock milliseconds.
    tried: u64,
}

impl Runner {
    pub(super) fn new(options: &Arc<Options>, time: &Arc<SchedulerTime>) -> Result<Self, Error> {
        let client = Client::new(options, time.clock().clone()).map_err(Error::Client)?;
        let (options, time) = (Arc::clone(options), Arc::clone(time));
        Ok(Self { client, local_errors: LocalErrors::default(), options, time })
    }

    /// The number of local errors of each kind, by name.
    pub(super) fn local_errors(&self) -> Vec<(&'static str, u64)> {
        self.local_errors.counts()
    }

    /// Carries out a call.
    pub(super) async fn run(&self, url: Url, mut permit: CallPermit, call: Call) -> Reply {
        let tried = self.time.clock().boot();
        let timeout = call.timeout.unwrap_or(self.options.timeout);
        let codes = Arc::clone(&call.success_codes);
        let check = SendCheck::new(call.before_send, self.time.clock().clone());
        let room = room(call.batch, call.body.len());
        let request = OutgoingRequest {
            method: call.method,
            url,
            headers: call.headers,
            body: call.body,
            project: call.project,
            check: Arc::clone(&check),
        };
        let exchange = Exchange {
            request: &request,
            tls: call.tls.as_ref(),
            room,
            timeout,
            unwanted: call.unwanted,
            tried,
        };
        let mut received = None;
        let end = self.exchange(exchange, &mut permit, &mut received).await;
        if check.withheld() {
            return Reply::Withheld;
        }
        let sent = check.started();
        let started_boot = sent.unwrap_or(tried);
        let mut attempt = Attempt {
            started_boot,
            duration_ms: u32::try_from(self.time.clock().boot().saturating_sub(started_boot))
                .unwrap_or(u32::MAX),
            sent: sent.is_some(),
            ..Attempt::default()
        };
        let mut verdict = None;
        match (received, end) {
            // The status counts, also where the body is late or broken.
            (Some(received), end) => {
                let given = if let End::Evicted(after) = end { after } else { timeout };
                take(&mut attempt, received, given, &codes);
            }
            (None, End::Unwanted) => {
                attempt.error = Some(UNWANTED.to_owned());
                permit.finish(attempt.started_boot, CallOutcome::Nothing);
                return if attempt.sent { Reply::Unwanted(attempt) } else { Reply::Withheld };
            }
            (None, End::Failed(SendError::Local(error))) => {
                return self.refuse(error, permit, tried);
            }
            (None, End::Failed(SendError::Unreachable(why))) => {
                // With a TLS of its own it may be the fault of the call.
                let unreachable = sent.is_none() && call.tls.is_none();
                verdict = Some(CallOutcome::Failed { down: sent.is_none(), unreachable, after: 0 });
                attempt.error = Some(why);
            }
            (None, End::Failed(SendError::NotSent(why) | SendError::Receiver(why))) => {
                attempt.error = Some(why);
            }
            (None, End::Evicted(after)) => {
                // This says nothing about the destination: there was time left.
                verdict = Some(CallOutcome::Nothing);
                attempt.error = Some(evicted(after));
            }
            (None, End::Answered | End::TimedOut) => {
                verdict = Some(CallOutcome::timeout(timeout, sent.is_some()));
                attempt.error = Some(timed_out(timeout, sent.is_some()));
            }
        }
        let verdict = verdict.unwrap_or_else(|| outcome(&attempt));
        permit.finish(attempt.started_boot, verdict);
        Reply::Done(attempt)
    }

    /// Sends the request and reads its answer into `received`, up to the end of the call.
    async fn exchange(
        &self,
        exchange: Exchange<'_>,
        permit: &mut CallPermit,
        received: &mut Option<Received>,
    ) -> End {
        let Exchange { request, tls, room, timeout, unwanted, tried } = exchange;
        let mut sending = std::pin::pin!(self.send(request, tls, room, tried, received));
        // Most calls are over by the first of these, and set no other timer.
        let mut done = tokio::time::timeout(timeout.min(SLOW), &mut sending).await;
        if done.is_err() && timeout > SLOW {
            permit.advance(Stage::Slow);
            let rest = timeout.min(HANGING).saturating_sub(SLOW);
            done = tokio::time::timeout(rest, &mut sending).await;
        }
        let left = timeout.saturating_sub(HANGING);
        if done.is_err() && !left.is_zero() {
            permit.advance(Stage::Hanging);
            let unwanted = async {
                match unwanted {
                    Some(unwanted) => unwanted().await,
                    None => std::future::pending().await,
                }
            };
            done = tokio::select! {
                done = tokio::time::timeout(left, sending) => done,
                () = unwanted => return End::Unwanted,
                () = permit.evicted() => return End::Evicted(self.since(tried)),
            };
        }
        match done {
            Ok(Ok(())) => End::Answered,
            Ok(Err(error)) => End::Failed(error),
            Err(_) => End::TimedOut,
        }
    }

    async fn send(
        &self,
        request: &OutgoingRequest,
        tls: Option<&Arc<Identity>>,
        room: usize,
        tried: u64,
        received: &mut Option<Received>,
    ) -> Result<(), SendError> {
        // Held until the call is over.
        let _exclusion = if egress::is_checked(&self.options, &request.url, tried) {
            egress::admit(&self.options, (&request.url, request.project), tried).await?
        } else {
            None
        };
        let response = self.client.send(request, tls, response::longest(room)).await?;
        response::read(response, room, self.time.now(), received).await;
        Ok(())
    }

    /// The time since an instant of the boot clock.
    fn since(&self, boot: u64) -> Duration {
        Duration::from_millis(self.time.clock().boot().saturating_sub(boot))
    }

    /// The reply to a call that this node could not make.
    fn refuse(&self, error: LocalError, permit: CallPermit, tried: u64) -> Reply {
        self.local_errors.note(error, tried);
        // Perhaps only the name servers of one domain are down. Each call waits for them and holds
        // a place meanwhile, so the breaker counts these calls, though they are no attempts.
        let outcome = match error {
            LocalError::Resolver => {
                CallOutcome::Failed { down: true, unreachable: false, after: 0 }
            }
            _ => CallOutcome::Nothing,
        };
        permit.finish(tried, outcome);
        let obstacle = Obstacle::Node(error.text().to_owned());
        Reply::Refused { until: self.time.now(), obstacle }
    }
}

/// Takes over what was received.
fn take(attempt: &mut Attempt, received: Received, timeout: Duration, codes: &[u16]) {
    let status = received.status;
    attempt.code = status;
    attempt.class = class(status, received.retry_after, codes);
    attempt.answered = is_answered(status);
    attempt.accepted_async = status == 202 && received.accepted_async;
    (attempt.body, attempt.flaw) = received.into_body(timeout);
    if attempt.class != Class::Success {
        attempt.error = Some(complaint(status, &attempt.body));
    }
}

fn timed_out(timeout: Duration, sent: bool) -> String {
    let what = if sent { "no complete answer" } else { "no connection" };
    format!("timeout: {what} within {timeout:?}")
}

/// The error of a call that was ended because others needed its place.
fn evicted(after: Duration) -> String {
    let seconds = after.as_secs();
    format!("timeout: ended after {seconds} s: the node's places for hanging calls are full")
}
