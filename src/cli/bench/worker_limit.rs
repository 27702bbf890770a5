//! The limit of `bench --workers`: a bare axum server that answers the same claims and reports with
//! the same bodies, from memory, and waits as long when it has nothing left. It keeps nothing,
//! checks nothing and writes nothing. `workers` starts it for each round.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use tokio::task::JoinHandle;

use super::worker_calls::{Sample, Site};

/// The wait of a claim that finds nothing.
const WAIT: Duration = Duration::from_secs(1);

/// The server; it ends when this is dropped.
pub(super) struct BareServer {
    task: JoinHandle<()>,
    base: String,
}

struct Answers {
    sample: Sample,
    /// Claims that are still answered with runs.
    left: AtomicUsize,
}

impl BareServer {
    /// Starts a server that hands out the runs of a sample so many times.
    pub(super) async fn start(sample: Sample, times: usize) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let answers = Arc::new(Answers { sample, left: AtomicUsize::new(times) });
        let router = Router::new()
            .route("/workers/claim", post(claim))
            .route("/workers/{id}/report", post(report))
            .with_state(answers);
        let listener = listener.tap_io(|stream| {
            // Without it the server is slower, no more.
            let _ = stream.set_nodelay(true);
        });
        let task = tokio::spawn(async move {
            // It ends by being dropped only.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { task, base })
    }

    /// The place where workers claim.
    pub(super) fn site(&self) -> Site {
        Site { base: self.base.clone(), headers: HeaderMap::new() }
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn claim(State(answers): State<Arc<Answers>>, body: Bytes) -> Response {
    drop(body);
    let left = &answers.left;
    if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        return json(answers.sample.claim.clone());
    }
    tokio::time::sleep(WAIT).await;
    StatusCode::NO_CONTENT.into_response()
}

async fn report(State(answers): State<Arc<Answers>>, body: Bytes) -> Response {
    drop(body);
    json(answers.sample.report.clone())
}

fn json(body: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
