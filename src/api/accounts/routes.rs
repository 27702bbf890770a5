//! The routes of accounts and their executions. `closed_routes` merges them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::accounts::input::read;
use crate::api::accounts::view::{ExecutionCountView, GrantedView, view};
use crate::api::accounts::{features, unsupported};
use crate::api::http::action_router::{ActionRouter, get};
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
use crate::app::Action;
use crate::app::accounts::{AccountRecord, Order};
use crate::model::job::Casing;

const ORDERS: &Orders<Order> = &[("id", Order::Id), ("name", Order::Name)];
/// Orders by text, in which a list cannot go on by key.
const BY_TEXT: &[Order] = &[Order::Name];

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route(
            "/accounts",
            get(Action::AccountsRead, list_accounts).post(Action::AccountsWrite, create_account),
        )
        .route(
            "/accounts/{id}",
            get(Action::AccountsRead, get_account)
                .put(Action::AccountsWrite, update_account)
                .delete(Action::AccountsWrite, delete_account),
        )
        .route(
            "/accounts/{id}/execution-count",
            get(Action::AccountsRead, execution_count).put(Action::AccountsWrite, grant_executions),
        )
        .merge(features::router())
        .merge(unsupported::router())
}

async fn list_accounts(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let page = context.page_after(ORDERS, BY_TEXT)?;
    context.apply_consistency(&state.app).await?;
    let list = ListPage::new("accounts", ORDERS, BY_TEXT, page, context.casing(), view);
    let body = state.app.list_accounts(&context.actor, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

async fn get_account(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&state.app).await?;
    let record = state.app.get_account(&context.actor, id).await?;
    version::answer(&conditions(&headers), respond_account(record, context.casing()))
}

/// `{name, features?, limits?, createdBy?}`.
async fn create_account(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let input = read(&mut fields)?;
    let key = idempotency::key(&headers, &context.actor, "POST /accounts", &body)?;
    let record = state.app.create_account(&context.actor, key, input).await?;
    let mut response = respond_account(record, context.casing());
    *response.status_mut() = StatusCode::CREATED;
    Ok(respond::warn(response, &fields.warnings()))
}

/// As [`create_account`]; what is not named stays.
async fn update_account(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let input = read(&mut fields)?;
    let conditions = conditions(&headers);
    let record = state.app.update_account(&context.actor, &conditions, id, input).await?;
    let response = respond_account(record, context.casing());
    Ok(respond::warn(response, &fields.warnings()))
}

async fn delete_account(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    state.app.delete_account(&context.actor, &conditions(&headers), id).await?;
    Ok(respond::no_content())
}

async fn execution_count(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&state.app).await?;
    let count = state.app.execution_count(&context.actor, id).await?;
    Ok(respond::ok(&ExecutionCountView::from(count), context.casing()))
}

/// `{count}`: how many more there are to be in this month.
async fn grant_executions(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let Some(count) = fields.number("count")? else {
        return Err(Error::invalid("count", "count field is required"));
    };
    let route = format!("PUT /accounts/{id}/execution-count");
    let key = idempotency::key(&headers, &context.actor, &route, &body)?;
    let count = state.app.grant_executions(&context.actor, key, id, count).await?;
    let response = respond::ok(&GrantedView::from(&count), context.casing());
    Ok(respond::warn(response, &fields.warnings()))
}

fn respond_account(record: AccountRecord, casing: Casing) -> Response {
    let version = record.account.version;
    version::tag(respond::ok(&view(record), casing), version)
}
