//! Loading: jobs in batches over a few connections, or one a request over many, as a client would.
//! `super` calls it before the window begins. It only counts the time in which requests are under
//! way: of a load that is spread, that is the rate of its bursts, between which the nodes catch up,
//! and not one that they could sustain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::LOCATION;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::oracle::Created;
use crate::model::time::parse_rfc3339;

/// Receipts that are read at a time; that is not measured.
const RECEIPTS: usize = 8;
/// The mount that is spoken to: camelCase, which the receiver relies on.
const MOUNT: &str = "/api/v1";
/// The longest that an answer may take.
const TOTAL: Duration = Duration::from_mins(2);
/// What a call for one occurrence carries: the receiver looks for the id as in a batch.
const SINGLE: &str = r#"{"executionId":"{{executionId}}","data":{{data}}}"#;

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

/// How jobs are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Creates {
    /// A thousand a request, four requests under way
    Batched,
    /// One a request, 256 requests under way
    Single,
}

impl Creates {
    /// Jobs in a request, and requests under way at once.
    fn sizes(self) -> (usize, usize) {
        match self {
            Self::Batched => (1_000, 4),
            Self::Single => (1, 256),
        }
    }

    /// As many as a node can put into one transaction of its own.
    pub(super) fn batch(self) -> usize {
        let (batch, under_way) = self.sizes();
        if batch > 1 { batch } else { under_way }
    }
}

/// What is loaded.
pub(super) struct Order {
    /// How many jobs.
    pub(super) jobs: usize,
    /// Their schedule.
    pub(super) spec: String,
    /// Where they call; job by job in turn.
    pub(super) urls: Vec<String>,
    /// One call for each occurrence, instead of one for all that are due together.
    pub(super) single: bool,
    /// How they are created.
    pub(super) creates: Creates,
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
        let (batch, under_way) = order.creates.sizes();
        // A load that is spread comes in bursts, one each second.
        let bursts = if spread { (order.over.as_secs() as usize).max(1) } else { 1 };
        let (mut jobs, mut busy) = (Vec::with_capacity(order.jobs), Duration::ZERO);
        for burst in 0..bursts {
            let range = order.jobs * burst / bursts..order.jobs * (burst + 1) / bursts;
            let bodies: Vec<String> = range
                .clone()
                .step_by(batch)
                .map(|from| body(project, order, from..(from + batch).min(range.end)))
                .collect();
            if spread {
                tokio::time::sleep_until((begin + Duration::from_secs(burst as u64)).into()).await;
            }
            let started = Instant::now();
            let before = jobs.len();
            let mut under_way =
                stream::iter(bodies).map(|body| self.create(body)).buffer_unordered(under_way);
            let mut receipts = Vec::new();
            while let Some(receipt) = under_way.try_next().await? {
                receipts.push(receipt);
                tell((before + receipts.len() * batch).min(order.jobs));
            }
            busy += started.elapsed();
            let mut made = stream::iter(receipts)
                .map(|receipt| async move { self.created(&receipt).await })
                .buffer_unordered(RECEIPTS);
            while let Some(mut made) = made.try_next().await? {
                jobs.append(&mut made);
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

    /// Makes one request; where its receipt is.
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
        shown.into_iter().map(Shown::created).collect()
    }
}

impl Shown {
    fn created(self) -> anyhow::Result<Created> {
        let at = parse_rfc3339(&self.date_created).context("a job without its dateCreated")?;
        Ok(Created { id: self.id, at })
    }
}

fn body(project: u64, order: &Order, range: std::ops::Range<usize>) -> String {
    let jobs = range.map(|i| {
        let url = &order.urls[i % order.urls.len()];
        let mut job = json!({
            "projectId": project, "spec": order.spec, "timezone": "UTC",
            "data": format!("{{\"n\":{i}}}"),
        });
        if order.single {
            job["http"] = json!({"url": url, "body": SINGLE});
        } else {
            job["callbackUrl"] = json!(url);
        }
        job
    });
    Value::Array(jobs.collect()).to_string()
}
