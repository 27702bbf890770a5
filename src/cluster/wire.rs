//! Routes and messages between the nodes of a cluster. `network`, `membership` and `doubt` send
//! them, `rpc` answers them. Nothing here decides anything.
//!
//! Nodes of two versions talk to each other: a message that exists is never extended. News travels
//! in a header or under a new route.

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::command::Rejection;
use crate::model::NodeId;
use crate::model::process::Process;
use crate::peer::Caller;
use crate::raft::types::{Member, SnapshotMeta, Vote};

pub(super) const APPEND: &str = "/raft/append";
pub(super) const VOTE: &str = "/raft/vote";
pub(super) const PRE_VOTE: &str = "/raft/pre-vote";
pub(super) const SNAPSHOT: &str = "/raft/snapshot";
pub(super) const TRANSFER: &str = "/raft/transfer-leader";
/// Tells a node what it has acknowledged and does not have any more.
pub(super) const REVERTED: &str = "/raft/reverted";

/// Asks the leader for what this node has acknowledged and does not have any more.
pub(super) const ACKNOWLEDGED: &str = "/raft/acknowledged";

pub(super) const PROPOSE: &str = "/cluster/propose";
pub(super) const READ_INDEX: &str = "/cluster/read-index";
/// Asks the leader to raise the level of the cluster. Since level 2: a node of level 1 answers 404.
pub(super) const RAISE_LEVEL: &str = "/cluster/raise-level";
pub(super) const MEMBERS: &str = "/cluster/members";
pub(super) const HELLO: &str = "/cluster/hello";
pub(super) const ANNOUNCE: &str = "/cluster/announce";
pub(super) const WHO: &str = "/cluster/who";

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// Binds a running, waiting node to its data folder and makes it a learner.
    Add {
        /// Its id, which no node has or had.
        node: NodeId,
        /// Its addresses, at which the leader asks who it is before it adds it.
        member: Member,
        /// The id may be a removed node's.
        replace: bool,
    },
    /// Makes a learner that has caught up a voter.
    Promote {
        /// The learner.
        node: NodeId,
    },
    /// Takes a node out.
    Remove {
        /// The node; not the leader itself.
        node: NodeId,
        /// Even if it has shards.
        force: bool,
    },
    /// Hands the leadership on.
    Transfer {
        /// The successor; `None`: the voter that has most of the log.
        to: Option<NodeId>,
    },
}

/// The reason why a forwarded request came to nothing, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Denied {
    /// Nothing was written; try there.
    NotLeader(Option<NodeId>),
    /// The outcome is unknown.
    Unavailable(String),
    /// This node has stopped.
    Fatal(String),
    /// Nothing was changed.
    Refused(Rejection),
}

/// The reason why a level was not raised, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum NotRaised {
    /// Try there.
    NotLeader(Option<NodeId>),
    /// A member is below the level.
    Below {
        /// The member of the lowest level.
        node: NodeId,
        /// Its level; 1 where it was not heard.
        level: u32,
    },
    /// Something else.
    Failed(String),
}

impl NotRaised {
    pub(super) fn because(error: Error) -> Self {
        match error {
            Error::NotLeader { leader } => Self::NotLeader(leader),
            Error::NoLeader | Error::Busy | Error::Fatal(_) => Self::NotLeader(None),
            Error::UpgradePending { node, level, .. } => Self::Below { node, level },
            other => Self::Failed(other.to_string()),
        }
    }

    pub(super) fn error(self, needs: u32) -> Error {
        match self {
            Self::NotLeader(leader) => Error::NotLeader { leader },
            Self::Below { node, level } => Error::UpgradePending { node, level, needs },
            Self::Failed(message) => Error::NotRaised(message),
        }
    }
}

/// The answer of a node that is asked who it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) node: NodeId,
    pub(super) instance: u128,
    /// The line of descent of the cluster that it has data of; 0 for none.
    pub(super) generation: u128,
}

/// The process that speaks for a node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) node: NodeId,
    pub(super) instance: u128,
    pub(super) process: Process,
}

impl Who {
    /// True for another process of the caller's node, on a folder with the same id.
    pub(super) fn is_twin_of(&self, caller: Caller) -> bool {
        (self.node, self.instance) == (caller.node, caller.instance)
            && self.process != caller.process
            && caller.process.id != 0
    }
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        match error {
            Error::NotLeader { leader } => Denied::NotLeader(leader),
            Error::NoLeader | Error::Busy => Denied::NotLeader(None),
            Error::Fatal(message) => Denied::Fatal(message),
            Error::Refused(rejection) => Denied::Refused(rejection),
            other => Denied::Unavailable(other.to_string()),
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotLeader(leader) => Error::NotLeader { leader },
            Denied::Unavailable(message) | Denied::Fatal(message) => Error::Unavailable(message),
            Denied::Refused(rejection) => Error::Refused(rejection),
        }
    }
}

/// The addresses at which a node says that it can be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Announcement {
    pub(super) member: Member,
}

/// The answer to an announcement. A node of an older version answers nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heard {
    /// True if the answering node leads.
    pub(super) leads: bool,
    /// The address in the answering node's membership.
    pub(super) recorded: Option<Member>,
    /// The reason why the announcement is not believed.
    pub(super) trouble: Option<String>,
}

/// The head of a snapshot. Its bytes follow, and after them their CRC32.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotHead {
    pub(super) vote: Vote,
    pub(super) meta: SnapshotMeta,
    pub(super) length: u64,
}

/// The last entry that a follower acknowledged, as the leader tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acknowledged {
    /// The leader's term. Entries acknowledged in it stay in the log as long as it lasts.
    pub(super) term: u64,
    /// The index of the last entry.
    pub(super) index: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_was_not_raised_never_leaves_the_outcome_of_the_command_unknown() {
        let reasons = [
            Error::NoLeader,
            Error::Fatal("it is being shut down".to_owned()),
            Error::Unavailable("not committed".to_owned()),
            Error::UpgradePending { node: 3, level: 1, needs: 2 },
        ];
        for reason in reasons {
            let error = NotRaised::because(reason).error(2);
            assert!(error.is_unwritten(), "{error}");
        }
    }
}
