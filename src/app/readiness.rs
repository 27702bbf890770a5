//! The readiness of this node, kept in memory so that probes read nothing and wait for nothing: the
//! cluster is founded, and this node has once caught up with the others, so that the next one may
//! be restarted. A task of the node finds both out after the start; `health`
//! answers by them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::cluster::Cluster;
use crate::store::meta;

/// The interval of looks when no change is published.
const AGAIN: Duration = Duration::from_millis(100);

/// The readiness that probes are told.
#[derive(Debug, Default)]
pub struct Readiness {
    born: AtomicBool,
    caught_up: AtomicBool,
}

impl Readiness {
    /// Says whether the cluster is founded: its first leader writes that a moment after its
    /// election.
    pub(super) fn is_born(&self) -> bool {
        self.born.load(Ordering::Relaxed)
    }

    /// Says whether this node has caught up with the others since its start.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Relaxed)
    }

    /// Finds out the readiness; ends when nothing is left to find out, or the cluster is gone. Run
    /// it as a task beside the server.
    pub async fn follow(&self, cluster: &Cluster) {
        let mut changes = cluster.changes();
        while !matches!(cluster.read(meta::cluster_id).await, Ok(Some(_))) {
            // Any change may be the founding, and an error may pass by itself.
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
