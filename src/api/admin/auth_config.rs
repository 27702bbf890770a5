//! `GET /auth/config`: where the command line signs in. The route needs no credentials, since
//! whoever asks has none yet; it tells what a browser would be sent to anyway.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

use crate::api::http::respond;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::state::{ApiState, AppState};
use crate::config::OidcIssuer;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthConfigView<'a> {
    issuers: Vec<IssuerView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IssuerView<'a> {
    issuer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new().route("/auth/config", get(auth_config))
}

/// Answers from memory.
async fn auth_config(State(state): ApiState, prefix: Extension<RoutePrefix>) -> Response {
    let oidc = state.app.auth.oidc();
    let issuers = oidc.map(|oidc| oidc.issuers().map(view).collect()).unwrap_or_default();
    respond::ok(&AuthConfigView { issuers }, prefix.casing())
}

fn view(issuer: &OidcIssuer) -> IssuerView<'_> {
    IssuerView { issuer: &issuer.issuer, client_id: issuer.client_id.as_deref() }
}
