//! `GET` of projects: one, or a page of them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::respond;
use crate::api::http::version::{self, conditions};
use crate::api::projects::view::{respond_project, view};
use crate::api::state::ApiState;
use crate::app::projects::Order;

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("name", Order::Name), ("dateCreated", Order::Created)];
/// Orders by text, in which a list cannot go on by key.
const BY_TEXT: &[Order] = &[Order::Name];

pub(crate) async fn list_projects(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let page = context.page_after(ORDERS, BY_TEXT)?;
    context.apply_consistency(app).await?;
    let now = app.now();
    let view = move |record| view(record, now);
    let list = ListPage::new("projects", ORDERS, BY_TEXT, page, context.casing(), view);
    let body = app.list_projects(&context.actor, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

pub(crate) async fn get_project(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let app = &state.app;
    context.apply_consistency(app).await?;
    let record = app.get_project(&context.actor, id).await?;
    let response = respond_project(record, app.now(), context.casing());
    version::answer(&conditions(&headers), response)
}
