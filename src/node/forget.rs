//! Lets the journal forget what the cluster has recorded. A task of the node; it is the only one
//! that tells the journal so, and it tells it nothing that is not applied here.

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::model::NodeId;
use crate::store;

/// Follows what is applied, until the cluster is gone.
pub(super) async fn run(cluster: Cluster, journal: Journal, node: NodeId) {
    let mut applied = cluster.applied();
    loop {
        let incarnation = journal.state().incarnation;
        let cursor =
            cluster.read(move |c| store::cursors::get_incarnation(c, node, incarnation)).await;
        match cursor {
            Ok(Some(upto)) => journal.forget(incarnation, upto),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the journal's cursor cannot be read"),
        }
        loop {
            if applied.changed().await.is_err() {
                return;
            }
            let state = journal.state();
            if state.forgotten < state.synced {
                break;
            }
        }
    }
}
