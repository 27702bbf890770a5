//! The start of a cluster: it opens log and state and configures openraft. `founding` brings a new
//! cluster into being.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openraft::{Config, Raft, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::error::Error;
use super::handle::Cluster;
use super::inner::Inner;
use super::leadership::duties;
use super::leadership::quorum_ack::BootOffset;
use super::membership::{founding, levels, registry};
use super::network::Network;
use super::options::Options;
use super::tasks;
use crate::model::lease::Timing;
use crate::peer::{Identity, Peers};
use crate::raft::log::{self, LogStore};
use crate::raft::machine::Machine;
use crate::raft::snapshot::Snapshots;
use crate::store::Store;

/// The longest time that a snapshot may take to be sent and installed.
const INSTALL_TIMEOUT: Duration = Duration::from_mins(10);

fn open(error: impl std::fmt::Display) -> Error {
    Error::Open(error.to_string())
}

impl Cluster {
    /// Opens log and state in `options.dir` and starts Raft on the current runtime. Returns when
    /// everything is applied that was known to be committed before, without waiting for a leader.
    /// Call [`Cluster::serve`] next, or no peer can reach this node.
    pub async fn start(options: Options) -> Result<Self, Error> {
        start(options).await
    }
}

async fn start(mut options: Options) -> Result<Cluster, Error> {
    let least = crate::config::Config::MIN_SNAPSHOT_THRESHOLD;
    options.snapshot_threshold = options.snapshot_threshold.max(least);
    if !options.members.iter().any(|(node, _)| *node == options.node) {
        return Err(Error::Open(format!("NodeId {} is not among the members", options.node)));
    }
    let identity = Identity {
        node: options.node,
        instance: options.instance,
        process: options.process,
        founder: options.bootstrap,
        level: options.level,
        token: options.peer_token.clone(),
    };
    let addresses = options.members.iter().map(|(node, m)| (*node, m.raft_address.clone()));
    let timing =
        Timing::from(options.heartbeat.as_millis() as u64, options.election.as_millis() as u64);
    let peers = Peers::new(
        identity,
        addresses,
        options.transport_pool,
        options.transport_timeout,
        Duration::from_millis(timing.dead_after()),
    )
    .map_err(open)?;
    let dir = options.dir.clone();
    let opened = tokio::task::spawn_blocking(move || -> Result<_, Error> {
        let log = LogStore::open(&log::dir_under(&dir)).map_err(open)?;
        let snapshots = Arc::new(Snapshots::open(&dir).map_err(open)?);
        let (store, writer) = Store::open(&dir).map_err(open)?;
        let machine = Machine::start(store.clone(), writer, snapshots.clone()).map_err(open)?;
        Ok((log, snapshots, store, machine))
    });
    let (log, snapshots, store, machine) = opened.await.map_err(open)??;
    let watches = machine.watches();
    let registry = watches.registry.borrow().clone();
    registry::check_registry(&options, &registry.nodes)?;
    levels::check_level(&options, registry.level)?;
    peers.learn(registry.generation, registry.nodes);
    let network = Network {
        peers: peers.clone(),
        append_timeout: options.election * 2,
        reachability: Arc::default(),
        acknowledged: Arc::default(),
        held_back: Arc::default(),
    };
    let acknowledged = network.acknowledged.clone();
    let threads = vec![log.joiner(), machine.joiner()];
    let log_view = log.view();
    let raft = Raft::new(options.node, Arc::new(config(&options)?), network, log, machine)
        .await
        .map_err(|e| Error::Open(e.to_string()))?;
    let inner = Arc::new(Inner {
        boot_offset: BootOffset::new(options.time.clock().clone()),
        raft,
        peers,
        store,
        snapshots,
        watches,
        log: log_view,
        leadership: watch::Sender::default(),
        last_stamp: AtomicI64::new(i64::MIN),
        clock_unconfirmed: AtomicBool::new(false),
        heard: Mutex::new(None::<Instant>),
        clock_off_until: AtomicU64::new(0),
        receiving: Arc::default(),
        changing: tokio::sync::Mutex::default(),
        leveling: tokio::sync::Mutex::default(),
        elected: Mutex::default(),
        announced: Mutex::default(),
        introduced: AtomicBool::new(false),
        acknowledged,
        founding: Mutex::default(),
        runtime: Handle::current(),
        stop: watch::Sender::new(false),
        tasks: Mutex::default(),
        threads: Mutex::new(threads),
        options,
    });
    duties::tend_election(&inner);
    tasks::begin(&inner);
    if inner.options.bootstrap {
        founding::begin(&inner).await?;
    }
    Ok(Cluster { inner })
}

fn config(options: &Options) -> Result<Config, Error> {
    let heartbeat = options.heartbeat.as_millis() as u64;
    let election = options.election.as_millis() as u64;
    let config = Config {
        cluster_name: "scheduler0".to_owned(),
        heartbeat_interval: heartbeat,
        election_timeout_min: election,
        election_timeout_max: election * 2,
        install_snapshot_timeout: INSTALL_TIMEOUT.as_millis() as u64,
        // `duties` decides when: by entries, bytes and time together.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: (options.snapshot_threshold / 2).clamp(1_024, 8_192),
        purge_batch_size: 256,
        max_payload_entries: 512,
        enable_pre_vote: Some(true),
        // A restarted leader must not go on as if nothing had happened: its followers may have
        // moved on, and the leases that it granted are forgotten.
        enable_leader_restore: Some(false),
        // A flat one: a node that is back must not wait for its turn (one number alone would
        // double, up to a second).
        backoff: [(); 3].map(|()| format!("{}ms", heartbeat.max(50))).join(" "),
        ..Config::default()
    };
    config.validate().map_err(|e| {
        Error::Open(format!(
            "RaftHeartbeatTimeout {heartbeat} ms and RaftElectionTimeout {election} ms do not fit: \
             {e}"
        ))
    })
}
