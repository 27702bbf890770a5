//! The load: jobs in batches over a few connections, or one a request over many. `run` creates it
//! before the window begins. Only the time in which requests are under way counts. The rate of a
//! spread load is therefore the rate of its bursts, between which the nodes catch up, and not a
//! rate that they could sustain.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, LOCATION};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use url::Url;
use zeroize::Zeroizing;

use super::super::Failure;
use super::PROGRESS_INTERVAL;
use super::connection::Connection;
use super::oracle::Created;
use super::order::{Creates, Order, body};
use super::worker_calls::Site;
use crate::model::time::parse_rfc3339;

/// Receipts that are read at a time; that is not measured.
const RECEIPTS: usize = 8;
/// The route prefix of the requests: camelCase, which the receiver relies on.
const ROUTE_PREFIX: &str = "/api/v1";
/// The longest that an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// The credentials of a request.
pub(super) enum Pass {
    /// Username and password of a node.
    Operator(String, Zeroizing<String>),
    /// A client's key pair.
    Pair(String, Zeroizing<String>),
}

impl Pass {
    /// The headers that carry the credentials.
    fn headers(&self) -> anyhow::Result<HeaderMap> {
        let pairs = match self {
            Self::Operator(name, password) => {
                let pair = Zeroizing::new(format!("{name}:{}", password.as_str()));
                let basic = format!("Basic {}", BASE64.encode(pair.as_bytes()));
                [(AUTHORIZATION, basic), (HeaderName::from_static("x-peer"), "cmd".to_owned())]
            }
            Self::Pair(key, secret) => [
                (HeaderName::from_static("x-api-key"), key.clone()),
                (HeaderName::from_static("x-secret-key"), secret.as_str().to_owned()),
            ],
        };
        let sensitive = |(name, value): (HeaderName, String)| {
            let mut value = HeaderValue::try_from(value).with_context(|| {
                format!("{name}: the credential has a character that no header carries")
            })?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        pairs.into_iter().map(sensitive).collect()
    }
}

/// The API of one node.
#[derive(Clone)]
pub(super) struct Api {
    http: Client,
    base: Arc<str>,
    pass: HeaderMap,
}

/// The result of a load.
pub(super) struct Loaded {
    /// The created jobs.
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
    /// The API of the node at a URL such as `http://127.0.0.1:9091`.
    pub(super) fn new(base: &str, pass: &Pass) -> anyhow::Result<Self> {
        // Neither credentials nor load may go to another host.
        let http = Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, base: base.trim_end_matches('/').into(), pass: pass.headers()? })
    }

    /// Reads something; the whole answer.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.base)).headers(self.pass.clone());
        let response = request.send().await?;
        anyhow::ensure!(response.status().is_success(), "GET {path}: HTTP {}", response.status());
        Ok(response.json().await?)
    }

    /// Reads something to its end; only the status.
    pub(super) async fn get_status(&self, path: &str) -> anyhow::Result<StatusCode> {
        let request = self.http.get(format!("{}{path}", self.base)).headers(self.pass.clone());
        let mut response = request.send().await?;
        while response.chunk().await?.is_some() {}
        Ok(response.status())
    }

    /// Makes a key pair for a client.
    pub(super) async fn pair(&self) -> anyhow::Result<Pass> {
        let made: Value = self.post("/credentials", "{}".to_owned()).await?.json().await?;
        let part = |name: &str| {
            let part = made["data"][name].as_str().map(str::to_owned);
            part.with_context(|| format!("the node answered without {name}"))
        };
        Ok(Pass::Pair(part("apiKey")?, Zeroizing::new(part("apiSecret")?)))
    }

    /// Creates jobs in one request; where its receipt is.
    pub(super) async fn create_all(&self, jobs: &Value) -> anyhow::Result<String> {
        self.create(jobs.to_string()).await
    }

    async fn post(&self, path: &str, body: String) -> anyhow::Result<reqwest::Response> {
        let request = self.http.post(format!("{}{ROUTE_PREFIX}{path}", self.base));
        let request = request.headers(self.pass.clone());
        let request = request.header("content-type", "application/json").body(body);
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(refused(path, status, &response.bytes().await.unwrap_or_default()))
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let reason = error.without_url().to_string();
        Failure::Unreachable { url: self.base.to_string(), reason }
    }

    /// Makes a project for the run; its id.
    pub(super) async fn project(&self) -> anyhow::Result<u64> {
        let name = format!("bench {:08x}", rand::random::<u32>());
        let body = json!({"name": name, "description": "made by scheduler0 bench"});
        let made: Value = self.post("/projects", body.to_string()).await?.json().await?;
        made["data"]["id"].as_u64().context("the node answered without the project's id")
    }

    /// Makes an executor for messages with these settings; its id.
    pub(super) async fn executor(&self, amqp: &Value) -> anyhow::Result<u64> {
        let name = format!("bench {:08x}", rand::random::<u32>());
        let body = json!({"name": name, "type": "amqp", "amqp": amqp});
        let made: Value = self.post("/executors", body.to_string()).await?.json().await?;
        made["data"]["id"].as_u64().context("the node answered without the executor's id")
    }

    /// Makes a queue for workers; its id and its name.
    pub(super) async fn queue(&self) -> anyhow::Result<(u64, String)> {
        let name = format!("bench {:08x}", rand::random::<u32>());
        let body = json!({"name": name, "type": "worker", "worker": {"bus": "embedded"}});
        let made: Value = self.post("/executors", body.to_string()).await?.json().await?;
        let id = made["data"]["id"].as_u64().context("the node answered without the queue's id")?;
        Ok((id, name))
    }

    /// The place where workers claim.
    pub(super) fn site(&self) -> Site {
        Site { base: format!("{}{ROUTE_PREFIX}", self.base), headers: self.pass.clone() }
    }

    /// Deletes an executor that no job uses.
    pub(super) async fn delete_executor(&self, executor: u64) -> anyhow::Result<()> {
        self.delete(&format!("/executors/{executor}")).await
    }

    /// Deletes a project with its jobs.
    pub(super) async fn delete_project(&self, project: u64) -> anyhow::Result<()> {
        self.delete(&format!("/projects/{project}?cascade=true")).await
    }

    async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = self.http.delete(format!("{}{ROUTE_PREFIX}{path}", self.base));
        request.headers(self.pass.clone()).send().await?.error_for_status()?;
        Ok(())
    }

    /// Creates the jobs. `tell` gets the number of jobs so far.
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
            let told = |n: usize| tell((before + n * batch).min(order.jobs));
            let receipts = match order.creates {
                Creates::Single if self.base.starts_with("http:") => {
                    self.singly(bodies, under_way, told).await?
                }
                _ => self.side_by_side(bodies, under_way, told).await?,
            };
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

    /// Sends bodies over the connections of one client; where the receipts are.
    async fn side_by_side(
        &self,
        bodies: Vec<String>,
        under_way: usize,
        tell: impl Fn(usize),
    ) -> anyhow::Result<Vec<String>> {
        let mut under_way =
            stream::iter(bodies).map(|body| self.create(body)).buffer_unordered(under_way);
        let mut receipts = Vec::new();
        while let Some(receipt) = under_way.try_next().await? {
            receipts.push(receipt);
            tell(receipts.len());
        }
        Ok(receipts)
    }

    /// Sends bodies over so many connections, each in a task of its own; where the receipts are.
    async fn singly(
        &self,
        bodies: Vec<String>,
        connections: usize,
        tell: impl Fn(usize),
    ) -> anyhow::Result<Vec<String>> {
        let url = Url::parse(&format!("{}{ROUTE_PREFIX}/jobs", self.base))?;
        let bodies = Arc::new(Mutex::new(bodies.into_iter()));
        let done = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (url, pass) = (url.clone(), self.pass.clone());
            let (bodies, done) = (bodies.clone(), done.clone());
            tasks.spawn(async move {
                let next = || bodies.lock().unwrap_or_else(PoisonError::into_inner).next();
                let (mut connection, mut receipts) =
                    (Connection::open(&url, pass).await?, Vec::new());
                while let Some(body) = next() {
                    let answer =
                        tokio::time::timeout(ANSWER_TIMEOUT, connection.post(body)).await??;
                    if !answer.status.is_success() {
                        return Err(refused("/jobs", answer.status, &answer.body));
                    }
                    receipts.push(place(&answer.headers)?);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(receipts)
            });
        }
        let mut receipts = Vec::new();
        let mut beat = tokio::time::interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                ended = tasks.join_next() => match ended {
                    Some(made) => receipts.append(&mut made??),
                    None => return Ok(receipts),
                },
                _ = beat.tick() => tell(done.load(Ordering::Relaxed)),
            }
        }
    }

    /// Makes one request; where its receipt is.
    async fn create(&self, body: String) -> anyhow::Result<String> {
        let response = self.post("/jobs", body).await?;
        let place = place(response.headers())?;
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

/// The path of the receipt, from the headers of an answer.
fn place(headers: &HeaderMap) -> anyhow::Result<String> {
    let place = headers.get(LOCATION).and_then(|place| place.to_str().ok());
    Ok(place.context("the node did not say where the receipt is")?.to_owned())
}

/// The error for a request that a node refused.
fn refused(path: &str, status: StatusCode, body: &[u8]) -> anyhow::Error {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = body["data"].as_str().unwrap_or("no reason given");
    anyhow::anyhow!("POST {path}: {said} (HTTP {status})")
}
