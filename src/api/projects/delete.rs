//! `DELETE /projects/{id}`, with its jobs where `?cascade=true` says so.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::conditions;
use crate::api::state::ApiState;

pub(crate) async fn delete_project(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let cascade = context.flag("cascade")?;
    state.app.delete_project(&context.actor, &conditions(&headers), id, cascade).await?;
    Ok(respond::no_content())
}
