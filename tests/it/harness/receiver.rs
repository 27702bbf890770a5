//! An endpoint that records each job it was sent, in batches or one by one. It accepts, fails,
//! hangs or answers as the test tells it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use super::oracle::Arrival;

/// The answer to all requests that no script answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// 200.
    Accept = 0,
    /// 500.
    Fail = 1,
    /// None: the connection stays open.
    Hang = 2,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The raw body.
    pub(crate) body: Bytes,
    /// The jobs of a batch; empty in a request for a single occurrence.
    pub(crate) jobs: Vec<serde_json::Value>,
    /// The receiver's clock, in milliseconds.
    pub(crate) at: i64,
}

/// A test's answer to a request; `None` leaves it to the [`Behavior`].
type Script = Box<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

impl Request {
    /// The text of a header; empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

struct Inner {
    behavior: AtomicU8,
    script: Mutex<Option<Script>>,
    requests: Mutex<Vec<Request>>,
    arrivals: Mutex<Vec<Arrival>>,
    count: watch::Sender<usize>,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
}

/// The endpoint; it stops when dropped.
pub(crate) struct Receiver {
    inner: Arc<Inner>,
    url: String,
    task: tokio::task::JoinHandle<()>,
}

/// The receiver's clock, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the receiver's clock is the machine's")]
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

impl Receiver {
    /// Starts it on a free port of the loopback, on the machine's clock.
    pub(crate) async fn start() -> Self {
        Self::start_by(now).await
    }

    /// Starts it on another clock.
    pub(crate) async fn start_by(clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner {
            behavior: AtomicU8::new(Behavior::Accept as u8),
            script: Mutex::default(),
            requests: Mutex::default(),
            arrivals: Mutex::default(),
            count: watch::Sender::new(0),
            clock: Box::new(clock),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callback", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(callback)
            .layer(DefaultBodyLimit::max(32 << 20))
            .with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { inner, url, task }
    }

    /// The URL for batches.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The URL of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        self.url.replace("/callback", path)
    }

    /// Sets the script that is asked first for the answer to each request from now on.
    pub(crate) fn script(
        &self,
        script: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    ) {
        *self.inner.script.lock().unwrap() = Some(Box::new(script));
    }

    /// Sets the answer to the requests from now on that no script answers.
    pub(crate) fn set(&self, behavior: Behavior) {
        self.inner.behavior.store(behavior as u8, Ordering::SeqCst);
    }

    /// All jobs that came so far.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.inner.arrivals.lock().unwrap().clone()
    }

    /// All requests that came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.inner.requests.lock().unwrap().clone()
    }

    /// Waits until the arrivals satisfy a condition; panics when they do not `within` the time.
    pub(crate) async fn wait_until(
        &self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&[Arrival]) -> bool,
    ) {
        let mut count = self.inner.count.subscribe();
        let wait = async {
            while !holds(&self.inner.arrivals.lock().unwrap()) {
                count.changed().await.unwrap();
            }
        };
        let outcome = tokio::time::timeout(within, wait).await;
        let seen = self.inner.arrivals.lock().unwrap().len();
        assert!(outcome.is_ok(), "{what}: not within {within:?}; {seen} arrivals so far");
    }
}

/// An answer without a body.
pub(crate) fn respond(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap().into_response()
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn callback(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let at = (inner.clock)();
    let batch = method == Method::POST && uri.path() == "/callback";
    let jobs: Vec<serde_json::Value> =
        if batch { serde_json::from_slice(&body).unwrap() } else { Vec::new() };
    let scheduled = headers["scheduler-scheduled-at"].to_str().unwrap();
    let scheduled = scheduler0::model::time::parse_rfc3339(scheduled).unwrap();
    let path = uri.path_and_query().unwrap().as_str().to_owned();
    let request = Request { method, path, headers, body, jobs, at };
    let scripted = inner.script.lock().unwrap().as_ref().and_then(|script| script(&request));
    let behavior = inner.behavior.load(Ordering::SeqCst);
    let status = scripted.as_ref().map(Response::status);
    let accepted = status.map_or(behavior == Behavior::Accept as u8, |status| status.is_success());
    let attempt = request.header("scheduler-attempt").parse().unwrap();
    {
        let mut arrivals = inner.arrivals.lock().unwrap();
        if !batch {
            let id = request.header("webhook-id").to_owned();
            let occurrence = scheduler0::model::attempt::parse_execution_id(&id).unwrap();
            let job = occurrence.job;
            arrivals.push(Arrival { job, execution_id: id, scheduled, at, accepted, attempt });
        }
        for job in &request.jobs {
            let id = job.get("execution_id").or_else(|| job.get("executionId")).unwrap();
            arrivals.push(Arrival {
                job: job["id"].as_u64().unwrap(),
                execution_id: id.as_str().unwrap().to_owned(),
                scheduled,
                at,
                accepted,
                attempt,
            });
        }
    }
    inner.requests.lock().unwrap().push(request);
    inner.count.send_modify(|n| *n += 1);
    if let Some(answer) = scripted {
        return answer;
    }
    if behavior == Behavior::Hang as u8 {
        std::future::pending::<()>().await;
    }
    let status = if accepted { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    status.into_response()
}
