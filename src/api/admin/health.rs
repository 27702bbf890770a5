//! The health of this node, for load balancers, orchestrators and Prometheus. The routes need no
//! credentials and tell no secrets; only `/metrics` may be closed (`MetricsAuth`), and names
//! destinations only to who may read the cluster. The open ones answer from memory and never wait,
//! so that a node under load is not taken for a dead one.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::api::http::action_router::{self, ActionRouter};
use crate::api::http::auth_error;
use crate::api::http::error::Error;
use crate::api::http::middleware::authenticate;
use crate::api::http::respond;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::state::{ApiState, AppState};
use crate::app::{Action, Actor};
use crate::auth::{AuthError, Caller, Origin};
use crate::metrics;
use crate::model::job::Casing;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    leader_address: String,
    leader_id: String,
    raft_stats: Stats,
}

/// Names that are the same under every prefix, since they are Raft's own.
struct Stats(Vec<(&'static str, String)>);

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/healthcheck", get(healthcheck))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
}

/// `/metrics` for everybody. Who shows credentials shows right ones: a scrape whose key has ended
/// should fail, and not go on with less.
pub(crate) fn open_metrics() -> Router<Arc<AppState>> {
    Router::new().route("/metrics", get(open_exposition)).route_layer(map_request(with_peer))
}

/// `/metrics` for who may read the cluster. It is a route like the other closed ones, but of an
/// operator the password alone is enough.
pub(crate) fn closed_metrics(state: &Arc<AppState>) -> Router<Arc<AppState>> {
    ActionRouter::new()
        .route("/metrics", action_router::get(Action::ClusterRead, exposition))
        .into_router()
        .route_layer(from_fn_with_state(state.clone(), authenticate))
        .route_layer(map_request(with_peer))
}

/// Adds the header by which an operator says that it is no browser: Prometheus sends the password
/// alone. A page of another origin can make a browser ask for the metrics, but cannot read them.
async fn with_peer<B: Send>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    request.headers_mut().entry("x-peer").or_insert(HeaderValue::from_static("cmd"));
    request
}

async fn healthcheck(State(state): ApiState, prefix: axum::Extension<RoutePrefix>) -> Response {
    let leader = state.app.leader();
    let (leader_id, leader_address) =
        leader.map(|leader| (leader.id.to_string(), leader.address)).unwrap_or_default();
    let raft_stats = Stats(state.app.raft_stats());
    respond::ok(&Health { leader_address, leader_id, raft_stats }, prefix.casing())
}

/// Answers whenever the process runs.
async fn livez() -> Response {
    respond::ok("alive", Casing::Camel)
}

/// Answers 200 when this node can serve, and 503 with the reason when it cannot.
async fn readyz(State(state): ApiState) -> Result<Response, Error> {
    state.app.check_ready()?;
    Ok(respond::ok("ready", Casing::Camel))
}

async fn exposition(State(state): ApiState, caller: axum::Extension<Caller>) -> Response {
    text(&state, Some(&Actor::from(caller.0)))
}

async fn open_exposition(State(state): ApiState, request: Request) -> Result<Response, Error> {
    let app = &state.app;
    let origin = Origin::new(app.now(), request.extensions().get());
    match app.auth.caller(request.headers(), &origin, &app.cluster).await? {
        Ok(caller) => Ok(text(&state, Some(&Actor::from(caller)))),
        Err(AuthError::Missing) => Ok(text(&state, None)),
        Err(refused) => Err(auth_error::counted(refused, &app.metrics)),
    }
}

fn text(state: &AppState, actor: Option<&Actor>) -> Response {
    let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, kind)], state.app.metrics_text(actor)).into_response()
}
