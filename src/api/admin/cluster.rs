//! The status and the checksums of the cluster, for operators.

use axum::extract::State;
use axum::response::Response;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/cluster/status", get(Action::ClusterRead, status))
        .route("/cluster/checksum", post(Action::ClusterWrite, checksum))
}

async fn status(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    Ok(respond::ok(&state.app.get_status(&context.actor).await?, context.casing()))
}

async fn checksum(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    Ok(respond::ok(&state.app.compare_checksums(&context.actor).await?, context.casing()))
}
