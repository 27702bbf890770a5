//! The applied position: the last log entry that is in the state. Each transaction writes it into
//! the state, so that the state and its position can never disagree. `thread` and `builder` read
//! and write it, and `backup` puts a new one into a restored state.
//!
//! Frozen: `tests/it/formats.rs` reads the encoded form back from kept files.

use std::io;

use serde::{Deserialize, Serialize};

use crate::model::Millis;
use crate::raft::types::{LogId, StoredMembership};
use crate::store::Staged;

/// The position up to which this node has applied the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The index of the last applied entry; 0 before the first.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// Log time there.
    pub stamp: Millis,
}

/// The applied position as each transaction writes it into the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::raft) struct AppliedState {
    pub(in crate::raft) last: Option<LogId>,
    pub(in crate::raft) membership: StoredMembership,
}

/// The last log entry that a staged snapshot covers.
pub fn covered_by(staged: &Staged) -> io::Result<Option<LogId>> {
    Ok(decode_applied(Some(staged.applied().to_vec()))?.last)
}

pub(super) fn decode_applied(bytes: Option<Vec<u8>>) -> io::Result<AppliedState> {
    match bytes.filter(|bytes| !bytes.is_empty()) {
        Some(bytes) => postcard::from_bytes(&bytes)
            .map_err(|e| io::Error::other(format!("state.db: its applied mark is damaged: {e}"))),
        None => Ok(AppliedState::default()),
    }
}
