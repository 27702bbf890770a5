//! `POST /projects`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::respond;
use crate::api::projects::input::read_new;
use crate::api::projects::view::respond_project;
use crate::api::state::ApiState;

pub(crate) async fn create_project(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let mut fields = Fields::parse(&body)?;
    let input = read_new(&mut fields, app.config().max_job_timeout, app.now())?;
    let key = idempotency::key(&headers, actor, "POST /projects", &body)?;
    let record = app.create_project(actor, key, input).await?;
    let mut response = respond_project(record, app.now(), context.casing());
    *response.status_mut() = StatusCode::CREATED;
    Ok(respond::warn(response, &fields.warnings()))
}
