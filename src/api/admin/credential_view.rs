//! A key pair as the API shows it. The routes of credentials use it.

use std::net::IpAddr;

use serde::Serialize;

use crate::app::credentials::CreatedCredential;
use crate::model::Millis;
use crate::model::credential::Credential;
use crate::model::key_terms::KeyTerms;
use crate::model::scope::Scope;
use crate::model::time::rfc3339;

/// A key pair. Fields that it does not have are left out, so that one without terms looks as it did
/// before there were any.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CredentialView {
    id: u64,
    api_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_secret: Option<String>,
    /// The secret once more, under the name that newer published clients read.
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Absent where the key may do what every key may.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_ips: Vec<String>,
    /// Absent where the key reaches all projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<Vec<u64>>,
    /// Absent where the configuration says how often it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_second: Option<u32>,
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
    /// While the secret before this one opens, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<String>,
    /// To the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_from: Option<IpAddr>,
}

impl CredentialView {
    /// A key pair without its secret.
    pub(super) fn new(credential: Credential, now: Millis) -> Self {
        let KeyTerms { name, scopes, expires, allowed, projects, rate } = credential.terms;
        let old = credential.old_secret.filter(|old| now < old.until);
        Self {
            id: credential.id,
            api_key: credential.api_key,
            api_secret: None,
            plaintext_secret: None,
            name,
            scopes: scopes.map(|scopes| scopes.iter().map(Scope::name).collect()),
            expires_at: expires.map(rfc3339),
            allowed_ips: allowed.iter().map(ToString::to_string).collect(),
            projects,
            rate_per_second: rate,
            archived: credential.archived,
            date_created: rfc3339(credential.created),
            date_modified: credential.modified.map(rfc3339),
            created_by: credential.created_by,
            archived_by: credential.archived_by,
            parent_id: credential.parent,
            previous_secret_until: old.map(|old| rfc3339(old.until)),
            last_used_at: credential.last_use.map(|used| rfc3339(used.at())),
            last_used_from: credential.last_use.and_then(|used| used.from),
        }
    }

    /// A key pair with the secret that it was given just now.
    pub(super) fn with_secret(made: CreatedCredential, now: Millis) -> Self {
        let secret = made.secret.to_string();
        Self {
            api_secret: Some(secret.clone()),
            plaintext_secret: Some(secret),
            ..Self::new(made.credential, now)
        }
    }
}
