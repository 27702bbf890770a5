//! The receiver: takes the callbacks within this process and tells the oracle what came and when. It
//! looks for execution ids and reads nothing else, since a hundred thousand jobs a second have to
//! pass. `super` starts it; it ends when dropped.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::oracle::{Oracle, TOLERANCE_MS};
use crate::clock::{Clock, SystemClock};
use crate::model::Millis;
use crate::model::block::parse_execution_id;

/// What stands before an execution id. Inside a job's own text the quotes would be escaped.
const MARK: &[u8] = b"\"executionId\":\"";
/// The largest body taken; the cluster's default limit is 2 MB.
const BODY: usize = 64 << 20;

/// The endpoint.
pub(super) struct Receiver {
    inner: Arc<Inner>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Inner {
    oracle: OnceLock<Oracle>,
    /// Arrivals before their instant while there was no oracle yet.
    early: AtomicU64,
}

impl Receiver {
    /// Listens; port 0 takes a free one.
    pub(super) async fn start(listen: SocketAddr) -> anyhow::Result<Self> {
        let inner = Arc::new(Inner::default());
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let app = Router::new()
            .fallback(take)
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // It ends with this task; a single connection's error is not its end.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { inner, address, task })
    }

    /// The URL of one of its endpoints.
    pub(super) fn url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }

    /// From now on this oracle judges. Only the first counts.
    pub(super) fn judge_by(&self, oracle: Oracle) -> &Oracle {
        self.inner.oracle.get_or_init(|| oracle)
    }

    /// Arrivals before their instant while there was no oracle.
    pub(super) fn early(&self) -> u64 {
        self.inner.early.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(inner): State<Arc<Inner>>, body: Bytes) -> StatusCode {
    // The whole body is here: the last job of a request counts, not the first.
    let at = SystemClock.wall();
    if let Some(oracle) = inner.oracle.get() {
        oracle.arrived(occurrences(&body), at);
    } else {
        let early = occurrences(&body).filter(|(_, due)| at + TOLERANCE_MS < *due).count();
        inner.early.fetch_add(early as u64, Ordering::Relaxed);
    }
    StatusCode::OK
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

/// Where [`MARK`] begins, by Horspool's method: most bytes are not looked at.
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

/// How far the mark may move on when a byte stands under its end.
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
    use crate::executor::payload::{Instant, PayloadJob, ShapeText, build};
    use crate::model::job::{Dialect, JobShape};

    /// Bodies are the executor's own, with data that tries to look like an id.
    #[test]
    fn every_execution_id_of_a_body_is_found_and_nothing_else() {
        let shape = JobShape {
            project: 1,
            spec: "@every 1s".into(),
            period: Some(1_000),
            timezone: "UTC".into(),
            dst: crate::schedule::DstRule::default(),
            callback_url: "http://localhost/".into(),
            execution_type: "http".into(),
            dialect: Dialect::Camel,
            start: None,
            end: None,
            retry_max: None,
            executor: None,
            created_by: None,
            ..JobShape::default()
        };
        let shape = ShapeText::new(&shape);
        let data = r#"{"executionId":"00000000-ff-1"}"#;
        let jobs =
            (1..=2_000).map(|id| PayloadJob { id, shape: &shape, data, created: 5, last: 5 });
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
