//! The other end of the messages between gateways: what comes in from the gateway of another node
//! goes to this node's supervisor, or to its gateway. `node` serves it behind peer authentication.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::messages::{MOST_CLAIMS, MOST_RUNS, NodeWorkers, Notices};
use super::peers::ClusterSupervisors;
use super::state::{Gateway, weight};
use super::supervisors::{Supervisors, Unanswered};
use crate::model::claim::{
    ClaimRequest, ClaimedRun, HandOutQuestion, HandedOut, LiveRun, WorkerHeartbeat,
};
use crate::model::run::Occurrence;
use crate::peer::routes::{
    CLAIMS, HANDED_OUT, HEARTBEATS, LIVE_RUNS, NODE_WORKERS, WORKER_NOTICES,
};
use crate::peer::{Caller, Postcard, Refusal};

/// The parts from which the handlers answer.
#[derive(Clone)]
struct PeerEnd {
    gateway: Gateway,
    supervisors: ClusterSupervisors,
}

/// A task that ends when nobody waits for it any more.
struct Awaited(JoinHandle<Response>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The routes. Whatever thread serves them, their handlers run on `runtime`: they wait for the lock
/// of the supervisor, and read and write long messages.
pub fn routes(gateway: Gateway, supervisors: ClusterSupervisors, runtime: Handle) -> Router {
    Router::new()
        .route(CLAIMS, post(claim))
        .route(HEARTBEATS, post(heartbeat))
        .route(WORKER_NOTICES, post(notice))
        .route(LIVE_RUNS, post(live))
        .route(HANDED_OUT, post(handed_out))
        .route(NODE_WORKERS, post(view))
        .with_state(PeerEnd { gateway, supervisors })
        .layer(from_fn_with_state(runtime, elsewhere))
}

/// Has a request handled on another runtime.
async fn elsewhere(State(runtime): State<Handle>, request: Request, next: Next) -> Response {
    let mut task = Awaited(runtime.spawn(next.run(request)));
    (&mut task.0).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "a message of a gateway was not answered");
        let message = "the message could not be handled";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
    })
}

fn refused(_: Unanswered) -> Refusal {
    let message = "this node's supervisor does not run: it is starting or stopping";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
}

/// Refuses a call with more than its sender puts into one.
fn bounded(count: usize, most: usize) -> Result<(), Refusal> {
    let refused = || {
        let message = format!("{count} in one call are too many: at most {most}");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    (count <= most).then_some(()).ok_or_else(refused)
}

async fn claim(
    State(end): State<PeerEnd>,
    Postcard(asks): Postcard<Vec<ClaimRequest>>,
) -> Result<Postcard<Vec<Option<Vec<ClaimedRun>>>>, Refusal> {
    bounded(asks.len(), MOST_CLAIMS)?;
    end.supervisors.claim_here(asks).await.map(Postcard).map_err(refused)
}

async fn heartbeat(
    State(end): State<PeerEnd>,
    Postcard(beats): Postcard<Vec<WorkerHeartbeat>>,
) -> Result<Postcard<Vec<Vec<Occurrence>>>, Refusal> {
    bounded(beats.iter().map(weight).sum(), MOST_RUNS)?;
    end.supervisors.hear_here(beats).await.map(Postcard).map_err(refused)
}

async fn notice(
    State(end): State<PeerEnd>,
    Extension(caller): Extension<Caller>,
    Postcard(notices): Postcard<Notices>,
) -> Result<Postcard<()>, Refusal> {
    let Notices { reports, wants, hints } = notices;
    [reports.len(), wants.len(), hints.len()]
        .into_iter()
        .try_for_each(|n| bounded(n, MOST_RUNS))?;
    let supervision = end.supervisors.own_supervisor();
    if !reports.is_empty() {
        supervision.note_reports(reports);
    }
    if !wants.is_empty() {
        supervision.want(caller.node, wants);
    }
    for hint in hints {
        end.gateway.take_hint(caller.node, hint);
    }
    Ok(Postcard(()))
}

async fn live(
    State(end): State<PeerEnd>,
    Postcard(of): Postcard<Vec<Occurrence>>,
) -> Result<Postcard<Vec<LiveRun>>, Refusal> {
    bounded(of.len(), MOST_RUNS)?;
    let own = end.supervisors.own();
    end.supervisors.live(own, of).await.map(Postcard).map_err(refused)
}

async fn handed_out(
    State(end): State<PeerEnd>,
    Postcard(asked): Postcard<Vec<HandOutQuestion>>,
) -> Result<Postcard<Vec<HandedOut>>, Refusal> {
    bounded(asked.len(), MOST_RUNS)?;
    let own = end.supervisors.own();
    end.supervisors.handed_out(own, asked).await.map(Postcard).map_err(refused)
}

async fn view(
    State(end): State<PeerEnd>,
    Postcard(with_workers): Postcard<bool>,
) -> Postcard<NodeWorkers> {
    Postcard(end.gateway.own_view(with_workers).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn handlers_run_on_the_runtime_that_they_are_given() {
        let other = tokio::runtime::Builder::new_multi_thread().thread_name("other").build();
        let other = other.unwrap();
        let handler = async || std::thread::current().name().unwrap_or_default().to_owned();
        let routes = Router::new()
            .route("/", axum::routing::get(handler))
            .layer(from_fn_with_state(other.handle().clone(), elsewhere));
        let request = Request::new(axum::body::Body::empty());
        let answer = tower::ServiceExt::oneshot(routes, request).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(&body[..], b"other");
        other.shutdown_background();
    }

    #[test]
    fn a_call_with_too_much_is_refused() {
        assert!(bounded(MOST_RUNS, MOST_RUNS).is_ok());
        assert!(bounded(MOST_RUNS + 1, MOST_RUNS).is_err());
    }
}
