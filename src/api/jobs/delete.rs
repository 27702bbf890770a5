//! `DELETE /jobs/{id}`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::conditions;
use crate::api::state::ApiState;

pub(crate) async fn delete_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    state.app.delete_job(&context.actor, &conditions(&headers), id).await?;
    Ok(respond::no_content())
}
