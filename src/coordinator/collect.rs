//! The collector: on the leader, reads what every node's journal holds beyond the committed cursor
//! and proposes it. The replicated log is the journals' acknowledgement.
//!
//! Runs for one term of leadership. It never computes a watermark (owners state them in their
//! journals), never decides what a result means (apply does), and loses nothing by being killed:
//! the next leader reads on from the same cursor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::cluster::Cluster;
use crate::command::{Command, Outcome};
use crate::model::NodeId;
use crate::model::block::Record;
use crate::store;

/// The most journal that one proposal carries, in encoded bytes: well below the bound of an entry.
pub const PAGE_BYTES: u32 = 384 * 1024;

/// How long a node may take to answer with a page of its journal.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a node for its journal; answered with a [`Record`], which is empty when there is no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadJournal {
    /// The journal that `after` counts in; 0 before anything was collected.
    pub incarnation: u128,
    /// Entries after this sequence number.
    pub after: u64,
    /// About so many encoded bytes.
    pub max_bytes: u32,
}

/// The route that answers [`ReadJournal`].
pub const JOURNAL_ROUTE: &str = "/peer/journal";

/// The collector of one term.
pub(super) struct Collector {
    /// The door.
    pub(super) cluster: Cluster,
    /// This node.
    pub(super) me: NodeId,
    /// Reads this node's own journal, as the peer route does for others.
    pub(super) own: Arc<dyn Fn(&ReadJournal) -> Record + Send + Sync>,
    /// The term that it collects in.
    pub(super) term: u64,
    /// How many nodes are asked at a time.
    pub(super) fan_in: usize,
    /// Time between two rounds when nobody reports growth.
    pub(super) interval: Duration,
    /// Rung when a renewal says that a journal grew.
    pub(super) grown: Arc<Notify>,
}

impl Collector {
    /// Collects until dropped. Rounds begin every `interval`, or as soon as a journal grew.
    pub(super) async fn run(self) {
        let this = &self;
        let mut unreachable: BTreeMap<NodeId, bool> = BTreeMap::new();
        loop {
            let nodes: Vec<NodeId> = self.cluster.members().into_iter().map(|(id, _)| id).collect();
            let results: Vec<(NodeId, Result<(), Error>)> = stream::iter(nodes)
                .map(|node| async move { (node, this.collect(node).await) })
                .buffer_unordered(self.fan_in.max(1))
                .collect()
                .await;
            for (node, result) in results {
                let was = unreachable.insert(node, result.is_err()).unwrap_or_default();
                match result {
                    Err(error) if !was => {
                        tracing::warn!(node, %error, "a node's journal cannot be collected now");
                    }
                    Ok(()) if was => tracing::info!(node, "a node's journal is collected again"),
                    _ => {}
                }
            }
            // A late bell only delays a round, it cannot be lost: `Notify` keeps one.
            let _ = tokio::time::timeout(self.interval, self.grown.notified()).await;
        }
    }

    /// Reads one node's journal to its end, a page an entry.
    async fn collect(&self, node: NodeId) -> Result<(), Error> {
        loop {
            let cursor = self.cluster.read(move |conn| store::cursors::get(conn, node)).await?;
            let (incarnation, after) = cursor.unwrap_or_default();
            let ask = ReadJournal { incarnation, after, max_bytes: PAGE_BYTES };
            let record = if node == self.me {
                (self.own)(&ask)
            } else {
                self.cluster.peers().call(node, JOURNAL_ROUTE, &ask, PAGE_TIMEOUT).await?
            };
            if record.entries.is_empty() {
                return Ok(());
            }
            let (_, outcome) =
                self.cluster.propose_as_leader(self.term, Command::Record(record)).await?;
            if let Outcome::Rejected(rejection) = outcome {
                return Err(Error::Refused(rejection.message));
            }
        }
    }
}

/// Why a round failed for a node; the next round tries again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    #[error(transparent)]
    Peer(#[from] crate::peer::Error),
    #[error("its journal does not fit the books: {0}")]
    Refused(String),
}
