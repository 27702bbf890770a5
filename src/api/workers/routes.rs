//! The routes of workers, and their handlers.

use axum::extract::{Request, State};
use axum::response::Response;

use super::input::{read_claim, read_heartbeat};
use super::view::{ClaimView, HeartbeatView, QueuesView, WorkersView};
use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{self, JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::IdText;
use crate::api::http::page::Orders;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;

/// Heartbeats up to this many bytes may wait without a share of the memory of bodies.
const UNCOUNTED_WAIT: usize = 64 * 1_024;

const BY_NAME: &Orders<()> = &[("name", ())];

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/workers", get(Action::WorkersRead, list_workers))
        .route("/workers/claim", post(Action::RunsWork, claim))
        .route("/workers/{id}/heartbeat", post(Action::RunsWork, heartbeat))
        .route("/queues", get(Action::WorkersRead, list_queues))
}

/// `{workerId, queues, max?, wait?, order?, key?}`: 200 with runs, or 204.
async fn claim(
    State(state): ApiState,
    context: RequestContext,
    JsonBody(body, hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let input = read_claim(&mut fields)?;
    // A claim that waits holds no memory of others.
    drop((body, hold));
    let claimed = state.app.claim_runs(&context.actor, input).await?;
    let response = if claimed.runs.is_empty() {
        respond::no_content()
    } else {
        respond::ok(&ClaimView::of(claimed), context.casing())
    };
    Ok(respond::warn(response, &fields.warnings()))
}

/// `{runs: [{id, attempt, progress?, message?}], wait?}`.
async fn heartbeat(
    State(state): ApiState,
    context: RequestContext,
    IdText(worker): IdText,
    request: Request,
) -> Result<Response, Error> {
    // A node that is short of memory takes it too: otherwise the runs would be lost.
    let (body, hold) = body::read(&state.bodies, request, SMALL).await?;
    let mut fields = Fields::parse(&body)?;
    let (input, mut warnings) = read_heartbeat(&mut fields, worker)?;
    // One that waits with few runs holds no memory of others; many runs take as much as their text.
    let _hold = (body.len() > UNCOUNTED_WAIT).then_some(hold);
    drop(body);
    let told = state.app.take_heartbeat(&context.actor, input).await?;
    let response = respond::ok(&HeartbeatView::of(told), context.casing());
    warnings.merge(fields.warnings());
    Ok(respond::warn(response, &warnings))
}

async fn list_workers(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let page = context.page(BY_NAME)?;
    let found = state.app.list_workers(&context.actor, page).await?;
    Ok(respond::ok(&WorkersView::of(found, &page), context.casing()))
}

async fn list_queues(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let page = context.page(BY_NAME)?;
    let found = state.app.list_queues(&context.actor, page).await?;
    Ok(respond::ok(&QueuesView::of(found, &page), context.casing()))
}
