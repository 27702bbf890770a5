//! Loading: jobs in batches over a few connections, as a client would, and plain SQLite beside it as
//! the measure. `super` calls it before the window begins. It only counts the time in which requests
//! are under way: of a load that is spread, that is the rate of its bursts, between which the nodes
//! catch up, and not one that they could sustain.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::LOCATION;
use reqwest::{Client, RequestBuilder};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::oracle::Created;
use crate::model::time::parse_rfc3339;

/// Jobs in a request.
const BATCH: usize = 1_000;
/// Requests under way at once.
const CONNECTIONS: usize = 4;
/// The mount that is spoken to: camelCase, which the receiver relies on.
const MOUNT: &str = "/api/v1";
/// The longest that an answer may take.
const TOTAL: Duration = Duration::from_mins(2);
/// How many rows plain SQLite is measured with at most: its rate stays the same after that.
const ROWS: usize = 100_000;

/// How a request proves who sends it.
pub(super) enum Pass {
    /// Username and password of a node.
    Operator(String, Zeroizing<String>),
    /// A client's key pair.
    Pair(String, Zeroizing<String>),
}

/// The API of one node.
#[derive(Clone)]
pub(super) struct Api {
    http: Client,
    base: Arc<str>,
    pass: Arc<Pass>,
}

/// What is loaded.
pub(super) struct Order {
    /// How many jobs.
    pub(super) jobs: usize,
    /// Their schedule.
    pub(super) spec: String,
    /// Where they call; job by job in turn.
    pub(super) urls: Vec<String>,
    /// The load is spread over so long; zero: as fast as it goes.
    pub(super) over: Duration,
}

/// What was loaded.
pub(super) struct Loaded {
    /// The jobs.
    pub(super) jobs: Vec<Created>,
    /// Jobs per second, over the time in which requests were under way.
    pub(super) per_s: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: u64,
    date_created: String,
}

impl Api {
    /// For the node at a URL such as `http://127.0.0.1:9091`.
    pub(super) fn new(base: &str, pass: Pass) -> anyhow::Result<Self> {
        // Neither credentials nor load may go elsewhere.
        let http = Client::builder()
            .timeout(TOTAL)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, base: base.trim_end_matches('/').into(), pass: Arc::new(pass) })
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &*self.pass {
            Pass::Operator(name, password) => {
                request.basic_auth(name, Some(password.as_str())).header("x-peer", "cmd")
            }
            Pass::Pair(key, secret) => {
                request.header("x-api-key", key).header("x-secret-key", secret.as_str())
            }
        }
    }

    /// Reads something; the whole answer.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.signed(self.http.get(format!("{}{path}", self.base)));
        let response = request.send().await?;
        anyhow::ensure!(response.status().is_success(), "GET {path}: HTTP {}", response.status());
        Ok(response.json().await?)
    }

    async fn post(&self, path: &str, body: String) -> anyhow::Result<reqwest::Response> {
        let request = self.signed(self.http.post(format!("{}{MOUNT}{path}", self.base)));
        let request = request.header("content-type", "application/json").body(body);
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body: Value = response.json().await.unwrap_or_default();
        let said = body["data"].as_str().unwrap_or("no reason given");
        anyhow::bail!("POST {path}: {said} (HTTP {status})")
    }

    fn unreachable(&self, error: reqwest::Error) -> super::super::Failure {
        let reason = error.without_url().to_string();
        super::super::Failure::Unreachable { url: self.base.to_string(), reason }
    }

    /// Makes a project for the run; its id.
    pub(super) async fn project(&self) -> anyhow::Result<u64> {
        let name = format!("bench {:08x}", rand::random::<u32>());
        let body = json!({"name": name, "description": "made by scheduler0 bench"});
        let made: Value = self.post("/projects", body.to_string()).await?.json().await?;
        made["data"]["id"].as_u64().context("the node answered without the project's id")
    }

    /// Deletes a project with its jobs.
    pub(super) async fn delete(&self, project: u64) -> anyhow::Result<()> {
        let url = format!("{}{MOUNT}/projects/{project}?cascade=true", self.base);
        self.signed(self.http.delete(url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Creates the jobs. `tell` hears how many there are so far.
    pub(super) async fn load(
        &self,
        project: u64,
        order: &Order,
        tell: impl Fn(usize),
    ) -> anyhow::Result<Loaded> {
        let begin = Instant::now();
        let spread = !order.over.is_zero();
        // A load that is spread comes in bursts, one each second.
        let bursts = if spread { (order.over.as_secs() as usize).max(1) } else { 1 };
        let (mut jobs, mut busy) = (Vec::with_capacity(order.jobs), Duration::ZERO);
        for burst in 0..bursts {
            let range = order.jobs * burst / bursts..order.jobs * (burst + 1) / bursts;
            let bodies: Vec<String> = range
                .clone()
                .step_by(BATCH)
                .map(|from| body(project, order, from..(from + BATCH).min(range.end)))
                .collect();
            if spread {
                tokio::time::sleep_until((begin + Duration::from_secs(burst as u64)).into()).await;
            }
            let started = Instant::now();
            let receipts: Vec<String> = stream::iter(bodies)
                .map(|body| self.create(body))
                .buffer_unordered(CONNECTIONS)
                .try_collect()
                .await?;
            busy += started.elapsed();
            for receipt in receipts {
                jobs.append(&mut self.created(&receipt).await?);
                tell(jobs.len());
            }
        }
        anyhow::ensure!(
            jobs.len() == order.jobs,
            "{} jobs were created instead of {}",
            jobs.len(),
            order.jobs
        );
        let per_s = order.jobs as f64 / busy.as_secs_f64();
        Ok(Loaded { jobs, per_s })
    }

    /// Creates one batch; where its receipt is.
    async fn create(&self, body: String) -> anyhow::Result<String> {
        let response = self.post("/jobs", body).await?;
        let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let place = place.context("the node did not say where the receipt is")?.to_owned();
        response.bytes().await?;
        Ok(place)
    }

    /// The jobs of a receipt.
    async fn created(&self, receipt: &str) -> anyhow::Result<Vec<Created>> {
        let envelope = self.get(receipt).await?;
        let output = envelope["data"]["output"].as_str().context("a receipt without its jobs")?;
        let shown: Vec<Shown> = serde_json::from_str(output)?;
        let created = shown.into_iter().map(|job| {
            let at = parse_rfc3339(&job.date_created).context("a job without its dateCreated")?;
            Ok(Created { id: job.id, at })
        });
        created.collect()
    }
}

fn body(project: u64, order: &Order, range: std::ops::Range<usize>) -> String {
    let jobs = range.map(|i| {
        json!({
            "projectId": project, "spec": order.spec, "timezone": "UTC",
            "callbackUrl": order.urls[i % order.urls.len()], "data": format!("{{\"n\":{i}}}"),
        })
    });
    Value::Array(jobs.collect()).to_string()
}

/// Rows per second that plain SQLite takes in transactions of the same size, each on the disk when
/// it is committed.
pub(super) fn plain_sqlite(folder: &Path, jobs: usize) -> anyhow::Result<f64> {
    let mut conn = Connection::open(folder.join("plain.db"))?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE jobs (id INTEGER PRIMARY KEY, project INTEGER NOT NULL, spec TEXT NOT NULL,
            timezone TEXT NOT NULL, url TEXT NOT NULL, data TEXT NOT NULL, created INTEGER NOT NULL);
         CREATE INDEX jobs_by_project ON jobs (project);",
    )?;
    let rows = jobs.min(ROWS);
    let begin = Instant::now();
    for from in (0..rows).step_by(BATCH) {
        let tx = conn.transaction()?;
        {
            let mut insert = tx.prepare_cached(
                "INSERT INTO jobs (project, spec, timezone, url, data, created)
                 VALUES (1, '@every 1m', 'UTC', 'http://127.0.0.1:65535/0', ?1, ?2)",
            )?;
            for i in from..(from + BATCH).min(rows) {
                insert.execute((format!("{{\"n\":{i}}}"), from as i64))?;
            }
        }
        tx.commit()?;
    }
    Ok(rows as f64 / begin.elapsed().as_secs_f64())
}
