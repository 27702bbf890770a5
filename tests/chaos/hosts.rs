//! The nodes: real `scheduler0 start` processes, each on its host, with its data on a small disk of
//! its own and a clock that can be set. A node that ends by itself is started again, as a supervisor
//! would, and its end is remembered for `judge`. It ends only processes that it has started.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use reqwest::header::{HeaderMap, HeaderValue};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::net::{Net, done};

/// Callback requests that a node has under way at most: the bound on what may still come from a node
/// that was frozen behind its lease check.
pub(crate) const MAX_WORKERS: usize = 16;
/// Where Debian's libfaketime is.
const FAKETIME: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
/// A node's disk, in MB, and how much of it is kept free by refusing writes.
const DISK_MB: u64 = 192;
const RESERVE_MB: u64 = 24;

/// What this machine lets a run do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abilities {
    /// Namespaces and dropped packets.
    pub(crate) spaces: bool,
    /// Small disks (tmpfs).
    pub(crate) disks: bool,
    /// Clocks that can be set (libfaketime).
    pub(crate) clocks: bool,
}

/// Where nodes run, and what.
#[derive(Clone)]
pub(crate) struct Place {
    /// Their network.
    pub(crate) net: Arc<Net>,
    /// Where data and logs go.
    pub(crate) folder: PathBuf,
    /// The program.
    pub(crate) binary: PathBuf,
    /// What the machine lets us do.
    pub(crate) can: Abilities,
}

struct Host {
    process: Option<Child>,
    /// Whether it should run.
    wanted: bool,
    /// How often it was started.
    starts: u64,
}

/// A process that ended by itself.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Whose.
    pub(crate) node: u64,
    /// When, in milliseconds since the epoch.
    pub(crate) at: i64,
    /// Its exit code.
    pub(crate) code: Option<i32>,
}

/// All nodes of a run; killed when dropped, their disks unmounted.
pub(crate) struct Hosts {
    place: Place,
    proxies: Vec<SocketAddr>,
    all: Mutex<Vec<Host>>,
    ends: Mutex<Vec<End>>,
    http: reqwest::Client,
    quick: reqwest::Client,
    ended: AtomicBool,
}

/// The harness's clock, in milliseconds since the Unix epoch: the receiver's, too.
#[expect(clippy::disallowed_methods, reason = "the harness's clock is the machine's")]
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis() as i64
}

/// Where libfaketime is, if it is.
pub(crate) fn faketime() -> Option<&'static str> {
    FAKETIME.iter().copied().find(|path| Path::new(path).exists())
}

/// Removes what libfaketime shares under the number of a process that is gone.
fn tidy(process: &Child) {
    for kind in ["faketime_shm_", "sem.faketime_sem_"] {
        // Not there without libfaketime.
        let _ = fs::remove_file(format!("/dev/shm/{kind}{}", process.id()));
    }
}

fn client(timeout: Duration) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    headers.insert("x-peer", HeaderValue::from_static("cmd"));
    // admin:admin-password, as `command` sets it.
    headers.insert("authorization", HeaderValue::from_static("Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ="));
    let client = reqwest::Client::builder().default_headers(headers).timeout(timeout);
    client.connect_timeout(Duration::from_secs(1)).no_proxy().build().unwrap()
}

impl Hosts {
    /// Makes the disks and starts all nodes.
    pub(crate) fn start(place: Place, proxies: Vec<SocketAddr>) -> anyhow::Result<Arc<Self>> {
        let count = proxies.len() as u64;
        let hosts =
            proxies.iter().map(|_| Host { process: None, wanted: false, starts: 0 }).collect();
        let hosts = Arc::new(Self {
            place,
            proxies,
            all: Mutex::new(hosts),
            ends: Mutex::default(),
            http: client(Duration::from_secs(10)),
            quick: client(Duration::from_millis(1_500)),
            ended: AtomicBool::new(false),
        });
        for id in 1..=count {
            let disk = hosts.disk(id);
            fs::create_dir_all(&disk)?;
            if hosts.place.can.disks {
                let size = format!("size={DISK_MB}m");
                let mount = ["-t", "tmpfs", "-o", &size, "s0chaos"];
                done(Command::new("mount").args(mount).arg(&disk))?;
            }
            hosts.set_clock(id, 0)?;
            hosts.spawn(id)?;
        }
        Ok(hosts)
    }

    /// The ids of all nodes.
    pub(crate) fn ids(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.proxies.len() as u64
    }

    fn disk(&self, id: u64) -> PathBuf {
        self.place.folder.join(format!("node{id}"))
    }

    fn log_path(&self, id: u64) -> PathBuf {
        self.place.folder.join(format!("node{id}.log"))
    }

    /// What a node has written to stderr so far.
    pub(crate) fn log(&self, id: u64) -> String {
        fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    fn command(&self, id: u64) -> anyhow::Result<Command> {
        let replica = |id: u64| {
            json!({
                "address": format!("http://{}", self.place.net.api(id)),
                "raft_address": self.proxies[id as usize - 1].to_string(),
                "nodeId": id,
            })
        };
        let replicas: Vec<Value> = self.ids().map(replica).collect();
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(id))?;
        let mut command = self.place.net.command(id, &self.place.binary);
        let api = self.place.net.api(id);
        command
            .arg("start")
            .current_dir(&self.place.folder)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
            .env("SCHEDULER0_AUTH_USERNAME", "admin")
            .env("SCHEDULER0_AUTH_PASSWORD", "admin-password")
            .env("SCHEDULER0_NODE_ID", id.to_string())
            .env("SCHEDULER0_HOST", api.ip().to_string())
            .env("SCHEDULER0_PORT", api.port().to_string())
            .env("SCHEDULER0_RAFT_ADDRESS", format!("0.0.0.0:{}", self.place.net.raft(id).port()))
            .env("SCHEDULER0_BOOTSTRAP", if id == 1 { "true" } else { "false" })
            .env("SCHEDULER0_REPLICAS", Value::from(replicas).to_string())
            .env("SCHEDULER0_DATA_DIR", self.disk(id).join("data"))
            .env("SCHEDULER0_DISK_RESERVE_MB", RESERVE_MB.to_string())
            .env("SCHEDULER0_MAX_WORKERS", MAX_WORKERS.to_string())
            .env("SCHEDULER0_BREAKER_COOLDOWN_SECONDS", "1")
            .env("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "5")
            .env("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "500")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log));
        if let Some(library) = faketime().filter(|_| self.place.can.clocks) {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.clock_path(id))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_CACHE_DURATION", "1");
        }
        Ok(command)
    }

    /// Starts a node, unless it runs.
    pub(crate) fn spawn(&self, id: u64) -> anyhow::Result<()> {
        let mut hosts = self.all.lock().unwrap();
        let host = &mut hosts[id as usize - 1];
        host.wanted = true;
        if host.process.is_none() {
            host.process = Some(self.command(id)?.spawn().context("scheduler0 start")?);
            host.starts += 1;
        }
        Ok(())
    }

    /// How often a node was started.
    pub(crate) fn starts(&self, id: u64) -> u64 {
        self.all.lock().unwrap()[id as usize - 1].starts
    }

    /// `kill -9`, of several at once; they stay down until they are spawned.
    pub(crate) fn kill(&self, ids: &[u64]) {
        let mut hosts = self.all.lock().unwrap();
        let mut gone = Vec::new();
        for id in ids {
            let host = &mut hosts[*id as usize - 1];
            host.wanted = false;
            if let Some(mut process) = host.process.take() {
                // It may just have ended by itself.
                let _ = process.kill();
                gone.push(process);
            }
        }
        for mut process in gone {
            let _ = process.wait();
            tidy(&process);
        }
    }

    /// SIGSTOP or SIGCONT; of a node that is down, nothing.
    pub(crate) fn freeze(&self, id: u64, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        if let Some(process) = &self.all.lock().unwrap()[id as usize - 1].process {
            let _ = kill_process(Pid::from_child(process), signal);
        }
    }

    fn clock_path(&self, id: u64) -> PathBuf {
        self.place.folder.join(format!("node{id}.clock"))
    }

    /// Sets a node's wall clock so many seconds off, within about a second.
    pub(crate) fn set_clock(&self, id: u64, seconds: i64) -> anyhow::Result<()> {
        let new = self.clock_path(id).with_extension("new");
        fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(fs::rename(new, self.clock_path(id))?)
    }

    /// Fills a node's disk to the last byte.
    pub(crate) fn fill_disk(&self, id: u64) -> anyhow::Result<()> {
        let mut ballast = File::create(self.disk(id).join("ballast"))?;
        let mut chunk = vec![0_u8; 1 << 20];
        while !chunk.is_empty() {
            if ballast.write_all(&chunk).is_err() {
                chunk.truncate(chunk.len() / 2);
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn free_disk(&self, id: u64) {
        // Not there: not filled.
        let _ = fs::remove_file(self.disk(id).join("ballast"));
    }

    /// Looks after the nodes for ever: one that ended by itself is started again a second later.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
            for id in self.ids() {
                let ended = {
                    let mut hosts = self.all.lock().unwrap();
                    let host = &mut hosts[id as usize - 1];
                    let status = host.process.as_mut().and_then(|p| p.try_wait().ok().flatten());
                    let process = status.and_then(|_| host.process.take());
                    process.inspect(tidy).and(status)
                };
                if let Some(status) = ended {
                    self.ends.lock().unwrap().push(End {
                        node: id,
                        at: now(),
                        code: status.code(),
                    });
                    let this = Arc::clone(&self);
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        let wanted = this.all.lock().unwrap()[id as usize - 1].wanted;
                        if wanted && let Err(error) = this.spawn(id) {
                            eprintln!("node {id} cannot be started again: {error:#}");
                        }
                    });
                }
            }
        }
    }

    /// The processes that ended by themselves.
    pub(crate) fn ends(&self) -> Vec<End> {
        self.ends.lock().unwrap().clone()
    }

    /// Waits until a node says that it is ready; `false` when it does not within the time given.
    pub(crate) async fn ready(&self, id: u64, within: Duration) -> bool {
        let url = self.url(id, "/readyz");
        let ready = async {
            let mut beat = tokio::time::interval(Duration::from_millis(100));
            loop {
                beat.tick().await;
                if self.quick.get(&url).send().await.is_ok_and(|r| r.status().is_success()) {
                    return;
                }
            }
        };
        tokio::time::timeout(within, ready).await.is_ok()
    }

    /// The URL of a path on a node.
    pub(crate) fn url(&self, id: u64, path: &str) -> String {
        format!("http://{}{path}", self.place.net.api(id))
    }

    /// The client for requests that may take their time.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// GET through one node: the envelope's data; `None` for anything but a success.
    pub(crate) async fn get(&self, id: u64, path: &str) -> Option<Value> {
        Self::data(self.http.get(self.url(id, path))).await
    }

    /// The cluster's status through one node, if it answers soon.
    pub(crate) async fn status(&self, id: u64) -> Option<Value> {
        Self::data(self.quick.get(self.url(id, "/api/v1/cluster/status"))).await
    }

    async fn data(request: reqwest::RequestBuilder) -> Option<Value> {
        let response = request.send().await.ok().filter(|r| r.status().is_success())?;
        let mut body: Value = response.json().await.ok()?;
        Some(body["data"].take())
    }

    /// Where what a run leaves behind is.
    pub(crate) fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// Copies the data folders to the disk that stays, for whoever looks into a violation.
    pub(crate) fn keep(&self) {
        for id in self.ids() {
            let kept = self.place.folder.join(format!("kept{id}"));
            if let Err(error) = done(Command::new("cp").arg("-a").arg(self.disk(id)).arg(kept)) {
                eprintln!("the data of node {id} is not kept: {error:#}");
            }
        }
    }
}

impl Hosts {
    /// Kills all nodes and takes their disks away, whoever still holds them.
    pub(crate) fn end(&self) {
        let ids: Vec<u64> = self.ids().collect();
        self.kill(&ids);
        if self.place.can.disks && !self.ended.swap(true, Ordering::SeqCst) {
            for id in ids {
                let _ = done(Command::new("umount").arg(self.disk(id)));
            }
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.end();
    }
}
