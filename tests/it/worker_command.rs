//! `scheduler0 worker` as a process beside real nodes: results and failures, cancels, a worker that
//! is killed or told to stop, and many runs over several workers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestCluster};

/// Nodes with a queue and a project, and the folder that commands write to.
struct Fixture {
    cluster: TestCluster,
    queue: u64,
    project: u64,
    folder: tempfile::TempDir,
}

/// A worker process. It ends with the test, with its commands.
struct WorkerProcess {
    process: Child,
    log: PathBuf,
}

impl Fixture {
    async fn start(nodes: u64, heartbeat_timeout: &str) -> Self {
        let settings = [("SCHEDULER0_EXECUTION_LOG_FETCH_INTERVAL_SECONDS", "0.2")];
        let cluster = TestCluster::start_with(nodes, &settings).await;
        // Of three nodes the leader owns no shards.
        match nodes {
            3 => drop(cluster.settled_roles().await),
            _ => cluster.settled(1, &(1..=nodes).collect::<Vec<_>>()).await,
        }
        let worker = json!({"bus": "embedded", "heartbeatTimeout": heartbeat_timeout});
        let queue = json!({"name": "emails", "type": "worker", "worker": worker});
        let (status, body) = cluster.post(1, "/api/v1/executors", &queue).await;
        assert_eq!(status, 201, "{body}");
        let queue = body["data"]["id"].as_u64().unwrap();
        let project = cluster.project(1, "workers").await;
        Self { cluster, queue, project, folder: tempfile::tempdir().unwrap() }
    }

    /// Creates a job that is due in a year; returns its id.
    async fn job(&self, more: Value) -> u64 {
        let job = json!({"projectId": self.project, "executorId": self.queue, "timezone": "UTC",
            "spec": "0 0 1 1 *", "retryDelay": "100ms"});
        let job = crate::harness::merged(job, more);
        self.cluster.jobs(1, &json!([job])).await[0]["id"].as_u64().unwrap()
    }

    /// Asks for a manual run; returns its execution id.
    async fn run_now(&self, job: u64) -> String {
        let (status, body) =
            self.cluster.post(1, &format!("/api/v1/jobs/{job}/run"), &json!({})).await;
        assert!((200..300).contains(&status), "{body}");
        body["data"]["executionId"].as_str().unwrap().to_owned()
    }

    /// Waits until a run has a state, and returns it.
    async fn run_is(&self, id: &str, state: &str) -> Value {
        self.cluster
            .wait_until(state, async |cluster: &TestCluster| {
                let url = cluster.url(1, &format!("/api/v1/runs/{id}"));
                let body: Value = cluster.http().get(url).send().await.ok()?.json().await.ok()?;
                (body["data"]["state"] == state).then(|| body["data"].clone())
            })
            .await
    }

    /// Waits for a file that a command makes.
    async fn made(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        let what = path.display().to_string();
        let read = async |_: &TestCluster| {
            std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
        };
        self.cluster.wait_until(&what, read).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a worker that asks the nodes from one of them on, with a script for `sh`.
    fn worker(&self, name: &str, first: u64, script: &str) -> WorkerProcess {
        let nodes = self.cluster.ids().count() as u64;
        let url = |n| self.cluster.addresses((first + n - 1) % nodes + 1).0;
        let urls = (0..nodes).map(url).collect::<Vec<_>>().join(",");
        let log = self.path(&format!("{name}.log"));
        let process = Command::new(Path::new(env!("CARGO_BIN_EXE_scheduler0")))
            .args(["--server", &urls, "worker", "--queue", "emails", "--concurrency", "4"])
            .args(["--grace", "5s", "--", "sh", "-c", script])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
            .env("SCHEDULER0_AUTH_USERNAME", "admin")
            .env("SCHEDULER0_AUTH_PASSWORD", "admin-password")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        WorkerProcess { process, log }
    }
}

impl WorkerProcess {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end; returns the exit code.
    async fn ended(mut self) -> Option<i32> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(tokio::time::Instant::now() < deadline, "{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it wrote.
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // Already gone is fine: the point is that nothing is left behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns whether a process has not ended. One whose parent has not asked for its end has.
fn is_running(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[tokio::test]
async fn results_failures_and_retries_are_recorded() {
    let fixture = Fixture::start(1, "30s").await;
    let done = fixture.job(json!({"data": "good morning"})).await;
    let fails = fixture.job(json!({"data": "fail", "retryMax": 1})).await;
    let script = "read -r text || :; if [ \"$text\" = fail ]; then echo no >&2; exit 3; fi; \
                  echo \"$text $S0_ATTEMPT\"";
    let worker = fixture.worker("w", 1, script);
    let (done, fails) = (fixture.run_now(done).await, fixture.run_now(fails).await);
    let run = fixture.run_is(&done, "completed").await;
    assert_eq!((&run["result"], &run["queue"]), (&json!("good morning 1"), &json!("emails")));
    let run = fixture.run_is(&fails, "failed").await;
    assert_eq!((&run["attempt"], &run["error"]), (&json!(2), &json!("exit code 3: no")));
    worker.signal(Signal::TERM);
    assert_eq!(worker.ended().await, Some(0));
}

#[tokio::test]
async fn a_cancelled_run_is_stopped_while_it_runs() {
    let fixture = Fixture::start(1, "30s").await;
    let job = fixture.job(json!({})).await;
    let script = "trap 'echo stopped > stopped; exit 0' TERM; echo progress 40 half >&2; \
                  echo begun > begun; while :; do sleep 0.05; done";
    let worker = fixture.worker("w", 1, script);
    let run = fixture.run_now(job).await;
    fixture.made("begun").await;
    fixture.run_is(&run, "running").await;
    let (status, body) =
        fixture.cluster.post(1, &format!("/api/v1/runs/{run}/cancel"), &json!({})).await;
    assert_eq!(status, 202, "{body}");
    fixture.made("stopped").await;
    fixture.run_is(&run, "cancelled").await;
    assert!(worker.said().contains("cancelled"), "{}", worker.said());
}

#[tokio::test]
async fn the_run_of_a_killed_worker_goes_to_another_one() {
    let fixture = Fixture::start(1, "2s").await;
    let job = fixture.job(json!({"retryMax": 3})).await;
    // The first attempt never ends; the second one does.
    let script = "echo $$ > pid-$S0_ATTEMPT; [ \"$S0_ATTEMPT\" = 2 ] || exec sleep 600; echo ok";
    let first = fixture.worker("first", 1, script);
    let run = fixture.run_now(job).await;
    let command = fixture.made("pid-1").await.trim().to_owned();
    let second = fixture.worker("second", 1, script);
    first.signal(Signal::KILL);
    first.ended().await;
    // The command ends with its worker.
    let is_gone = async |_: &TestCluster| (!is_running(&command)).then_some(());
    fixture.cluster.wait_until("the command is gone", is_gone).await;
    let ended = fixture.run_is(&run, "completed").await;
    assert_eq!((&ended["attempt"], &ended["result"]), (&json!(2), &json!("ok")));
    second.signal(Signal::TERM);
    assert_eq!(second.ended().await, Some(0));
}

#[tokio::test]
async fn two_hundred_runs_over_three_workers_are_each_performed_once() {
    let fixture = Fixture::start(3, "30s").await;
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(fixture.job(json!({})).await);
    }
    let script = "echo \"$S0_EXECUTION_ID\" >> performed";
    let workers: Vec<_> =
        (1..=3).map(|node| fixture.worker(&format!("w{node}"), node, script)).collect();
    let mut runs = Vec::new();
    for n in 0..200 {
        runs.push(fixture.run_now(jobs[n % jobs.len()]).await);
    }
    for run in &runs {
        fixture.run_is(run, "completed").await;
    }
    for worker in workers {
        worker.signal(Signal::TERM);
        assert_eq!(worker.ended().await, Some(0));
    }
    let mut performed: BTreeMap<String, u32> = BTreeMap::new();
    for line in fixture.made("performed").await.lines() {
        *performed.entry(line.to_owned()).or_default() += 1;
    }
    runs.sort();
    assert!(performed.values().all(|times| *times == 1), "{performed:?}");
    assert_eq!(performed.into_keys().collect::<Vec<_>>(), runs);
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_its_run_first() {
    let fixture = Fixture::start(1, "30s").await;
    let job = fixture.job(json!({})).await;
    let script = "echo begun > begun; while [ ! -e go ]; do sleep 0.05; done; echo finished";
    let worker = fixture.worker("w", 1, script);
    let run = fixture.run_now(job).await;
    fixture.made("begun").await;
    worker.signal(Signal::TERM);
    let log = worker.log.clone();
    let waits = async |_: &TestCluster| {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        said.contains("claims no more").then_some(())
    };
    fixture.cluster.wait_until("the worker stops", waits).await;
    // What falls due now waits for another worker.
    let other = fixture.run_now(job).await;
    std::fs::write(fixture.path("go"), "\n").unwrap();
    assert_eq!(worker.ended().await, Some(0));
    assert_eq!(fixture.run_is(&run, "completed").await["result"], "finished");
    fixture.run_is(&other, "pending").await;
}

#[tokio::test]
async fn a_worker_of_a_queue_that_does_not_exist_ends_with_the_reason() {
    let fixture = Fixture::start(1, "30s").await;
    let (status, body) = fixture
        .cluster
        .post(1, "/api/v1/executors", &json!({"name": "other", "type": "worker", "worker": {}}))
        .await;
    assert_eq!(status, 201, "{body}");
    let output = Command::new(Path::new(env!("CARGO_BIN_EXE_scheduler0")))
        .args(["--server", &fixture.cluster.addresses(1).0])
        .args(["worker", "--queue", "email", "--", "true"])
        .current_dir(fixture.folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
        .env("SCHEDULER0_AUTH_USERNAME", "admin")
        .env("SCHEDULER0_AUTH_PASSWORD", "admin-password")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("email"), "{said}");
}
