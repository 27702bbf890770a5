//! A target for first steps: the job of `scheduler0 dev` calls this node itself. The route exists
//! only when the node was started that way.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;

use crate::api::http::error::Error;
use crate::api::http::{body, respond};
use crate::api::state::{ApiState, AppState};
use crate::model::job::Casing;

#[derive(Serialize)]
struct Echo {
    received: usize,
}

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new().route("/dev/echo", post(echo))
}

async fn echo(State(state): ApiState, request: axum::extract::Request) -> Result<Response, Error> {
    let limit = state.app.config().payload_max_bytes.max(body::SMALL);
    let (body, _hold) = body::read(&state.bodies, request, limit).await?;
    Ok(respond::ok(&Echo { received: body.len() }, Casing::Camel))
}
