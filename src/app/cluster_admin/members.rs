//! The members of a cluster, as operators see and change them. `node` fills them in and carries the
//! steps out; `admin::members` has their routes, and the command line puts the steps together.

use serde::{Deserialize, Serialize};

use crate::model::NodeId;

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds a running, waiting node as a learner.
    Add {
        /// The node's id.
        node: NodeId,
        /// The URL of the node's API.
        address: String,
        /// `host:port` at which the other nodes reach the node.
        raft_address: String,
        /// `true` if the id may be a removed node's.
        replace: bool,
    },
    /// Makes a learner a voter.
    Promote(NodeId),
    /// Takes a node out.
    Remove {
        /// The node that is removed.
        node: NodeId,
        /// Removes the node even with shards, or with results that nobody has collected.
        force: bool,
    },
    /// Takes a node's shards away, or lets it have some again.
    Drain {
        /// The node whose shards move.
        node: NodeId,
        /// `true` takes its shards away, `false` lets it have some again.
        draining: bool,
    },
    /// Transfers the leadership; `None` leaves the choice to the leader.
    Transfer(Option<NodeId>),
}

/// The members of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Members {
    /// The leader, if there is one.
    pub leader: Option<NodeId>,
    /// The members, by id.
    pub members: Vec<MemberStatus>,
}

/// One member. Fields that only the member itself knows are absent while it does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberStatus {
    /// The member's id.
    pub id: NodeId,
    /// The URL of the member's API.
    pub address: String,
    /// `host:port` at which the other members reach it.
    pub raft_address: String,
    /// `voter` or `learner`.
    pub role: String,
    /// `true` if it answers the node that was asked.
    pub reachable: bool,
    /// `true` if it is being drained.
    pub draining: bool,
    /// The shards that the member fires or still closes.
    pub shards: u32,
    /// The member's results that the cluster has yet to collect.
    pub uncollected: Option<u64>,
    /// The committed log entries that the member has yet to apply.
    pub behind: Option<u64>,
}
