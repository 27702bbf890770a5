//! The fixture of the attacks: a victim's jobs with their lags, an attacker with a key pair of its
//! own, and the memory of a node's process. Nodes and well-behaved receivers come from
//! `crate::harness`.
//!
//! A test asserts counts first: nothing missed, early or unplanned, which [`Victim::watch`] does. A
//! bound on a lag only tells tens of seconds from none; it leaves seconds, because the machine may
//! be busy.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Arrival, Findings, PATIENCE, Planned, Receiver, TOLERANCE, TestCluster, client_of, every,
    judge, now, planned,
};

/// The time between two readings of a process's memory.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A project with jobs `@every 1s` and their healthy receiver. Half of the jobs are sent in
/// batches, half with requests of their own.
pub(crate) struct Victim {
    receiver: Receiver,
    jobs: Vec<Planned>,
}

impl Victim {
    /// Creates the project and `jobs` jobs through node 1, and waits until each has fired.
    pub(crate) async fn start(cluster: &TestCluster, jobs: usize) -> Self {
        let receiver = Receiver::start().await;
        let project = cluster.project(1, "victim").await;
        let batched = every("@every 1s", project, &receiver.url(), jobs / 2);
        let mut created = cluster.jobs(1, &batched).await;
        let single = calls(project, &receiver.at("/single"), jobs - jobs / 2, &json!({}));
        created.extend(cluster.jobs(1, &single).await);
        let victim = Self { receiver, jobs: planned(&created) };
        victim.watch(1).await;
        victim
    }

    /// Waits until everything due within the next `seconds` has come; returns the lags of first
    /// attempts. Panics when something is missing for a minute after that, is early, is not
    /// planned, or has two ids.
    pub(crate) async fn watch(&self, seconds: u64) -> Lags {
        let from = now();
        self.watch_since(from, from + seconds as i64 * 1_000).await
    }

    /// Does the same for what is due in (`from`, `to`], by the machine's clock in milliseconds.
    pub(crate) async fn watch_since(&self, from: i64, to: i64) -> Lags {
        let ahead = u64::try_from(to - now()).unwrap_or(0);
        let within = Duration::from_millis(ahead) + PATIENCE;
        self.receiver
            .wait_until("the victim's jobs", within, |arrivals| {
                now() >= to && self.judged(arrivals, from, to).missed.is_empty()
            })
            .await;
        let arrivals = self.receiver.arrivals();
        self.judged(&arrivals, from, to).assert_sound();
        let arrivals = arrivals.iter().filter(|a| self.has(a.job));
        let due = arrivals.filter(|a| a.scheduled > from && a.scheduled <= to);
        let first = due.filter(|a| a.attempt == 1);
        Lags::of(first.map(|a| a.at - a.scheduled).collect())
    }

    /// The URL of a path of its receiver, for an attacker whose jobs go to the same host.
    pub(crate) fn at(&self, path: &str) -> String {
        self.receiver.at(path)
    }

    fn has(&self, job: u64) -> bool {
        self.jobs.iter().any(|own| own.job == job)
    }

    /// The findings about its own jobs; others may call the same receiver.
    fn judged(&self, arrivals: &[Arrival], from: i64, to: i64) -> Findings {
        let own: Vec<_> = arrivals.iter().filter(|a| self.has(a.job)).cloned().collect();
        judge(&self.jobs, &own, from, to, TOLERANCE)
    }
}

/// Bodies of `count` jobs `@every 1s` with requests of their own; `more` overrides fields.
pub(crate) fn calls(project: u64, url: &str, count: usize, more: &Value) -> Value {
    let job = |n: usize| {
        let mut job = json!({
            "projectId": project, "spec": "@every 1s", "timezone": "UTC", "data": n.to_string(),
            "http": {"method": "POST", "url": url},
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            job[name.as_str()] = value.clone();
        }
        job
    };
    (0..count).map(job).collect()
}

/// The lags of calls, in milliseconds from the scheduled instant to the receiver.
pub(crate) struct Lags(Vec<i64>);

impl Lags {
    fn of(mut lags: Vec<i64>) -> Self {
        lags.sort_unstable();
        Self(lags)
    }

    /// The lag that `per_mille` of a thousand calls do not exceed; 0 without calls.
    pub(crate) fn quantile(&self, per_mille: usize) -> i64 {
        let place = (self.0.len() * per_mille).div_ceil(1_000).max(1) - 1;
        self.0.get(place).copied().unwrap_or(0)
    }

    /// The number of calls.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Lags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [500, 990, 1_000].map(|share| self.quantile(share));
        write!(f, "p50 {p50} ms, p99 {p99} ms, max {max} ms of {}", self.count())
    }
}

/// A client with a key pair and a project of its own.
pub(crate) struct Attacker {
    http: reqwest::Client,
    base: String,
    /// The key pair, for requests that are written by hand.
    pub(crate) key: String,
    pub(crate) secret: String,
    /// Its project.
    pub(crate) project: u64,
}

impl Attacker {
    /// Creates the key pair through a node, which the attacker uses from then on.
    pub(crate) async fn new(cluster: &TestCluster, node: u64, name: &str) -> Self {
        let (status, made) = cluster.post(node, "/api/v1/credentials", &json!({})).await;
        assert_eq!(status, 201, "{made}");
        let text = |name: &str| made["data"][name].as_str().unwrap().to_owned();
        let (key, secret) = (text("apiKey"), text("apiSecret"));
        let http = client_of(&[("x-api-key", &key), ("x-secret-key", &secret)]);
        let mut attacker = Self { http, base: cluster.url(node, ""), key, secret, project: 0 };
        let project = json!({"name": name, "description": "of an attacker"});
        let (status, made) = attacker.post("/api/v1/projects", &project).await;
        assert_eq!(status, 201, "{made}");
        attacker.project = made["data"]["id"].as_u64().unwrap();
        attacker
    }

    /// The URL of a path on its node.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The client, which signs in as the attacker with each request.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request; returns status and body (`null` when it is no JSON).
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, self.url(path));
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// POST; status and body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, body).await
    }

    /// GET; status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &Value::Null).await
    }

    /// Creates jobs, which must be accepted.
    pub(crate) async fn jobs(&self, jobs: &Value) {
        let (status, body) = self.post("/api/v1/jobs", jobs).await;
        assert!((200..300).contains(&status), "{status} {body}");
    }

    /// The headers of its requests, as lines for a [`RawConnection`](super::RawConnection).
    pub(crate) fn lines(&self) -> String {
        format!("host: x\r\nx-api-key: {}\r\nx-secret-key: {}\r\n", self.key, self.secret)
    }
}

/// The anonymous memory of a node's process, in units of 10^6 bytes.
pub(crate) fn memory_mb(cluster: &TestCluster, node: u64) -> f64 {
    anonymous_mb(cluster.process(node))
}

/// The anonymous memory of a process; 0 for a process that has ended.
fn anonymous_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kb = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kb.unwrap_or(0.0) * 1.024 / 1_000.0
}

/// The greatest anonymous memory of a node's process since this was created, read every 10 ms.
pub(crate) struct Peak {
    most_kb: Arc<AtomicU64>,
    looking: tokio::task::JoinHandle<()>,
}

impl Peak {
    /// Begins to read.
    pub(crate) fn of(cluster: &TestCluster, node: u64) -> Self {
        let (process, most_kb) = (cluster.process(node), Arc::new(AtomicU64::new(0)));
        let most = most_kb.clone();
        let looking = tokio::spawn(async move {
            let mut ticker = tokio::time::interval(POLL_INTERVAL);
            loop {
                ticker.tick().await;
                most.fetch_max((anonymous_mb(process) * 1_000.0) as u64, Ordering::Relaxed);
            }
        });
        Self { most_kb, looking }
    }

    /// The greatest value, in units of 10^6 bytes.
    pub(crate) fn mb(&self) -> f64 {
        self.most_kb.load(Ordering::Relaxed) as f64 / 1_000.0
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

/// A value of a node's `/metrics`, by name and labels as they are shown.
pub(crate) async fn metric(cluster: &TestCluster, node: u64, name: &str) -> f64 {
    let answer = cluster.http().get(cluster.url(node, "/metrics")).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}
