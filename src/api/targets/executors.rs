//! The routes of executors: named targets that many jobs share.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::respond;
use crate::api::http::version::{self, conditions};
use crate::api::state::ApiState;
use crate::api::targets::executor_input::{modified_by, read, read_patch};
use crate::api::targets::executor_view::{respond_executor, view};
use crate::api::targets::signing::read_rotation;
use crate::app::executors::Order;
use crate::app::executors::input::ExecutorInput;
use crate::app::{Action, App};

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("name", Order::Name), ("dateCreated", Order::Id)];
/// Orders by text, in which a list cannot go on by key.
const BY_TEXT: &[Order] = &[Order::Name];

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route(
            "/executors",
            get(Action::ExecutorsRead, list_executors)
                .post(Action::ExecutorsWrite, create_executor),
        )
        .route(
            "/executors/{id}",
            get(Action::ExecutorsRead, get_executor)
                .put(Action::ExecutorsWrite, put_executor)
                .patch(Action::ExecutorsWrite, patch_executor)
                .delete(Action::ExecutorsWrite, delete_executor),
        )
        .route("/executors/{id}/rotate-secret", post(Action::ExecutorsWrite, rotate_secret))
}

async fn list_executors(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let page = context.page_after(ORDERS, BY_TEXT)?;
    context.apply_consistency(app).await?;
    let (now, shown_by) = (app.now(), Arc::clone(app));
    let view = move |executor| view(executor, &shown_by, now);
    let list = ListPage::new("executors", ORDERS, BY_TEXT, page, context.casing(), view);
    let body = app.list_executors(&context.actor, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

async fn get_executor(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let app = &state.app;
    context.apply_consistency(app).await?;
    let executor = app.get_executor(&context.actor, id).await?;
    let response = respond_executor(executor, app, context.casing());
    version::answer(&conditions(&headers), response)
}

async fn create_executor(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let mut fields = Fields::parse(&body)?;
    let input = read(&mut fields, app.kinds_with_settings())?;
    let key = idempotency::key(&headers, actor, "POST /executors", &body)?;
    let executor = app.create_executor(actor, key, input).await?;
    let warnings = fields.warnings();
    let mut response = respond_executor(executor, app, context.casing());
    *response.status_mut() = StatusCode::CREATED;
    Ok(respond::warn(response, &warnings))
}

async fn put_executor(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let input = read(&mut fields, state.app.kinds_with_settings())?;
    update(&state.app, &context, &headers, id, input, fields).await
}

async fn patch_executor(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let input = read_patch(&mut fields, state.app.kinds_with_settings())?;
    update(&state.app, &context, &headers, id, input, fields).await
}

async fn update(
    app: &App,
    context: &RequestContext,
    headers: &HeaderMap,
    id: u64,
    input: ExecutorInput,
    fields: Fields,
) -> Result<Response, Error> {
    let executor = app.update_executor(&context.actor, &conditions(headers), id, input).await?;
    let warnings = fields.warnings();
    let response = respond_executor(executor, app, context.casing());
    Ok(respond::warn(response, &warnings))
}

/// `{webhookSecret?, overlap?, modifiedBy?}`. The answer shows the new secret, once.
async fn rotate_secret(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let mut fields = Fields::parse(&body)?;
    let route = format!("POST /executors/{id}/rotate-secret");
    let key = idempotency::key(&headers, actor, &route, &body)?;
    let rotation = read_rotation(&mut fields, key)?;
    let by = modified_by(&mut fields)?;
    let conditions = conditions(&headers);
    let rotated = app.rotate_executor_secret(actor, &conditions, id, rotation, by).await?;
    let version = rotated.record.version;
    let mut view = view(rotated.record, app, app.now());
    view.webhook_secret = rotated.secret.map(|secret| secret.to_string());
    let mut response = version::tag(respond::ok(&view, context.casing()), version);
    respond::no_store(&mut response);
    Ok(respond::warn(response, &fields.warnings()))
}

async fn delete_executor(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    state.app.delete_executor(&context.actor, &conditions(&headers), id).await?;
    Ok(respond::no_content())
}
