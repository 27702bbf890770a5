//! The status of a cluster and the checksums of its nodes, as operators see them. `node` fills them in;
//! `admin::cluster` shows them, and the command line reads them back.

use serde::{Deserialize, Serialize};

use crate::model::NodeId;
use crate::model::shard::ShardId;

/// The cluster, as the answering node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The cluster's id, 32 hex characters.
    pub cluster_id: String,
    /// Who leads, if somebody does with a majority.
    pub leader: Option<NodeId>,
    /// Whether there is such a leader; without one nothing is written, and nothing fires.
    pub quorum: bool,
    /// The term.
    pub term: u64,
    /// The lease TTL, in milliseconds.
    pub ttl_ms: u64,
    /// The nodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// The shards, by number.
    pub shards: Vec<ShardStatus>,
    /// What should not be so.
    pub warnings: Vec<String>,
}

/// One node. What is not known of a node that does not answer is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Its id.
    pub id: NodeId,
    /// Where clients reach it.
    pub address: String,
    /// Where the others reach it.
    pub raft_address: String,
    /// `leader`, `follower`, `learner`, `candidate` or `unreachable`.
    pub state: String,
    /// How many shards it fires.
    pub shards: u32,
    /// How long its lease still holds, in milliseconds; absent without one.
    pub lease_ms: Option<i64>,
    /// How far its clock is from the median, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// The last log index it has applied.
    pub applied_index: Option<u64>,
    /// Journal entries not yet committed.
    pub journal_depth: Option<u64>,
    /// What waits.
    pub queue: Option<Queue>,
    /// How late it fires.
    pub lag_ms: Option<Lag>,
    /// Anonymous memory, in 10^6 bytes.
    pub memory_mb: Option<f64>,
    /// Destinations that keep failing when it calls them, and that it leaves alone but for probes.
    /// Each node finds out by itself.
    pub failing: Vec<Failing>,
    /// Whether it is being drained.
    pub draining: bool,
    /// Its version.
    pub version: String,
}

/// A destination that keeps failing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failing {
    /// Scheme, host and port.
    pub destination: String,
    /// Since when it is left alone. RFC 3339.
    pub since: String,
    /// Failures in a row.
    pub failures: u32,
    /// When the next probe may go out. RFC 3339.
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
    /// 99 of 100 were not later.
    pub p99: u64,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShardStatus {
    /// Its number.
    pub id: ShardId,
    /// Who fires it; 0 for nobody.
    pub owner: NodeId,
    /// Under which epoch.
    pub epoch: u64,
    /// W: everything due up to it is accounted for. RFC 3339.
    pub watermark: String,
    /// The node that still closes its part, during a hand-over.
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
    /// The node.
    pub id: NodeId,
    /// 64 hex characters; `null` for a node that did not answer.
    pub hash: Option<String>,
    /// Why there is no hash.
    pub error: Option<String>,
}
