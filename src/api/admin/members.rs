//! The members of the cluster, for operators: the list, and one step of a change a request.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, delete, get, post};
use crate::api::http::body::{self, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::state::{ApiState, AppState};
use crate::app::Action;
use crate::app::cluster_admin::members::Step;
use crate::app::members::{node_addresses, node_id};
use crate::model::NodeId;

/// The longest address, in bytes.
const LONGEST: usize = 512;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/cluster/members", get(Action::ClusterRead, list).post(Action::ClusterWrite, add))
        .route("/cluster/members/{id}", delete(Action::ClusterWrite, remove))
        .route("/cluster/members/{id}/promote", post(Action::ClusterWrite, promote))
        .route(
            "/cluster/members/{id}/drain",
            post(Action::ClusterWrite, drain).delete(Action::ClusterWrite, undrain),
        )
        .route("/cluster/leader", post(Action::ClusterWrite, transfer))
}

async fn list(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    Ok(respond::ok(&state.app.list_members(&context.actor).await?, context.casing()))
}

/// The node that a step was about.
#[derive(Serialize)]
struct Node {
    id: NodeId,
}

/// Reads the fields of a change. A change of the members is accepted also while the node is short
/// of memory or disk, since it may be the way out.
async fn fields(state: &AppState, request: Request) -> Result<Fields, Error> {
    Fields::parse(&body::read(&state.bodies, request, SMALL).await?.0)
}

async fn add(
    State(state): ApiState,
    context: RequestContext,
    request: Request,
) -> Result<Response, Error> {
    let mut fields = fields(&state, request).await?;
    let needed = |name| Error::invalid(name, format!("{name} field is required"));
    let node = node_id(fields.number("id")?.ok_or_else(|| needed("id"))?)?;
    let address = fields.text("address", LONGEST)?.ok_or_else(|| needed("address"))?;
    let raft_address = fields.text("raftAddress", LONGEST)?;
    let raft_address = raft_address.ok_or_else(|| needed("raftAddress"))?;
    let (address, raft_address) = node_addresses(&address, &raft_address)?;
    let replace = fields.flag("replace")?.unwrap_or(false);
    let step = Step::Add { node, address, raft_address, replace };
    let id = state.app.change_members(&context.actor, step).await?;
    Ok(respond::warn(respond::created(&Node { id }, context.casing()), &fields.warnings()))
}

async fn promote(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let id = state.app.change_members(&context.actor, Step::Promote(id)).await?;
    Ok(respond::ok(&Node { id }, context.casing()))
}

async fn remove(
    State(state): ApiState,
    context: RequestContext,
    Id(node): Id,
) -> Result<Response, Error> {
    let step = Step::Remove { node, force: context.flag("force")? };
    state.app.change_members(&context.actor, step).await?;
    Ok(respond::no_content())
}

async fn drain(
    State(state): ApiState,
    context: RequestContext,
    Id(node): Id,
) -> Result<Response, Error> {
    let id = state.app.change_members(&context.actor, Step::Drain { node, draining: true }).await?;
    Ok(respond::ok(&Node { id }, context.casing()))
}

async fn undrain(
    State(state): ApiState,
    context: RequestContext,
    Id(node): Id,
) -> Result<Response, Error> {
    state.app.change_members(&context.actor, Step::Drain { node, draining: false }).await?;
    Ok(respond::no_content())
}

async fn transfer(
    State(state): ApiState,
    context: RequestContext,
    request: Request,
) -> Result<Response, Error> {
    let mut fields = fields(&state, request).await?;
    let to = fields.number("id")?;
    let id = state.app.change_members(&context.actor, Step::Transfer(to)).await?;
    Ok(respond::warn(respond::ok(&Node { id }, context.casing()), &fields.warnings()))
}
