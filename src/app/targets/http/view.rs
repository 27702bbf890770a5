//! A target as answers show it: everything but its secrets.

use crate::app::fields::verbatim;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::targets::http::auth;
use crate::model::target::{HttpTarget, Tls};

/// A target as answers show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpView {
    method: String,
    url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "verbatim")]
    query: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "verbatim")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret_headers_set: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    auth: auth::AuthView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    success_codes: Vec<u16>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsView>,
}

/// The TLS of a target as answers show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TlsView {
    #[serde(skip_serializing_if = "String::is_empty")]
    ca: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_cert: String,
    client_key_set: bool,
}

impl TlsView {
    pub(crate) fn of(tls: &Tls) -> Self {
        Self {
            ca: tls.ca.clone(),
            client_cert: tls.client_cert.clone(),
            client_key_set: tls.client_key.is_some(),
        }
    }
}

/// Shows everything of a target but its secrets.
pub(crate) fn show(target: &HttpTarget) -> HttpView {
    HttpView {
        method: target.method.clone(),
        url: target.url.clone(),
        query: target.query.clone(),
        headers: target.headers.clone(),
        secret_headers_set: target.secret_headers.keys().cloned().collect(),
        body: target.body.clone(),
        auth: auth::show(&target.auth),
        success_codes: target.success_codes.clone(),
        tls: target.tls.as_deref().map(TlsView::of),
    }
}
