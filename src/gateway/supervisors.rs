//! The port to the supervisors of the cluster: this node's own, and those of the other nodes.
//! `peers` has the real one; tests have supervisors in memory. It decides nothing.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use super::messages::{NodeWorkers, Notices};
use crate::model::NodeId;
use crate::model::claim::{
    ClaimRequest, ClaimedRun, HandOutQuestion, HandedOut, LiveRun, QueueHint, WorkerHeartbeat,
};
use crate::model::run::Occurrence;

/// The reason why a node gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It cannot be reached, or did not answer in time. It may have done what it was asked for.
    #[error("the node gave no answer")]
    Silent,
    /// It did nothing: too much for it waits here already, or its supervisor does not run.
    #[error(
        "the node was not asked: too many messages wait for it, or its supervisor does not run"
    )]
    NotAsked,
    /// It was not asked: nobody waits for the answer any more.
    #[error("nobody waits for the answer of the node")]
    Unwanted,
}

/// An answer that is on its way.
pub type Answer<T> = BoxFuture<'static, Result<T, Unanswered>>;

/// The supervisors of the cluster.
pub trait Supervisors: Send + Sync + 'static {
    /// This node.
    fn own(&self) -> NodeId;

    /// The other nodes that know worker runs.
    fn others(&self) -> Vec<NodeId>;

    /// The hints of this node's supervisor, each with the gateway that it is for.
    fn hints(&self) -> broadcast::Receiver<(NodeId, QueueHint)>;

    /// Claims runs: for each claim those that it gets, which may be none; `None` where that took
    /// too long, and what it got is not known. It never waits for work.
    fn claim(&self, at: NodeId, asks: Vec<ClaimRequest>) -> Answer<Vec<Option<Vec<ClaimedRun>>>>;

    /// Claims runs of this node's own supervisor for one worker. Whoever asks waits for the end, or
    /// has somebody else wait, since what is claimed must not get lost.
    fn claim_own(&self, ask: ClaimRequest) -> Answer<Option<Vec<ClaimedRun>>> {
        let told = self.claim(self.own(), vec![ask]);
        async move { Ok(told.await?.pop().flatten()) }.boxed()
    }

    /// Passes heartbeats on: for each the runs of which that supervisor knows nothing.
    fn heartbeat(&self, at: NodeId, beats: Vec<WorkerHeartbeat>) -> Answer<Vec<Vec<Occurrence>>>;

    /// Tells a node of reports, wants and hints.
    fn notify(&self, at: NodeId, notices: Notices) -> Answer<()>;

    /// Asks for runs as the supervisor knows them, which leaves out those that it does not know.
    fn live(&self, at: NodeId, of: Vec<Occurrence>) -> Answer<Vec<LiveRun>>;

    /// Asks whether attempts were handed out: an answer for each, in their order.
    fn handed_out(&self, at: NodeId, asked: Vec<HandOutQuestion>) -> Answer<Vec<HandedOut>>;

    /// Asks for the view of a node, with or without the workers that it heard of. Of this node it
    /// is the queues of its supervisor alone.
    fn view(&self, at: NodeId, with_workers: bool) -> Answer<NodeWorkers>;
}
