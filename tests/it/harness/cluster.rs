//! Real `scheduler0 start` processes on free ports of the loopback. A test starts, kills, stops,
//! freezes and restarts them. What a test asks of them is in `requests`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::http::client;
use super::ports::free_port;

/// How long a fact may take to become true before a test fails. It is generous: a test asserts what
/// happens, not how fast this machine is.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Time between two looks at a process that announces nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

struct Host {
    id: u64,
    port: u16,
    raft_port: u16,
    process: Option<Child>,
    /// A program of another version that the node runs; `None` is the one under test.
    program: Option<PathBuf>,
}

impl Host {
    fn new(id: u64) -> Self {
        Self { id, port: free_port(), raft_port: free_port(), process: None, program: None }
    }
}

/// Nodes with a common folder for their data. Dropping it kills them and deletes the folder.
pub(crate) struct TestCluster {
    folder: tempfile::TempDir,
    hosts: Vec<Host>,
    http: reqwest::Client,
    settings: Vec<(String, String)>,
}

impl TestCluster {
    /// Starts `count` nodes and waits until each is ready.
    pub(crate) async fn start(count: u64) -> Self {
        Self::start_with(count, &[]).await
    }

    /// Starts `count` nodes with more settings (`SCHEDULER0_...`) and waits until each is ready.
    pub(crate) async fn start_with(count: u64, settings: &[(&str, &str)]) -> Self {
        Self::start_some(count, count, settings).await
    }

    /// Configures `count` nodes, starts the `first` ones and waits until each of those is ready.
    pub(crate) async fn start_some(count: u64, first: u64, settings: &[(&str, &str)]) -> Self {
        Self::start_hosts((1..=count).map(Host::new).collect(), first, settings).await
    }

    /// Starts `count` nodes that run a program of another version and waits until each is ready.
    pub(crate) async fn start_other(count: u64, program: &Path) -> Self {
        let program = Some(program.to_owned());
        let host = |id| Host { program: program.clone(), ..Host::new(id) };
        Self::start_hosts((1..=count).map(host).collect(), count, &[]).await
    }

    async fn start_hosts(hosts: Vec<Host>, first: u64, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { folder, hosts, http: client(), settings };
        for id in 1..=first {
            cluster.spawn(id);
        }
        for id in 1..=first {
            cluster.ready(id).await;
        }
        cluster
    }

    fn host(&self, id: u64) -> &Host {
        &self.hosts[id as usize - 1]
    }

    /// The data folder of a node.
    pub(crate) fn data_dir(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("node{id}"))
    }

    /// Starts a node's process (again).
    pub(crate) fn spawn(&mut self, id: u64) {
        let log_path = self.folder.path().join(format!("node{id}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log_path).unwrap();
        self.spawn_to(id, "start", Stdio::null(), Stdio::from(log));
    }

    /// Starts a node's process by a command, with its output where the test wants it.
    pub(crate) fn spawn_to(&mut self, id: u64, command: &str, stdout: Stdio, stderr: Stdio) {
        let mut program = self.command(id);
        program.arg(command).stdout(stdout).stderr(stderr);
        // The secrets of the tests are short: `--weak` allows that, and older programs do without.
        if self.host(id).program.is_none() {
            program.arg("--weak");
        }
        let process = program.spawn().unwrap();
        self.hosts[id as usize - 1].process = Some(process);
    }

    /// Takes a process that the test started itself as a node's.
    pub(crate) fn adopt(&mut self, id: u64, process: Child) {
        self.hosts[id as usize - 1].process = Some(process);
    }

    /// The process id of a node.
    pub(crate) fn process(&self, id: u64) -> u32 {
        self.host(id).process.as_ref().unwrap().id()
    }

    /// True while a node's process has not ended.
    #[allow(dead_code, reason = "for attacks that end a node")]
    pub(crate) fn is_running(&mut self, id: u64) -> bool {
        let process = self.hosts[id as usize - 1].process.as_mut();
        process.is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// The program, configured as a node, without arguments.
    pub(crate) fn command(&self, id: u64) -> Command {
        let replicas: Vec<Value> = self
            .hosts
            .iter()
            .map(|h| {
                json!({
                    "address": format!("http://127.0.0.1:{}", h.port),
                    "raft_address": format!("127.0.0.1:{}", h.raft_port),
                    "nodeId": h.id,
                })
            })
            .collect();
        let host = self.host(id);
        let ours = Path::new(env!("CARGO_BIN_EXE_scheduler0"));
        let mut command = Command::new(host.program.as_deref().unwrap_or(ours));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
            .env("SCHEDULER0_AUTH_USERNAME", "admin")
            .env("SCHEDULER0_AUTH_PASSWORD", "admin-password")
            .env("SCHEDULER0_NODE_ID", id.to_string())
            .env("SCHEDULER0_HOST", "127.0.0.1")
            .env("SCHEDULER0_PORT", host.port.to_string())
            .env("SCHEDULER0_RAFT_ADDRESS", format!("127.0.0.1:{}", host.raft_port))
            .env("SCHEDULER0_BOOTSTRAP", if id == 1 { "true" } else { "false" })
            .env("SCHEDULER0_DATA_DIR", self.data_dir(id));
        if self.hosts.len() > 1 {
            command.env("SCHEDULER0_REPLICAS", Value::from(replicas).to_string());
        }
        for (name, value) in &self.settings {
            command.env(name, value);
        }
        command
    }

    /// Moves a node's data folder away; returns its new path.
    pub(crate) fn move_data_away(&self, id: u64) -> PathBuf {
        let old = self.folder.path().join(format!("node{id}.old"));
        std::fs::rename(self.data_dir(id), &old).unwrap();
        old
    }

    /// The folder of data, logs and whatever a test puts there.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a host without starting it; returns its id.
    pub(crate) fn add_host(&mut self) -> u64 {
        let id = self.hosts.len() as u64 + 1;
        self.hosts.push(Host::new(id));
        id
    }

    /// Gives a stopped node other addresses.
    pub(crate) fn relocate(&mut self, id: u64) {
        let host = &mut self.hosts[id as usize - 1];
        (host.port, host.raft_port) = (free_port(), free_port());
    }

    /// A node's addresses: the URL of its API, and `host:port` for the other nodes.
    pub(crate) fn addresses(&self, id: u64) -> (String, String) {
        let host = self.host(id);
        (format!("http://127.0.0.1:{}", host.port), format!("127.0.0.1:{}", host.raft_port))
    }

    /// Waits until a node's process has ended by itself; returns its exit code.
    pub(crate) async fn ended(&mut self, id: u64) -> Option<i32> {
        let mut process = self.hosts[id as usize - 1].process.take().unwrap();
        let mut ticker = tokio::time::interval(POLL_INTERVAL);
        let deadline = Instant::now() + PATIENCE;
        loop {
            ticker.tick().await;
            if let Some(status) = process.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > deadline {
                process.kill().unwrap();
                panic!("node {id} has not ended:\n{}", self.log(id));
            }
        }
    }

    /// Runs the command line against a node; returns exit code, stdout as JSON, and stderr.
    pub(crate) async fn cli(&self, ask: u64, words: &[&str]) -> (i32, Value, String) {
        let host = self.host(ask);
        let ours = Path::new(env!("CARGO_BIN_EXE_scheduler0"));
        let mut command = Command::new(host.program.as_deref().unwrap_or(ours));
        command
            .args(words)
            .arg("--json")
            .current_dir(self.folder.path())
            .env_clear()
            .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
            .env("SCHEDULER0_AUTH_USERNAME", "admin")
            .env("SCHEDULER0_AUTH_PASSWORD", "admin-password")
            .env("SCHEDULER0_NODE_ID", ask.to_string())
            .env("SCHEDULER0_PORT", host.port.to_string())
            .env("SCHEDULER0_RAFT_ADDRESS", format!("127.0.0.1:{}", host.raft_port))
            .env("SCHEDULER0_DATA_DIR", self.data_dir(ask));
        let run = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = tokio::time::timeout(PATIENCE, run).await.expect("the command ends").unwrap();
        let stdout = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), stdout, said)
    }

    /// Waits until a node answers that it is ready. Panics with its log when its process ends.
    pub(crate) async fn ready(&mut self, id: u64) {
        let url = format!("http://127.0.0.1:{}/readyz", self.host(id).port);
        let http = self.http.clone();
        let mut ticker = tokio::time::interval(POLL_INTERVAL);
        let deadline = Instant::now() + PATIENCE;
        loop {
            ticker.tick().await;
            if http.get(&url).send().await.is_ok_and(|r| r.status().is_success()) {
                return;
            }
            let process = self.hosts[id as usize - 1].process.as_mut().unwrap();
            if let Some(status) = process.try_wait().unwrap() {
                panic!("node {id} ended with {status}:\n{}", self.log(id));
            }
            assert!(
                Instant::now() < deadline,
                "node {id} is not ready within {PATIENCE:?}:\n{}",
                self.log(id)
            );
        }
    }

    /// The last 6 kB that a node wrote to stderr.
    pub(crate) fn log(&self, id: u64) -> String {
        let path = self.folder.path().join(format!("node{id}.log"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let start = text.len().saturating_sub(6_000);
        text.get(start..).unwrap_or(&text).to_owned()
    }

    fn signal(&self, id: u64, signal: Signal) {
        let process = self.host(id).process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    /// Kills a node (SIGKILL).
    pub(crate) fn kill(&mut self, id: u64) {
        let mut process = self.hosts[id as usize - 1].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Kills all nodes at once (SIGKILL).
    pub(crate) fn kill_all(&mut self) {
        let mut processes: Vec<Child> =
            self.hosts.iter_mut().filter_map(|host| host.process.take()).collect();
        for process in &mut processes {
            process.kill().unwrap();
        }
        for mut process in processes {
            process.wait().unwrap();
        }
    }

    /// Stops a node in order (SIGTERM) and waits for its end; returns the exit code.
    pub(crate) async fn stop(&mut self, id: u64) -> Option<i32> {
        self.signal(id, Signal::TERM);
        let mut process = self.hosts[id as usize - 1].process.take().unwrap();
        let wait = tokio::task::spawn_blocking(move || process.wait().unwrap().code());
        tokio::time::timeout(PATIENCE, wait).await.expect("a graceful stop ends").unwrap()
    }

    /// Adds a setting for each process that is started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Freezes a node (SIGSTOP). On return none of its threads runs.
    pub(crate) fn freeze(&self, id: u64) {
        self.signal(id, Signal::STOP);
        let process = WaitId::Pid(Pid::from_child(self.host(id).process.as_ref().unwrap()));
        waitid(process, WaitIdOptions::STOPPED).unwrap();
    }

    /// Lets a frozen node run on (SIGCONT).
    pub(crate) fn unfreeze(&self, id: u64) {
        self.signal(id, Signal::CONT);
    }

    /// The ids of all configured nodes.
    pub(crate) fn ids(&self) -> RangeInclusive<u64> {
        1..=self.hosts.len() as u64
    }

    /// The URL of a path on a node.
    pub(crate) fn url(&self, id: u64, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.host(id).port)
    }

    /// The client of all requests to the nodes.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The node runs the program under test from its next start on.
    pub(crate) fn upgrade(&mut self, id: u64) {
        self.hosts[id as usize - 1].program = None;
    }

    /// Starts a node again and waits until it is ready.
    pub(crate) async fn restart(&mut self, id: u64) {
        self.spawn(id);
        self.ready(id).await;
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        for host in &mut self.hosts {
            if let Some(mut process) = host.process.take() {
                // Already gone is fine: the point is that nothing is left behind.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}
