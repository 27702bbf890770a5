//! A callback endpoint for the stories: records every job it was sent, and fails, hangs or answers
//! slowly on demand.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::sync::watch;

use crate::oracle::Arrival;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 200.
    Accept = 0,
    /// 500.
    Fail = 1,
    /// Never.
    Hang = 2,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The jobs in it.
    pub(crate) jobs: Vec<serde_json::Value>,
    /// The receiver's clock, in milliseconds.
    pub(crate) at: i64,
}

struct Inner {
    mood: AtomicU8,
    requests: Mutex<Vec<Request>>,
    arrivals: Mutex<Vec<Arrival>>,
    count: watch::Sender<usize>,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
}

/// The endpoint; stops when dropped.
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
    /// Starts one on a free port of the loopback.
    pub(crate) async fn start() -> Self {
        Self::start_by(now).await
    }

    /// The same, with a clock of its own.
    pub(crate) async fn start_by(clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner {
            mood: AtomicU8::new(Mood::Accept as u8),
            requests: Mutex::default(),
            arrivals: Mutex::default(),
            count: watch::Sender::new(0),
            clock: Box::new(clock),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callback", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .route("/callback", post(callback))
            .layer(DefaultBodyLimit::max(32 << 20))
            .with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { inner, url, task }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// How it answers from now on.
    pub(crate) fn set(&self, mood: Mood) {
        self.inner.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Every job that came so far.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.inner.arrivals.lock().unwrap().clone()
    }

    /// Every request that came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.inner.requests.lock().unwrap().clone()
    }

    /// Waits until the jobs that came satisfy a condition; panics after the time given.
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

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn callback(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = (inner.clock)();
    let jobs: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
    let scheduled = headers["scheduler-scheduled-at"].to_str().unwrap();
    let scheduled = scheduler0::model::time::parse_rfc3339(scheduled).unwrap();
    let mood = inner.mood.load(Ordering::SeqCst);
    let accepted = mood == Mood::Accept as u8;
    {
        let mut arrivals = inner.arrivals.lock().unwrap();
        for job in &jobs {
            let id = job.get("execution_id").or_else(|| job.get("executionId")).unwrap();
            arrivals.push(Arrival {
                job: job["id"].as_u64().unwrap(),
                execution_id: id.as_str().unwrap().to_owned(),
                scheduled,
                at,
                accepted,
            });
        }
    }
    inner.requests.lock().unwrap().push(Request { headers, jobs, at });
    inner.count.send_modify(|n| *n += 1);
    if mood == Mood::Hang as u8 {
        std::future::pending::<()>().await;
    }
    if accepted { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
}
