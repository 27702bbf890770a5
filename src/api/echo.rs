//! A target for first steps: `scheduler0 dev` shows a newcomer a job that calls this node itself.
//! Not there unless the node was started so.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;

use super::App;
use super::error::Error;
use super::input;
use super::reply;
use super::state::AppState;
use crate::model::job::Casing;

#[derive(Serialize)]
struct Echo {
    received: usize,
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new().route("/dev/echo", post(echo))
}

async fn echo(State(app): App, request: axum::extract::Request) -> Result<Response, Error> {
    let limit = app.config.payload_max_bytes.max(input::SMALL);
    let (body, _turn) = input::read(&app, request, limit).await?;
    Ok(reply::ok(&Echo { received: body.len() }, Casing::Camel))
}
