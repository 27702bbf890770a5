//! Who leads, as a value. `duties` publishes it, everything else in the process reads it.

use crate::model::NodeId;

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: u64,
    /// The leader that this node knows of in it.
    pub leader: Option<NodeId>,
    /// Whether it is this node.
    pub me: bool,
    /// Whether this node leads and has applied the first entry of its own term.
    pub first_applied: bool,
}
