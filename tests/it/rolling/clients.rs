//! Clients that write and read through all nodes in turn while nodes are restarted. They repeat a
//! call that is answered 503, and go to the next node when a restarting node refuses the
//! connection, as a load balancer does. Any other error fails the test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::{PATIENCE, TestCluster, client};

/// The state that all clients share.
struct Shared {
    /// The nodes' URLs.
    nodes: Vec<String>,
    project: u64,
    /// A bit for each node that is being restarted.
    away: AtomicU64,
    stop: AtomicBool,
    /// The number of rounds of each client.
    rounds: watch::Sender<Vec<u64>>,
    done: Mutex<Done>,
}

/// The record of the clients' calls.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Successful calls.
    calls: u64,
    /// Answers 503; all these calls were repeated.
    unavailable: u64,
    /// Connections that a restarting node refused.
    refused: u64,
    /// The longest duration of a call, repetitions included.
    longest: Duration,
    /// Acknowledged jobs with their data; `None` for a deleted one.
    jobs: BTreeMap<u64, Option<String>>,
}

/// The clients; they work until they are stopped.
pub(super) struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Clients {
    /// Starts `count` clients.
    pub(super) fn start(cluster: &TestCluster, count: usize, project: u64) -> Self {
        let shared = Arc::new(Shared {
            nodes: (1..=3).map(|id| cluster.url(id, "/api/v1")).collect(),
            project,
            away: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            rounds: watch::Sender::new(vec![0; count]),
            done: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for id in 0..count {
            let one = Client { id, http: client(), turn: id, shared: shared.clone() };
            tasks.spawn(one.run());
        }
        Self { shared, tasks }
    }

    /// Notes that a node is about to be stopped.
    pub(super) fn goes(&self, node: u64) {
        self.shared.away.fetch_or(1 << node, Ordering::SeqCst);
    }

    /// Notes that a node is ready again.
    pub(super) fn comes(&self, node: u64) {
        self.shared.away.fetch_and(!(1 << node), Ordering::SeqCst);
    }

    /// Waits until each client has done `more` rounds.
    pub(super) async fn each_writes(&mut self, more: u64) {
        let mut rounds = self.shared.rounds.subscribe();
        let before = rounds.borrow().clone();
        let enough = |now: &Vec<u64>| now.iter().zip(&before).all(|(now, old)| *now >= old + more);
        let waited = tokio::time::timeout(PATIENCE, rounds.wait_for(enough));
        tokio::select! {
            Some(ended) = self.tasks.join_next() => ended.unwrap(),
            waited = waited => assert!(waited.is_ok(), "the clients stand still"),
        }
    }

    /// Stops all clients; panics if a call failed.
    pub(super) async fn stop(mut self) -> Done {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.shared.done.lock().unwrap())
    }
}

impl Done {
    /// The numbers in a line.
    pub(super) fn figures(&self) -> String {
        let Self { calls, unavailable, refused, longest, jobs } = self;
        let jobs = jobs.len();
        format!(
            "{calls} calls on {jobs} jobs, the longest took {longest:?}; {unavailable} answers 503, \
             {refused} connections refused"
        )
    }

    /// Asserts that each acknowledged write is there.
    pub(super) async fn all_there(&self, cluster: &TestCluster, ask: u64) {
        assert!(self.jobs.len() > 50, "idle clients: {}", self.figures());
        for (id, data) in &self.jobs {
            let url = cluster.url(ask, &format!("/api/v1/jobs/{id}?consistency=linearizable"));
            let answer = cluster.http().get(url).send().await.unwrap();
            assert_eq!(
                answer.status().as_u16(),
                if data.is_some() { 200 } else { 404 },
                "job {id}"
            );
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["data"]["data"].as_str(), data.as_deref(), "job {id}");
        }
    }
}

struct Client {
    id: usize,
    http: reqwest::Client,
    /// The index of the node of the last call.
    turn: usize,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(mut self) {
        let mut ticker = tokio::time::interval(Duration::from_millis(5));
        let mut round = 0;
        while !self.shared.stop.load(Ordering::SeqCst) {
            ticker.tick().await;
            self.round(round).await;
            round += 1;
            self.shared.rounds.send_modify(|rounds| rounds[self.id] = round);
        }
    }

    /// Creates, changes and reads a job through different nodes, and deletes every second one.
    async fn round(&mut self, round: u64) {
        let key = format!("{}-{round}", self.id);
        let project = self.shared.project;
        let job = json!({
            "projectId": project, "spec": "@every 24h", "timezone": "UTC", "data": "\"new\"",
            "callbackUrl": "http://127.0.0.1:9/never",
        });
        let (status, created) = self.ask(Method::POST, "/jobs", Some(&job), &key).await;
        assert_eq!(status, 201, "{created}");
        let id = created["data"][0]["id"].as_u64().unwrap_or_else(|| panic!("{created}"));
        let path = format!("/jobs/{id}");
        let data = format!("\"of {key}\"");
        let change = json!({"data": data});
        let (status, changed) = self.ask(Method::PATCH, &path, Some(&change), "").await;
        assert_eq!(status, 200, "{changed}");
        let latest = format!("{path}?consistency=linearizable");
        let (status, read) = self.ask(Method::GET, &latest, None, "").await;
        assert_eq!((status, &read["data"]["data"]), (200, &json!(data)), "{read}");
        let deleted = round % 2 == 1;
        if deleted {
            let (status, body) = self.ask(Method::DELETE, &path, None, "").await;
            // An earlier try of unknown outcome may have deleted it.
            assert!(matches!(status, 200 | 204 | 404), "{status} {body}");
        }
        self.shared.done.lock().unwrap().jobs.insert(id, (!deleted).then_some(data));
    }

    /// Sends a call to one node after the other until the answer is neither 503 nor a refused
    /// connection of a restarting node.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: &str,
    ) -> (u16, Value) {
        let began = tokio::time::Instant::now();
        let mut again = tokio::time::interval(Duration::from_millis(100));
        loop {
            self.turn = (self.turn + 1) % self.shared.nodes.len();
            let url = format!("{}{path}", self.shared.nodes[self.turn]);
            let mut request = self.http.request(method.clone(), url);
            request = request.header("prefer", "return=representation");
            if let Some(body) = body {
                request = request.json(body);
            }
            if !key.is_empty() {
                request = request.header("idempotency-key", key);
            }
            let node = self.turn + 1;
            let away = || self.shared.away.load(Ordering::SeqCst) & (1 << node) != 0;
            let was_away = away();
            let call = async {
                let answer = request.send().await?;
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
            };
            let (status, headers, body) = match call.await {
                Ok(answer) => answer,
                Err(error) if error.is_connect() && (was_away || away()) => {
                    self.shared.done.lock().unwrap().refused += 1;
                    continue;
                }
                Err(error) => {
                    panic!("{method} {path} at node {node} (away: {was_away}): {error:?}")
                }
            };
            let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
            if status == 503 {
                assert!(headers.contains_key("retry-after"), "{method} {path}: {value}");
                self.shared.done.lock().unwrap().unavailable += 1;
                assert!(began.elapsed() < PATIENCE, "{method} {path}: {value}");
                again.tick().await;
                continue;
            }
            let mut done = self.shared.done.lock().unwrap();
            done.calls += 1;
            done.longest = done.longest.max(began.elapsed());
            return (status, value);
        }
    }
}
