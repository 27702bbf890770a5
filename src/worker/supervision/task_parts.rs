//! What the task is given to work with, and the lease as its steps see it. `handle` and `task` make
//! them. Data only.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::bus::Bus;
use crate::clock::SchedulerTime;
use crate::delivery::registry::Registry;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::NodeId;
use crate::model::shard::ShardId;
use crate::worker::deps::{AskOwners, Elsewhere};
use crate::worker::ports::Lease;
use crate::worker::queue::Plans;
use crate::worker::send::{Defaults, SendEvent};
use crate::worker::supervisor::HandOutLease;

/// What the task is given to work with.
pub(in crate::worker) struct Parts<B, L> {
    pub(in crate::worker) node: NodeId,
    /// The cluster's id, which is part of the ids of runs.
    pub(in crate::worker) cluster: u128,
    pub(in crate::worker) store: B,
    pub(in crate::worker) lease: Arc<L>,
    pub(in crate::worker) journal: Journal,
    /// The kinds of target, which say what a queue is.
    pub(in crate::worker) kinds: Registry,
    pub(in crate::worker) plans: Arc<Plans>,
    pub(in crate::worker) defaults: Defaults,
    pub(in crate::worker) time: Arc<SchedulerTime>,
    pub(in crate::worker) metrics: Arc<Metrics>,
    /// The bus of queues whose workers are at a broker.
    pub(in crate::worker) bus: Arc<dyn Bus>,
    /// Passes signs of life on to other owners.
    pub(in crate::worker) elsewhere: Elsewhere,
    /// Asks the owners of runs what they have handed out.
    pub(in crate::worker) ask_owners: AskOwners,
    /// The engine, which hears what became of its dispatches.
    pub(in crate::worker) engine: mpsc::UnboundedSender<SendEvent>,
    /// Tells the leader that the journal has grown.
    pub(in crate::worker) journal_grew: Arc<dyn Fn() + Send + Sync>,
}

/// The lease, of a worker that may be stopping.
pub(super) struct WorkerLease<'a, L> {
    pub(super) lease: &'a L,
    pub(super) stopping: bool,
}

impl<L: Lease> HandOutLease for WorkerLease<'_, L> {
    fn usable_since(&self) -> Option<u64> {
        self.lease.usable_since()
    }

    fn is_promised(&self, shard: ShardId, epoch: u64) -> bool {
        self.stopping || self.lease.is_promised(shard, epoch)
    }
}
