//! Pauses of a project by routes of their own.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::conditions;
use crate::api::projects::input::modified_by;
use crate::api::projects::pause_input::read_end;
use crate::api::projects::view::respond_project;
use crate::api::state::ApiState;

/// `{until?, modifiedBy?}`.
pub(crate) async fn pause_project(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let app = &state.app;
    let mut fields = Fields::parse(&body)?;
    let until = match read_end(&mut fields, "until", app.now())? {
        None => read_end(&mut fields, "pauseUntil", app.now())?,
        until => until,
    };
    let (by, conditions) = (modified_by(&mut fields)?, conditions(&headers));
    let record = app.pause_project(&context.actor, &conditions, id, until, by).await?;
    let response = respond_project(record, app.now(), context.casing());
    Ok(respond::warn(response, &fields.warnings()))
}

/// `{modifiedBy?}`.
pub(crate) async fn resume_project(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let app = &state.app;
    let mut fields = Fields::parse(&body)?;
    let (by, conditions) = (modified_by(&mut fields)?, conditions(&headers));
    let record = app.resume_project(&context.actor, &conditions, id, by).await?;
    let response = respond_project(record, app.now(), context.casing());
    Ok(respond::warn(response, &fields.warnings()))
}
