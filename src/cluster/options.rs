//! The options of a cluster. `node` makes them from the configuration, `start` and `inner` read it.
//! It holds values and opens nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::SchedulerTime;
use crate::model::NodeId;
use crate::model::process::Process;
use crate::raft::types::Member;

/// The longest encoded command, in bytes.
pub const MAX_COMMAND: usize = 1 << 20;

/// The resolved configuration of a cluster; nothing is read elsewhere.
#[derive(Clone)]
pub struct Options {
    /// `DataDir`: log, snapshots and state live in it.
    pub dir: PathBuf,
    /// This node.
    pub node: NodeId,
    /// The random id of `dir`.
    pub instance: u128,
    /// This process.
    pub process: Process,
    /// The configured members, this node included.
    pub members: Vec<(NodeId, Member)>,
    /// True if this node founds the cluster, should it not exist yet.
    pub bootstrap: bool,
    /// The level that this node announces: [`LEVEL`](crate::command::LEVEL); tests announce less.
    pub level: u32,
    /// `Keys::peer_token`.
    pub peer_token: Arc<str>,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Shortest silence after which an election begins; the longest is twice it.
    pub election: Duration,
    /// Least time between two snapshots.
    pub snapshot_interval: Duration,
    /// Log entries after which a snapshot is taken (never less than
    /// [`MIN_SNAPSHOT_THRESHOLD`](crate::config::Config::MIN_SNAPSHOT_THRESHOLD)).
    pub snapshot_threshold: u64,
    /// The longest time that a proposal may wait for a leader and for its own application.
    pub apply_timeout: Duration,
    /// The longest time that connecting to a peer may take.
    pub transport_timeout: Duration,
    /// Idle connections kept a peer.
    pub transport_pool: usize,
    /// The source of stamps.
    pub time: Arc<SchedulerTime>,
}
