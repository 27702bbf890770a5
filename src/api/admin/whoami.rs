//! `GET /whoami`: who the node takes the caller for. `app::whoami` has what it tells.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, get};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::whoami::Whoami;
use crate::auth::{Caller, SessionLife};
use crate::model::scope::Scope;
use crate::model::time::rfc3339;

/// What is not known of a caller is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WhoamiView {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl From<Whoami> for WhoamiView {
    fn from(whoami: Whoami) -> Self {
        Self {
            kind: whoami.kind.name(),
            id: whoami.id,
            api_key: whoami.api_key,
            issuer: whoami.issuer,
            subject: whoami.subject,
            name: whoami.name,
            scopes: whoami.scopes.map(|scopes| scopes.iter().map(Scope::name).collect()),
            projects: whoami.projects,
            expires_at: whoami.expires.map(rfc3339),
        }
    }
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new().route("/whoami", get(Action::Whoami, whoami))
}

async fn whoami(
    State(state): ApiState,
    context: RequestContext,
    Extension(caller): Extension<Caller>,
    session: Option<Extension<SessionLife>>,
) -> Result<Response, Error> {
    let session = session.map(|Extension(life)| life);
    let whoami = state.app.whoami(&context.actor, &caller, session).await?;
    Ok(respond::ok(&WhoamiView::from(whoami), context.casing()))
}
