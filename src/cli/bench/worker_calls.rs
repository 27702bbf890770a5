//! The calls of worker processes for `bench --workers`: each has two connections, claims on one and
//! reports on the other, which it opens with its first report: a node bounds connections on which
//! no key was shown yet. `workers` lets them work at the nodes, and by turns at the bare server of
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

use super::connection::{Answer, Connection};
use crate::model::Millis;
use crate::model::time::parse_rfc3339;

/// The longest time between two runs that come, in which a round is not given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time after which a connection without a request is made anew: a node closes it soon.
const UNUSED: Duration = Duration::from_secs(10);
/// The pause before reports that a node had no room for are sent again, as workers do.
const AGAIN: Duration = Duration::from_millis(100);
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

impl Site {
    /// A connection for the calls of one path of workers.
    async fn connect(&self, path: &str) -> anyhow::Result<Connection> {
        let url = Url::parse(&format!("{}/workers/{path}", self.base))?;
        Connection::open(&url, self.headers.clone()).await
    }
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
    /// With the instant of the last report.
    reports: Option<(Connection, Instant)>,
    site: Site,
    name: String,
    queue: String,
    /// The reports that a node had no room for: they were sent again.
    refused: usize,
}

/// The end of a round, or of what one worker did in it.
#[derive(Default)]
pub(super) struct Worked {
    /// The instant of the last answer to a report, if there was one.
    pub(super) last: Option<Instant>,
    /// The answers with the most runs.
    pub(super) sample: Option<Sample>,
    /// The reports that were sent again.
    pub(super) refused: usize,
}

impl Worked {
    /// Takes in what another worker did.
    fn add(&mut self, other: Self) {
        self.last = self.last.max(other.last);
        self.refused += other.refused;
        self.keep(other.sample);
    }

    fn keep(&mut self, other: Option<Sample>) {
        let most = self.sample.as_ref().map_or(0, |sample| sample.runs);
        self.sample = other.filter(|other| other.runs > most).or(self.sample.take());
    }
}

impl Worker {
    /// Connects.
    pub(super) async fn open(site: &Site, queue: &str, number: usize) -> anyhow::Result<Self> {
        Ok(Self {
            claims: site.connect("claim").await?,
            reports: None,
            site: site.clone(),
            name: format!("bench-{number}"),
            queue: queue.to_owned(),
            refused: 0,
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

    /// Reports that runs are done, and again where the node has no room at the moment, until each
    /// counts. Returns the answer, if all counted at once.
    pub(super) async fn complete(&mut self, runs: &[Claimed]) -> anyhow::Result<Option<Bytes>> {
        let (mut open, begun): (Vec<_>, _) = (runs.iter().collect(), Instant::now());
        loop {
            let answer = self.report(&open).await?;
            let busy = match answer.status {
                StatusCode::OK => refused(&answer.body)?,
                StatusCode::SERVICE_UNAVAILABLE => (0..open.len()).collect(),
                status => anyhow::bail!("a report: HTTP {status}"),
            };
            if busy.is_empty() {
                return Ok(Some(answer.body).filter(|_| open.len() == runs.len()));
            }
            anyhow::ensure!(begun.elapsed() < PATIENCE, "{} reports do not count", busy.len());
            self.refused += busy.len();
            open = busy.into_iter().filter_map(|place| open.get(place).copied()).collect();
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn report(&mut self, runs: &[&Claimed]) -> anyhow::Result<Answer> {
        let report =
            |run: &&Claimed| json!({"id": run.id, "attempt": run.attempt, "state": "completed"});
        let body = json!({"reports": runs.iter().map(report).collect::<Vec<_>>()});
        let open = self.reports.take().filter(|(_, used)| used.elapsed() < UNUSED);
        let mut reports = match open {
            Some((reports, _)) => reports,
            None => self.site.connect(&format!("{}/report", self.name)).await?,
        };
        let answer = reports.post(body.to_string()).await?;
        self.reports = Some((reports, Instant::now()));
        Ok(answer)
    }
}

/// The places of the reports that a node had no room for. All others have to count.
fn refused(body: &[u8]) -> anyhow::Result<Vec<usize>> {
    let told: serde_json::Value = serde_json::from_slice(body)?;
    let answers = told["data"]["reports"].as_array().context("an answer without reports")?;
    let mut busy = Vec::new();
    for (place, answer) in answers.iter().enumerate() {
        match answer["status"].as_u64() {
            Some(200) => {}
            Some(503) => busy.push(place),
            _ => anyhow::bail!("a report was refused: {answer}"),
        }
    }
    Ok(busy)
}

impl Round {
    /// Lets all workers claim and report until all runs are done. Returns the milliseconds from
    /// `begin` to the last answered report, and what the workers did.
    pub(super) async fn work(self, begin: Instant) -> anyhow::Result<(f64, Worked)> {
        let (runs, done) = (self.runs, Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..self.workers {
            let site = &self.sites[number % self.sites.len()];
            let worker = Worker::open(site, &self.queue, number).await?;
            tasks.spawn(work(worker, self.max, runs, Arc::clone(&done)));
        }
        let mut worked = Worked::default();
        while let Some(ended) = tasks.join_next().await {
            worked.add(ended??);
        }
        let last = worked.last.unwrap_or(begin).max(begin);
        let taken = last.duration_since(begin).as_secs_f64() * 1_000.0;
        Ok((taken.max(0.001), worked))
    }
}

/// Works until all runs of the round are done.
async fn work(
    mut worker: Worker,
    max: usize,
    runs: usize,
    done: Arc<AtomicUsize>,
) -> anyhow::Result<Worked> {
    let mut record = Worked::default();
    let mut seen = (done.load(Ordering::Relaxed), Instant::now());
    loop {
        let before = done.load(Ordering::Relaxed);
        if before >= runs {
            return Ok(Worked { refused: worker.refused, ..record });
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
        record.last = Some(Instant::now());
        done.fetch_add(claimed.len(), Ordering::Relaxed);
        record.keep(report.map(|report| Sample { claim, report, runs: claimed.len() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reports_without_room_are_sent_again() {
        let told = |status: &[u16]| {
            let reports: Vec<_> = status.iter().map(|status| json!({"status": status})).collect();
            json!({"data": {"reports": reports}}).to_string()
        };
        assert_eq!(refused(told(&[200, 503, 200, 503]).as_bytes()).unwrap(), [1, 3]);
        assert_eq!(refused(told(&[200]).as_bytes()).unwrap(), [0; 0]);
        for wrong in [told(&[503, 409]), told(&[404]), "{}".to_owned()] {
            assert!(refused(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_answers_with_the_most_runs_stay() {
        let sample = |runs| {
            let (claim, report) = (Bytes::new(), Bytes::new());
            Some(Sample { claim, report, runs })
        };
        let mut worked = Worked::default();
        for (runs, refused) in [(3, 1), (7, 0), (5, 2)] {
            worked.add(Worked { sample: sample(runs), refused, ..Worked::default() });
        }
        worked.keep(None);
        assert_eq!((worked.sample.map(|sample| sample.runs), worked.refused), (Some(7), 3));
    }
}
