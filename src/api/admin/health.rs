//! The health of this node, for load balancers, orchestrators and Prometheus. The routes need no
//! credentials and tell no secrets; only `/metrics` may be closed (`MetricsAuth`). They answer from
//! memory and never wait, so that a node under load is not taken for a dead one.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::api::http::action_router::{self, ActionRouter};
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::state::{ApiState, AppState};
use crate::app::Action;
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

/// `/metrics` for everybody.
pub(crate) fn open_metrics() -> Router<Arc<AppState>> {
    Router::new().route("/metrics", get(exposition))
}

/// `/metrics` for the operator: it names the destinations of all projects.
pub(crate) fn closed_metrics() -> ActionRouter {
    ActionRouter::new().route("/metrics", action_router::get(Action::ClusterRead, exposition))
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

async fn exposition(State(state): ApiState) -> Response {
    let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, kind)], state.app.metrics_text()).into_response()
}
