//! The members of the cluster, for operators: the list, and one step of a change a request. The
//! leader decides about a step (`cluster::members`), and `node` waits for what must come first; the
//! command line puts the steps together.

use crate::api::http::action_router::{ActionRouter, delete, get, post};
use crate::app::cluster_admin::members::Step;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::http::body::{self, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::state::{App, AppState};
use crate::app::Action;
use crate::config;
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

async fn list(State(app): App, context: RequestContext) -> Result<Response, Error> {
    Ok(respond::ok(&app.app.admin()?.members().await?, context.casing()))
}

async fn change(app: &AppState, step: Step) -> Result<NodeId, Error> {
    Ok(app.app.admin()?.change(step).await?)
}

/// The node that a step was about.
#[derive(Serialize)]
struct Node {
    id: NodeId,
}

/// Reads the fields of a change. A change of the members is accepted also while the node is short
/// of memory or disk, since it may be the way out.
async fn fields(app: &AppState, request: axum::extract::Request) -> Result<Fields, Error> {
    Fields::parse(&body::read(app, request, SMALL).await?.0)
}

async fn add(
    State(app): App,
    context: RequestContext,
    request: axum::extract::Request,
) -> Result<Response, Error> {
    let mut fields = fields(&app, request).await?;
    let needed = |name| Error::invalid(name, format!("{name} field is required"));
    let node = fields.number("id")?.ok_or_else(|| needed("id"))?;
    if node == 0 || i64::try_from(node).is_err() {
        return Err(Error::invalid("id", "id must be a whole number, 1 or more"));
    }
    let address = fields.text("address", LONGEST)?.ok_or_else(|| needed("address"))?;
    let raft_address = fields.text("raftAddress", LONGEST)?;
    let raft_address = raft_address.ok_or_else(|| needed("raftAddress"))?;
    let (address, raft_address) = config::check_addresses(&address, &raft_address)
        .map_err(|(field, message)| Error::invalid(field, message))?;
    let replace = fields.flag("replace")?.unwrap_or(false);
    let step = Step::Add { node, address, raft_address, replace };
    let id = change(&app, step).await?;
    Ok(respond::warn(respond::created(&Node { id }, context.casing()), &fields.warnings()))
}

async fn promote(State(app): App, context: RequestContext, Id(id): Id) -> Result<Response, Error> {
    let id = change(&app, Step::Promote(id)).await?;
    Ok(respond::ok(&Node { id }, context.casing()))
}

async fn remove(State(app): App, context: RequestContext, Id(node): Id) -> Result<Response, Error> {
    let step = Step::Remove { node, force: context.flag("force")? };
    change(&app, step).await?;
    Ok(respond::no_content())
}

async fn drain(State(app): App, context: RequestContext, Id(node): Id) -> Result<Response, Error> {
    let id = change(&app, Step::Drain { node, draining: true }).await?;
    Ok(respond::ok(&Node { id }, context.casing()))
}

async fn undrain(State(app): App, _: RequestContext, Id(node): Id) -> Result<Response, Error> {
    change(&app, Step::Drain { node, draining: false }).await?;
    Ok(respond::no_content())
}

async fn transfer(
    State(app): App,
    context: RequestContext,
    request: axum::extract::Request,
) -> Result<Response, Error> {
    let mut fields = fields(&app, request).await?;
    let to = fields.number("id")?;
    let id = change(&app, Step::Transfer(to)).await?;
    Ok(respond::warn(respond::ok(&Node { id }, context.casing()), &fields.warnings()))
}
