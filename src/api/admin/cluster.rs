//! The status and the checksums of the cluster, for operators. `ClusterAdmin` gathers both.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::{App, AppState};

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new().route("/cluster/status", get(status)).route("/cluster/checksum", post(checksum))
}

async fn status(State(app): App, context: RequestContext) -> Result<Response, Error> {
    // The status names every node and the failing destinations of everybody's jobs.
    context.operators_only()?;
    Ok(respond::ok(&app.admin()?.status().await?, context.casing()))
}

async fn checksum(State(app): App, context: RequestContext) -> Result<Response, Error> {
    context.operators_only()?;
    Ok(respond::ok(&app.admin()?.checksums().await?, context.casing()))
}
