//! The hands of a node: given a ready request, they send it and say what came back.
//!
//! The worker calls [`Executor::call`]; the api asks [`guard::TargetGuard`] about URLs and
//! [`payload::DefinitionText`] about sizes. Nothing here knows of shards, schedules or leases, or keeps
//! anything beyond open connections; nothing is tried again, but once where a kept connection turned
//! out to be closed (`client`).
//!
//! ```text
//!   worker -> payload::Builder -> chunks -\
//!             template::RequestTemplate -> Rendered -\
//!             headers::headers  -----------> Call -> queues (whose turn?) -> before_send? -> receiver
//!                                             |        | breaker, rate                       |
//!   worker <- Refused <-----------------------|--------/                                     |
//!   worker <- reply::{Class, failed_ids} <- Reply <------------------------------------------/
//! ```
//!
//! `before_send` is asked when the connection stands and the first byte is about to be written: it
//! sits in the request's body, which HTTP/1 asks for before it flushes the head. A connection that
//! took ten seconds to open can therefore not carry a request over the end of a lease. (`gate` says
//! how that holds for requests without a body, too.)

pub mod breaker;
pub mod destination;
pub mod destination_queues;
pub mod fair_queue;
pub mod guard;
pub mod headers;
pub mod lookup;
pub mod member_guard;
pub mod payload;
pub mod reply;
pub mod template;
pub mod tls;

mod address_kind;
mod backoffs;
mod breakers;
mod client;
mod connection;
mod connector;
mod deferred_body;
mod destination_limits;
mod egress;
mod hanging_calls;
mod http_date;
mod local_error;
mod meter;
mod pool;
mod request;
mod resolver;
mod response;
#[cfg(test)]
mod tests;
mod token_bucket;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

pub use reply::{Answer, Class, Reply};
pub use response::{MAX_BATCH_BODY, MAX_BODY};

use crate::clock::SchedulerTime;
use crate::config::EgressProxy;
use crate::metrics;
use crate::model::postponement::Obstacle;
use crate::model::{Millis, ProjectId};
use breaker::{CallOutcome, Rules};
use client::Client;
use deferred_body::SendCheck;
use destination::{Destination, DestinationLoad, Occupancy, Outage, PermitRequest, Refusal};
use destination_queues::{CallPermit, DestinationQueues};
use fair_queue::Stage;
use guard::TargetGuard;
use local_error::{LocalError, LocalErrors};
use lookup::{Lookup, SystemLookup};
use member_guard::MemberGuard;
use request::OutgoingRequest;
use response::{Received, room};
use tls::Identity;

/// After this long a call counts as slow: another project that waits may have its worker.
const SLOW: Duration = Duration::from_millis(100);
/// After this long a call counts as hanging: it gives its worker back.
const HANGING: Duration = Duration::from_secs(1);
/// What is said of a call that was ended since nobody wants its answer any more.
const UNWANTED: &str = "ended while it was under way: its job was deleted";

/// How an executor behaves.
#[derive(Clone)]
pub struct Options {
    /// Calls under way at a time: `MaxWorkers`.
    pub max_workers: usize,
    /// The longest wait for a connection; at most the call's own timeout.
    pub connect_timeout: Duration,
    /// The longest time for a call, answer included, unless the call says otherwise:
    /// `JobExecutionTimeout`.
    pub timeout: Duration,
    /// Calls that may be under way beyond those, once they have taken a second (at least 1): no
    /// project has more than half of both together. With fewer than twice `max_workers`, a project
    /// that is alone does not have all workers.
    pub max_hanging: usize,
    /// Connections that are kept for the next request, over all origins.
    pub max_idle: usize,
    /// What any destination bears, whatever a call says: `DestinationConcurrency`,
    /// `DestinationRatePerSecond`.
    pub limits: Limits,
    /// When a destination that fails is left alone: `BreakerFailures`, `BreakerCooldownSeconds`.
    pub breaker: Rules,
    /// Where calls may go.
    pub guard: TargetGuard,
    /// Where calls may not go, whatever `guard` says: to the members' Raft ports.
    pub apart: Arc<MemberGuard>,
    /// How names become addresses.
    pub lookup: Arc<dyn Lookup>,
    /// The proxy that calls leave by: `EgressProxy`.
    pub proxy: Option<EgressProxy>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_workers: 64,
            max_hanging: 1_024,
            max_idle: 128,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            limits: Limits::default(),
            breaker: Rules { failures: 5, cooldown: 5_000 },
            guard: TargetGuard::default(),
            apart: Arc::default(),
            lookup: Arc::<SystemLookup>::default(),
            proxy: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("max_workers", &self.max_workers)
            .field("max_hanging", &self.max_hanging)
            .field("max_idle", &self.max_idle)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("limits", &self.limits)
            .field("breaker", &self.breaker)
            .field("guard", &self.guard)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// What can go wrong before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client could not be made.
    #[error("the HTTP client for callbacks cannot be set up: {0}")]
    Client(String),
}

/// What a target bears, on each node. Calls of a project to one destination with the same limits share
/// them. What the configuration says of every destination holds as well: the lower one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// Calls under way at a time; `None` for no limit of its own.
    pub max_concurrency: Option<u32>,
    /// Calls begun in a second; `None` for no limit of its own.
    pub rate_per_second: Option<u32>,
}

/// Whether a destination takes calls at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It does, as far as this node knows.
    Available,
    /// It keeps failing, or asked to wait.
    Unavailable {
        /// When to ask again, in scheduler time.
        until: Millis,
        /// Which of the two.
        obstacle: Obstacle,
    },
}

/// A destination that keeps failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBreaker {
    /// Scheme, host and port.
    pub destination: String,
    /// Since when nothing but probes goes there, in scheduler time.
    pub since: Millis,
    /// Failures in a row.
    pub failures: u32,
    /// When the next probe may go out, in scheduler time.
    pub next_probe: Millis,
}

/// Why there is no answer.
enum SendError {
    /// Something about the call itself: it was not tried.
    Here(String),
    /// Something that this node lacks: it was not tried.
    Lacking(LocalError),
    /// There is no connection: nobody listens there, or whoever does is not the one it should be.
    Unreachable(String),
    /// The connection or the receiver, or there was none in time.
    There(String),
}

/// Asked right before the first byte of a request, each time that it goes out: once, or twice where a
/// kept connection turned out to be closed. False keeps it back.
pub type BeforeSend = Box<dyn FnMut() -> bool + Send>;

/// Ready when nobody wants the answer to a call any more. Made once a call hangs.
pub type Unwanted = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A ready request.
pub struct Call {
    /// `POST` unless the target says otherwise.
    pub method: Method,
    /// Where to: `http` or `https`.
    pub url: Arc<str>,
    /// The same, where it is parsed already.
    pub parsed: Option<Url>,
    /// What [`headers::headers`] made, and the signature.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A payload chunk, or what was rendered; empty for none.
    pub body: Bytes,
    /// The project of its jobs: a destination may ask one of them to wait.
    pub project: ProjectId,
    /// It goes out although its destination keeps failing.
    pub probe: bool,
    /// What the target bears.
    pub limits: Limits,
    /// Overrides the executor's timeout.
    pub timeout: Option<Duration>,
    /// The statuses that count as success; empty means 2xx.
    pub success_codes: Arc<[u16]>,
    /// It is for several jobs: its answer may name some of them, so all of it is wanted.
    pub batch: bool,
    /// The target's own TLS; `None` for that of the machine.
    pub tls: Option<Arc<Identity>>,
    /// The last word: the lease check.
    pub before_send: BeforeSend,
    /// Ends it once it hangs: its jobs are gone.
    pub unwanted: Option<Unwanted>,
}

impl Call {
    /// A POST with the executor's own timeout, for which a 2xx is a success.
    pub fn new(
        url: Arc<str>,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        before_send: impl FnMut() -> bool + Send + 'static,
    ) -> Self {
        Self {
            method: Method::POST,
            url,
            parsed: None,
            headers,
            body,
            project: 0,
            probe: false,
            limits: Limits::default(),
            timeout: None,
            success_codes: Arc::default(),
            batch: false,
            tls: None,
            before_send: Box::new(before_send),
            unwanted: None,
        }
    }
}

/// Sends requests; cloning gives another handle to the same connections and places.
#[derive(Clone)]
pub struct Executor {
    client: Arc<Client>,
    local_errors: Arc<LocalErrors>,
    queues: DestinationQueues,
    options: Arc<Options>,
    time: Arc<SchedulerTime>,
}

impl Executor {
    /// Opens for business; nothing is connected yet.
    pub fn new(options: Options, time: Arc<SchedulerTime>) -> Result<Self, Error> {
        let options = Arc::new(options);
        let client = Client::new(&options, time.clock().clone()).map_err(Error::Client)?;
        let queues = DestinationQueues::new(&options, time.clock().clone());
        Ok(Self { client: Arc::new(client), local_errors: Arc::default(), queues, options, time })
    }

    /// Waits for a place and sends the call. Dropping the future gives up the call.
    pub async fn call(&self, mut call: Call) -> Reply {
        let url = match self.target(&mut call) {
            Err(reply) => return reply,
            Ok(url) => url,
        };
        let Call { limits, project, probe, .. } = call;
        let wish = PermitRequest { path: path(&url), limits, project, probe };
        match self.queues.acquire(&Destination::of(&url), wish).await {
            Ok(turn) => self.run(url, turn, call).await,
            Err(Refusal { until, obstacle }) => Reply::Refused { until: self.at(until), obstacle },
        }
    }

    /// How many calls to one destination are under way at a time; more of them wait.
    pub fn at_most(&self) -> usize {
        self.queues.flow_limit()
    }

    /// Whether the destination of a URL takes calls of a project: asked before a request is written
    /// for it. The answer is about this moment; the call itself is asked again.
    pub fn availability(&self, url: &str, project: ProjectId) -> Availability {
        let Ok(url) = Url::parse(url) else { return Availability::Available };
        match self.queues.refusal(&Destination::of(&url), path(&url), project) {
            None => Availability::Available,
            Some(Refusal { until, obstacle }) => {
                Availability::Unavailable { until: self.at(until), obstacle }
            }
        }
    }

    /// The destinations that take nothing at the moment.
    pub fn open_breakers(&self) -> Vec<OpenBreaker> {
        let failing = |shut: Outage| OpenBreaker {
            destination: shut.destination.as_str().to_owned(),
            since: self.at(shut.since),
            failures: shut.failures,
            next_probe: self.at(shut.probe_at),
        };
        self.queues.outages().into_iter().map(failing).collect()
    }

    /// The scheduler time of an instant of the boot clock.
    fn at(&self, boot: u64) -> Millis {
        self.time.now() + boot.cast_signed() - self.time.clock().boot().cast_signed()
    }

    /// How busy each destination is.
    pub fn load(&self) -> Vec<DestinationLoad> {
        self.queues.load()
    }

    /// How its calls stand, for `/metrics`.
    pub fn calls(&self) -> metrics::Calls {
        let mut destinations: BTreeMap<String, metrics::Destination> = BTreeMap::new();
        let mut of = |destination: Destination, set: &dyn Fn(&mut metrics::Destination)| {
            let name = destination.as_str().to_owned();
            let new = || metrics::Destination { name: name.clone(), ..Default::default() };
            set(destinations.entry(name.clone()).or_insert_with(new));
        };
        for load in self.queues.load() {
            of(load.destination, &|d| {
                d.in_flight = load.in_flight as u64;
                d.waiting = load.queued as u64;
            });
        }
        for shut in self.queues.outages() {
            of(shut.destination, &|d| d.open = true);
        }
        for (destination, projects) in self.queues.backoffs() {
            of(destination, &|d| d.paused = projects as u64);
        }
        let destinations = destinations.into_values().collect();
        let (refused, own_errors) = (self.queues.refused(), self.local_errors.counts());
        let Occupancy { hanging, capacity, over_share } = self.queues.occupancy();
        metrics::Calls {
            destinations,
            refused,
            own_errors,
            hanging: hanging as u64,
            capacity: capacity as u64,
            over_share: over_share.is_some(),
        }
    }

    /// How the calls of all projects share what there is.
    pub fn occupancy(&self) -> Occupancy {
        self.queues.occupancy()
    }

    /// The URL, if it may be called: addresses written in it never pass through the resolver.
    fn target(&self, call: &mut Call) -> Result<Url, Reply> {
        let parse = || Url::parse(&call.url).map_err(|e| guard::Error::Invalid(e.to_string()));
        let parsed = call.parsed.take().map_or_else(parse, Ok);
        parsed.and_then(|url| self.options.guard.check(&url).map(|()| url)).map_err(|e| {
            Reply::Done(Answer {
                started_boot: self.time.clock().boot(),
                error: Some(e.to_string()),
                ..Answer::default()
            })
        })
    }

    async fn run(&self, url: Url, mut turn: CallPermit, call: Call) -> Reply {
        let tried = self.time.clock().boot();
        let timeout = call.timeout.unwrap_or(self.options.timeout);
        let codes = Arc::clone(&call.success_codes);
        let room = room(call.batch, call.body.len());
        let (tls, unwanted) = (call.tls, call.unwanted);
        let passage = SendCheck::new(call.before_send, self.time.clock().clone());
        let outgoing = OutgoingRequest {
            method: call.method,
            url,
            headers: call.headers,
            body: call.body,
            project: call.project,
            passage: Arc::clone(&passage),
        };
        let (mut received, mut is_unwanted, mut is_displaced) = (None, false, false);
        let asked = {
            let mut asking = std::pin::pin!(async {
                let _admitted = if egress::is_checked(&self.options, &outgoing.url, tried) {
                    egress::admit(&self.options, (&outgoing.url, outgoing.project), tried).await?
                } else {
                    None
                };
                let longest = response::longest(room);
                let head = self.client.send(&outgoing, tls.as_ref(), longest).await?;
                response::read(head, room, self.time.now(), &mut received).await;
                Ok::<_, SendError>(())
            });
            // Most calls are over by the first of these, and set no other timer.
            let mut asked = tokio::time::timeout(timeout.min(SLOW), &mut asking).await;
            if asked.is_err() && timeout > SLOW {
                turn.advance(Stage::Slow);
                let rest = timeout.min(HANGING).saturating_sub(SLOW);
                asked = tokio::time::timeout(rest, &mut asking).await;
            }
            let left = timeout.saturating_sub(HANGING);
            if asked.is_err() && !left.is_zero() {
                turn.advance(Stage::Hanging);
                let unwanted = async {
                    match unwanted {
                        Some(unwanted) => unwanted().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    asked = tokio::time::timeout(left, asking) => asked,
                    () = unwanted => {
                        is_unwanted = true;
                        // Nothing of an answer is kept that nobody wants.
                        Ok(Err(SendError::Here(UNWANTED.to_owned())))
                    }
                    () = turn.ended() => {
                        is_displaced = true;
                        Ok(Err(SendError::Here(displaced(self.since(tried)))))
                    }
                }
            } else {
                asked
            }
        };
        if passage.withheld() {
            return Reply::Withheld;
        }
        let sent = passage.started();
        let started_boot = sent.unwrap_or(tried);
        let mut answer = Answer {
            started_boot,
            duration_ms: u32::try_from(self.time.clock().boot().saturating_sub(started_boot))
                .unwrap_or(u32::MAX),
            sent: sent.is_some(),
            ..Answer::default()
        };
        if is_unwanted && received.is_none() {
            answer.error = Some(UNWANTED.to_owned());
            turn.over(answer.started_boot, CallOutcome::Nothing);
            return if answer.sent { Reply::Unwanted(answer) } else { Reply::Withheld };
        }
        let mut outcome = None;
        match (received, asked) {
            // The status is the receiver's word, also where the body is late or broken.
            (Some(received), _) => {
                let given = if is_displaced { self.since(tried) } else { timeout };
                answer.take(received, given, &codes);
            }
            (None, Ok(Err(SendError::Lacking(own)))) => return self.lacking(own, turn, tried),
            (None, Ok(Err(SendError::Unreachable(why)))) => {
                // With a TLS of its own it may be the call's own fault.
                let unreachable = sent.is_none() && tls.is_none();
                outcome = Some(CallOutcome::Failed { down: sent.is_none(), unreachable, after: 0 });
                answer.error = Some(why);
            }
            (None, Ok(Err(SendError::Here(why) | SendError::There(why)))) => {
                answer.error = Some(why)
            }
            (None, _) => {
                outcome = Some(CallOutcome::timeout(timeout, sent.is_some()));
                answer.error = Some(timed_out(timeout, sent.is_some()));
            }
        }
        if is_displaced && answer.status == 0 {
            // It says nothing of the destination: there was time left.
            outcome = Some(CallOutcome::Nothing);
        }
        let outcome = outcome.unwrap_or_else(|| CallOutcome::of(&answer, &codes));
        turn.over(answer.started_boot, outcome);
        Reply::Done(answer)
    }

    /// How long it is since an instant of the boot clock.
    fn since(&self, boot: u64) -> Duration {
        Duration::from_millis(self.time.clock().boot().saturating_sub(boot))
    }

    /// What comes of a call that this node could not make.
    fn lacking(&self, own: LocalError, turn: CallPermit, tried: u64) -> Reply {
        self.local_errors.note(own, tried);
        // The name servers of one domain may be all that is down. Each call waits for them and holds a
        // place meanwhile, so the breaker counts them, though they are no attempts.
        let outcome = match own {
            LocalError::Resolver => {
                CallOutcome::Failed { down: true, unreachable: false, after: 0 }
            }
            _ => CallOutcome::Nothing,
        };
        turn.over(tried, outcome);
        let obstacle = Obstacle::Node(own.words().to_owned());
        Reply::Refused { until: self.time.now(), obstacle }
    }
}

impl Answer {
    /// Takes over what was received.
    fn take(&mut self, received: Received, timeout: Duration, codes: &[u16]) {
        self.status = received.status;
        self.retry_after = received.retry_after;
        self.accepted_async = received.status == 202 && received.promised;
        (self.body, self.flaw) = received.finish(timeout);
        if self.class_by(codes) != Class::Success {
            self.error = Some(reply::complaint(self.status, &self.body));
        }
    }
}

/// A URL's path as the breakers know it.
fn path(url: &Url) -> u64 {
    let mut hash = DefaultHasher::new();
    url.path().hash(&mut hash);
    hash.finish()
}

fn timed_out(timeout: Duration, sent: bool) -> String {
    let what = if sent { "no complete answer" } else { "no connection" };
    format!("timeout: {what} within {timeout:?}")
}

/// What is said of a call that was ended since others needed its place.
fn displaced(after: Duration) -> String {
    let seconds = after.as_secs();
    format!("timeout: ended after {seconds} s: the node's places for hanging calls are full")
}
