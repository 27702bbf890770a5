//! The receiver of the comparison in `bench/peers`: every contender posts to it, and it judges all of
//! them alike. `run.py` starts it once a contender.
//!
//! A job is due every ten seconds, on the whole ten. A POST to `/17` is job 17; a batch to `/batch`
//! names its jobs in execution ids. When it came tells what it was due for. Prints its address, reads
//! a line of four numbers (jobs, the number before the first job's, the first instant that counts in
//! milliseconds, how many instants count), and prints one line of JSON when they are over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::post;

const PERIOD: i64 = 10_000;

#[derive(Default)]
struct Window {
    jobs: usize,
    before: u64,
    first: i64,
    instants: usize,
    /// By instant and job: whether it came.
    came: Vec<bool>,
    lags: Vec<u32>,
    again: u64,
    unknown: u64,
}

impl Window {
    fn arrived(&mut self, job: u64, at: i64) {
        let job = job.saturating_sub(self.before) as usize;
        let (slot, lag) =
            ((at - self.first).div_euclid(PERIOD), (at - self.first).rem_euclid(PERIOD));
        if slot < 0 || slot as usize >= self.instants {
            return;
        }
        if job == 0 || job > self.jobs {
            self.unknown += 1;
            return;
        }
        let place = slot as usize * self.jobs + job - 1;
        if std::mem::replace(&mut self.came[place], true) {
            self.again += 1;
            return;
        }
        self.lags.push(lag as u32);
    }

    fn report(&mut self) -> serde_json::Value {
        self.lags.sort_unstable();
        let share = |of: usize| {
            let rank = (self.lags.len() * of).div_ceil(1_000).max(1) - 1;
            self.lags.get(rank).copied()
        };
        serde_json::json!({
            "fired": self.lags.len(), "expected": self.jobs * self.instants, "again": self.again,
            "unknown": self.unknown, "lag_ms": {
                "p50": share(500), "p90": share(900), "p99": share(990), "max": self.lags.last(),
            },
        })
    }
}

type Shared = Arc<Mutex<Window>>;

#[expect(clippy::disallowed_methods, reason = "a receiver has a wall clock and no cluster")]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

fn lock(window: &Shared) -> MutexGuard<'_, Window> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn one(State(window): State<Shared>, Path(job): Path<u64>, _body: Bytes) {
    lock(&window).arrived(job, now());
}

async fn batch(State(window): State<Shared>, body: Bytes) {
    let at = now();
    let mut window = lock(&window);
    let mut texts = body.split(|byte| *byte == b'"');
    while texts.any(|text| text == b"executionId") {
        // After the colon: cluster, job and instant, in hex, with dashes between.
        let id = texts.nth(1).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default();
        let job = id.split('-').nth(1).and_then(|job| u64::from_str_radix(job, 16).ok());
        window.arrived(job.unwrap_or(0), at);
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let window = Shared::default();
    let app = Router::new()
        .route("/batch", post(batch))
        .route("/{job}", post(one))
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(Arc::clone(&window));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
    let line = line.await?.context("nobody said what counts")??;
    let numbers: Result<Vec<i64>, _> = line.split_whitespace().map(str::parse).collect();
    let [jobs, before, first, instants] = numbers?[..] else { bail!("four numbers, please") };
    let (jobs, instants) = (jobs as usize, instants as usize);
    *lock(&window) = Window {
        jobs,
        before: before as u64,
        first,
        instants,
        came: vec![false; jobs * instants],
        ..Window::default()
    };
    let end = first + PERIOD * instants as i64;
    tokio::time::sleep(Duration::from_millis((end - now()).max(0) as u64)).await;
    println!("{}", lock(&window).report());
    Ok(())
}
