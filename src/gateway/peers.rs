//! The supervisors of the cluster as the gateway's port: this node's own one directly, the others
//! by peer messages. A peer message that gets no answer in time counts as none.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use super::messages::{NodeWorkers, Notices, WORKERS_LEVEL};
use super::supervisors::{Answer, Supervisors, Unanswered};
use crate::cluster::Cluster;
use crate::model::NodeId;
use crate::model::claim::{ClaimRequest, ClaimedRun, LiveRun, QueueHint, WorkerHeartbeat};
use crate::model::run::Occurrence;
use crate::peer::routes::{CLAIMS, HEARTBEATS, LIVE_RUNS, NODE_WORKERS, WORKER_NOTICES};
use crate::worker::Supervision;

/// The longest time to an answer to claims: their owner looks jobs up, and syncs its journal. An
/// answer that is not waited for would leave its runs to nobody.
const CLAIMING: Duration = Duration::from_secs(15);
/// The longest time to an answer to heartbeats.
const BEATING: Duration = Duration::from_secs(3);
/// The longest time until notices are taken.
const NOTICING: Duration = Duration::from_secs(2);
/// The longest time to a view.
const VIEWING: Duration = Duration::from_secs(1);

/// The supervisors of the cluster that this node is a member of.
#[derive(Clone)]
pub struct ClusterSupervisors {
    own: NodeId,
    cluster: Cluster,
    supervision: Supervision,
}

impl ClusterSupervisors {
    /// The supervisors, of which this node's own is `supervision`.
    pub fn new(own: NodeId, cluster: Cluster, supervision: Supervision) -> Self {
        Self { own, cluster, supervision }
    }

    /// This node's own supervisor.
    pub(super) fn own_supervisor(&self) -> &Supervision {
        &self.supervision
    }

    fn call<Req, Resp>(
        &self,
        at: NodeId,
        path: &'static str,
        message: Req,
        timeout: Duration,
    ) -> Answer<Resp>
    where
        Req: Serialize + Send + Sync + 'static,
        Resp: DeserializeOwned + Send + 'static,
    {
        let cluster = self.cluster.clone();
        let called = async move {
            let answer = cluster.peers().call(at, path, &message, timeout).await;
            answer.map_err(|error| {
                tracing::debug!(at, path, %error, "a gateway got no answer");
                Unanswered::Silent
            })
        };
        called.boxed()
    }

    /// Claims at this node's own supervisor.
    pub(super) fn claim_here(
        &self,
        asks: Vec<ClaimRequest>,
    ) -> BoxFuture<'static, Result<Vec<Vec<ClaimedRun>>, Unanswered>> {
        let supervision = self.supervision.clone();
        async move {
            let told = join_all(asks.into_iter().map(|ask| supervision.claim(ask))).await;
            all(told)
        }
        .boxed()
    }

    /// Notes heartbeats at this node's own supervisor.
    pub(super) fn hear_here(&self, beats: Vec<WorkerHeartbeat>) -> Answer<Vec<Vec<Occurrence>>> {
        let supervision = self.supervision.clone();
        async move {
            let told = join_all(beats.into_iter().map(|beat| supervision.heartbeat(beat))).await;
            all(told)
        }
        .boxed()
    }
}

/// The answers to a bundle. One without an answer is empty where others have some: it must not take
/// theirs along.
fn all<T: Default, E>(told: Vec<Result<T, E>>) -> Result<Vec<T>, Unanswered> {
    if told.iter().all(Result::is_err) && !told.is_empty() {
        return Err(Unanswered::Silent);
    }
    Ok(told.into_iter().map(Result::unwrap_or_default).collect())
}

impl Supervisors for ClusterSupervisors {
    fn own(&self) -> NodeId {
        self.own
    }

    fn others(&self) -> Vec<NodeId> {
        let peers = self.cluster.peers();
        let members = self.cluster.members().into_iter().map(|(node, _)| node);
        let knows = |node: &NodeId| peers.level(*node).is_none_or(|level| level >= WORKERS_LEVEL);
        members.filter(|node| *node != self.own && knows(node)).collect()
    }

    fn hints(&self) -> broadcast::Receiver<(NodeId, QueueHint)> {
        self.supervision.hints()
    }

    fn claim(&self, at: NodeId, asks: Vec<ClaimRequest>) -> Answer<Vec<Vec<ClaimedRun>>> {
        if at == self.own {
            return self.claim_here(asks);
        }
        self.call(at, CLAIMS, asks, CLAIMING)
    }

    fn heartbeat(&self, at: NodeId, beats: Vec<WorkerHeartbeat>) -> Answer<Vec<Vec<Occurrence>>> {
        if at == self.own {
            return self.hear_here(beats);
        }
        self.call(at, HEARTBEATS, beats, BEATING)
    }

    fn notify(&self, at: NodeId, notices: Notices) -> Answer<()> {
        if at != self.own {
            return self.call(at, WORKER_NOTICES, notices, NOTICING);
        }
        if !notices.reports.is_empty() {
            self.supervision.note_reports(notices.reports);
        }
        if !notices.wants.is_empty() {
            self.supervision.want(self.own, notices.wants);
        }
        async { Ok(()) }.boxed()
    }

    fn live(&self, at: NodeId, of: Vec<Occurrence>) -> Answer<Vec<LiveRun>> {
        if at != self.own {
            return self.call(at, LIVE_RUNS, of, VIEWING);
        }
        let supervision = self.supervision.clone();
        async move { supervision.live(of).await.map_err(|_| Unanswered::Silent) }.boxed()
    }

    fn view(&self, at: NodeId) -> Answer<NodeWorkers> {
        if at != self.own {
            return self.call(at, NODE_WORKERS, (), VIEWING);
        }
        let supervision = self.supervision.clone();
        async move {
            let queues = supervision.queues().await.map_err(|_| Unanswered::Silent)?;
            Ok(NodeWorkers { queues, ..NodeWorkers::default() })
        }
        .boxed()
    }
}
