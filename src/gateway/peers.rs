//! The supervisors of the cluster as the gateway's port: this node's own one directly, the others
//! by peer messages. A peer message that gets no answer in time counts as none.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, oneshot};

use super::messages::{NodeWorkers, Notices, WORKERS_LEVEL};
use super::own_replica::give_back;
use super::replica::released;
use super::supervisors::{Answer, Supervisors, Unanswered};
use crate::cluster::Cluster;
use crate::model::NodeId;
use crate::model::claim::{
    ClaimRequest, ClaimedRun, HandOutQuestion, HandedOut, LiveRun, QueueHint, WorkerHeartbeat,
};
use crate::model::run::Occurrence;
use crate::peer;
use crate::peer::routes::{
    CLAIMS, HANDED_OUT, HEARTBEATS, LIVE_RUNS, NODE_WORKERS, WORKER_NOTICES,
};
use crate::worker::{NotRunning, Supervision};

/// The longest time to an answer to claims: their owner looks jobs up, and syncs its journal. An
/// answer that is not waited for would leave its runs to nobody.
const CLAIMING: Duration = Duration::from_secs(15);
/// The longest time of one claim at this node, less than its asker waits.
const OWN_CLAIM: Duration = Duration::from_secs(10);
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

    /// Claims at this node's own supervisor. No claim keeps the answers of its neighbours back.
    pub(super) fn claim_here(
        &self,
        asks: Vec<ClaimRequest>,
    ) -> Answer<Vec<Option<Vec<ClaimedRun>>>> {
        let own = self.clone();
        async move {
            let told = join_all(asks.into_iter().map(|ask| own.claim_one(ask))).await;
            claims_told(told)
        }
        .boxed()
    }

    /// Claims for one worker; runs that come too late for that are given back.
    async fn claim_one(&self, ask: ClaimRequest) -> Result<Option<Vec<ClaimedRun>>, NotRunning> {
        let (supervision, cluster) = (self.supervision.clone(), self.cluster.clone());
        let asked = ask.clone();
        let claim = async move { supervision.claim(asked).await };
        in_time(OWN_CLAIM, claim, move |late| give_back(cluster, released(&ask, late))).await
    }

    /// Notes heartbeats at this node's own supervisor.
    pub(super) fn hear_here(&self, beats: Vec<WorkerHeartbeat>) -> Answer<Vec<Vec<Occurrence>>> {
        let supervision = self.supervision.clone();
        async move {
            let of = |beat: &WorkerHeartbeat| beat.runs.iter().map(|run| run.occurrence).collect();
            let all: Vec<Vec<Occurrence>> = beats.iter().map(of).collect();
            let told = join_all(beats.into_iter().map(|beat| supervision.heartbeat(beat))).await;
            beats_told(told, all)
        }
        .boxed()
    }
}

/// Waits for a claim, but no longer than this. `None` then: it goes on, and what comes later is for
/// `late`, as is what comes when the caller has gone.
async fn in_time<Late: Future<Output = ()> + Send>(
    limit: Duration,
    claim: impl Future<Output = Result<Vec<ClaimedRun>, NotRunning>> + Send + 'static,
    late: impl FnOnce(Vec<ClaimedRun>) -> Late + Send + 'static,
) -> Result<Option<Vec<ClaimedRun>>, NotRunning> {
    let (answer, mut answered) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(Ok(runs)) = answer.send(claim.await) {
            late(runs).await;
        }
    });
    let told = if let Ok(told) = tokio::time::timeout(limit, &mut answered).await {
        told.unwrap_or(Err(NotRunning))
    } else {
        answered.close();
        let Ok(told) = answered.try_recv() else { return Ok(None) };
        told
    };
    told.map(Some)
}

/// The answers to a bundle of claims. Of one that the supervisor left without an answer it is not
/// known what it got, unless the supervisor does not run at all.
fn claims_told(
    told: Vec<Result<Option<Vec<ClaimedRun>>, NotRunning>>,
) -> Result<Vec<Option<Vec<ClaimedRun>>>, Unanswered> {
    if told.iter().all(Result::is_err) && !told.is_empty() {
        return Err(Unanswered::NotAsked);
    }
    Ok(told.into_iter().map(Result::unwrap_or_default).collect())
}

/// The answers to a bundle of heartbeats about these runs. One without an answer was not heard.
fn beats_told(
    told: Vec<Result<Vec<Occurrence>, NotRunning>>,
    all: Vec<Vec<Occurrence>>,
) -> Result<Vec<Vec<Occurrence>>, Unanswered> {
    if told.iter().all(Result::is_err) && !told.is_empty() {
        return Err(Unanswered::NotAsked);
    }
    Ok(told.into_iter().zip(all).map(|(told, all)| told.unwrap_or(all)).collect())
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

    fn claim(&self, at: NodeId, asks: Vec<ClaimRequest>) -> Answer<Vec<Option<Vec<ClaimedRun>>>> {
        if at == self.own {
            return self.claim_here(asks);
        }
        self.call(at, CLAIMS, asks, CLAIMING)
    }

    fn claim_own(&self, ask: ClaimRequest) -> Answer<Option<Vec<ClaimedRun>>> {
        let supervision = self.supervision.clone();
        async move {
            let told = supervision.claim(ask).await;
            told.map(Some).map_err(|NotRunning| Unanswered::NotAsked)
        }
        .boxed()
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

    fn handed_out(&self, at: NodeId, asked: Vec<HandOutQuestion>) -> Answer<Vec<HandedOut>> {
        let (supervision, cluster) = (self.supervision.clone(), self.cluster.clone());
        if at == self.own {
            let told = async move { supervision.handed_out(asked).await };
            return told.map(|told| told.map_err(|_| Unanswered::Silent)).boxed();
        }
        async move {
            match cluster.peers().call(at, HANDED_OUT, &asked, VIEWING).await {
                Ok(told) => Ok(told),
                // An older program: a report is decided about without it, as it always did.
                Err(peer::Error::Refused { status: 404, .. }) => {
                    Ok(vec![HandedOut::No; asked.len()])
                }
                Err(error) => {
                    tracing::debug!(at, %error, "an owner does not say what it has handed out");
                    Err(Unanswered::Silent)
                }
            }
        }
        .boxed()
    }

    fn view(&self, at: NodeId, with_workers: bool) -> Answer<NodeWorkers> {
        if at != self.own {
            return self.call(at, NODE_WORKERS, with_workers, VIEWING);
        }
        let supervision = self.supervision.clone();
        async move {
            let queues = supervision.queues().await.map_err(|_| Unanswered::Silent)?;
            Ok(NodeWorkers { queues, ..NodeWorkers::default() })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn of(job: u64) -> Occurrence {
        Occurrence { job, scheduled: 5, run: 0 }
    }

    #[test]
    fn a_heartbeat_that_the_supervisor_did_not_answer_was_not_heard() {
        let all = || vec![vec![of(1), of(2)], vec![of(3)]];
        let told = beats_told(vec![Ok(vec![of(2)]), Err(NotRunning)], all());
        assert_eq!(told, Ok(vec![vec![of(2)], vec![of(3)]]));
        let none = beats_told(vec![Err(NotRunning), Err(NotRunning)], all());
        assert_eq!(none, Err(Unanswered::NotAsked));
        assert_eq!(beats_told(Vec::new(), Vec::new()), Ok(Vec::new()));
    }

    #[test]
    fn of_a_claim_that_the_supervisor_did_not_answer_nothing_is_known() {
        let told = claims_told(vec![Ok(Some(Vec::new())), Ok(None), Err(NotRunning)]);
        assert_eq!(told, Ok(vec![Some(Vec::new()), None, None]));
        assert_eq!(claims_told(vec![Err(NotRunning)]), Err(Unanswered::NotAsked));
    }

    #[tokio::test]
    async fn a_slow_claim_is_not_waited_for_and_what_it_gets_is_given_back() {
        let (give, gives) = oneshot::channel::<()>();
        let (late, came) = oneshot::channel();
        let claim = async move {
            gives.await.unwrap();
            Ok(Vec::new())
        };
        let given_back = move |runs: Vec<ClaimedRun>| async move { late.send(runs.len()).unwrap() };
        assert_eq!(in_time(SOON, claim, given_back).await, Ok(None));
        give.send(()).unwrap();
        assert_eq!(came.await, Ok(0));
        let at_once = in_time(SOON, async { Ok(Vec::new()) }, async |_| panic!("not late"));
        assert_eq!(at_once.await, Ok(Some(Vec::new())));
        let refused = in_time(SOON, async { Err(NotRunning) }, async |_| panic!("not late"));
        assert_eq!(refused.await, Err(NotRunning));
    }
}
