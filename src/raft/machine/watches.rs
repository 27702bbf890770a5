//! The part of the state machine that others watch: the change feed, the applied position, the node
//! registry, the hashes at `Checksum` entries, the numbers of applied commands. `thread` publishes,
//! everything above `raft` subscribes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};

use super::applied::{Applied, AppliedState};
use crate::command::Change;
use crate::model::NodeId;
use crate::store::nodes::Bound;

/// Changes that a slow subscriber may be behind before it has to read everything anew.
const CHANGE_FEED_LENGTH: usize = 4_096;
/// Hashes of `Checksum` entries that are kept.
const CHECKSUMS: usize = 16;

/// The node registry of the applied state: which data folder holds which node id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRegistry {
    /// The line of descent: the cluster's id, or the number that a recovery put in its place; 0
    /// before its birth.
    pub generation: u128,
    /// The nodes and the data folders that they are bound to, the removed ones too.
    pub nodes: Vec<Bound>,
    /// The level of the cluster; 1 before it was raised.
    pub level: u32,
}

/// Index and hash of each, the oldest first.
type Checksums = VecDeque<(u64, [u8; 32])>;

/// The part of the state machine that others may watch. Clones share it.
#[derive(Clone, Debug)]
pub struct Watches {
    /// The change feed.
    pub changes: broadcast::Sender<Arc<Change>>,
    /// The applied position.
    pub applied: watch::Sender<Applied>,
    /// The node registry.
    pub registry: watch::Sender<NodeRegistry>,
    pub(super) checksums: Arc<Mutex<Checksums>>,
    pub(super) applied_state: Arc<Mutex<AppliedState>>,
    commands: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl NodeRegistry {
    /// The binding of a node id.
    pub fn get(&self, node: NodeId) -> Option<&Bound> {
        self.nodes.iter().find(|bound| bound.node == node)
    }
}

impl Watches {
    pub(super) fn new() -> Self {
        Self {
            changes: broadcast::Sender::new(CHANGE_FEED_LENGTH),
            applied: watch::Sender::default(),
            registry: watch::Sender::default(),
            checksums: Arc::default(),
            applied_state: Arc::default(),
            commands: Arc::default(),
        }
    }

    /// The number of commands that were applied since the start, by their names.
    pub fn applied_commands(&self) -> BTreeMap<&'static str, u64> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts commands whose transaction is committed.
    pub(super) fn count_applied(&self, names: impl IntoIterator<Item = &'static str>) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            *commands.entry(name).or_default() += 1;
        }
    }

    /// The hash of the state at a `Checksum` entry, once it is computed.
    pub fn checksum(&self, index: u64) -> Option<[u8; 32]> {
        let known = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(at, _)| *at == index).map(|(_, hash)| *hash)
    }

    pub(super) fn applied_state(&self) -> AppliedState {
        self.applied_state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn keep_checksum(&self, index: u64, hash: [u8; 32]) {
        let mut known = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_back((index, hash));
        while known.len() > CHECKSUMS {
            known.pop_front();
        }
    }
}
