//! What is asked of the supervision task, and where it waits until the task takes it. The handle
//! and the senders of the worker put it in; all queues are bounded.

use tokio::sync::{mpsc, oneshot};

use crate::model::NodeId;
use crate::model::claim::{
    ClaimRequest, ClaimedRun, HandOutQuestion, HandedOut, LiveRun, QueueCounts, QueueWant,
    ReportNotice, WorkerHeartbeat,
};
use crate::model::run::Occurrence;
use crate::worker::send::Handover;

/// The most claims, other questions, and handovers that wait. Who comes then waits for a place.
const WAITING: usize = 1_024;

/// A claim, and the way to whoever waits for its answer.
pub(super) struct AskedClaim {
    pub(super) ask: ClaimRequest,
    pub(super) answer: oneshot::Sender<Vec<ClaimedRun>>,
}

/// Any other question of a gateway.
pub(super) enum Request {
    /// A heartbeat; answered with the occurrences of which nothing is known here.
    Heartbeat(WorkerHeartbeat, oneshot::Sender<Vec<Occurrence>>),
    /// Reports that are on their way into the store.
    Reports(Vec<ReportNotice>),
    /// Workers wait at a gateway.
    Want(NodeId, Vec<QueueWant>),
    /// What is known of runs, and of occurrences that wait for a worker.
    Live(Vec<Occurrence>, oneshot::Sender<Vec<LiveRun>>),
    /// Whether attempts were handed out, in the order of the questions.
    HandedOut(Vec<HandOutQuestion>, oneshot::Sender<Vec<HandedOut>>),
    /// What queues have.
    Queues(oneshot::Sender<Vec<QueueCounts>>),
}

/// The places where questions wait for the task.
pub(in crate::worker) struct Inbox {
    pub(super) claims: mpsc::Receiver<AskedClaim>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) handovers: mpsc::Receiver<Handover>,
}

/// The other ends of an [`Inbox`].
#[derive(Clone)]
pub(super) struct Outbox {
    pub(super) claims: mpsc::Sender<AskedClaim>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) handovers: mpsc::Sender<Handover>,
}

/// An empty inbox, with its other ends.
pub(super) fn inbox() -> (Outbox, Inbox) {
    let (claims, claims_rx) = mpsc::channel(WAITING);
    let (requests, requests_rx) = mpsc::channel(WAITING);
    let (handovers, handovers_rx) = mpsc::channel(WAITING);
    let inbox = Inbox { claims: claims_rx, requests: requests_rx, handovers: handovers_rx };
    (Outbox { claims, requests, handovers }, inbox)
}
