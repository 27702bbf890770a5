//! The calls of worker processes for `bench --workers`: each has two connections, claims on one and
//! reports on the other. `workers` lets them work at the nodes, and by turns at the bare server of
//! `worker_limit`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::connection::Connection;
use crate::model::Millis;
use crate::model::time::parse_rfc3339;

/// The longest time between two runs that come, in which a round is not given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The wait of a claim in a round.
const WAIT: &str = "1s";

/// A place where workers claim.
#[derive(Clone)]
pub(super) struct Site {
    /// The URL of the API, with its prefix.
    pub(super) base: String,
    /// The headers that go with each request.
    pub(super) headers: HeaderMap,
}

/// A round of claims and reports.
#[derive(Clone)]
pub(super) struct Round {
    /// The places where they claim, by turns.
    pub(super) sites: Vec<Site>,
    pub(super) queue: String,
    pub(super) workers: usize,
    /// The most runs of a claim.
    pub(super) max: usize,
    /// The runs of the round.
    pub(super) runs: usize,
}

/// An answer to a claim and one to its report, for the bare server.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) claim: Bytes,
    pub(super) report: Bytes,
    /// The runs in it.
    pub(super) runs: usize,
}

/// A run as a claim gave it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claimed {
    id: String,
    attempt: u32,
    due_at: String,
}

impl Claimed {
    /// The instant at which it was due.
    pub(super) fn due(&self) -> anyhow::Result<Millis> {
        parse_rfc3339(&self.due_at).context("a run without its dueAt")
    }
}

#[derive(Deserialize)]
struct Runs {
    runs: Vec<Claimed>,
}

#[derive(Deserialize)]
struct Envelope {
    data: Runs,
}

/// One worker process.
pub(super) struct Worker {
    claims: Connection,
    reports: Connection,
    name: String,
    queue: String,
}

impl Worker {
    /// Connects.
    pub(super) async fn open(site: &Site, queue: &str, number: usize) -> anyhow::Result<Self> {
        let name = format!("bench-{number}");
        let at = |path: String| Url::parse(&format!("{}/workers/{path}", site.base));
        let (claims, reports) = (at("claim".to_owned())?, at(format!("{name}/report"))?);
        Ok(Self {
            claims: Connection::open(&claims, site.headers.clone()).await?,
            reports: Connection::open(&reports, site.headers.clone()).await?,
            name,
            queue: queue.to_owned(),
        })
    }

    /// Claims; the answer and its runs, of which there may be none.
    pub(super) async fn claim(
        &mut self,
        max: usize,
        wait: &str,
    ) -> anyhow::Result<(Bytes, Vec<Claimed>)> {
        let body = json!({"workerId": self.name, "queues": [self.queue], "max": max, "wait": wait});
        let answer = self.claims.post(body.to_string()).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok((answer.body, Vec::new())),
            StatusCode::OK => {
                let envelope: Envelope = serde_json::from_slice(&answer.body)?;
                let runs = envelope.data.runs;
                anyhow::ensure!(
                    runs.iter().all(|run| run.attempt == 1),
                    "a run was handed out a second time"
                );
                Ok((answer.body, runs))
            }
            status => anyhow::bail!("a claim: HTTP {status}"),
        }
    }

    /// Reports that runs are done; the answer.
    pub(super) async fn complete(&mut self, runs: &[Claimed]) -> anyhow::Result<Bytes> {
        let report =
            |run: &Claimed| json!({"id": run.id, "attempt": run.attempt, "state": "completed"});
        let body = json!({"reports": runs.iter().map(report).collect::<Vec<_>>()});
        let answer = self.reports.post(body.to_string()).await?;
        anyhow::ensure!(answer.status == StatusCode::OK, "a report: HTTP {}", answer.status);
        let told: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let answers = told["data"]["reports"].as_array().context("an answer without reports")?;
        let refused = answers.iter().find(|answer| answer["status"] != 200);
        anyhow::ensure!(refused.is_none(), "a report was refused: {refused:?}");
        Ok(answer.body)
    }
}

impl Round {
    /// Lets all workers claim and report until all runs are done. Returns the milliseconds from
    /// `begin` to the last answered report, and the answers with the most runs.
    pub(super) async fn work(self, begin: Instant) -> anyhow::Result<(f64, Option<Sample>)> {
        let (runs, done) = (self.runs, Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..self.workers {
            let site = &self.sites[number % self.sites.len()];
            let worker = Worker::open(site, &self.queue, number).await?;
            tasks.spawn(work(worker, self.max, runs, Arc::clone(&done)));
        }
        let (mut last, mut sample) = (begin, None::<Sample>);
        while let Some(ended) = tasks.join_next().await {
            let (at, its) = ended??;
            last = last.max(at.unwrap_or(begin));
            let most = sample.as_ref().map_or(0, |sample| sample.runs);
            sample = its.filter(|its| its.runs > most).or(sample);
        }
        let taken = last.duration_since(begin).as_secs_f64() * 1_000.0;
        Ok((taken.max(0.001), sample))
    }
}

/// Works until all runs of the round are done. Returns the instant of the last answer to a report,
/// and the answers with the most runs.
async fn work(
    mut worker: Worker,
    max: usize,
    runs: usize,
    done: Arc<AtomicUsize>,
) -> anyhow::Result<(Option<Instant>, Option<Sample>)> {
    let (mut last, mut sample) = (None, None::<Sample>);
    let mut seen = (done.load(Ordering::Relaxed), Instant::now());
    loop {
        let before = done.load(Ordering::Relaxed);
        if before >= runs {
            return Ok((last, sample));
        }
        if before > seen.0 {
            seen = (before, Instant::now());
        }
        anyhow::ensure!(seen.1.elapsed() < PATIENCE, "{before} of {runs} runs came, no more");
        let (claim, claimed) = worker.claim(max, WAIT).await?;
        if claimed.is_empty() {
            continue;
        }
        let report = worker.complete(&claimed).await?;
        last = Some(Instant::now());
        done.fetch_add(claimed.len(), Ordering::Relaxed);
        if sample.as_ref().is_none_or(|sample| sample.runs < claimed.len()) {
            sample = Some(Sample { claim, report, runs: claimed.len() });
        }
    }
}
