//! The routes of credentials, the key pairs of clients. `app::credentials` has what they do, and
//! which credentials a client reaches.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::admin::credential_terms::{read_terms, refuse_bounds, refuse_unknown};
use crate::api::admin::credential_view::CredentialView;
use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::credentials::{
    CredentialEdit, CredentialInput, LONGEST_BY, LONGEST_OVERLAP, Order, TermsPatch,
};
use crate::app::page::After;
use crate::app::{Action, App};

const ORDERS: &Orders<Order> = &[
    ("id", Order::Id),
    ("dateCreated", Order::Created),
    ("dateModified", Order::Modified),
    ("archived", Order::Archived),
];
/// Fields that a `GET` shows and nobody can set, and fields that the original's clients send along.
const READ_ONLY: &[&str] = &[
    "id",
    "apiKey",
    "apiSecret",
    "dateCreated",
    "dateModified",
    "accountId",
    "deletedBy",
    "parentId",
    "plaintextSecret",
    "previousSecretUntil",
    "lastUsedAt",
    "lastUsedFrom",
];

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route(
            "/credentials",
            get(Action::CredentialsRead, list_credentials)
                .post(Action::CredentialsWrite, create_credential),
        )
        .route(
            "/credentials/{id}",
            get(Action::CredentialsRead, get_credential)
                .put(Action::CredentialsWrite, update_credential)
                .patch(Action::CredentialsWrite, patch_credential)
                .delete(Action::CredentialsWrite, delete_credential),
        )
        .route("/credentials/{id}/archive", post(Action::CredentialsWrite, archive_credential))
        .route("/credentials/{id}/rotate", post(Action::CredentialsWrite, rotate_credential))
}

async fn list_credentials(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let page = context.page(ORDERS)?;
    context.apply_consistency(app).await?;
    // The list goes on by offset only.
    let cursor = |_: Order, _: After| None;
    let now = app.now();
    let view = move |credential| CredentialView::new(credential, now);
    let list = ListPage::with_cursor("credentials", page, context.casing(), cursor, view);
    let body = app.list_credentials(&context.actor, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

async fn get_credential(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&state.app).await?;
    let credential = state.app.get_credential(&context.actor, id).await?;
    Ok(respond::ok(&CredentialView::new(credential, state.app.now()), context.casing()))
}

async fn create_credential(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let archived = fields.flag("archived")?.unwrap_or(false);
    let created_by = fields.text("createdBy", LONGEST_BY)?;
    let terms = read_terms(&mut fields)?;
    refuse_bounds(&mut fields)?;
    fields.ignore(READ_ONLY);
    fields.ignore(&["archivedBy", "modifiedBy"]);
    let key = idempotency::key(&headers, &context.actor, "POST /credentials", &body)?;
    let input = CredentialInput { archived, created_by, terms };
    let created = state.app.create_credential(&context.actor, key, input).await?;
    let view = CredentialView::with_secret(created, state.app.now());
    let mut response = respond::created(&view, context.casing());
    respond::no_store(&mut response);
    Ok(respond::warn(response, &fields.warnings()))
}

/// `{name?, scopes?, expiresInSeconds? | expiresAt?, allowedIps?, archived?, modifiedBy?}`; null
/// takes a bound away.
async fn patch_credential(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let archived = fields.flag("archived")?;
    let archived_by = fields.text("archivedBy", LONGEST_BY)?;
    let by = archived_by.or(fields.text("modifiedBy", LONGEST_BY)?);
    let terms = read_terms(&mut fields)?;
    refuse_bounds(&mut fields)?;
    fields.ignore(READ_ONLY);
    fields.ignore(&["createdBy"]);
    refuse_unknown(fields)?;
    let patch = TermsPatch { terms, archived, by };
    let credential = state.app.change_credential_terms(&context.actor, id, patch).await?;
    Ok(respond::ok(&CredentialView::new(credential, state.app.now()), context.casing()))
}

/// `{overlap?}`: the time for which the old secret opens, too.
async fn rotate_credential(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let overlap = fields.duration("overlap", (0, LONGEST_OVERLAP))?;
    refuse_unknown(fields)?;
    let route = format!("POST /credentials/{id}/rotate");
    let key = idempotency::key(&headers, &context.actor, &route, &body)?;
    let rotated = state.app.rotate_credential(&context.actor, key, id, overlap).await?;
    let view = CredentialView::with_secret(rotated, state.app.now());
    let mut response = respond::ok(&view, context.casing());
    respond::no_store(&mut response);
    Ok(response)
}

async fn update_credential(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let Some(archived) = fields.flag("archived")? else {
        return Err(Error::invalid("archived", "archived field is required"));
    };
    set_archived(&state.app, &context, id, archived, fields).await
}

async fn archive_credential(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    fields.ignore(&["archived"]);
    set_archived(&state.app, &context, id, true, fields).await
}

async fn set_archived(
    app: &App,
    context: &RequestContext,
    id: u64,
    archived: bool,
    mut fields: Fields,
) -> Result<Response, Error> {
    let archived_by = fields.text("archivedBy", LONGEST_BY)?;
    let modified_by = fields.text("modifiedBy", LONGEST_BY)?;
    fields.ignore(READ_ONLY);
    fields.ignore(&["createdBy"]);
    let edit = CredentialEdit { archived, by: archived_by.or(modified_by) };
    let credential = app.update_credential(&context.actor, id, edit).await?;
    let response = respond::ok(&CredentialView::new(credential, app.now()), context.casing());
    Ok(respond::warn(response, &fields.warnings()))
}

async fn delete_credential(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    state.app.delete_credential(&context.actor, id).await?;
    Ok(respond::no_content())
}
