//! The words between gateways, beside those of [`model::claim`](crate::model::claim): what is told
//! without an answer, and the view of a node on queues and workers. They travel in postcard form.

use serde::{Deserialize, Serialize};

use crate::model::claim::{QueueCounts, QueueHint, QueueWant, ReportNotice};

/// The level of the first program that knows worker runs: a node below it is not asked.
pub const WORKERS_LEVEL: u32 = 4;

/// The most claims in one call. Each may bring a megabyte of data.
pub(super) const MOST_CLAIMS: usize = 32;
/// The most runs in one call, in heartbeats, reports or questions; each takes at most some 300
/// bytes. As many wants and hints are in one.
pub(super) const MOST_RUNS: usize = 10_000;

/// The notices from one gateway to a node: for its supervisor, or for its gateway. A notice that is
/// lost costs time and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// Reports that are on their way into the store.
    pub reports: Vec<ReportNotice>,
    /// The queues for whose runs workers wait at the sender.
    pub wants: Vec<QueueWant>,
    /// The offers of the sender's supervisor.
    pub hints: Vec<QueueHint>,
}

impl Notices {
    /// Returns whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty() && self.wants.is_empty() && self.hints.is_empty()
    }
}

/// A worker that a gateway heard of within the last minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenWorker {
    /// Its name.
    pub worker: String,
    /// The numbers of the queues that it claimed from.
    pub queues: Vec<u64>,
    /// The number of runs in its last heartbeat; `None` before the first.
    pub runs: Option<u32>,
    /// The time since it was heard, in milliseconds.
    pub seen_ms_ago: u64,
}

/// The view of one node on queues and workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeWorkers {
    /// The queues at its supervisor.
    pub queues: Vec<QueueCounts>,
    /// The number of claims that wait at its gateway for runs of a queue.
    pub waiting: Vec<(u64, u32)>,
    /// The workers that its gateway heard of; none where they were not asked for.
    pub workers: Vec<SeenWorker>,
    /// The queues that workers which its gateway heard of have claimed from.
    pub asked: Vec<u64>,
    /// Its gateway began less than a minute ago: workers may not have found it yet.
    pub is_new: bool,
}
