//! A whole node in this process whose clock is in the story's hands. Time stands still unless the
//! story moves it; while it waits for a fact, time passes a few times faster than outside.

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

use crate::cluster::{PATIENCE, client};
use crate::firing::planned;
use crate::oracle::Planned;
use crate::receiver::Receiver;

/// Half a minute after a full minute, in 2030.
const BIRTH: i64 = 1_900_000_050_000;
/// While a fact is waited for, so much time passes ...
const STEP: Duration = Duration::from_millis(20);
/// ... with each beat of the world outside.
const BEAT: Duration = Duration::from_millis(5);

/// The node, its folder, its clock and a receiver that reads the same clock.
pub(super) struct Home {
    pub(super) clock: Arc<TestClock>,
    pub(super) receiver: Receiver,
    dir: TempDir,
    node: Option<Node>,
    http: reqwest::Client,
}

impl Home {
    /// A founded cluster of one.
    pub(super) async fn build() -> Self {
        let clock = TestClock::new(BIRTH);
        let reading = clock.clone();
        let receiver = Receiver::start_by(move || reading.wall()).await;
        let dir = tempfile::tempdir().unwrap();
        let mut home = Self { clock, receiver, dir, node: None, http: client() };
        home.start().await;
        home
    }

    /// Starts the node (again) and waits until it leads.
    pub(super) async fn start(&mut self) {
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

    /// The graceful stop, in passing time.
    pub(super) async fn stop(&mut self) {
        let node = self.node.take().unwrap();
        let mut stopping = Box::pin(node.stop());
        let mut beat = interval(BEAT);
        let passing = async {
            loop {
                tokio::select! {
                    () = &mut stopping => return,
                    _ = beat.tick() => self.clock.advance(STEP),
                }
            }
        };
        timeout(PATIENCE, passing).await.expect("a graceful stop ends");
    }

    /// The end without a word.
    pub(super) async fn crash(&mut self) {
        let node = self.node.take().unwrap();
        timeout(PATIENCE, node.crash()).await.expect("a crash is quick");
    }

    /// Jumps to an instant ahead, at once.
    pub(super) fn jump_to(&self, instant: i64) {
        let ahead = instant - self.clock.wall();
        self.clock.advance(Duration::from_millis(u64::try_from(ahead).expect("not passed yet")));
    }

    /// Lets time pass, in paces of a length, until something holds; panics when it never does.
    pub(super) async fn until_by<T>(
        &self,
        pace: Duration,
        what: &str,
        mut holds: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        let mut beat = interval(BEAT);
        let deadline = Instant::now() + PATIENCE;
        loop {
            beat.tick().await;
            if let Some(found) = holds(self).await {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}; {} arrivals",
                self.receiver.arrivals().len()
            );
            self.clock.advance(pace);
        }
    }

    /// The same, in small steps.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        holds: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        self.until_by(STEP, what, holds).await
    }

    /// Jumps to one second before an instant and lets time pass until a job has arrived for it.
    pub(super) async fn arrives(&self, job: u64, scheduled: i64) {
        self.jump_to(scheduled - 1_000);
        self.comes(job, scheduled).await;
    }

    /// Lets time pass until a job has arrived for an instant.
    pub(super) async fn comes(&self, job: u64, scheduled: i64) {
        let what = format!("job {job} for {scheduled}");
        self.until(&what, async |home: &Self| home.of(job).contains(&scheduled).then_some(()))
            .await;
    }

    /// Lets time pass until the books say that an occurrence was delivered.
    pub(super) async fn delivered(&self, job: u64, scheduled: i64) {
        let path = format!("/api/v1/executions?jobId={job}&status=delivered");
        let what = format!("job {job} delivered for {scheduled}");
        let scheduled = rfc3339(scheduled);
        self.until(&what, async |home: &Self| {
            let (_, body) = home.ask("GET", &path, None).await;
            let found = body["data"]["executions"].as_array()?;
            found.iter().any(|e| e["scheduledAt"] == scheduled).then_some(())
        })
        .await;
    }

    /// The instants that a job has arrived for, in the order of arrival.
    pub(super) fn of(&self, job: u64) -> Vec<i64> {
        let arrivals = self.receiver.arrivals();
        arrivals.iter().filter(|a| a.job == job).map(|a| a.scheduled).collect()
    }

    /// Scheduler time.
    pub(super) fn now(&self) -> i64 {
        self.node().time().now()
    }

    /// Puts a command through, past the API; an instant at which it was applied.
    pub(super) async fn propose(&self, command: Command) -> i64 {
        let outcome = self.node().cluster().propose(command).await.unwrap();
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        self.now()
    }

    /// The URL of a path on the node.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.node().address())
    }

    /// Asks the node; status and body.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut ask = self.http.request(method.parse().unwrap(), self.url(path));
        ask = ask.header("prefer", "return=representation");
        if let Some(body) = body {
            ask = ask.json(&body);
        }
        let answer = ask.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Creates one job of each schedule and gives them in their order.
    pub(super) async fn jobs(&self, specs: &[&str]) -> Vec<Planned> {
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

    /// Waits until the books say so many executions of a job in a status; gives them, oldest first.
    pub(super) async fn recorded(&self, job: u64, status: &str, count: usize) -> Vec<Value> {
        let path = format!("/api/v1/executions?jobId={job}&status={status}&orderByDirection=asc");
        let what = format!("{count} {status} executions of job {job}");
        self.until(&what, async |home: &Self| {
            let (code, body) = home.ask("GET", &path, None).await;
            assert_eq!(code, 200, "{body}");
            let found = body["data"]["executions"].as_array().unwrap().clone();
            assert!(found.len() <= count, "{what}: {body}");
            (found.len() == count).then_some(found)
        })
        .await
    }
}
