//! Credentials: key pairs of clients. The secret is in the answer to its creation and nowhere else.
//!
//! An operator reaches all credentials. A client's key reaches its own credential and those that
//! were made with it, or with keys that were made with it; any other answers as if it did not
//! exist. Reads are limited here, changes in `command::apply`, which also records the parent. A
//! request's own words about who made something are kept beside that and decide nothing.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::ids::Id;
use crate::api::http::page::{Orders, whole_list};
use crate::api::http::respond;
use crate::api::state::{App, AppState};
use crate::app::Action;
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::refused;
use crate::command::{Command, Outcome};
use crate::model::credential::Credential;
use crate::model::time::rfc3339;
use crate::secret::{Keys, new_api_key};
use crate::store::credentials::{self, Order};

/// The longest `createdBy` and `archivedBy`, in bytes.
const LONGEST_BY: usize = 256;

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
            get(Action::CredentialsRead, list).post(Action::CredentialsWrite, create),
        )
        .route(
            "/credentials/{id}",
            get(Action::CredentialsRead, get_credential)
                .put(Action::CredentialsWrite, update)
                .delete(Action::CredentialsWrite, remove),
        )
        .route("/credentials/{id}/archive", post(Action::CredentialsWrite, archive))
}

async fn list(State(app): App, context: RequestContext) -> Result<Response, Error> {
    let page = context.page(ORDERS)?;
    context.apply_consistency(&app.app).await?;
    let client = context.caller.client();
    let (total, found) = app.read(move |conn| credentials::list(conn, &page, client)).await?;
    let found = found.into_iter().map(CredentialView::from);
    let body = whole_list("credentials", &page, total, found, context.casing());
    Ok(respond::json(StatusCode::OK, body))
}

async fn get_credential(
    State(app): App,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&app.app).await?;
    Ok(respond::ok(
        &CredentialView::from(load(&app, &context, id, ReadPhase::BeforeWrite).await?),
        context.casing(),
    ))
}

/// Reads a credential that the caller reaches; 404 otherwise.
async fn load(
    app: &AppState,
    context: &RequestContext,
    id: u64,
    stage: ReadPhase,
) -> Result<Credential, Error> {
    let client = context.caller.client();
    let found = app.read_at(stage, move |conn| {
        let reached = match client {
            Some(client) => credentials::is_within(conn, client, id)?,
            None => true,
        };
        if reached { credentials::get(conn, id) } else { Ok(None) }
    });
    found.await?.ok_or_else(|| Error::not_found("credential cannot be found"))
}

async fn create(
    State(app): App,
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
    let (api_key, random) = new_api_key();
    // Under an idempotency key the secret is derived from that key and from the public part of the
    // pair. The public part is new with each creation and kept with the credential. So the same
    // request gets the same answer, no store holds the secret, and a deleted pair never comes back.
    let secret = match &key {
        Some(key) => app.keys.api_secret_for(&key.key, &key.body, &api_key),
        None => random,
    };
    let credential = Credential {
        id: 0,
        api_key,
        verifier: app.keys.verifier(&secret),
        archived,
        created: 0,
        modified: None,
        created_by,
        archived_by: None,
        parent: None,
    };
    let command = Command::CreateCredential(credential).by_client(context.caller.client());
    let id = match app.cluster.propose(Key::wrap(key, command)).await? {
        Outcome::Created(id) => id,
        other => return Err(refused(other).into()),
    };
    app.auth.forget();
    let read = move |conn: &rusqlite::Connection| credentials::get(conn, id);
    let stored = app.read_at(ReadPhase::AfterWrite, read).await?;
    let stored = stored.ok_or_else(|| {
        Error::conflict(
            "the credential that this Idempotency-Key made has been deleted since: send another \
             Idempotency-Key to create a new one",
        )
    })?;
    let secret = match &key {
        Some(key) => secret_again(&app.keys, key, &stored)?,
        None => secret,
    };
    let mut view = CredentialView::from(stored);
    view.api_secret = Some(secret.to_string());
    let mut response = respond::created(&view, context.casing());
    respond::no_store(&mut response);
    Ok(respond::warn(response, &fields.warnings()))
}

/// The secret of a credential that was made under this key, now or before. 409 where it is not
/// known any more, since an earlier version made another secret of the same key: a 201 without a
/// secret would look like a success.
fn secret_again(keys: &Keys, key: &Key, stored: &Credential) -> Result<Zeroizing<String>, Error> {
    let secret = keys.api_secret_for(&key.key, &key.body, &stored.api_key);
    // Only the secret that this very credential verifies is shown.
    if keys.verify(&secret, &stored.verifier) {
        return Ok(secret);
    }
    let id = stored.id;
    Err(Error::conflict(format!(
        "credential {id} was made under this Idempotency-Key by an earlier version, and its secret \
         cannot be shown again: send another Idempotency-Key to create a new credential, and delete \
         {id} if its secret was never received"
    )))
}

async fn update(
    State(app): App,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let Some(archived) = fields.flag("archived")? else {
        return Err(Error::invalid("archived", "archived field is required"));
    };
    set_archived(&app, &context, id, archived, fields).await
}

async fn archive(
    State(app): App,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    fields.ignore(&["archived"]);
    set_archived(&app, &context, id, true, fields).await
}

async fn set_archived(
    app: &AppState,
    context: &RequestContext,
    id: u64,
    archived: bool,
    mut fields: Fields,
) -> Result<Response, Error> {
    let archived_by = fields.text("archivedBy", LONGEST_BY)?;
    let modified_by = fields.text("modifiedBy", LONGEST_BY)?;
    fields.ignore(READ_ONLY);
    fields.ignore(&["createdBy"]);
    let warnings = fields.warnings();
    let by = archived_by.or(modified_by);
    let command = Command::ArchiveCredential { id, archived, by };
    match app.cluster.propose(command.by_client(context.caller.client())).await? {
        Outcome::Done => {
            app.auth.forget();
            let view = CredentialView::from(load(app, context, id, ReadPhase::AfterWrite).await?);
            Ok(respond::warn(respond::ok(&view, context.casing()), &warnings))
        }
        other => Err(refused(other).into()),
    }
}

async fn remove(State(app): App, context: RequestContext, Id(id): Id) -> Result<Response, Error> {
    let command = Command::DeleteCredential { id };
    match app.cluster.propose(command.by_client(context.caller.client())).await? {
        Outcome::Done => {
            app.auth.forget();
            Ok(respond::no_content())
        }
        other => Err(refused(other).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_not_known_any_more_is_no_success() {
        let keys = Keys::new(&"ab".repeat(32), "node", "password").unwrap();
        let key = Key { key: [1; 32], body: [2; 32] };
        let stored = |secret: &str| Credential {
            id: 7,
            api_key: "s0_key".into(),
            verifier: keys.verifier(secret),
            archived: false,
            created: 0,
            modified: None,
            created_by: None,
            archived_by: None,
            parent: None,
        };
        let secret = keys.api_secret_for(&key.key, &key.body, "s0_key");
        assert_eq!(*secret_again(&keys, &key, &stored(&secret)).unwrap(), *secret);
        // A secret that an earlier version derived, or one of another key.
        let refused = secret_again(&keys, &key, &stored("what it was before")).unwrap_err();
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        let said = format!("{refused:?}");
        assert!(
            said.contains("credential 7") && said.contains("another Idempotency-Key"),
            "{said}"
        );
        assert!(!said.contains(&*secret), "{said}");
    }
}
