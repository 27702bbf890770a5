//! The leadership as a value. `duties` publishes it, everything else in the process reads it.

use crate::model::NodeId;

/// A term and its leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The current Raft term; 0 before the first election.
    pub term: u64,
    /// The leader that this node knows of in it.
    pub leader: Option<NodeId>,
    /// True if this node is the leader.
    pub me: bool,
    /// True if this node leads and has applied the first entry of its own term.
    pub first_applied: bool,
}
