//! `bench --workers`: worker processes that claim runs of an embedded queue at real nodes and
//! report that they are done, by turns with a bare server that answers the same from memory; and
//! the time from due to claimed on idle nodes.
//!
//! `run` calls it instead of the run with a receiver. It judges nothing but that each run is handed
//! out once and that each report counts.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::{Cluster, Folder};
use super::histogram::Histogram;
use super::load::Api;
use super::progress::Progress;
use super::worker_calls::{Round, Sample, Site, Worked, Worker};
use super::worker_limit::BareServer;
use super::worker_report::{Rates, WorkersReport};
use crate::clock::{Clock, SystemClock};
use crate::model::Millis;
use crate::model::time::rfc3339;

/// Runs of a round, at most: the rate stays the same after that.
const RUNS: usize = 20_000;
/// Rounds of each side that count. One before them warms up.
const ROUNDS: usize = 5;
/// The most runs of a claim, of each kind of round.
const MAXIMA: [usize; 2] = [1, 50];
/// Runs that are measured on idle nodes, and the time between two of them.
const IDLE_RUNS: usize = 100;
const IDLE_STEP: Millis = 100;
/// The wait of a claim on idle nodes.
const IDLE_WAIT: &str = "10s";
/// The most jobs of a request.
const BATCH: usize = 1_000;
/// The time that the creation of a thousand jobs may take, in milliseconds, and that of none.
const CREATION: Millis = 250;
const LEAD: Millis = 1_500;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) workers: usize,
    pub(super) nodes: u64,
    /// The runs of a round, as far as that is not more than are needed.
    pub(super) runs: usize,
}

/// The nodes of a run, with a queue.
struct Nodes {
    cluster: Cluster,
    api: Api,
    project: u64,
    executor: u64,
    queue: String,
}

/// Measures.
///
/// # Errors
///
/// The nodes do not start, refuse a request, or hand a run out twice.
pub(super) async fn measure(
    asked: Asked,
    settings: Vec<(String, String)>,
) -> anyhow::Result<WorkersReport> {
    let progress = Progress::new();
    progress.tell("starting nodes");
    let mut nodes = Nodes::start(asked.nodes, settings).await?;
    nodes.cluster.mark();
    progress.tell("measuring idle nodes");
    let idle = nodes.idle().await?;
    let runs = asked.runs.min(RUNS);
    let mut rates = Vec::with_capacity(MAXIMA.len());
    for max in MAXIMA {
        let tell = |round: usize| {
            let text = format!("up to {max} runs a claim");
            progress.bar(round as u64, ROUNDS as u64, &text);
        };
        rates.push(nodes.alternate(asked.workers, max, runs, tell).await?);
    }
    progress.end();
    Ok(WorkersReport {
        workers: asked.workers,
        count: asked.nodes,
        runs,
        idle_runs: IDLE_RUNS,
        idle_ms: [idle.quantile(500), idle.quantile(990), idle.max()],
        rates,
        nodes: nodes.cluster.usage(),
    })
}

impl Nodes {
    async fn start(count: u64, settings: Vec<(String, String)>) -> anyhow::Result<Self> {
        let cluster = Cluster::start(count, settings, Folder::new()?).await?;
        let api = cluster.api(0)?;
        let project = api.project().await?;
        let (executor, queue) = api.queue().await?;
        Ok(Self { cluster, api, project, executor, queue })
    }

    /// Creates one-offs of the queue, the first of which is due at an instant, and each other one
    /// `step` after it.
    async fn create(&self, runs: usize, first: Millis, step: Millis) -> anyhow::Result<()> {
        for from in (0..runs).step_by(BATCH) {
            let job = |n: usize| {
                json!({
                    "projectId": self.project, "executorId": self.executor, "timezone": "UTC",
                    "at": rfc3339(first + n as Millis * step), "data": format!("{{\"n\":{n}}}"),
                })
            };
            let jobs: Value = (from..(from + BATCH).min(runs)).map(job).collect();
            self.api.create_all(&jobs).await?;
        }
        Ok(())
    }

    /// The time from due to claimed, by a worker at a node that owns as little as any.
    async fn idle(&self) -> anyhow::Result<Histogram> {
        let lags = Histogram::default();
        let leader = self.cluster.find(true).await?;
        let site = self.site(leader)?;
        let mut worker = Worker::open(&site, &self.queue, 0).await?;
        self.create(IDLE_RUNS, SystemClock.wall() + LEAD, IDLE_STEP).await?;
        for _ in 0..IDLE_RUNS {
            let (_, runs) = worker.claim(1, IDLE_WAIT).await?;
            let now = SystemClock.wall();
            anyhow::ensure!(!runs.is_empty(), "no run came within {IDLE_WAIT}");
            for run in &runs {
                lags.observe(u64::try_from(now - run.due()?).unwrap_or(0), 1);
            }
            worker.complete(&runs).await?;
        }
        Ok(lags)
    }

    fn site(&self, place: usize) -> anyhow::Result<Site> {
        Ok(self.cluster.api(place)?.site())
    }

    /// Lets the workers work at the nodes and at the bare server by turns.
    async fn alternate(
        &self,
        workers: usize,
        max: usize,
        runs: usize,
        tell: impl Fn(usize),
    ) -> anyhow::Result<Rates> {
        let mut rates = Rates { max, ..Rates::default() };
        tell(0);
        let (_, worked) = self.round(workers, max, runs).await?;
        rates.refused += worked.refused;
        let sample = worked.sample.ok_or_else(|| anyhow::anyhow!("no run was claimed"))?;
        bare_round(workers, max, runs, &sample).await?;
        for round in 0..ROUNDS {
            tell(round);
            let (ours_ms, worked) = self.round(workers, max, runs).await?;
            rates.refused += worked.refused;
            let (bare, bare_ms) = bare_round(workers, max, runs, &sample).await?;
            rates.ours.push(runs as f64 * 1_000.0 / ours_ms);
            rates.bare.push(bare as f64 * 1_000.0 / bare_ms);
        }
        Ok(rates)
    }

    /// One round at the nodes, whose runs are due together while the workers wait for them.
    async fn round(
        &self,
        workers: usize,
        max: usize,
        runs: usize,
    ) -> anyhow::Result<(f64, Worked)> {
        let lead = LEAD + CREATION * (runs / BATCH) as Millis;
        let due = SystemClock.wall() + lead;
        self.create(runs, due, 0).await?;
        let sites = (0..self.cluster.len()).map(|place| self.site(place));
        let sites = sites.collect::<anyhow::Result<_>>()?;
        let round = Round { sites, queue: self.queue.clone(), workers, max, runs };
        // Where the creation took longer than that, they are due already.
        let left = u64::try_from(due - SystemClock.wall()).unwrap_or(0);
        round.work(Instant::now() + Duration::from_millis(left)).await
    }
}

/// One round at a bare server; its runs, and the time in milliseconds.
async fn bare_round(
    workers: usize,
    max: usize,
    runs: usize,
    sample: &Sample,
) -> anyhow::Result<(usize, f64)> {
    let times = runs.div_ceil(sample.runs);
    let server = BareServer::start(sample.clone(), times).await?;
    let runs = times * sample.runs;
    let round = Round { sites: vec![server.site()], queue: "bare".to_owned(), workers, max, runs };
    let (taken, _) = round.work(Instant::now()).await?;
    Ok((runs, taken))
}
