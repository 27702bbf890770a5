//! The health of this node, for load balancers, orchestrators and Prometheus. The routes need no
//! credentials and tell no secrets; only `/metrics` may be closed (`MetricsAuth`). They answer from
//! memory and never wait, so that a node under load is not taken for a dead one.

use crate::api::http::route_prefix::RoutePrefix;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
use crate::api::state::{App, AppState};
use crate::app::Action;
use crate::cluster::Cluster;
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

async fn healthcheck(State(app): App, prefix: axum::Extension<RoutePrefix>) -> Response {
    let (leader_id, leader_address) = leader(&app.cluster).unwrap_or_default();
    let raft_stats = Stats(app.cluster.raft_stats());
    respond::ok(&Health { leader_address, leader_id, raft_stats }, prefix.casing())
}

/// The leader's id and the address at which clients reach it; `None` while no leader has a
/// majority.
fn leader(cluster: &Cluster) -> Option<(String, String)> {
    let leader = cluster.leader()?;
    let members = cluster.members();
    let member = members.iter().find(|(id, _)| *id == leader);
    let address = member.map(|(_, member)| member.address.clone()).unwrap_or_default();
    Some((leader.to_string(), address))
}

/// Answers whenever the process runs.
async fn livez() -> Response {
    respond::ok("alive", Casing::Camel)
}

/// Answers 200 when this node can serve: it has not failed, is not about to stop, can read its
/// state, knows a leader with a majority, and has caught up with the others once, so that the next
/// node may be restarted.
async fn readyz(State(app): App) -> Result<Response, Error> {
    if app.leaving.load(Ordering::Relaxed) {
        return Err(Error::unavailable("not ready: this node is stopping"));
    }
    if let Some(reason) = app.cluster.failed().borrow().as_ref() {
        return Err(Error::unavailable(format!("not ready: {reason}")));
    }
    if let Some(reason) = app.cluster.install_trouble() {
        return Err(Error::unavailable(format!("not ready: {reason}")));
    }
    if let Some(reason) = app.cluster.unfounded() {
        return Err(Error::unavailable(format!("not ready: the cluster is not founded: {reason}")));
    }
    if app.cluster.is_waiting() {
        let message = "not ready: waiting for the founder, or to be added: run `scheduler0 cluster \
                       add` on a member";
        return Err(Error::unavailable(message));
    }
    if leader(&app.cluster).is_none() {
        let reason = app.cluster.no_leader();
        return Err(Error::unavailable(format!("not ready: {reason}")));
    }
    if let Some(trouble) = app.pressure.journal() {
        let message =
            format!("not ready: this node fires nothing: its journal has no room: {trouble}");
        return Err(Error::unavailable(message));
    }
    if !app.readiness.is_born() {
        return Err(Error::unavailable("not ready: the cluster is being founded"));
    }
    if !app.readiness.has_caught_up() {
        return Err(Error::unavailable("not ready: this node is catching up with the others"));
    }
    Ok(respond::ok("ready", Casing::Camel))
}

async fn exposition(State(app): App) -> Response {
    let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, kind)], app.metrics.encode()).into_response()
}
