//! This node's identity, in every message that it sends. `cluster` makes it once; it never changes.

use std::sync::Arc;

use crate::model::NodeId;
use crate::model::process::Process;

/// This node, as its messages name it.
#[derive(Clone)]
pub struct Identity {
    /// Its node id.
    pub node: NodeId,
    /// The random id of its data folder.
    pub instance: u128,
    /// This process; `id` 0 for none, then no rule about copies of the folder applies to it.
    pub process: Process,
    /// It founds the cluster (`Bootstrap`).
    pub founder: bool,
    /// The level of this program.
    pub level: u32,
    /// The token that all nodes of a cluster share; never logged.
    pub token: Arc<str>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity(node {}, instance {:032x})", self.node, self.instance)
    }
}
