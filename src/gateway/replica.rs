//! The port to this node's own copy of the replicated state, as far as the gateway reads it, and
//! the way to give runs back. `own_replica` has the real one; tests bring their own.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use crate::command::Change;
use crate::model::claim::{ClaimRequest, ClaimedRun};
use crate::model::run::Occurrence;
use crate::model::run_id::RunName;
use crate::model::run_report::{RunReport, Said};
use crate::model::run_terms::BusKind;
use crate::model::{AccountId, NodeId};

/// What a worker is to do with a run that it has, as far as the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Go on.
    GoOn,
    /// Stop, and report that it was cancelled.
    Cancel,
    /// Stop, and report nothing: the run is over, or somebody else has it.
    Gone,
}

/// A queue, as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownQueue {
    /// Its number.
    pub id: u64,
    /// The bus by which its runs come to workers.
    pub bus: BusKind,
}

/// A read that is on its way; its error is for the log.
pub type Reading<T> = BoxFuture<'static, Result<T, String>>;

/// The replicated state as this node has applied it.
pub trait Replica: Send + Sync + 'static {
    /// The change feed.
    fn changes(&self) -> broadcast::Receiver<Arc<Change>>;

    /// The id of the cluster.
    fn cluster_id(&self) -> Reading<u128>;

    /// The owners of the shards, by the number of the shard; 0 for none.
    fn owners(&self) -> Reading<Vec<NodeId>>;

    /// The advice to a worker on runs and their attempts, in their order.
    fn advise(&self, worker: &str, runs: Vec<(Occurrence, u32)>) -> Reading<Vec<Advice>>;

    /// The queue of an account with a name, or of any account for `None`; `None` where no queue has
    /// it.
    fn queue(&self, account: Option<AccountId>, name: &str) -> Reading<Option<KnownQueue>>;

    /// The occurrences that names mean, in their order; `None` for a manual run that the store
    /// does not have.
    fn occurrences(&self, names: Vec<RunName>) -> Reading<Vec<Option<Occurrence>>>;

    /// Gives runs back that nobody was told of.
    fn give_back(&self, reports: Vec<RunReport>) -> BoxFuture<'static, ()>;
}

/// The reports that give runs of a claim back that nobody was told of. A claim with a key may be
/// repeated and gets the same runs then: of that one there are none.
pub(super) fn released(ask: &ClaimRequest, runs: Vec<ClaimedRun>) -> Vec<RunReport> {
    if ask.key.is_some() {
        return Vec::new();
    }
    let reports = runs.into_iter().map(|run| RunReport {
        occurrence: run.occurrence,
        attempt: run.attempt,
        worker: ask.worker.clone(),
        said: Said::Released,
    });
    reports.collect()
}
