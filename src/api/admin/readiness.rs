//! Whether this node can serve, kept in memory so that probes read nothing and wait for nothing: the
//! cluster is born, and this node has once come as far as the others were, so that the next one may
//! be restarted. A task of the node finds both out after the start; `health` shows them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::cluster::Cluster;
use crate::store::meta;

/// Between two looks, where nothing says that there is something new.
const AGAIN: Duration = Duration::from_millis(100);

/// What probes are told.
#[derive(Debug, Default)]
pub struct Readiness {
    born: AtomicBool,
    caught_up: AtomicBool,
}

impl Readiness {
    /// Whether the cluster is born: its first leader writes that a moment after its election.
    pub(crate) fn is_born(&self) -> bool {
        self.born.load(Ordering::Relaxed)
    }

    /// Whether this node has caught up with the others, once since its start.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Relaxed)
    }

    /// Finds out what probes are told; ends when there is nothing left to find out, or the cluster is
    /// gone. Run it as a task beside the server.
    pub async fn follow(&self, cluster: &Cluster) {
        let mut changes = cluster.changes();
        while !matches!(cluster.read(meta::cluster_id).await, Ok(Some(_))) {
            // Anything may have been the birth, and an error may pass by itself.
            let heard = tokio::time::timeout(AGAIN, changes.recv()).await;
            if matches!(heard, Ok(Err(RecvError::Closed))) {
                return;
            }
        }
        self.born.store(true, Ordering::Relaxed);
        while cluster.linearize().await.is_err() {
            if cluster.failed().borrow().is_some() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
        self.caught_up.store(true, Ordering::Relaxed);
    }
}
