//! The cluster harness: real `scheduler0 start` processes on free ports of the loopback, that can be
//! killed, stopped, frozen and restarted. Stories wait for facts, never for a length of time.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::{Value, json};

/// How long a fact may take to become true before a story fails. Generous: a story asserts what
/// happens, not how fast this machine is.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

struct Host {
    id: u64,
    port: u16,
    raft_port: u16,
    process: Option<Child>,
}

/// Some nodes with a common folder for their data; killed and deleted when dropped.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    hosts: Vec<Host>,
    http: reqwest::Client,
    settings: Vec<(String, String)>,
}

/// A port that nobody listens on, and that no other cluster of these stories was given: taken from
/// below the ports that systems hand out by themselves, so that no connection's own end is there when
/// a node starts, or starts again. Another run of the stories begins elsewhere.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(331);
    let mut ports = (0..COUNT).map(|_| {
        let n = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        (FIRST + n % COUNT) as u16
    });
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A client that signs in as `admin`, as every node of the stories knows it.
pub(crate) fn client() -> reqwest::Client {
    // admin:admin-password, as `spawn` sets it.
    client_of(&[("x-peer", "cmd"), ("authorization", "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ=")])
}

/// A client that sends these headers with each request.
pub(crate) fn client_of(headers: &[(&'static str, &str)]) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pairs = headers.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    });
    let headers: HeaderMap = pairs.collect();
    reqwest::Client::builder()
        .default_headers(headers)
        .timeout(Duration::from_secs(30))
        // Half of the time that a node which stops leaves to a connection on which nothing comes.
        .pool_idle_timeout(Duration::from_millis(500))
        .no_proxy()
        .build()
        .unwrap()
}

impl Cluster {
    /// Starts so many nodes and waits until each of them is ready.
    pub(crate) async fn start(count: u64) -> Self {
        Self::start_with(count, &[]).await
    }

    /// The same, with more settings (`SCHEDULER0_...`) for every node.
    pub(crate) async fn start_with(count: u64, settings: &[(&str, &str)]) -> Self {
        Self::start_some(count, count, settings).await
    }

    /// Configures so many nodes, starts the first of them and waits until each of those is ready.
    pub(crate) async fn start_some(count: u64, first: u64, settings: &[(&str, &str)]) -> Self {
        let hosts = (1..=count)
            .map(|id| Host { id, port: free_port(), raft_port: free_port(), process: None })
            .collect();
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

    /// Starts a node's process by a command, with its output where the story wants it.
    pub(crate) fn spawn_to(&mut self, id: u64, command: &str, stdout: Stdio, stderr: Stdio) {
        let mut program = self.command(id);
        // The secrets of the stories are for reading, not for keeping.
        program.args([command, "--weak"]).stdout(stdout).stderr(stderr);
        let process = program.spawn().unwrap();
        self.hosts[id as usize - 1].process = Some(process);
    }

    /// Takes a process that was started otherwise for a node's.
    pub(crate) fn adopt(&mut self, id: u64, process: Child) {
        self.hosts[id as usize - 1].process = Some(process);
    }

    /// The number of a node's process.
    pub(crate) fn process(&self, id: u64) -> u32 {
        self.host(id).process.as_ref().unwrap().id()
    }

    /// Whether a node's process, once started, has not ended.
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_scheduler0"));
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

    /// Moves a node's data folder away; where to.
    pub(crate) fn put_away(&self, id: u64) -> PathBuf {
        let old = self.folder.path().join(format!("node{id}.old"));
        std::fs::rename(self.data_dir(id), &old).unwrap();
        old
    }

    /// The folder that all is in.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// One host more, not yet started; its id.
    pub(crate) fn add_host(&mut self) -> u64 {
        let id = self.hosts.len() as u64 + 1;
        self.hosts.push(Host { id, port: free_port(), raft_port: free_port(), process: None });
        id
    }

    /// Gives a stopped node other addresses.
    pub(crate) fn relocate(&mut self, id: u64) {
        let host = &mut self.hosts[id as usize - 1];
        (host.port, host.raft_port) = (free_port(), free_port());
    }

    /// Where a node is reached: its API's URL, and `host:port` for the others.
    pub(crate) fn addresses(&self, id: u64) -> (String, String) {
        let host = self.host(id);
        (format!("http://127.0.0.1:{}", host.port), format!("127.0.0.1:{}", host.raft_port))
    }

    /// Waits until a node's process has ended by itself; gives its exit code.
    pub(crate) async fn ended(&mut self, id: u64) -> Option<i32> {
        let mut process = self.hosts[id as usize - 1].process.take().unwrap();
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            beat.tick().await;
            if let Some(status) = process.try_wait().unwrap() {
                return status.code();
            }
            if tokio::time::Instant::now() > deadline {
                process.kill().unwrap();
                panic!("node {id} has not ended:\n{}", self.log(id));
            }
        }
    }

    /// Runs the command line against a node; exit code, stdout as JSON, stderr.
    pub(crate) async fn cli(&self, ask: u64, words: &[&str]) -> (i32, Value, String) {
        let host = self.host(ask);
        let mut command = Command::new(env!("CARGO_BIN_EXE_scheduler0"));
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

    /// Waits until a node says that it is ready.
    pub(crate) async fn ready(&mut self, id: u64) {
        let url = format!("http://127.0.0.1:{}/readyz", self.host(id).port);
        let http = self.http.clone();
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            beat.tick().await;
            if http.get(&url).send().await.is_ok_and(|r| r.status().is_success()) {
                return;
            }
            let process = self.hosts[id as usize - 1].process.as_mut().unwrap();
            if let Some(status) = process.try_wait().unwrap() {
                panic!("node {id} ended with {status}:\n{}", self.log(id));
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "node {id} is not ready within {PATIENCE:?}:\n{}",
                self.log(id)
            );
        }
    }

    /// The end of what a node wrote to stderr.
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

    /// `kill -9`.
    pub(crate) fn kill(&mut self, id: u64) {
        let mut process = self.hosts[id as usize - 1].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// `kill -9` of all nodes at once.
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

    /// SIGTERM, and waits for the end; gives the exit code.
    pub(crate) async fn stop(&mut self, id: u64) -> Option<i32> {
        self.signal(id, Signal::TERM);
        let mut process = self.hosts[id as usize - 1].process.take().unwrap();
        let wait = tokio::task::spawn_blocking(move || process.wait().unwrap().code());
        tokio::time::timeout(PATIENCE, wait).await.expect("a graceful stop ends").unwrap()
    }

    /// A setting for every process that is started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// SIGSTOP: cut off from the world, but alive. None of its threads runs any more on return.
    pub(crate) fn isolate(&self, id: u64) {
        self.signal(id, Signal::STOP);
        let process = WaitId::Pid(Pid::from_child(self.host(id).process.as_ref().unwrap()));
        waitid(process, WaitIdOptions::STOPPED).unwrap();
    }

    /// SIGCONT.
    pub(crate) fn rejoin(&self, id: u64) {
        self.signal(id, Signal::CONT);
    }

    /// Starts a node again and waits until it is ready.
    pub(crate) async fn restart(&mut self, id: u64) {
        self.spawn(id);
        self.ready(id).await;
    }

    /// The URL of a path on a node.
    pub(crate) fn url(&self, id: u64, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.host(id).port)
    }

    /// The client that the URLs are asked with.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// GET; the envelope's data. Panics on anything but a success.
    pub(crate) async fn get(&self, id: u64, path: &str) -> Value {
        let response = self.http.get(self.url(id, path)).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body["data"].clone()
    }

    /// POST; status and body.
    pub(crate) async fn post(&self, id: u64, path: &str, body: &Value) -> (u16, Value) {
        let response = self.http.post(self.url(id, path)).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// Makes a project through a node; its id.
    pub(crate) async fn project(&self, id: u64, name: &str) -> u64 {
        let (status, body) =
            self.post(id, "/projects", &json!({"name": name, "description": "of a test"})).await;
        assert_eq!(status, 201, "{body}");
        body["data"]["id"].as_u64().unwrap()
    }

    /// Creates jobs through a node and gives them as they were created.
    pub(crate) async fn jobs(&self, id: u64, jobs: &Value) -> Vec<Value> {
        let response = self
            .http
            .post(self.url(id, "/api/v1/jobs"))
            .header("prefer", "return=representation")
            .json(jobs)
            .send()
            .await
            .unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, 201, "{body}");
        match &body["data"] {
            Value::Array(jobs) => jobs.clone(),
            job => vec![job.clone()],
        }
    }

    /// The leader, as a node sees it; `None` while there is none.
    pub(crate) async fn leader(&self, id: u64) -> Option<u64> {
        let response = self.http.get(self.url(id, "/healthcheck")).send().await.ok()?;
        let body: Value = response.json().await.ok()?;
        let leader: u64 = body["data"]["leader_id"].as_str()?.parse().ok()?;
        (leader > 0).then_some(leader)
    }

    /// Waits until something holds of what a node answers; panics when it never does.
    pub(crate) async fn wait_until<F, T>(&self, what: &str, mut holds: F) -> T
    where
        F: AsyncFnMut(&Self) -> Option<T>,
    {
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            beat.tick().await;
            if let Some(found) = holds(self).await {
                return found;
            }
            if tokio::time::Instant::now() > deadline {
                for host in &self.hosts {
                    eprintln!("-- node {}:\n{}", host.id, self.log(host.id));
                }
                panic!("{what}: not within {PATIENCE:?}");
            }
        }
    }

    /// Waits until every shard has an owner among the nodes given, and no hand-over is open.
    pub(crate) async fn settled(&self, ask: u64, owners: &[u64]) {
        self.wait_until("every shard owned and closed", async |cluster: &Self| {
            let response =
                cluster.http.get(cluster.url(ask, "/api/v1/cluster/status")).send().await;
            let body: Value = response.ok()?.json().await.ok()?;
            let shards = body["data"]["shards"].as_array()?.clone();
            let fine = shards.len() == 64
                && shards.iter().all(|s| {
                    s["owner"].as_u64().is_some_and(|o| owners.contains(&o))
                        && s["closing"].is_null()
                })
                && owners.iter().all(|o| shards.iter().any(|s| s["owner"].as_u64() == Some(*o)));
            fine.then_some(())
        })
        .await;
    }

    /// The hash of every node's state at one log index, asked through a node.
    pub(crate) async fn checksums(&self, ask: u64) -> Vec<String> {
        let (status, body) = self.post(ask, "/api/v1/cluster/checksum", &json!({})).await;
        assert_eq!(status, 200, "{body}");
        let nodes = body["data"]["nodes"].as_array().unwrap();
        let hash =
            |node: &Value| node["hash"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
        nodes.iter().map(hash).collect()
    }
}

impl Drop for Cluster {
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
