//! A whole node in this process on a clock that the test moves. Time stands still between the calls
//! of a test; while the fixture waits for a fact, time passes a few times faster than outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scheduler0::clock::{Clock as _, TestClock};
use scheduler0::command::{Command, Outcome};
use scheduler0::config::{Config, LoadOptions};
use scheduler0::model::time::rfc3339;
use scheduler0::node::{Node, Options};
use scheduler0::secret::Keys;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, interval, timeout};

use super::cluster::PATIENCE;
use super::http::client;
use super::oracle::Planned;
use super::receiver::Receiver;
use super::workload::planned;

/// The instant at which the clock begins: half a minute after a full minute, in 2030.
const START: i64 = 1_900_000_050_000;
/// The virtual time that passes ...
const STEP: Duration = Duration::from_millis(20);
/// ... in this real time, while a fact is waited for.
const REAL_STEP: Duration = Duration::from_millis(5);

/// The node, its folder, its clock, and a receiver on the same clock.
pub(crate) struct VirtualClockNode {
    /// The clock of node and receiver.
    pub(crate) clock: Arc<TestClock>,
    /// The endpoint.
    pub(crate) receiver: Receiver,
    dir: TempDir,
    node: Option<Node>,
    http: reqwest::Client,
}

impl VirtualClockNode {
    /// Starts the node, which founds a cluster of one.
    pub(crate) async fn build() -> Self {
        let clock = TestClock::new(START);
        let reading = clock.clone();
        let receiver = Receiver::start_by(move || reading.wall()).await;
        let dir = tempfile::tempdir().unwrap();
        let mut node = Self { clock, receiver, dir, node: None, http: client() };
        node.start().await;
        node
    }

    /// Starts the node (again) and waits until it leads.
    pub(crate) async fn start(&mut self) {
        let env = [
            ("SCHEDULER0_PORT", "0".to_owned()),
            ("SCHEDULER0_RAFT_ADDRESS", "127.0.0.1:0".to_owned()),
            ("SCHEDULER0_DATA_DIR", self.dir.path().join("data").display().to_string()),
        ];
        let env: BTreeMap<_, _> = env.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let work_dir = self.dir.path().to_owned();
        let config = Config::load(&LoadOptions { env, work_dir, ..LoadOptions::default() });
        let keys = Keys::new(&"5a".repeat(32), "admin", "admin-password").unwrap();
        let options = Options { clock: self.clock.clone(), dev: false };
        let node = Node::start(config.unwrap(), keys, options).await.unwrap();
        let mut leadership = node.cluster().leadership();
        timeout(PATIENCE, leadership.wait_for(|l| l.first_applied)).await.unwrap().unwrap();
        self.node = Some(node);
    }

    fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    /// Stops the node in order, while time passes.
    pub(crate) async fn stop(&mut self) {
        let node = self.node.take().unwrap();
        let mut stopping = Box::pin(node.stop());
        let mut ticker = interval(REAL_STEP);
        let passing = async {
            loop {
                tokio::select! {
                    () = &mut stopping => return,
                    _ = ticker.tick() => self.clock.advance(STEP),
                }
            }
        };
        timeout(PATIENCE, passing).await.expect("a graceful stop ends");
    }

    /// Ends the node without a stop.
    pub(crate) async fn crash(&mut self) {
        let node = self.node.take().unwrap();
        timeout(PATIENCE, node.crash()).await.expect("a crash is quick");
    }

    /// Sets the clock to a later instant.
    pub(crate) fn jump_to(&self, instant: i64) {
        let ahead = instant - self.clock.wall();
        self.clock.advance(Duration::from_millis(u64::try_from(ahead).expect("not passed yet")));
    }

    /// Lets time pass in steps of a length until a condition gives a value; panics when it never
    /// does.
    pub(crate) async fn until_by<T>(
        &self,
        step: Duration,
        what: &str,
        mut holds: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        let mut ticker = interval(REAL_STEP);
        let deadline = Instant::now() + PATIENCE;
        loop {
            ticker.tick().await;
            if let Some(found) = holds(self).await {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}; {} arrivals",
                self.receiver.arrivals().len()
            );
            self.clock.advance(step);
        }
    }

    /// Lets time pass in small steps until a condition gives a value.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        holds: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        self.until_by(STEP, what, holds).await
    }

    /// Jumps to one second before an instant and lets time pass until the job has arrived for it.
    pub(crate) async fn jump_and_arrive(&self, job: u64, scheduled: i64) {
        self.jump_to(scheduled - 1_000);
        self.arrives(job, scheduled).await;
    }

    /// Lets time pass until a job has arrived for an instant.
    pub(crate) async fn arrives(&self, job: u64, scheduled: i64) {
        let what = format!("job {job} for {scheduled}");
        self.until(&what, async |node: &Self| {
            node.arrivals_of(job).contains(&scheduled).then_some(())
        })
        .await;
    }

    /// Lets time pass until an occurrence is recorded as delivered.
    pub(crate) async fn delivered(&self, job: u64, scheduled: i64) {
        let path = format!("/api/v1/executions?jobId={job}&status=delivered");
        let what = format!("job {job} delivered for {scheduled}");
        let scheduled = rfc3339(scheduled);
        self.until(&what, async |node: &Self| {
            let (_, body) = node.ask("GET", &path, None).await;
            let found = body["data"]["executions"].as_array()?;
            found.iter().any(|e| e["scheduledAt"] == scheduled).then_some(())
        })
        .await;
    }

    /// The instants that a job has arrived for, in the order of arrival.
    pub(crate) fn arrivals_of(&self, job: u64) -> Vec<i64> {
        let arrivals = self.receiver.arrivals();
        arrivals.iter().filter(|a| a.job == job).map(|a| a.scheduled).collect()
    }

    /// Scheduler time.
    pub(crate) fn now(&self) -> i64 {
        self.node().time().now()
    }

    /// Proposes a command past the API; returns an instant at which it is applied.
    pub(crate) async fn propose(&self, command: Command) -> i64 {
        let outcome = self.node().cluster().propose(command).await.unwrap();
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        self.now()
    }

    /// The URL of a path on the node.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.node().address())
    }

    /// Sends a request to the node; returns status and body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut ask = self.http.request(method.parse().unwrap(), self.url(path));
        ask = ask.header("prefer", "return=representation");
        if let Some(body) = body {
            ask = ask.json(&body);
        }
        let answer = ask.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Creates a job for each schedule; returns their plans in this order.
    pub(crate) async fn jobs(&self, specs: &[&str]) -> Vec<Planned> {
        let project = json!({"name": format!("days {}", self.now()), "description": "of a test"});
        let (status, body) = self.ask("POST", "/api/v1/projects", Some(project)).await;
        assert_eq!(status, 201, "{body}");
        let job = |spec: &&str| {
            json!({
                "projectId": body["data"]["id"], "spec": spec, "timezone": "UTC",
                "callbackUrl": self.receiver.url(), "data": "{}",
            })
        };
        let jobs: Value = specs.iter().map(job).collect();
        let (status, body) = self.ask("POST", "/api/v1/jobs", Some(jobs)).await;
        assert_eq!(status, 201, "{body}");
        planned(body["data"].as_array().unwrap())
    }

    /// Lets time pass until `count` executions of a job are recorded in a status; returns them,
    /// oldest first. Panics when there are more.
    pub(crate) async fn recorded(&self, job: u64, status: &str, count: usize) -> Vec<Value> {
        let path = format!("/api/v1/executions?jobId={job}&status={status}&orderByDirection=asc");
        let what = format!("{count} {status} executions of job {job}");
        self.until(&what, async |node: &Self| {
            let (code, body) = node.ask("GET", &path, None).await;
            assert_eq!(code, 200, "{body}");
            let found = body["data"]["executions"].as_array().unwrap().clone();
            assert!(found.len() <= count, "{what}: {body}");
            (found.len() == count).then_some(found)
        })
        .await
    }
}
