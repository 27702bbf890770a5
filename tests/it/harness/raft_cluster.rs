//! Nodes in this process with nothing but Raft in them, each on a runtime of its own: started on
//! free ports, stopped, killed between two instructions, started again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scheduler0::clock::{SchedulerTime, SystemClock};
use scheduler0::cluster::{Cluster, Error, Options};
use scheduler0::command::{Command, LEVEL};
use scheduler0::model::NodeId;
use scheduler0::model::process::Process;
use scheduler0::raft::types::Member;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How long a fact may take to become true before a test fails.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// A running node.
pub(crate) struct Node {
    cluster: Cluster,
    runtime: Option<Runtime>,
}

/// The nodes; their runtimes end when it is dropped.
pub(crate) struct RaftCluster {
    /// The data folder of each node, also of one that does not run.
    pub(crate) dirs: BTreeMap<NodeId, TempDir>,
    /// All members with their addresses.
    pub(crate) members: Vec<(NodeId, Member)>,
    /// The level that a node announces when it is started; that of the program where it is not set.
    pub(crate) levels: BTreeMap<NodeId, u32>,
    /// The nodes that run.
    pub(crate) nodes: BTreeMap<NodeId, Node>,
}

/// Sleeps until the next look at a state that publishes no change. The caller bounds the whole
/// wait.
pub(crate) async fn poll_interval() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Options of a node with short timeouts and a snapshot as often as possible.
pub(crate) fn raft_options(
    dir: &Path,
    node: NodeId,
    instance: u128,
    members: &[(NodeId, Member)],
) -> Options {
    Options {
        dir: dir.to_owned(),
        node,
        instance,
        process: Process::default(),
        members: members.to_vec(),
        bootstrap: node == 1,
        level: LEVEL,
        peer_token: "a token".into(),
        heartbeat: Duration::from_millis(200),
        election: Duration::from_secs(1),
        snapshot_interval: Duration::from_mins(2),
        snapshot_threshold: 1,
        apply_timeout: Duration::from_secs(5),
        transport_timeout: Duration::from_secs(1),
        transport_pool: 8,
        time: Arc::new(SchedulerTime::new(Arc::new(SystemClock))),
    }
}

/// Writes a command until it is answered: a leader may change meanwhile, on a machine that is busy.
/// The command must be one that may be written twice. Returns the index of its entry.
pub(crate) async fn written(cluster: &Cluster, command: Command) -> u64 {
    let write = async {
        loop {
            match cluster.propose_indexed(command.clone()).await {
                Ok((index, _)) => return index,
                Err(error) => assert!(!matches!(error, Error::Fatal(_)), "{error}"),
            }
        }
    };
    timeout(LIMIT, write).await.expect("written")
}

impl RaftCluster {
    /// Starts nodes that answer nothing but Raft to their peers.
    pub(crate) async fn build(count: u64) -> RaftCluster {
        Self::build_with(count, &axum::Router::new()).await
    }

    /// Starts nodes that announce a level.
    pub(crate) async fn build_at_level(count: u64, level: u32) -> RaftCluster {
        let levels = (1..=count).map(|node| (node, level)).collect();
        Self::build_as(count, levels, &axum::Router::new(), async |address| address).await
    }

    /// Starts nodes that answer these routes to their peers, too.
    pub(crate) async fn build_with(count: u64, extra: &axum::Router) -> RaftCluster {
        Self::build_as(count, BTreeMap::new(), extra, async |address| address).await
    }

    /// Starts nodes of which the last is known to all by another address, which `proxy` makes of
    /// the node's own.
    pub(crate) async fn build_proxied(
        count: u64,
        proxy: impl AsyncFn(String) -> String,
    ) -> RaftCluster {
        Self::build_as(count, BTreeMap::new(), &axum::Router::new(), proxy).await
    }

    async fn build_as(
        count: u64,
        levels: BTreeMap<NodeId, u32>,
        extra: &axum::Router,
        proxy: impl AsyncFn(String) -> String,
    ) -> RaftCluster {
        let (mut raft, listeners) = Self::lay_out(count, levels, proxy).await;
        for (node, listener) in listeners {
            raft.start_on(node, listener, extra.clone()).await;
        }
        raft
    }

    /// Starts all nodes but the last, which is a member by configuration only.
    pub(crate) async fn build_without_last(count: u64) -> RaftCluster {
        let (mut raft, mut listeners) =
            Self::lay_out(count, BTreeMap::new(), async |address| address).await;
        listeners.pop();
        for (node, listener) in listeners {
            raft.start_on(node, listener, axum::Router::new()).await;
        }
        raft
    }

    /// Gives each node a folder and an address, and starts none.
    async fn lay_out(
        count: u64,
        levels: BTreeMap<NodeId, u32>,
        proxy: impl AsyncFn(String) -> String,
    ) -> (RaftCluster, Vec<(NodeId, std::net::TcpListener)>) {
        let mut raft =
            RaftCluster { dirs: BTreeMap::new(), members: vec![], levels, nodes: BTreeMap::new() };
        // The ports are bound first, so that each node knows all addresses.
        let mut listeners = Vec::new();
        for node in 1..=count {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let mut raft_address = listener.local_addr().unwrap().to_string();
            if node == count {
                raft_address = proxy(raft_address).await;
            }
            raft.members.push((node, Member { raft_address, address: String::new() }));
            raft.dirs.insert(node, tempfile::tempdir().unwrap());
            listeners.push((node, listener));
        }
        (raft, listeners)
    }

    async fn start_on(
        &mut self,
        node: NodeId,
        listener: std::net::TcpListener,
        extra: axum::Router,
    ) {
        listener.set_nonblocking(true).unwrap();
        let options = raft_options(self.dirs[&node].path(), node, u128::from(node), &self.members);
        let level = self.levels.get(&node).copied().unwrap_or(options.level);
        let options = Options { level, ..options };
        let runtime = runtime();
        let start = async move {
            let cluster = Cluster::start(options).await.unwrap();
            cluster.serve(TcpListener::from_std(listener).unwrap(), extra);
            cluster
        };
        let cluster = runtime.spawn(start).await.unwrap();
        self.nodes.insert(node, Node { cluster, runtime: Some(runtime) });
    }

    /// Starts one more node of a level, on an empty folder: it waits to be added. Returns its id.
    pub(crate) async fn start_joiner(&mut self, level: u32) -> NodeId {
        let node = self.members.len() as NodeId + 1;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let raft_address = listener.local_addr().unwrap().to_string();
        let address = format!("http://{raft_address}");
        self.members.push((node, Member { raft_address, address }));
        self.dirs.insert(node, tempfile::tempdir().unwrap());
        self.levels.insert(node, level);
        self.start_on(node, listener, axum::Router::new()).await;
        node
    }

    /// Starts a node again on its folder and its address.
    pub(crate) async fn start(&mut self, node: NodeId) {
        let address = &self.members[node as usize - 1].1.raft_address;
        let bind = async {
            loop {
                match std::net::TcpListener::bind(address) {
                    Ok(listener) => return listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let listener = timeout(LIMIT, bind).await.unwrap();
        self.start_on(node, listener, axum::Router::new()).await;
    }

    /// A running node.
    pub(crate) fn node(&self, node: NodeId) -> &Cluster {
        &self.nodes[&node].cluster
    }

    /// Ends a node between two instructions: nothing is flushed, no peer is told.
    pub(crate) fn kill(&mut self, node: NodeId) {
        let mut gone = self.nodes.remove(&node).unwrap();
        gone.runtime.take().unwrap().shutdown_background();
    }

    /// Stops a node in order.
    pub(crate) async fn stop(&mut self, node: NodeId) {
        let mut gone = self.nodes.remove(&node).unwrap();
        let cluster = gone.cluster.clone();
        gone.runtime
            .as_ref()
            .unwrap()
            .spawn(async move { cluster.shutdown().await })
            .await
            .unwrap();
        gone.runtime.take().unwrap().shutdown_background();
    }

    /// Waits for a leader that all running nodes agree on and that has applied its first entry.
    pub(crate) async fn leader(&self) -> NodeId {
        let all = async {
            loop {
                for node in self.nodes.keys() {
                    let lead = *self.node(*node).leadership().borrow();
                    let agreed = |n: &Node| n.cluster.leadership().borrow().leader == lead.leader;
                    if lead.first_applied && self.nodes.values().all(agreed) {
                        return *node;
                    }
                }
                poll_interval().await;
            }
        };
        timeout(LIMIT, all).await.expect("a leader")
    }

    /// Waits until a node has applied an entry.
    pub(crate) async fn applied(&self, node: NodeId, index: u64) {
        let mut applied = self.node(node).applied();
        timeout(LIMIT, applied.wait_for(|a| a.index >= index)).await.expect("applied").unwrap();
    }
}

impl Drop for RaftCluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(runtime) = node.runtime.take() {
                runtime.shutdown_background();
            }
        }
    }
}
