//! The collector: on the leader, reads what every node's journal holds beyond the committed cursor
//! and proposes it. The replicated log is the journals' acknowledgement.
//!
//! Runs for one term of leadership. It never computes a watermark (owners state them in their
//! journals), never decides what a result means (apply does), and loses nothing when it is ended:
//! the next leader reads on from the same cursor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio::time::MissedTickBehavior;

use crate::cluster::Cluster;
use crate::command::{Command, Outcome};
use crate::model::NodeId;
use crate::model::attempt::{JournalBatch, JournalEntry};
use crate::peer::routes::JOURNAL;
use crate::store;

/// The most journal that one proposal carries, in encoded bytes: well below the bound of an entry.
pub const PAGE_BYTES: u32 = 384 * 1024;

/// The pause between two pages of a journal that is being written, in which results gather: each
/// page is an entry of the log, and a transaction on every node ...
const GATHER: Duration = Duration::from_millis(50);
/// ... but nothing waits behind a page of so many entries.
const MANY: usize = 1_000;
/// The same pause behind a page with claims: a worker that is done reports at once, and the answer
/// waits for the record of its claim. A queue without claims costs no entry.
const CLAIM_GATHER: Duration = Duration::from_millis(10);

/// The longest time that a node may take to answer with a page of its journal.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a node for its journal; answered with a [`JournalBatch`], which is empty when there is no
/// more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadJournal {
    /// The journal that `after` counts in; 0 before anything was collected.
    pub incarnation: u128,
    /// Entries after this sequence number.
    pub after: u64,
    /// About so many encoded bytes.
    pub max_bytes: u32,
}

/// The collector of one term.
pub(super) struct Collector {
    /// The cluster, to read from and to propose to.
    pub(super) cluster: Cluster,
    /// This node.
    pub(super) me: NodeId,
    /// Reads this node's own journal, as the peer route does for others.
    pub(super) own: Arc<dyn Fn(&ReadJournal) -> JournalBatch + Send + Sync>,
    /// The term that it collects in.
    pub(super) term: u64,
    /// The number of nodes that are asked at a time.
    pub(super) fan_in: usize,
    /// Time between two rounds when nobody reports growth.
    pub(super) interval: Duration,
    /// The nodes whose journals grew, by their renewals.
    pub(super) growth: Arc<JournalGrowth>,
}

/// The nodes whose journals have grown. Renewals note it: a node that sends one can be asked, too.
#[derive(Default)]
pub(super) struct JournalGrowth {
    grown: Mutex<BTreeSet<NodeId>>,
    grew: Notify,
}

impl JournalGrowth {
    /// Notes that a node's journal has grown.
    pub(super) fn note(&self, node: NodeId) {
        self.grown.lock().unwrap_or_else(PoisonError::into_inner).insert(node);
        self.grew.notify_one();
    }

    async fn wait(&self) -> BTreeSet<NodeId> {
        self.grew.notified().await;
        std::mem::take(&mut *self.grown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Collector {
    /// Collects until dropped: from all nodes every `interval`, and from all that can be reached as
    /// soon as a journal grew. A node that does not answer keeps no other one waiting.
    pub(super) async fn run(self) {
        let this = &self;
        // A node that did not answer last time takes no turn away from the others.
        let (turns, trials) = (&Semaphore::new(self.fan_in.max(1)), &Semaphore::new(1));
        let mut unreachable: BTreeMap<NodeId, bool> = BTreeMap::new();
        let (mut wanted, mut asked) = (BTreeSet::new(), BTreeSet::new());
        let mut rounds = FuturesUnordered::new();
        let mut beat = tokio::time::interval(self.interval.max(Duration::from_millis(1)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let members = || self.cluster.members().into_iter().map(|(id, _)| id);
            let mut again: Option<(NodeId, Duration)> = None;
            tokio::select! {
                _ = beat.tick() => wanted.extend(members()),
                mut grown = self.growth.wait() => {
                    wanted.append(&mut grown);
                    // When one journal has grown, the others mostly have, too.
                    wanted.extend(members().filter(|id| unreachable.get(id) != Some(&true)));
                }
                Some((node, result)) = rounds.next() => {
                    asked.remove(&node);
                    let result: Result<Option<Duration>, Error> = result;
                    again = result.as_ref().ok().copied().flatten().map(|pause| (node, pause));
                    tell(node, result.map(drop), &mut unreachable);
                }
            }
            // The rest beyond a page waits for its turn like other nodes.
            wanted.extend(again.map(|(node, _)| node));
            let free: Vec<NodeId> = wanted.difference(&asked).copied().collect();
            for node in free {
                let pause =
                    again.filter(|(of, _)| *of == node).map_or(Duration::ZERO, |(_, pause)| pause);
                wanted.remove(&node);
                asked.insert(node);
                let lost = unreachable.get(&node) == Some(&true);
                let turns = if lost { trials } else { turns };
                rounds.push(async move {
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    // The semaphores are never closed.
                    let _turn = turns.acquire().await;
                    (node, this.collect(node).await)
                });
            }
        }
    }

    /// Reads a page of one node's journal; gives the pause before the next page, if there is one.
    async fn collect(&self, node: NodeId) -> Result<Option<Duration>, Error> {
        let cursor = self.cluster.read(move |conn| store::cursors::get(conn, node)).await?;
        let (incarnation, after) = cursor.unwrap_or_default();
        let ask = ReadJournal { incarnation, after, max_bytes: PAGE_BYTES };
        let batch = if node == self.me {
            (self.own)(&ask)
        } else {
            self.cluster.peers().call(node, JOURNAL, &ask, PAGE_TIMEOUT).await?
        };
        if batch.entries.is_empty() {
            return Ok(None);
        }
        let pause = pause_after(&batch.entries);
        let (_, outcome) =
            self.cluster.propose_as_leader(self.term, Command::Record(batch)).await?;
        if let Outcome::Rejected(rejection) = outcome {
            return Err(Error::Refused(rejection.message));
        }
        Ok(Some(pause))
    }
}

/// The pause behind a page with these entries.
fn pause_after(entries: &[JournalEntry]) -> Duration {
    let is_claim = |entry: &JournalEntry| matches!(entry, JournalEntry::Taken(_));
    match entries {
        many if many.len() >= MANY => Duration::ZERO,
        some if some.iter().any(is_claim) => CLAIM_GATHER,
        _ => GATHER,
    }
}

/// Says when a node's journal cannot be collected any more, and when it can again.
fn tell(node: NodeId, result: Result<(), Error>, unreachable: &mut BTreeMap<NodeId, bool>) {
    let was = unreachable.insert(node, result.is_err()).unwrap_or_default();
    match result {
        Err(error) if !was => {
            tracing::warn!(node, %error, "a node's journal cannot be collected now");
        }
        Ok(()) if was => tracing::info!(node, "a node's journal is collected again"),
        _ => {}
    }
}

/// The reason why a round failed for a node; the next round tries again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    #[error(transparent)]
    Peer(#[from] crate::peer::Error),
    #[error("its journal does not fit the replicated state: {0}")]
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Retry;
    use crate::model::members::Members;
    use crate::model::offer::{Offer, Taken};
    use crate::model::run::Phase;
    use crate::model::run_terms::{BusKind, RunTerms};

    #[test]
    fn claims_gather_for_less_long_and_nothing_waits_behind_a_full_page() {
        let retry = Retry { max: 1, delay: 5, factor: 1_000, max_delay: 5 };
        let offer = || Offer {
            project: 1,
            shard: 3,
            epoch: 3,
            due: 9,
            scheduled: 8,
            run: 0,
            attempt: 1,
            pending: None,
            members: Members::from_sorted([3]),
            terms: RunTerms::new(BusKind::Embedded, 7, retry),
        };
        let (phase, worker) = (Phase::Running, "w".to_owned());
        let taken = Taken { offer: offer(), phase, worker, started: 10 };
        let offered = || JournalEntry::Offered(offer());
        assert_eq!(pause_after(&[offered()]), GATHER);
        assert_eq!(pause_after(&[offered(), JournalEntry::Taken(taken)]), CLAIM_GATHER);
        let many: Vec<_> = (0..MANY).map(|_| offered()).collect();
        assert_eq!(pause_after(&many), Duration::ZERO);
    }
}
