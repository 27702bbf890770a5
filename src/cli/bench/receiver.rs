//! The receiver: takes the callbacks within this process and tells the judge of them. It searches
//! bodies for execution ids and parses nothing, because a hundred thousand jobs a second have to
//! pass. It can keep the bodies of one instant. The baseline sends them to a path of its own, where
//! they cost the receiver the same and are not judged. `run` starts it; it ends when dropped.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::judge::Judge;
use crate::clock::{Clock, SystemClock};
use crate::model::Millis;
use crate::model::attempt::parse_execution_id;

/// The text before an execution id. Inside a job's own data the quotes would be escaped.
const MARK: &[u8] = b"\"executionId\":\"";
/// The largest accepted body; the cluster's default limit is 2 MB.
const BODY: usize = 64 << 20;

/// The most bytes of bodies that are kept.
const KEPT: usize = 256 << 20;
/// The path to which the baseline sends.
const BARE: &str = "/bare";

/// The body of a request.
pub(super) type Body = axum::body::Bytes;

/// A running receiver.
pub(super) struct Receiver {
    inner: Arc<Inner>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

struct Inner {
    judge: Arc<Judge>,
    kept: Mutex<Kept>,
    /// The last arrival from the baseline.
    bare: Mutex<Option<Instant>>,
}

/// The bodies of one instant.
#[derive(Default)]
struct Kept {
    /// The instant whose bodies are kept; `None` for none.
    due: Option<Millis>,
    bodies: Vec<Body>,
    bytes: usize,
}

impl Receiver {
    /// Listens for calls, which `judge` is told of; port 0 takes a free one.
    pub(super) async fn start(listen: SocketAddr, judge: Arc<Judge>) -> anyhow::Result<Self> {
        let inner = Arc::new(Inner { judge, kept: Mutex::default(), bare: Mutex::default() });
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let app = Router::new()
            .route(BARE, post(take_bare))
            .fallback(take)
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // `serve` ends with its task; the error of one connection does not end it.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { inner, address, task })
    }

    /// The URL of one of its endpoints.
    pub(super) fn url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }

    /// Keeps the bodies of this instant.
    pub(super) fn keep(&self, due: Millis) {
        lock(&self.inner.kept).due = Some(due);
    }

    /// Takes the kept bodies; `None` when they were too many.
    pub(super) fn kept(&self) -> Option<Vec<Body>> {
        let kept = std::mem::take(&mut *lock(&self.inner.kept));
        (kept.bytes <= KEPT).then_some(kept.bodies)
    }

    /// The URL to which the baseline sends.
    pub(super) fn bare_url(&self) -> String {
        format!("http://{}{BARE}", self.address)
    }

    /// Notes that the baseline begins, and returns the time.
    pub(super) fn begin_bare(&self) -> Instant {
        *lock(&self.inner.bare).insert(Instant::now())
    }

    /// The time of the last arrival from the baseline, or of its beginning.
    pub(super) fn last_bare(&self) -> Instant {
        lock(&self.inner.bare).unwrap_or_else(Instant::now)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(inner): State<Arc<Inner>>, body: Body) -> StatusCode {
    // The whole body has arrived: the arrival of the last job counts, not of the first.
    let at = SystemClock.wall();
    inner.judge.arrived(occurrences(&body), at);
    let mut kept = lock(&inner.kept);
    if let Some(due) = kept.due
        && kept.bytes <= KEPT
        && occurrences(&body).next().is_some_and(|(_, first)| first == due)
    {
        kept.bytes += body.len();
        kept.bodies.push(body);
    }
    StatusCode::OK
}

/// Does the same work as [`take`], without the judgement.
async fn take_bare(State(inner): State<Arc<Inner>>, body: Body) -> StatusCode {
    let at = Instant::now();
    if occurrences(&body).last().is_some() {
        lock(&inner.bare).replace(at);
    }
    StatusCode::OK
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Job and scheduled instant of every execution id in a body.
fn occurrences(body: &[u8]) -> impl Iterator<Item = (u64, Millis)> {
    let mut rest = body;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[find(rest)? + MARK.len()..];
            let end = rest.iter().position(|byte| *byte == b'"')?;
            let id = std::str::from_utf8(&rest[..end]).ok().and_then(parse_execution_id);
            if let Some(id) = id {
                return Some((id.job, id.scheduled));
            }
        }
    })
}

/// The place of the first [`MARK`], by Horspool's method, which skips most bytes.
fn find(text: &[u8]) -> Option<usize> {
    const LAST: usize = MARK.len() - 1;
    const SKIP: [u8; 256] = skips();
    let mut at = 0;
    while let Some(window) = text.get(at..at + MARK.len()) {
        if window == MARK {
            return Some(at);
        }
        at += SKIP[window[LAST] as usize] as usize;
    }
    None
}

/// The distance that the mark may move when a byte stands under its end.
const fn skips() -> [u8; 256] {
    let mut skip = [MARK.len() as u8; 256];
    let mut i = 0;
    while i + 1 < MARK.len() {
        skip[MARK[i] as usize] = (MARK.len() - 1 - i) as u8;
        i += 1;
    }
    skip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::payload::{DefinitionText, Instant, PayloadJob, build};
    use crate::model::job::{Casing, JobDefinition};

    /// Bodies are the executor's own, with data that tries to look like an id.
    #[test]
    fn every_execution_id_of_a_body_is_found_and_nothing_else() {
        let definition = JobDefinition {
            project: 1,
            spec: "@every 1s".into(),
            period: Some(1_000),
            timezone: "UTC".into(),
            callback_url: "http://localhost/".into(),
            execution_type: "http".into(),
            casing: Casing::Camel,
            ..JobDefinition::default()
        };
        let definition = DefinitionText::new(&definition);
        let data = r#"{"executionId":"00000000-ff-1"}"#;
        let jobs = (1..=2_000).map(|id| PayloadJob {
            id,
            definition: &definition,
            data,
            created: 5,
            last: 5,
        });
        let at = Instant { cluster: 77 << 96, scheduled: 1_763_700_000_000, run: 0 };
        let built = build(at, jobs, 100_000);
        assert!(built.chunks.len() > 1);
        let found: Vec<_> = built.chunks.iter().flat_map(|c| occurrences(&c.body)).collect();
        let expected: Vec<_> = (1..=2_000).map(|id| (id, 1_763_700_000_000)).collect();
        assert_eq!(found, expected);
        assert_eq!(occurrences(b"[]").count(), 0);
        assert_eq!(occurrences(b"\"executionId\":\"never ends").count(), 0);
    }
}
