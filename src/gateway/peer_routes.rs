//! The other end of the messages between gateways: what comes in from the gateway of another node
//! goes to this node's supervisor, or to its gateway. `node` serves it behind peer authentication.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Extension, Router};

use super::messages::{NodeWorkers, Notices};
use super::peers::ClusterSupervisors;
use super::state::Gateway;
use super::supervisors::{Supervisors, Unanswered};
use crate::model::claim::{ClaimRequest, ClaimedRun, LiveRun, WorkerHeartbeat};
use crate::model::run::Occurrence;
use crate::peer::routes::{CLAIMS, HEARTBEATS, LIVE_RUNS, NODE_WORKERS, WORKER_NOTICES};
use crate::peer::{Caller, Postcard, Refusal};

/// The most messages of one kind in a call; their senders bundle no more.
const MOST: usize = 10_000;

/// The parts from which the handlers answer.
#[derive(Clone)]
struct PeerEnd {
    gateway: Gateway,
    supervisors: ClusterSupervisors,
}

/// The routes.
pub fn routes(gateway: Gateway, supervisors: ClusterSupervisors) -> Router {
    Router::new()
        .route(CLAIMS, post(claim))
        .route(HEARTBEATS, post(heartbeat))
        .route(WORKER_NOTICES, post(notice))
        .route(LIVE_RUNS, post(live))
        .route(NODE_WORKERS, post(view))
        .with_state(PeerEnd { gateway, supervisors })
}

fn refused(_: Unanswered) -> Refusal {
    let message = "this node's supervisor does not run: it is starting or stopping";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
}

fn bounded<T>(all: &[T]) -> Result<(), Refusal> {
    let message = "too many messages in one call";
    let is_bounded = all.len() <= MOST;
    is_bounded.then_some(()).ok_or_else(|| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message))
}

async fn claim(
    State(end): State<PeerEnd>,
    Postcard(asks): Postcard<Vec<ClaimRequest>>,
) -> Result<Postcard<Vec<Vec<ClaimedRun>>>, Refusal> {
    bounded(&asks)?;
    end.supervisors.claim_here(asks).await.map(Postcard).map_err(refused)
}

async fn heartbeat(
    State(end): State<PeerEnd>,
    Postcard(beats): Postcard<Vec<WorkerHeartbeat>>,
) -> Result<Postcard<Vec<Vec<Occurrence>>>, Refusal> {
    bounded(&beats)?;
    end.supervisors.hear_here(beats).await.map(Postcard).map_err(refused)
}

async fn notice(
    State(end): State<PeerEnd>,
    Extension(caller): Extension<Caller>,
    Postcard(notices): Postcard<Notices>,
) -> Postcard<()> {
    let Notices { reports, wants, hints } = notices;
    let supervision = end.supervisors.own_supervisor();
    if !reports.is_empty() {
        supervision.note_reports(reports);
    }
    if !wants.is_empty() {
        supervision.want(caller.node, wants);
    }
    hints.into_iter().for_each(|hint| end.gateway.take_hint(caller.node, hint));
    Postcard(())
}

async fn live(
    State(end): State<PeerEnd>,
    Postcard(of): Postcard<Vec<Occurrence>>,
) -> Result<Postcard<Vec<LiveRun>>, Refusal> {
    let own = end.supervisors.own();
    end.supervisors.live(own, of).await.map(Postcard).map_err(refused)
}

async fn view(State(end): State<PeerEnd>, Postcard(()): Postcard<()>) -> Postcard<NodeWorkers> {
    Postcard(end.gateway.own_view().await)
}
