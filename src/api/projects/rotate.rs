//! `POST /projects/{id}/rotate-secret`: `{webhookSecret?, overlap?, modifiedBy?}`. The answer shows
//! the new secret, once.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::version::{self, conditions};
use crate::api::http::{idempotency, respond};
use crate::api::projects::input::modified_by;
use crate::api::projects::view::view;
use crate::api::state::ApiState;
use crate::api::targets::signing::read_rotation;

pub(crate) async fn rotate_secret(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let mut fields = Fields::parse(&body)?;
    let route = format!("POST /projects/{id}/rotate-secret");
    let key = idempotency::key(&headers, actor, &route, &body)?;
    let rotation = read_rotation(&mut fields, key)?;
    let by = modified_by(&mut fields)?;
    let conditions = conditions(&headers);
    let rotated = app.rotate_project_secret(actor, &conditions, id, rotation, by).await?;
    let version = rotated.record.project.version;
    let mut view = view(rotated.record, app.now());
    view.webhook_secret = rotated.secret.map(|secret| secret.to_string());
    let mut response = version::tag(respond::ok(&view, context.casing()), version);
    respond::no_store(&mut response);
    Ok(respond::warn(response, &fields.warnings()))
}
