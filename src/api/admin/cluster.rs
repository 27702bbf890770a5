//! The status and the checksums of the cluster, for operators. `ClusterAdmin` gathers both.

use axum::extract::State;
use axum::response::Response;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::App;

use crate::app::Action;
pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/cluster/status", get(Action::ClusterRead, status))
        .route("/cluster/checksum", post(Action::ClusterWrite, checksum))
}

async fn status(State(app): App, context: RequestContext) -> Result<Response, Error> {
    Ok(respond::ok(&app.app.admin()?.status().await?, context.casing()))
}

async fn checksum(State(app): App, context: RequestContext) -> Result<Response, Error> {
    Ok(respond::ok(&app.app.admin()?.checksums().await?, context.casing()))
}
