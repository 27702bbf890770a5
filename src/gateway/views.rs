//! The views on queues and workers: what this node knows of them, and the sum over all nodes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::messages::{NodeWorkers, SeenWorker};
use super::seen::REMEMBERED;
use super::state::Gateway;
use crate::model::claim::QueueCounts;
use crate::model::{Millis, NodeId};

/// The longest wait for the view of a node, in milliseconds.
const VIEW: u64 = 800;

/// A queue, as all nodes that answered see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueTotals {
    /// Occurrences that wait for a worker.
    pub offers: u64,
    /// Runs that workers have.
    pub taken: u64,
    /// Claims that wait for runs of it.
    pub waiting: u64,
    /// The due instant of the oldest offer; `None` where none waits.
    pub oldest: Option<Millis>,
    /// The instant since which an offer has waited for longest; `None` where none waits.
    pub since: Option<Millis>,
}

/// A worker, at the node that heard of it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerAtNode {
    /// The worker.
    pub worker: SeenWorker,
    /// The node.
    pub node: NodeId,
}

/// Queues and workers of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterWorkers {
    /// The queues that anything is known of, by number.
    pub queues: BTreeMap<u64, QueueTotals>,
    /// The workers, by name.
    pub workers: BTreeMap<String, WorkerAtNode>,
    /// The queues that workers have claimed from, of those that were heard within the last minute.
    pub asked: BTreeSet<u64>,
    /// A node has served workers for less than a minute: those that look for it are not known yet.
    pub is_new: bool,
    /// The nodes that did not answer in time.
    pub unanswered: Vec<NodeId>,
}

impl Gateway {
    /// The view of this node, for itself and for others; without its workers where nobody asks for
    /// them, since they may be many.
    pub async fn own_view(&self, with_workers: bool) -> NodeWorkers {
        let inner = &self.0;
        let own = inner.supervisors.view(inner.supervisors.own(), false).await;
        let now = inner.now();
        let asked = inner.seen().asked(now).into_iter().collect();
        NodeWorkers {
            asked,
            is_new: now < inner.begun.saturating_add(REMEMBERED),
            queues: own.unwrap_or_default().queues,
            waiting: inner.claims().waiting(),
            workers: if with_workers { inner.seen().all(now) } else { Vec::new() },
        }
    }

    /// The number of claims that wait for work here.
    pub fn parked(&self) -> usize {
        self.0.claims().parked()
    }

    /// Asks all nodes for their views, with or without the workers that they heard of.
    pub async fn cluster_view(&self, with_workers: bool) -> ClusterWorkers {
        let inner = &self.0;
        let own = inner.supervisors.own();
        let asked = inner.nodes().into_iter().map(async |node| {
            if node == own {
                return (node, Some(self.own_view(with_workers).await));
            }
            tokio::select! {
                biased;
                view = inner.supervisors.view(node, with_workers) => (node, view.ok()),
                () = inner.clock.sleep_until(inner.now() + VIEW) => (node, None),
            }
        });
        let mut whole = ClusterWorkers::default();
        for (node, view) in join_all(asked).await {
            match view {
                Some(view) => whole.add(node, view),
                None => whole.unanswered.push(node),
            }
        }
        whole
    }
}

impl ClusterWorkers {
    fn add(&mut self, node: NodeId, view: NodeWorkers) {
        for QueueCounts { queue, offers, taken, oldest, since } in view.queues {
            let totals = self.queue(queue);
            totals.offers += offers;
            totals.taken += taken;
            let earlier = |known: Option<Millis>, other: Millis| {
                known.into_iter().chain(Some(other).filter(|at| *at < Millis::MAX)).min()
            };
            totals.oldest = earlier(totals.oldest, oldest);
            totals.since = earlier(totals.since, since);
        }
        for (queue, waiting) in view.waiting {
            self.queue(queue).waiting += u64::from(waiting);
        }
        self.asked.extend(view.asked);
        self.is_new |= view.is_new;
        for worker in view.workers {
            let at = WorkerAtNode { worker, node };
            let known = self.workers.get_mut(&at.worker.worker);
            match known {
                Some(known) => known.merge(at),
                None => _ = self.workers.insert(at.worker.worker.clone(), at),
            }
        }
    }

    fn queue(&mut self, id: u64) -> &mut QueueTotals {
        let none = QueueTotals { offers: 0, taken: 0, waiting: 0, oldest: None, since: None };
        self.queues.entry(id).or_insert(none)
    }
}

impl WorkerAtNode {
    /// Adds what another node heard: the later word counts, and all queues.
    fn merge(&mut self, mut other: Self) {
        if other.worker.seen_ms_ago < self.worker.seen_ms_ago {
            std::mem::swap(self, &mut other);
        }
        self.worker.runs = self.worker.runs.or(other.worker.runs);
        self.worker.queues.extend(other.worker.queues);
        self.worker.queues.sort_unstable();
        self.worker.queues.dedup();
    }
}
