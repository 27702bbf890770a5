//! `PUT` and `PATCH` of a job.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::conditions;
use crate::api::jobs::get::respond_job;
use crate::api::jobs::input::parse;
use crate::api::state::{ApiState, AppState};
use crate::app::jobs::{Edit, EditMode};
use crate::model::JobId;

/// The longest body of an edit, in bytes.
const EDIT: usize = 4 * SMALL;

pub(crate) async fn put_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<EDIT>,
) -> Result<Response, Error> {
    update(&state, &context, &headers, id, &body, EditMode::Put).await
}

pub(crate) async fn patch_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<EDIT>,
) -> Result<Response, Error> {
    update(&state, &context, &headers, id, &body, EditMode::Patch).await
}

async fn update(
    state: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
    id: JobId,
    body: &[u8],
    mode: EditMode,
) -> Result<Response, Error> {
    let (input, mut warnings) = parse::one(body, &state.app.kinds_for_jobs())?;
    let edit = Edit { input: &input, mode, casing: context.casing() };
    let (actor, conditions) = (&context.actor, conditions(headers));
    let record = state.app.update_job(actor, &conditions, id, edit, &mut warnings).await?;
    Ok(respond::warn(respond_job(record, &state.app, context.casing()), &warnings))
}
