//! The routes of credentials, the key pairs of clients. `app::credentials` has what they do, and
//! which credentials a client reaches.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

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
use crate::app::credentials::{CredentialEdit, CredentialInput, LONGEST_BY, Order};
use crate::app::page::After;
use crate::app::{Action, App};
use crate::model::credential::Credential;
use crate::model::time::rfc3339;

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
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CredentialView {
    id: u64,
    api_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_secret: Option<String>,
    archived: bool,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_by: Option<String>,
    /// The credential whose key made this one; absent where an operator did.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<u64>,
}

impl From<Credential> for CredentialView {
    fn from(credential: Credential) -> Self {
        Self {
            id: credential.id,
            api_key: credential.api_key,
            api_secret: None,
            archived: credential.archived,
            date_created: rfc3339(credential.created),
            date_modified: credential.modified.map(rfc3339),
            created_by: credential.created_by,
            archived_by: credential.archived_by,
            parent_id: credential.parent,
        }
    }
}

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
                .delete(Action::CredentialsWrite, delete_credential),
        )
        .route("/credentials/{id}/archive", post(Action::CredentialsWrite, archive_credential))
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
    let view = CredentialView::from;
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
    Ok(respond::ok(&CredentialView::from(credential), context.casing()))
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
    fields.ignore(READ_ONLY);
    fields.ignore(&["archivedBy", "modifiedBy"]);
    let key = idempotency::key(&headers, &context.actor, "POST /credentials", &body)?;
    let input = CredentialInput { archived, created_by };
    let created = state.app.create_credential(&context.actor, key, input).await?;
    let mut view = CredentialView::from(created.credential);
    view.api_secret = Some(created.secret.to_string());
    let mut response = respond::created(&view, context.casing());
    respond::no_store(&mut response);
    Ok(respond::warn(response, &fields.warnings()))
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
    let response = respond::ok(&CredentialView::from(credential), context.casing());
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
