//! The hands of a node: given a ready request, they send it and say what came back.
//!
//! The worker calls [`Executor::call`]; the api asks [`guard::TargetGuard`] about URLs and
//! [`payload::ShapeText`] about sizes. Nothing here knows of shards, schedules or leases, retries
//! anything, or keeps anything beyond open connections.
//!
//! ```text
//!   worker -> payload::Builder -> chunks -\
//!             target::Template -> Rendered -\
//!             headers::headers  -----------> Call -> lanes (whose turn?) -> before_send? -> receiver
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
pub mod guard;
pub mod headers;
pub mod lanes;
pub mod payload;
pub mod reply;
pub mod target;

mod client;
mod gate;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};
use url::Url;

pub use reply::{Answer, Class, Reply};

use crate::clock::SchedulerTime;
use crate::metrics;
use crate::model::Millis;
use breaker::{Outcome, Rules};
use client::{chain, client, failure};
use gate::{Asking, Passage};
use guard::{Lookup, SystemLookup, TargetGuard};
use lanes::{Destination, Lanes, Load, Turn};

/// How much of an answer's body is kept at least; the length of the request's if that is more, as
/// the answer may name any of the jobs in it.
pub const MAX_BODY: usize = 64 * 1024;
/// How much more is read and dropped to keep the connection alive; beyond, it is closed.
const DRAIN: usize = 256 * 1024;
/// After this long a call counts as hanging, and no longer takes a place from other destinations.
const HANGING: Duration = Duration::from_secs(1);
/// Idle connections are closed after this long: before the five seconds after which many receivers
/// (Node's default among them) close them, perhaps just as a request is on its way.
const IDLE: Duration = Duration::from_secs(4);

/// With a 202, `true` says that the receiver goes on working and reports later.
const ASYNC: HeaderName = HeaderName::from_static("scheduler-async");

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
    /// What destinations bear, unless a call says otherwise: `DestinationConcurrency`,
    /// `DestinationRatePerSecond`.
    pub limits: Limits,
    /// When a destination that fails is left alone: `BreakerFailures`, `BreakerCooldownSeconds`.
    pub breaker: Rules,
    /// Where calls may go.
    pub guard: TargetGuard,
    /// How names become addresses.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_workers: 64,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            limits: Limits::default(),
            breaker: Rules { failures: 5, cooldown: 5_000 },
            guard: TargetGuard::default(),
            lookup: Arc::new(SystemLookup),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("max_workers", &self.max_workers)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("limits", &self.limits)
            .field("breaker", &self.breaker)
            .field("guard", &self.guard)
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

/// What a target bears beyond what the configuration says of every destination, on each node. Calls
/// to one destination with the same limits share them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// Calls under way at a time; `None` for what the configuration says.
    pub max_concurrency: Option<u32>,
    /// Calls begun in a second; `None` for what the configuration says.
    pub rate_per_second: Option<u32>,
}

/// Whether a destination takes calls at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It does, as far as this node knows.
    Open,
    /// It keeps failing.
    Closed {
        /// When to ask again, in scheduler time.
        until: Millis,
    },
}

/// A destination that keeps failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Scheme, host and port.
    pub destination: String,
    /// Since when nothing but probes goes there, in scheduler time.
    pub since: Millis,
    /// Failures in a row.
    pub failures: u32,
    /// When the next probe may go out, in scheduler time.
    pub next_probe: Millis,
}

/// Asked once, right before the first byte of a request; false keeps it back.
pub type BeforeSend = Box<dyn FnOnce() -> bool + Send>;

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
    /// What the target bears.
    pub limits: Limits,
    /// Overrides the executor's timeout.
    pub timeout: Option<Duration>,
    /// The statuses that count as success; empty means 2xx.
    pub success_codes: Arc<[u16]>,
    /// The last word: the lease check.
    pub before_send: BeforeSend,
}

impl Call {
    /// A POST with the executor's own timeout, for which a 2xx is a success.
    pub fn new(
        url: Arc<str>,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        before_send: impl FnOnce() -> bool + Send + 'static,
    ) -> Self {
        Self {
            method: Method::POST,
            url,
            parsed: None,
            headers,
            body,
            limits: Limits::default(),
            timeout: None,
            success_codes: Arc::default(),
            before_send: Box::new(before_send),
        }
    }
}

/// Sends requests; cloning gives another handle to the same connections and places.
#[derive(Clone)]
pub struct Executor {
    client: Client,
    lanes: Lanes,
    options: Arc<Options>,
    time: Arc<SchedulerTime>,
}

impl Executor {
    /// Opens for business; nothing is connected yet.
    pub fn new(options: Options, time: Arc<SchedulerTime>) -> Result<Self, Error> {
        let client = client(&options).map_err(|e| Error::Client(chain(&e)))?;
        let lanes = Lanes::new(&options, time.clock().clone());
        Ok(Self { client, lanes, options: Arc::new(options), time })
    }

    /// Waits for a place and sends the call. Dropping the future gives up the call.
    pub async fn call(&self, mut call: Call) -> Reply {
        let url = match self.target(&mut call) {
            Err(reply) => return reply,
            Ok(url) => url,
        };
        match self.lanes.turn(&Destination::of(&url), path(&url), call.limits).await {
            Ok(turn) => self.run(url, turn, call).await,
            Err(until) => Reply::Refused { until: self.at(until) },
        }
    }

    /// How many calls to one destination are under way at a time; more of them wait.
    pub fn at_most(&self) -> usize {
        self.lanes.share()
    }

    /// Whether the destination of a URL takes calls: asked before a request is written for it. The
    /// answer is about this moment; the call itself is asked again.
    pub fn gate(&self, url: &str) -> Gate {
        let Ok(url) = Url::parse(url) else { return Gate::Open };
        match self.lanes.shut_until(&Destination::of(&url), path(&url)) {
            None => Gate::Open,
            Some(until) => Gate::Closed { until: self.at(until) },
        }
    }

    /// The destinations that take nothing at the moment.
    pub fn failing(&self) -> Vec<Failing> {
        let failing = |shut: lanes::Shut| Failing {
            destination: shut.destination.as_str().to_owned(),
            since: self.at(shut.since),
            failures: shut.failures,
            next_probe: self.at(shut.probe_at),
        };
        self.lanes.shut().into_iter().map(failing).collect()
    }

    /// The scheduler time of an instant of the boot clock.
    fn at(&self, boot: u64) -> Millis {
        self.time.now() + boot.cast_signed() - self.time.clock().boot().cast_signed()
    }

    /// How busy each destination is.
    pub fn load(&self) -> Vec<Load> {
        self.lanes.load()
    }

    /// How its calls stand, for `/metrics`.
    pub fn calls(&self) -> metrics::Calls {
        let mut destinations: BTreeMap<String, metrics::Destination> = BTreeMap::new();
        let mut of = |destination: Destination, set: &dyn Fn(&mut metrics::Destination)| {
            let name = destination.as_str().to_owned();
            let new = || metrics::Destination { name: name.clone(), ..Default::default() };
            set(destinations.entry(name.clone()).or_insert_with(new));
        };
        for load in self.lanes.load() {
            of(load.destination, &|d| {
                d.in_flight = load.in_flight as u64;
                d.waiting = load.queued as u64;
            });
        }
        for shut in self.lanes.shut() {
            of(shut.destination, &|d| d.open = true);
        }
        let destinations = destinations.into_values().collect();
        metrics::Calls { destinations, refused: self.lanes.refused() }
    }

    /// The URL, if it may be called: addresses written in it never pass through the resolver.
    fn target(&self, call: &mut Call) -> Result<Url, Reply> {
        let parse = || Url::parse(&call.url).map_err(|e| guard::Error::Invalid(e.to_string()));
        let parsed = call.parsed.take().map_or_else(parse, Ok);
        parsed.and_then(|url| self.options.guard.check(&url).map(|()| url)).map_err(|e| {
            Reply::Done(Answer {
                status: 0,
                retry_after: None,
                started_boot: self.time.clock().boot(),
                duration_ms: 0,
                sent: false,
                error: Some(e.to_string()),
                accepted_async: false,
                body: Bytes::new(),
            })
        })
    }

    async fn run(&self, url: Url, mut turn: Turn, call: Call) -> Reply {
        let tried = self.time.clock().boot();
        let timeout = call.timeout.unwrap_or(self.options.timeout);
        let codes = Arc::clone(&call.success_codes);
        let keep = MAX_BODY.max(call.body.len());
        let (request, passage) = self.request(url, call);
        let mut asking = std::pin::pin!(async {
            let response = self.client.execute(request).await?;
            Ok::<_, reqwest::Error>(self.read(response, keep).await)
        });
        // Most calls are over by the first of these, and set no other timer.
        let mut asked = tokio::time::timeout(timeout.min(HANGING), &mut asking).await;
        let left = timeout.saturating_sub(HANGING);
        if asked.is_err() && !left.is_zero() {
            turn.overtime();
            asked = tokio::time::timeout(left, asking).await;
        }
        if passage.withheld() {
            return Reply::Withheld;
        }
        let sent = passage.started();
        let started_boot = sent.unwrap_or(tried);
        let mut answer = Answer {
            status: 0,
            retry_after: None,
            started_boot,
            duration_ms: u32::try_from(self.time.clock().boot().saturating_sub(started_boot))
                .unwrap_or(u32::MAX),
            sent: sent.is_some(),
            error: None,
            accepted_async: false,
            body: Bytes::new(),
        };
        match asked {
            Err(_) => answer.error = Some(timed_out(timeout, sent.is_some())),
            Ok(Err(e)) => answer.error = Some(failure(e)),
            Ok(Ok(read)) => {
                answer.status = read.status;
                answer.retry_after = read.retry_after;
                answer.accepted_async = read.status == 202 && read.promised;
                if answer.class_by(&codes) != Class::Success {
                    answer.error = Some(reply::complaint(read.status, &read.body));
                }
                answer.body = read.body;
            }
        }
        turn.over(answer.started_boot, Outcome::of(&answer, &codes));
        Reply::Done(answer)
    }

    /// The request of a call, and what tells whether it went out.
    fn request(&self, url: Url, call: Call) -> (reqwest::Request, Passage) {
        // Such a request has a length, even if it is 0.
        let lengthy = matches!(call.method, Method::POST | Method::PUT | Method::PATCH);
        let (body, passage) =
            Asking::new(call.body, lengthy, call.before_send, self.time.clock().clone());
        let mut request = reqwest::Request::new(call.method, url);
        // Room for those that the client adds, too.
        let mut lines = HeaderMap::with_capacity(call.headers.len() + 4);
        lines.extend(call.headers);
        *request.headers_mut() = lines;
        *request.body_mut() = Some(reqwest::Body::wrap(body));
        (request, passage)
    }

    /// Status, `Retry-After`, and as much of the body as is kept. The status is the receiver's word:
    /// a body that breaks off later does not undo it.
    async fn read(&self, mut response: reqwest::Response, keep: usize) -> Read {
        let status = response.status().as_u16();
        let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok());
        let after = after.and_then(|v| reply::retry_after(v, self.time.now()));
        let promised = response
            .headers()
            .get(ASYNC)
            .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true"));
        let mut body = BytesMut::new();
        let mut dropped = 0;
        while let Ok(Some(part)) = response.chunk().await {
            let room = keep - body.len();
            body.extend_from_slice(&part[..part.len().min(room)]);
            dropped += part.len().saturating_sub(room);
            if dropped > DRAIN {
                break;
            }
        }
        Read { status, retry_after: after, promised, body: body.freeze() }
    }
}

/// What is read of an answer.
struct Read {
    status: u16,
    retry_after: Option<Duration>,
    /// Whether the receiver says that it goes on working.
    promised: bool,
    body: Bytes,
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
