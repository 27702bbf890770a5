//! Where the leader's own state and log are, as a grant names them. `lead` reads it, `grantor` uses it.

use crate::model::lease::Position;

/// Where the leader's own books and log stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaderPosition {
    /// What it has applied.
    pub applied: Position,
    /// What is committed.
    pub commit_index: u64,
    /// The index of the newest applied assignment (replicated).
    pub assign_index: u64,
}
