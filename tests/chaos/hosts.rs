//! The nodes: real `scheduler0 start` processes, each on a host of its own, with a small disk and a
//! clock that can be set. A node that ends by itself is started again, as a supervisor would, and
//! its end is recorded for `judge`. Only processes that were started here are ended.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use reqwest::header::{HeaderMap, HeaderValue};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::net::run_command;
use crate::node_home::NodeHome;

struct Host {
    process: Option<Child>,
    /// True while it should run.
    wanted: bool,
    /// The number of its starts.
    starts: u64,
}

/// A process that ended by itself.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The node.
    pub(crate) node: u64,
    /// The instant, in milliseconds since the epoch.
    pub(crate) at: i64,
    /// The exit code.
    pub(crate) code: Option<i32>,
}

/// All nodes of a run. Dropping it kills them and unmounts their disks.
pub(crate) struct Hosts {
    /// Their environment.
    pub(crate) node_home: NodeHome,
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

/// Removes the shared memory that libfaketime left for a process that has ended.
fn remove_faketime_files(process: &Child) {
    for kind in ["faketime_shm_", "sem.faketime_sem_"] {
        // Without libfaketime the file does not exist.
        let _ = fs::remove_file(format!("/dev/shm/{kind}{}", process.id()));
    }
}

/// A client that signs in as the operator of every node.
pub(crate) fn client(timeout: Duration) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    headers.insert("x-peer", HeaderValue::from_static("cmd"));
    // admin:admin-password, as `command` sets it.
    headers.insert("authorization", HeaderValue::from_static("Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ="));
    let client = reqwest::Client::builder().default_headers(headers).timeout(timeout);
    client.connect_timeout(Duration::from_secs(1)).no_proxy().build().unwrap()
}

impl Hosts {
    /// Creates the disks and starts all nodes.
    pub(crate) fn start(node_home: NodeHome) -> anyhow::Result<Arc<Self>> {
        let hosts =
            node_home.ids().map(|_| Host { process: None, wanted: false, starts: 0 }).collect();
        let hosts = Arc::new(Self {
            node_home,
            all: Mutex::new(hosts),
            ends: Mutex::default(),
            http: client(Duration::from_secs(10)),
            quick: client(Duration::from_millis(1_500)),
            ended: AtomicBool::new(false),
        });
        for id in hosts.ids() {
            hosts.node_home.make_disk(id)?;
            hosts.node_home.set_clock(id, 0)?;
            hosts.spawn(id)?;
        }
        Ok(hosts)
    }

    /// The ids of all nodes.
    pub(crate) fn ids(&self) -> std::ops::RangeInclusive<u64> {
        self.node_home.ids()
    }

    /// The log of a node so far.
    pub(crate) fn log(&self, id: u64) -> String {
        fs::read_to_string(self.node_home.log(id)).unwrap_or_default()
    }

    /// Starts a node unless it runs.
    pub(crate) fn spawn(&self, id: u64) -> anyhow::Result<()> {
        let mut hosts = self.all.lock().unwrap();
        let host = &mut hosts[id as usize - 1];
        host.wanted = true;
        if host.process.is_none() {
            host.process = Some(self.node_home.node(id)?.spawn().context("scheduler0 start")?);
            host.starts += 1;
        }
        Ok(())
    }

    /// Starts a node that is down by another command.
    pub(crate) fn spawn_as(&self, id: u64, mut command: Command) -> anyhow::Result<()> {
        let mut hosts = self.all.lock().unwrap();
        let host = &mut hosts[id as usize - 1];
        anyhow::ensure!(host.process.is_none(), "node {id} runs already");
        host.wanted = true;
        host.process = Some(command.spawn().context("scheduler0 start")?);
        host.starts += 1;
        Ok(())
    }

    /// The number of starts of a node.
    pub(crate) fn starts(&self, id: u64) -> u64 {
        self.all.lock().unwrap()[id as usize - 1].starts
    }

    /// Kills nodes at once (SIGKILL). They stay down until they are spawned.
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
            remove_faketime_files(&process);
        }
    }

    /// Freezes a node or lets it run on (SIGSTOP, SIGCONT). A node that is down is left alone.
    pub(crate) fn freeze(&self, id: u64, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        if let Some(process) = &self.all.lock().unwrap()[id as usize - 1].process {
            let _ = kill_process(Pid::from_child(process), signal);
        }
    }

    /// Starts a node again a second after it ended by itself, until the task is ended.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut ticker = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticker.tick().await;
            for id in self.ids() {
                let ended = {
                    let mut hosts = self.all.lock().unwrap();
                    let host = &mut hosts[id as usize - 1];
                    let status = host.process.as_mut().and_then(|p| p.try_wait().ok().flatten());
                    let process = status.and_then(|_| host.process.take());
                    process.inspect(remove_faketime_files).and(status)
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

    /// Waits until a node answers that it is ready; returns false when the time is over.
    pub(crate) async fn ready(&self, id: u64, within: Duration) -> bool {
        let url = self.url(id, "/readyz");
        let ready = async {
            let mut ticker = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticker.tick().await;
                if self.quick.get(&url).send().await.is_ok_and(|r| r.status().is_success()) {
                    return;
                }
            }
        };
        tokio::time::timeout(within, ready).await.is_ok()
    }

    /// The URL of a path on a node.
    pub(crate) fn url(&self, id: u64, path: &str) -> String {
        format!("http://{}{path}", self.node_home.net.api(id))
    }

    /// The client for requests that may take their time.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// GET through a node: the envelope's data; `None` for anything but a success.
    pub(crate) async fn get(&self, id: u64, path: &str) -> Option<Value> {
        Self::data(self.http.get(self.url(id, path))).await
    }

    /// True when a node answers 404.
    pub(crate) async fn lacks(&self, id: u64, path: &str) -> bool {
        let response = self.http.get(self.url(id, path)).send().await;
        response.is_ok_and(|response| response.status() == reqwest::StatusCode::NOT_FOUND)
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

    /// The folder of data and logs of the run.
    pub(crate) fn folder(&self) -> &Path {
        &self.node_home.folder
    }

    /// Copies the data folders to a disk that stays, for the analysis of a violation.
    pub(crate) fn keep(&self) {
        for id in self.ids() {
            let kept = self.node_home.folder.join(format!("kept{id}"));
            if let Err(error) =
                run_command(Command::new("cp").arg("-a").arg(self.node_home.disk(id)).arg(kept))
            {
                eprintln!("the data of node {id} is not kept: {error:#}");
            }
        }
    }
}

impl Hosts {
    /// Kills all nodes and unmounts their disks, although others may still hold this value.
    pub(crate) fn end(&self) {
        let ids: Vec<u64> = self.ids().collect();
        self.kill(&ids);
        if self.node_home.can.disks && !self.ended.swap(true, Ordering::SeqCst) {
            for id in ids {
                let _ = run_command(Command::new("umount").arg(self.node_home.disk(id)));
            }
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.end();
    }
}
