//! Calls as the tests make them: a request and its checks at once, through a call queue of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use crate::clock::SchedulerTime;
use crate::config::EgressProxy;
use crate::delivery::attempt::{Acceptance, Attempt};
use crate::delivery::availability::{Availability, OpenBreaker};
use crate::delivery::breaker::Rules;
use crate::delivery::call_checks::{BeforeSend, Unwanted};
use crate::delivery::call_queue::CallQueue;
use crate::delivery::destination::Limits;
use crate::delivery::destination_queues::{DestinationLoad, Occupancy, QueueOptions};
use crate::delivery::registry::Registry;
use crate::delivery::reply::Reply;
use crate::executor::http::{Error, HttpExecutor, HttpRequest, address};
use crate::executor::outbound::guard;
use crate::executor::outbound::guard::TargetGuard;
use crate::executor::outbound::lookup::Lookup;
use crate::executor::outbound::member_guard::MemberGuard;
use crate::executor::outbound::tls::Identity;
use crate::model::ProjectId;
use crate::model::target_pattern::TargetPattern;
use crate::{delivery, executor, metrics, secret};

/// The options of executor and queue.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) max_workers: usize,
    pub(super) max_hanging: usize,
    pub(super) breaker: Rules,
    pub(super) max_idle: usize,
    pub(super) connect_timeout: Duration,
    pub(super) guard: TargetGuard,
    pub(super) member_guard: Arc<MemberGuard>,
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) proxy: Option<EgressProxy>,
}

impl Default for Options {
    fn default() -> Self {
        let QueueOptions { max_workers, max_hanging, breaker, .. } = QueueOptions::default();
        let http = executor::Options::default();
        Self {
            max_workers,
            max_hanging,
            breaker,
            max_idle: http.max_idle,
            connect_timeout: http.connect_timeout,
            guard: http.guard,
            member_guard: http.member_guard,
            lookup: http.lookup,
            proxy: None,
        }
    }
}

/// An executor behind a queue of its own.
#[derive(Clone)]
pub(super) struct Executor {
    http: HttpExecutor,
    calls: CallQueue,
}

impl Executor {
    pub(super) fn new(options: Options, time: Arc<SchedulerTime>) -> Result<Self, Error> {
        let Options { max_workers, max_hanging, breaker, .. } = options;
        let queues = QueueOptions { max_workers, max_hanging, breaker, ..QueueOptions::default() };
        let http = executor::Options {
            max_idle: options.max_idle,
            connect_timeout: options.connect_timeout,
            guard: options.guard,
            member_guard: options.member_guard,
            lookup: options.lookup,
            proxy: options.proxy,
            ..executor::Options::default()
        };
        let keys = secret::Keys::new(&"1f".repeat(32), "u", "p").expect("keys");
        let http = HttpExecutor::new(http, Arc::new(keys), Arc::clone(time.clock()))?;
        let registry = Registry::new([Arc::new(http.clone()) as _]);
        Ok(Self { http, calls: CallQueue::new(registry, &queues, time) })
    }

    pub(super) async fn call(&self, call: Call) -> Reply {
        let address = address(&call.url);
        let url = Url::parse(&call.url);
        let request = HttpRequest {
            parts: Arc::clone(&self.http.0),
            method: call.method,
            url: url.map_err(|error| guard::Error::Invalid(error.to_string())),
            headers: call.headers,
            body: call.body,
            batch: call.batch,
            success_codes: call.success_codes,
            tls: call.tls,
            allowed: call.allowed,
        };
        let call = delivery::call::Call {
            request: Box::new(request),
            destination: address.destination,
            path: address.path,
            project: call.project,
            probe: false,
            limits: Limits::default(),
            jobs: 1,
            timeout: call.timeout.unwrap_or(Duration::from_secs(30)),
            before_send: call.before_send,
            unwanted: call.unwanted,
        };
        self.calls.call(call).await
    }

    pub(super) fn availability(&self, url: &str, project: ProjectId) -> Availability {
        self.calls.availability(&address(url), project)
    }

    pub(super) fn open_breakers(&self) -> Vec<OpenBreaker> {
        self.calls.open_breakers()
    }

    pub(super) fn load(&self) -> Vec<DestinationLoad> {
        self.calls.load()
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        self.calls.occupancy()
    }

    pub(super) fn calls(&self) -> metrics::Calls {
        self.calls.calls()
    }
}

/// A request and its checks.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Arc<str>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    pub(super) project: ProjectId,
    /// Half a minute unless it is set.
    pub(super) timeout: Option<Duration>,
    pub(super) success_codes: Arc<[u16]>,
    pub(super) batch: bool,
    pub(super) tls: Option<Arc<Identity>>,
    pub(super) allowed: Option<Arc<[TargetPattern]>>,
    pub(super) before_send: BeforeSend,
    pub(super) unwanted: Option<Unwanted>,
}

impl Call {
    /// A POST for which a 2xx is a success.
    pub(super) fn new(
        url: Arc<str>,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        before_send: impl FnMut() -> bool + Send + 'static,
    ) -> Self {
        Self {
            method: Method::POST,
            url,
            headers,
            body,
            project: 0,
            timeout: None,
            success_codes: Arc::default(),
            batch: false,
            tls: None,
            allowed: None,
            before_send: Box::new(before_send),
            unwanted: None,
        }
    }
}

/// Why a 200 to a batch does not say which jobs it is about, if it does not.
pub(super) fn flaw(attempt: &Attempt) -> Option<&str> {
    match &attempt.acceptance {
        Acceptance::Unclear(why) => why.strip_prefix("the receiver answered 200, but "),
        _ => None,
    }
}
