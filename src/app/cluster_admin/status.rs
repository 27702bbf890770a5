//! The status of a cluster and the checksums of its nodes, as operators see them. `node` fills them
//! in; `admin::cluster` shows them, and the command line reads them back.

use serde::{Deserialize, Serialize};

use crate::model::NodeId;
use crate::model::shard::ShardId;

/// The cluster, as the answering node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The cluster's id, 32 hex characters.
    pub cluster_id: String,
    /// The leader, if one has a majority.
    pub leader: Option<NodeId>,
    /// `true` if a leader has a majority; without one nothing is written, and nothing fires.
    pub quorum: bool,
    /// The Raft term.
    pub term: u64,
    /// The lease TTL, in milliseconds.
    pub ttl_ms: u64,
    /// The nodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// The shards, by number.
    pub shards: Vec<ShardStatus>,
    /// The numbers of jobs.
    pub jobs: JobNumbers,
    /// States that should not be.
    pub warnings: Vec<String>,
}

/// The numbers of jobs by their stored status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobNumbers {
    /// Those that fire, and those that are paused up to an instant.
    pub active: u64,
    /// Those that are paused without an end.
    pub paused: u64,
    /// One-offs that have ended.
    pub completed: u64,
    /// Those whose target was gone for good.
    pub disabled: u64,
}

/// One node. Fields that only the node itself knows are absent while it does not answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// The node's id.
    pub id: NodeId,
    /// The address at which clients reach the node.
    pub address: String,
    /// The address at which the other nodes reach it.
    pub raft_address: String,
    /// `leader`, `follower`, `learner`, `candidate` or `unreachable`.
    pub state: String,
    /// The number of shards that the node fires.
    pub shards: u32,
    /// The remaining time of its lease, in milliseconds; absent without one.
    pub lease_ms: Option<i64>,
    /// The offset of its clock from the median, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// The last log index that it has applied.
    pub applied_index: Option<u64>,
    /// Journal entries not yet committed.
    pub journal_depth: Option<u64>,
    /// The jobs and requests that wait.
    pub queue: Option<Queue>,
    /// The lag of its first attempts.
    pub lag_ms: Option<Lag>,
    /// Anonymous memory, in 10^6 bytes.
    pub memory_mb: Option<f64>,
    /// Destinations that keep failing when the node calls them, and that it sends only probes to.
    /// Each node finds out by itself.
    pub failing: Vec<Failing>,
    /// `true` if the node is being drained.
    pub draining: bool,
    /// The version of its program.
    pub version: String,
}

/// A destination that keeps failing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failing {
    /// Scheme, host and port.
    pub destination: String,
    /// The instant since when only probes are sent. RFC 3339.
    pub since: String,
    /// Failures in a row.
    pub failures: u32,
    /// The earliest instant of the next probe. RFC 3339.
    pub next_probe: String,
}

/// A node's queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// Jobs that are due and in no request yet.
    pub due: u64,
    /// Requests built and waiting.
    pub built: u64,
    /// Requests on their way.
    pub in_flight: u64,
}

/// Lag of first attempts over the last minutes, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lag {
    /// The median.
    pub p50: u64,
    /// The lag that 99 of 100 attempts do not exceed.
    pub p99: u64,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShardStatus {
    /// The shard's number.
    pub id: ShardId,
    /// The node that fires it; 0 is none.
    pub owner: NodeId,
    /// The epoch of its owner.
    pub epoch: u64,
    /// The watermark: everything due up to it is accounted for. RFC 3339.
    pub watermark: String,
    /// The node that still closes its ownership, during a hand-over.
    pub closing: Option<NodeId>,
}

/// The hashes of all nodes' states at one log index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// The log index.
    pub index: u64,
    /// The nodes, by id.
    pub nodes: Vec<NodeChecksum>,
}

/// One node's hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChecksum {
    /// The node's id.
    pub id: NodeId,
    /// 64 hex characters; `null` for a node that did not answer.
    pub hash: Option<String>,
    /// The reason why there is no hash.
    pub error: Option<String>,
}
