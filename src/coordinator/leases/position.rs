//! The positions of the leader's own state and log, as a grant names them. `lead` reads them,
//! `grantor` uses them.

use crate::model::lease::Position;

/// The positions of the leader's own state and log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaderPosition {
    /// The last applied entry.
    pub applied: Position,
    /// The last committed entry.
    pub commit_index: u64,
    /// The index of the newest applied assignment (replicated).
    pub assign_index: u64,
}
