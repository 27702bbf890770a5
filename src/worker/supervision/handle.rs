//! The handle of the supervision: what gateways ask the supervisor of this node. The worker makes
//! it; questions go to the task, which answers them. Nothing is decided here.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::requests::{AskedClaim, Inbox, Outbox, Request, inbox};
use super::shared::SharedSupervisor;
use crate::model::NodeId;
use crate::model::claim::{
    ClaimRequest, ClaimedRun, HandOutQuestion, HandedOut, LiveRun, QueueCounts, QueueHint,
    QueueWant, ReportNotice, WorkerHeartbeat,
};
use crate::model::run::Occurrence;
use crate::worker::send::Handover;

/// The most hints that wait for a gateway that is slow to take them. It misses older ones, and asks
/// by itself from time to time.
const HINTS: usize = 4_096;

/// This node's supervisor does not run: the worker has not begun, or it has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node hands out no runs at the moment: it is starting or stopping; ask again")]
pub struct NotRunning;

/// The supervisor of worker runs of this node. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Supervision(Arc<Inner>);

struct Inner {
    supervisor: Arc<SharedSupervisor>,
    outbox: Outbox,
    hints: broadcast::Sender<(NodeId, QueueHint)>,
}

impl Supervision {
    /// A supervisor that is not running yet, and the place where questions wait for it.
    pub(in crate::worker) fn new(node: NodeId) -> (Self, Inbox) {
        let (outbox, inbox) = inbox();
        let (supervisor, hints) =
            (Arc::new(SharedSupervisor::new(node)), broadcast::Sender::new(HINTS));
        (Self(Arc::new(Inner { supervisor, outbox, hints })), inbox)
    }

    /// Claims runs for a worker. Never waits for work: the answer is empty when nothing waits. The
    /// runs of an answer that nobody takes count as lost when they are not heard of.
    pub async fn claim(&self, ask: ClaimRequest) -> Result<Vec<ClaimedRun>, NotRunning> {
        self.check()?;
        let (answer, answered) = oneshot::channel();
        self.0.outbox.claims.send(AskedClaim { ask, answer }).await.map_err(|_| NotRunning)?;
        answered.await.map_err(|_| NotRunning)
    }

    /// Notes a heartbeat. Returns the occurrences of which nothing is known here.
    pub async fn heartbeat(&self, beat: WorkerHeartbeat) -> Result<Vec<Occurrence>, NotRunning> {
        self.ask(|answer| Request::Heartbeat(beat, answer)).await
    }

    /// Notes reports that are on their way into the store. Where too many wait they are not noted:
    /// the store says the same a moment later.
    pub fn note_reports(&self, reports: Vec<ReportNotice>) {
        self.note(Request::Reports(reports));
    }

    /// Notes that workers wait at a gateway. Where too many questions wait it is not noted: a
    /// gateway asks again.
    pub fn want(&self, gateway: NodeId, wants: Vec<QueueWant>) {
        self.note(Request::Want(gateway, wants));
    }

    fn note(&self, request: Request) {
        if self.check().is_err() {
            return;
        }
        match self.0.outbox.requests.try_send(request) {
            // The supervisor has ended: nobody is to be told any more.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::debug!("a note to the supervisor was dropped: too many wait");
            }
        }
    }

    /// What queues have, each with the gateway that is to be told.
    pub fn hints(&self) -> broadcast::Receiver<(NodeId, QueueHint)> {
        self.0.hints.subscribe()
    }

    /// What is known of runs, and of occurrences that wait for a worker; others are left out.
    pub async fn live(&self, of: Vec<Occurrence>) -> Result<Vec<LiveRun>, NotRunning> {
        self.ask(|answer| Request::Live(of, answer)).await
    }

    /// Says whether attempts were handed out, in the order of the questions.
    pub async fn handed_out(
        &self,
        asked: Vec<HandOutQuestion>,
    ) -> Result<Vec<HandedOut>, NotRunning> {
        self.ask(|answer| Request::HandedOut(asked, answer)).await
    }

    /// The queues of which something waits here, or somebody has something.
    pub async fn queues(&self) -> Result<Vec<QueueCounts>, NotRunning> {
        self.ask(Request::Queues).await
    }

    /// Asks the task, which answers between two steps: whoever asks waits for no lock.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, NotRunning> {
        self.check()?;
        let (answer, answered) = oneshot::channel();
        self.0.outbox.requests.send(request(answer)).await.map_err(|_| NotRunning)?;
        answered.await.map_err(|_| NotRunning)
    }

    fn check(&self) -> Result<(), NotRunning> {
        if self.0.supervisor.runs() { Ok(()) } else { Err(NotRunning) }
    }

    pub(in crate::worker) fn supervisor(&self) -> &Arc<SharedSupervisor> {
        &self.0.supervisor
    }

    /// The place where senders put what waits for a worker.
    pub(in crate::worker) fn handovers(&self) -> mpsc::Sender<Handover> {
        self.0.outbox.handovers.clone()
    }

    pub(in crate::worker) fn hint_sender(&self) -> broadcast::Sender<(NodeId, QueueHint)> {
        self.0.hints.clone()
    }
}

impl std::fmt::Debug for Supervision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervision")
            .field("runs", &self.0.supervisor.runs())
            .finish_non_exhaustive()
    }
}
