//! A stub of the routes of workers, and a worker that speaks to it. The stub answers as the test
//! says, and keeps what it was told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::io::{Read as _, Seek as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::cli::client::Client;
use crate::cli::client_login::ClientLogin;
use crate::cli::worker::event_lines::EventLines;
use crate::cli::worker::serve::serve;
use crate::cli::worker::state::WorkerOptions;
use crate::cli::worker::stops::LifeStage;

/// How long a fact may take to become true before a test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the stub knows.
#[derive(Default)]
pub(super) struct Known {
    /// The runs that the next claims get.
    pub(super) offers: VecDeque<Value>,
    /// The answers of the next claims by their keys, so that a claim can be repeated.
    answered: HashMap<String, Vec<Value>>,
    /// The bodies of claims, heartbeats, and reports with a 2xx.
    pub(super) claims: Vec<Value>,
    pub(super) heartbeats: Vec<Value>,
    pub(super) reports: Vec<Value>,
    /// What heartbeats are told of these runs.
    pub(super) cancel: HashSet<String>,
    pub(super) gone: HashSet<String>,
    /// Statuses of the next answers, before all is well.
    pub(super) claim_statuses: VecDeque<u16>,
    pub(super) report_statuses: VecDeque<u16>,
    /// Heartbeats get 503.
    pub(super) is_deaf: bool,
    /// Waits are refused, as by a cluster that allows only shorter ones.
    pub(super) refuses_waits: bool,
    /// Claims are answered so long after they came, though the run is theirs at once.
    pub(super) claim_delay: Duration,
}

/// The stub.
#[derive(Clone, Default)]
pub(super) struct Stub {
    known: Arc<Mutex<Known>>,
    changed: Arc<Notify>,
}

impl Stub {
    /// Starts it; returns its URL, too.
    pub(super) async fn start() -> (Self, String) {
        let stub = Self::default();
        let router = Router::new()
            .route("/api/v1/workers/claim", post(claim))
            .route("/api/v1/workers/{id}/heartbeat", post(heartbeat))
            .route("/api/v1/workers/{id}/report", post(report))
            .with_state(stub.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (stub, url)
    }

    /// What it knows. A change is told by [`Stub::set`].
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// Changes what it answers.
    pub(super) fn set(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known());
        self.changed.notify_waiters();
    }

    /// Waits for a fact.
    pub(super) async fn until(&self, what: &str, fact: impl Fn(&Known) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if fact(&self.known()) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let known = self.known();
            panic!("{what} never came; reports: {:?}", known.reports);
        }
    }

    /// The states that were reported of a run.
    pub(super) fn states(&self, id: &str) -> Vec<String> {
        let known = self.known();
        let of = known.reports.iter().filter(|report| report["id"] == id);
        of.map(|report| report["state"].as_str().unwrap().to_owned()).collect()
    }
}

/// A run as a claim gives it.
pub(super) fn run(id: &str, data: &str, heartbeat_timeout: &str) -> Value {
    json!({
        "id": id, "runId": format!("{id:0>24}"), "attempt": 1, "jobId": 7, "projectId": 3,
        "queue": "emails", "scheduledAt": "2026-11-30T00:00:00Z",
        "dueAt": "2026-11-30T00:00:01Z", "data": data, "heartbeatTimeout": heartbeat_timeout,
    })
}

/// A worker beside a stub. It ends with the test.
pub(super) struct Fixture {
    pub(super) stub: Stub,
    pub(super) stage: watch::Sender<LifeStage>,
    worker: JoinHandle<anyhow::Result<()>>,
    lines: Arc<EventLines>,
    talk: std::fs::File,
    events: std::fs::File,
}

impl Fixture {
    /// Starts a worker whose command is a script for `sh`.
    pub(super) async fn start(script: &str, concurrency: usize, offers: Vec<Value>) -> Self {
        Self::start_with(script, concurrency, &[], |known| known.offers = offers.into()).await
    }

    /// Starts a worker that asks other nodes first, beside a stub that is prepared.
    pub(super) async fn start_with(
        script: &str,
        concurrency: usize,
        others: &[&str],
        prepare: impl FnOnce(&mut Known),
    ) -> Self {
        let command = ["sh", "-c", script].map(Into::into).to_vec();
        Self::start_command(command, concurrency, others, prepare).await
    }

    /// Starts a worker with any command.
    pub(super) async fn start_command(
        command: Vec<OsString>,
        concurrency: usize,
        others: &[&str],
        prepare: impl FnOnce(&mut Known),
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (stub, url) = Stub::start().await;
        stub.set(prepare);
        let login = ClientLogin::pair("k", "s");
        let client = Client::with_login(&[others, &[&url]].concat(), login).unwrap();
        let talk = tempfile::tempfile().unwrap();
        let events = tempfile::tempfile().unwrap();
        let lines = Arc::new(EventLines::over(&talk, Some(&events), false).unwrap());
        let (advance, stage) = watch::channel(LifeStage::Working);
        let settings = WorkerOptions {
            worker: "w 1".to_owned(),
            queues: vec!["emails".to_owned()],
            order: "fair",
            concurrency,
            grace: Duration::from_millis(300),
            command,
        };
        let worker = tokio::spawn(serve(settings, client, Arc::clone(&lines), None, stage));
        Self { stub, stage: advance, worker, lines, talk, events }
    }

    /// What the worker wrote to people, and to programs.
    pub(super) fn written(&self) -> (String, String) {
        self.lines.flush();
        let read = |mut file: &std::fs::File| {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        };
        (read(&self.talk), read(&self.events))
    }

    /// Waits until the worker has ended.
    pub(super) async fn ended(&mut self) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(PATIENCE, &mut self.worker).await;
        ended.expect("the worker ends").unwrap()
    }

    /// Waits for the first report of a run, and returns it.
    pub(super) async fn reported(&self, id: &str) -> Value {
        let of = |known: &Known| known.reports.iter().find(|r| r["id"] == id).cloned();
        self.stub.until("the report", |known| of(known).is_some()).await;
        of(&self.stub.known()).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// Waits until a file is there that a command makes.
pub(super) async fn made(file: &std::path::Path) {
    let waiting = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{file:?} never came"));
}

fn answer(status: u16, data: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let envelope = json!({"data": data, "success": status.is_success()});
    (status, axum::Json(envelope)).into_response()
}

fn refused(status: u16, field: &str) -> Response {
    let error = json!({"field": field, "message": format!("{field} is not right")});
    let envelope = json!({"data": "x", "error": error, "success": false});
    (StatusCode::from_u16(status).unwrap(), axum::Json(envelope)).into_response()
}

async fn claim(State(stub): State<Stub>, body: axum::Json<Value>) -> Response {
    let mut runs = Vec::new();
    let mut delay = Duration::ZERO;
    stub.set(|known| {
        known.claims.push(body.0.clone());
        let key = body["key"].as_str().unwrap().to_owned();
        if known.claim_statuses.is_empty() && !(known.refuses_waits && body.get("wait").is_some()) {
            let most = body["max"].as_u64().unwrap() as usize;
            let count = known.offers.len().min(most);
            let popped: Vec<_> = known.offers.drain(..count).collect();
            runs = known.answered.entry(key).or_insert(popped).clone();
            delay = known.claim_delay;
        }
    });
    if let Some(status) = stub.known().claim_statuses.pop_front() {
        return refused(status, "queues");
    }
    if stub.known().refuses_waits && body.get("wait").is_some() {
        return refused(400, "wait");
    }
    tokio::time::sleep(delay).await;
    if runs.is_empty() {
        // A short wait in place of the one that was asked for: tests need not wait for long.
        let _ = tokio::time::timeout(Duration::from_millis(50), stub.changed.notified()).await;
        return StatusCode::NO_CONTENT.into_response();
    }
    answer(200, &json!({ "runs": runs }))
}

async fn heartbeat(
    State(stub): State<Stub>,
    Path(worker): Path<String>,
    body: axum::Json<Value>,
) -> Response {
    assert_eq!(worker, "w 1");
    stub.set(|known| known.heartbeats.push(body.0.clone()));
    if stub.known().is_deaf {
        return refused(503, "x");
    }
    if stub.known().refuses_waits && body.get("wait").is_some() {
        return refused(400, "wait");
    }
    let told = || {
        let known = stub.known();
        let ids = body["runs"].as_array().unwrap().iter().filter_map(|run| run["id"].as_str());
        let ids: HashSet<_> = ids.map(str::to_owned).collect();
        let of = |set: &HashSet<String>| set.intersection(&ids).cloned().collect::<Vec<_>>();
        (of(&known.cancel), of(&known.gone))
    };
    let wait = body["wait"].as_str().map_or(0, |wait| wait[..wait.len() - 2].parse().unwrap());
    let waiting = async {
        loop {
            let changed = stub.changed.notified();
            if told() != (Vec::new(), Vec::new()) {
                return;
            }
            changed.await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(wait), waiting).await;
    let (cancel, gone) = told();
    answer(200, &json!({"cancel": cancel, "gone": gone, "unknown": []}))
}

async fn report(State(stub): State<Stub>, body: axum::Json<Value>) -> Response {
    let mut answers = Vec::new();
    stub.set(|known| {
        for report in body["reports"].as_array().unwrap() {
            let status = known.report_statuses.pop_front().unwrap_or(200);
            if status == 200 {
                known.reports.push(report.clone());
            }
            answers.push(json!({"id": report["id"], "status": status}));
        }
    });
    answer(200, &json!({ "reports": answers }))
}
