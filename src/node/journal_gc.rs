//! Garbage collection of the journal: it forgets what the cluster has recorded. A task of the node;
//! it is the only one that tells the journal so, and it tells it nothing that is not applied here.
//!
//! It also notices a journal that ends before what the cluster has taken from it: the data folder
//! was put back to an older copy, and what the node writes next would be taken for known.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::journal::Journal;
use crate::model::NodeId;
use crate::store;

/// The time after which the cursor is read although there is nothing to forget.
const LOOK: Duration = Duration::from_secs(1);

/// Follows the applied position, until the cluster is dropped.
pub(super) async fn run(cluster: Cluster, journal: Journal, node: NodeId) {
    let mut applied = cluster.applied();
    loop {
        let incarnation = journal.state().incarnation;
        let cursor =
            cluster.read(move |c| store::cursors::get_incarnation(c, node, incarnation)).await;
        let read = Instant::now();
        match cursor {
            Ok(Some(upto)) => {
                // Read after the cursor: only what is on disk was ever collected.
                let state = journal.state();
                if state.incarnation == incarnation && upto > state.synced {
                    cluster.peers().fail(put_back(node, state.synced, upto));
                    return;
                }
                journal.forget(incarnation, upto);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the journal's cursor cannot be read"),
        }
        loop {
            if applied.changed().await.is_err() {
                return;
            }
            let state = journal.state();
            if state.forgotten < state.synced || read.elapsed() >= LOOK {
                break;
            }
        }
    }
}

fn put_back(node: NodeId, ends: u64, taken: u64) -> String {
    format!(
        "the journal of node {node} ends at record {ends}, and the cluster has taken {taken} from \
         it: the data folder was put back to an older copy. Start the node on its newest folder; if \
         that is lost, `scheduler0 cluster remove {node} --force` on a member, then `cluster add` \
         with an empty DataDir under a new NodeId, or `cluster add {node} --replace`"
    )
}
