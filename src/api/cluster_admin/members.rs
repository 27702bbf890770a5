//! The members of a cluster, as operators see and change them. `node` fills them in and carries the
//! steps out; `admin::members` has their routes, and the command line puts the steps together.

use serde::{Deserialize, Serialize};

use crate::model::NodeId;

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds a running, waiting node as a learner.
    Add {
        /// Its id.
        node: NodeId,
        /// Its API's URL.
        address: String,
        /// `host:port` for the others.
        raft_address: String,
        /// The id may be a removed node's.
        replace: bool,
    },
    /// Makes a learner a voter.
    Promote(NodeId),
    /// Takes a node out.
    Remove {
        /// Which.
        node: NodeId,
        /// Also with shards, or with results that nobody has collected.
        force: bool,
    },
    /// Takes a node's shards away, or lets it have some again.
    Drain {
        /// Which.
        node: NodeId,
        /// Which of both.
        draining: bool,
    },
    /// Hands the leadership on; `None`: to whom it suits best.
    Transfer(Option<NodeId>),
}

/// The members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Members {
    /// Who leads, if somebody does.
    pub leader: Option<NodeId>,
    /// By id.
    pub members: Vec<MemberStatus>,
}

/// One member. What is not known of one that does not answer is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberStatus {
    /// Its id.
    pub id: NodeId,
    /// Its API's URL.
    pub address: String,
    /// `host:port` for the others.
    pub raft_address: String,
    /// `voter` or `learner`.
    pub role: String,
    /// Whether it answers the node that was asked.
    pub reachable: bool,
    /// Whether it is being drained.
    pub draining: bool,
    /// Shards that it fires or still closes.
    pub shards: u32,
    /// Its results that the cluster has yet to collect.
    pub uncollected: Option<u64>,
    /// Committed log entries that it has yet to apply.
    pub behind: Option<u64>,
}
