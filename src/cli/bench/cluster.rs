//! A cluster for the run: real processes of this binary on free ports of the loopback, with a
//! folder and credentials of their own. Dropping it ends every process by its id and removes the
//! folder. `run` starts it, kills one of its nodes if the flags say so, and reads what the nodes
//! used.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::load::{Api, Pass};
use super::report::NodeUse;

/// The longest time until all nodes serve and every shard has an owner.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// Time between two tries.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The unit of processor time in `/proc`: a hundredth of a second on every Linux.
const TICKS_PER_S: f64 = 100.0;
/// The username of the nodes' operator.
const USERNAME: &str = "bench";

#[derive(Default)]
struct Host {
    id: u64,
    port: u16,
    raft_port: u16,
    process: Option<Child>,
    /// Processor time of its processes that ended, in seconds.
    spent: f64,
    /// Processor time when the window began.
    mark: f64,
    /// Anonymous memory before there were jobs, and the most that was seen since.
    empty_mb: f64,
    most_mb: f64,
}

/// A folder that goes with its owner.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one that only this user can read.
    pub(super) fn new() -> anyhow::Result<Self> {
        let name = format!("scheduler0-bench-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// The path of the folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system clears its temporary folder, if this fails.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The nodes. Declared before the folder they write to, and so ended before it is removed.
pub(super) struct Cluster {
    hosts: Vec<Host>,
    folder: Folder,
    secret_key: Zeroizing<String>,
    password: Zeroizing<String>,
    settings: Vec<(String, String)>,
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Cluster {
    /// Starts so many nodes, with settings over the defaults, and waits until they fire.
    pub(super) async fn start(
        count: u64,
        settings: Vec<(String, String)>,
        folder: Folder,
    ) -> anyhow::Result<Self> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        rand::fill(secret.as_mut_slice());
        let password = Zeroizing::new(hex::encode(rand::random::<[u8; 16]>()));
        // Keeps the nodes from reading a config.yml beside the binary.
        fs::write(folder.path().join("config.yml"), "LogLevel: WARN\n")?;
        let mut cluster = Self {
            hosts: Vec::new(),
            folder,
            secret_key: Zeroizing::new(hex::encode(secret.as_slice())),
            password,
            settings,
        };
        for id in 1..=count {
            let (port, raft_port) = (free_port()?, free_port()?);
            let host = Host { id, port, raft_port, ..Host::default() };
            cluster.hosts.push(host);
        }
        for place in 0..cluster.hosts.len() {
            cluster.spawn(place)?;
        }
        let settled = tokio::time::timeout(READY_TIMEOUT, cluster.settled()).await;
        settled.with_context(|| {
            format!("the nodes did not start in {} s:\n{}", READY_TIMEOUT.as_secs(), cluster.logs())
        })??;
        for host in &mut cluster.hosts {
            host.empty_mb = host.rss_mb();
        }
        Ok(cluster)
    }

    /// The number of nodes.
    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// The API of a node, by its place.
    pub(super) fn api(&self, place: usize) -> anyhow::Result<Api> {
        let pass = Pass::Operator(USERNAME.to_owned(), self.password.clone());
        Api::new(&format!("http://127.0.0.1:{}", self.hosts[place].port), &pass)
    }

    /// The API of each node, for a client.
    pub(super) fn apis(&self, pass: &Pass) -> anyhow::Result<Vec<Api>> {
        let api = |host: &Host| Api::new(&format!("http://127.0.0.1:{}", host.port), pass);
        self.hosts.iter().map(api).collect()
    }

    /// The ports of all nodes: the API's, and the ones for each other.
    pub(super) fn ports(&self) -> Vec<SocketAddr> {
        let ports = self.hosts.iter().flat_map(|host| [host.port, host.raft_port]);
        ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
    }

    fn data_dir(&self, host: &Host) -> PathBuf {
        self.folder.path().join(format!("node{}", host.id))
    }

    fn spawn(&mut self, place: usize) -> anyhow::Result<()> {
        let replica = |h: &Host| {
            json!({
                "address": format!("http://127.0.0.1:{}", h.port),
                "raft_address": format!("127.0.0.1:{}", h.raft_port),
                "nodeId": h.id,
            })
        };
        let replicas: Vec<Value> = self.hosts.iter().map(replica).collect();
        let host = &self.hosts[place];
        let log = self.folder.path().join(format!("node{}.log", host.id));
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["start", "--config", "config.yml"]);
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("SCHEDULER0_SECRET_KEY", self.secret_key.as_str())
            .env("SCHEDULER0_AUTH_USERNAME", USERNAME)
            .env("SCHEDULER0_AUTH_PASSWORD", self.password.as_str())
            .env("SCHEDULER0_NODE_ID", host.id.to_string())
            .env("SCHEDULER0_HOST", "127.0.0.1")
            .env("SCHEDULER0_PORT", host.port.to_string())
            .env("SCHEDULER0_RAFT_ADDRESS", format!("127.0.0.1:{}", host.raft_port))
            .env("SCHEDULER0_BOOTSTRAP", if place == 0 { "true" } else { "false" })
            .env("SCHEDULER0_DATA_DIR", self.data_dir(host))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            // Ctrl-C must reach this process only, which then ends the nodes.
            .process_group(0);
        if replicas.len() > 1 {
            command.env("SCHEDULER0_REPLICAS", Value::from(replicas).to_string());
        }
        self.hosts[place].process = Some(command.spawn()?);
        Ok(())
    }

    /// Waits until every node is ready and every shard has an owner.
    async fn settled(&mut self) -> anyhow::Result<()> {
        for place in 0..self.hosts.len() {
            let api = self.api(place)?;
            while api.get("/readyz").await.is_err() {
                let process = self.hosts[place].process.as_mut();
                if let Some(status) = process.and_then(|p| p.try_wait().ok().flatten()) {
                    let id = self.hosts[place].id;
                    anyhow::bail!("node {id} ended with {status}:\n{}", self.logs());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        let api = self.api(0)?;
        while !api.get("/api/v1/cluster/status").await.is_ok_and(|status| owned(&status)) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn logs(&self) -> String {
        let read =
            |h: &Host| fs::read_to_string(self.folder.path().join(format!("node{}.log", h.id)));
        self.hosts.iter().filter_map(|host| read(host).ok()).collect()
    }

    /// The place of the leader, or of a node that fires (not the leader, if another does).
    pub(super) async fn find(&self, leader: bool) -> anyhow::Result<usize> {
        let status = self.api(0)?.get("/api/v1/cluster/status").await?;
        let leads = status["data"]["leader"].as_u64();
        let owners = status["data"]["shards"].as_array().map_or(&[][..], Vec::as_slice);
        let fires = owners.iter().filter_map(|s| s["owner"].as_u64());
        let mut fires: Vec<u64> = fires.filter(|id| *id > 0).collect();
        fires.sort_by_key(|id| Some(*id) == leads);
        let found = if leader { leads } else { fires.first().copied() };
        let place = found.and_then(|id| self.hosts.iter().position(|host| host.id == id));
        place.context("no node is known to do that now")
    }

    /// `kill -9`, `then`, and up again at once; the node's number.
    pub(super) fn kill_and_restart(
        &mut self,
        place: usize,
        then: impl FnOnce(),
    ) -> anyhow::Result<u64> {
        let host = &mut self.hosts[place];
        if let Some(mut process) = host.process.take() {
            host.spent += cpu_s(process.id()).unwrap_or(0.0);
            process.kill()?;
            process.wait()?;
        }
        then();
        self.spawn(place)?;
        Ok(self.hosts[place].id)
    }

    /// Starts to count processor time.
    pub(super) fn mark(&mut self) {
        for host in &mut self.hosts {
            host.mark = host.cpu_s();
        }
    }

    /// Takes a reading of the nodes' memory for the maximum.
    pub(super) fn look(&mut self) {
        for host in &mut self.hosts {
            host.most_mb = host.most_mb.max(host.rss_mb());
        }
    }

    /// The memory of each node now, in 10^6 bytes.
    pub(super) fn memory(&self) -> Vec<f64> {
        self.hosts.iter().map(Host::rss_mb).collect()
    }

    /// The resources that each node has used.
    pub(super) fn usage(&self) -> Vec<NodeUse> {
        let usage = |host: &Host| NodeUse {
            id: host.id,
            rss_empty_mb: host.empty_mb,
            rss_mb: host.rss_mb(),
            rss_most_mb: host.most_mb.max(host.rss_mb()),
            cpu_s: host.cpu_s() - host.mark,
            disk_bytes: disk_bytes(&self.data_dir(host)),
            unrecorded: None,
        };
        self.hosts.iter().map(usage).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.hosts.iter_mut().filter_map(|host| host.process.as_mut()) {
            // A process that has ended already is fine.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Host {
    fn rss_mb(&self) -> f64 {
        self.process.as_ref().and_then(|p| rss_mb(p.id())).unwrap_or(0.0)
    }

    fn cpu_s(&self) -> f64 {
        self.spent + self.process.as_ref().and_then(|p| cpu_s(p.id())).unwrap_or(0.0)
    }
}

fn owned(status: &Value) -> bool {
    let shards = status["data"]["shards"].as_array().map_or(&[][..], Vec::as_slice);
    let owned = |s: &Value| s["owner"].as_u64().is_some_and(|o| o > 0) && s["closing"].is_null();
    !shards.is_empty() && shards.iter().all(owned)
}

fn rss_mb(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kb: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kb * 1.024 / 1_000.0)
}

fn cpu_s(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything. User and system time are the 12th and 13th field
    // after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_S)
}

/// The allocated size of a folder, in bytes. Files that vanish meanwhile are left out.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk_bytes(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
