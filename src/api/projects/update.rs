//! `PUT` and `PATCH` of a project. Fields that a request does not name stay in both.

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
use crate::api::projects::input::read_edit;
use crate::api::projects::view::respond_project;
use crate::api::state::ApiState;
use crate::app::App;
use crate::model::ProjectId;

pub(crate) async fn put_project(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    update(&state.app, &context, &headers, id, Fields::parse(&body)?).await
}

/// A JSON Merge Patch (RFC 7396). In a `PUT`, null means that the client has not set the field.
pub(crate) async fn patch_project(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let fields = Fields::parse(&body)?;
    fields.not_null(&["name", "description", "status"])?;
    update(&state.app, &context, &headers, id, fields).await
}

async fn update(
    app: &App,
    context: &RequestContext,
    headers: &HeaderMap,
    id: ProjectId,
    mut fields: Fields,
) -> Result<Response, Error> {
    let edit = read_edit(&mut fields, app.config().max_job_timeout, app.now())?;
    let record = app.update_project(&context.actor, &conditions(headers), id, edit).await?;
    let response = respond_project(record, app.now(), context.casing());
    Ok(respond::warn(response, &fields.warnings()))
}
