//! Where jobs go when it is not a plain callback: one HTTP request per occurrence, and executors,
//! which hold a target once for many jobs.
//!
//! `api` makes them from requests (and seals what is secret), `store` keeps them, `executor` renders
//! them into requests, `worker` opens the secrets right before it signs or sends. A [`Sealed`] never
//! holds anything in the clear, so all of this may be logged, listed and snapshotted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Millis, ProjectId};

/// A secret, encrypted with the cluster's `SecretKey` and written as base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

/// A secret that requests are signed with, until it is taken out of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SigningSecret {
    /// The secret.
    pub sealed: Sealed,
    /// It is used up to this instant; `None`: until it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

/// One HTTP request for each occurrence. In `url`, `headers`, `query` and `body`,
/// `{{executionId}}`, `{{jobId}}`, `{{scheduledAt}}`, `{{attempt}}` and `{{data}}` are filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpTarget {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Where to.
    pub url: String,
    /// Appended to the URL's own query, percent-encoded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Header lines, beside (and, where the names meet, instead of) our own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Header lines whose values are secret; nothing is filled in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<String, Sealed>,
    /// The body; `None` sends the job's `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How it shows who it is.
    #[serde(skip_serializing_if = "is_none")]
    pub auth: Auth,
    /// The statuses that count as success; empty means 2xx.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub success_codes: Vec<u16>,
    /// What is special about its TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<Tls>>,
}

/// The TLS of a target that is not simply the machine's; texts are PEM, empty ones are not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tls {
    /// The authorities that its certificate may come from, and no others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// The certificate that it is shown, with those between it and its authority.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_cert: String,
    /// The key to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Sealed>,
}

/// How a request shows who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// RFC 7617.
    Basic {
        /// Who.
        username: String,
        /// The password.
        password: Sealed,
    },
    /// RFC 6750.
    Bearer {
        /// The token.
        token: Sealed,
    },
}

fn is_none(auth: &Auth) -> bool {
    *auth == Auth::None
}

/// The kind of executor that jobs can be sent to.
pub const WEBHOOK_URL: &str = "webhook_url";

/// A target held once for many jobs. Known to the published clients by the fields down to
/// `webhook_method`; the rest is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Executor {
    /// Its number, from 1, never reused; given at apply.
    pub id: u64,
    /// Its name, unique in the cluster.
    pub name: String,
    /// `webhook_url`, `cloud_function` or `container`; jobs can be sent to the first.
    pub kind: String,
    /// Kept for the clients.
    pub region: String,
    /// Kept for the clients.
    pub cloud_provider: String,
    /// Kept for the clients.
    pub cloud_resource_url: String,
    /// Kept for the clients.
    pub cloud_api_key: Option<Sealed>,
    /// Kept for the clients.
    pub cloud_api_secret: Option<Sealed>,
    /// Where its jobs are posted, in batches; empty when `http` says where.
    pub webhook_url: String,
    /// `POST` (or `PUT`), of the batches.
    pub webhook_method: String,
    /// What its requests are signed with; at most two, the newest first.
    pub signing: Vec<SigningSecret>,
    /// A request for each occurrence instead of batches.
    pub http: Option<Box<HttpTarget>>,
    /// What is special about the TLS of `webhook_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<Tls>>,
    /// Requests to it under way at a time, on each node; `None` for no limit of its own.
    pub max_concurrency: Option<u32>,
    /// Requests to it begun in a second, on each node; `None` for no limit of its own.
    pub rate_per_second: Option<u32>,
    /// When it was created.
    pub created: Millis,
    /// When it was last changed.
    pub modified: Option<Millis>,
    /// Who created it, as the client named itself.
    pub created_by: Option<String>,
    /// Who last changed it.
    pub modified_by: Option<String>,
    /// Counts its changes, from 1.
    pub version: u64,
}

impl Executor {
    /// Whether jobs can be sent to it: its kind can be called, and it says where.
    pub fn takes_jobs(&self) -> bool {
        self.kind == WEBHOOK_URL && (self.http.is_some() || !self.webhook_url.is_empty())
    }
}

/// A stretch of time in which no job of a project fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectPause {
    /// The project.
    pub project: ProjectId,
    /// It covers instants after this one ...
    pub from: Millis,
    /// ... up to and including this one; `None` while nobody knows its end.
    pub until: Option<Millis>,
}

impl ProjectPause {
    /// A pause that begins at a stamp and ends before an instant, if that is known: what is due at
    /// its end fires.
    pub fn before(project: ProjectId, from: Millis, end: Option<Millis>) -> Self {
        Self { project, from, until: end.map(|end| end.saturating_sub(1)) }
    }

    /// The first instant after it, if that is known.
    pub fn end(&self) -> Option<Millis> {
        self.until.map(|until| until.saturating_add(1))
    }

    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.until.is_some_and(|until| until <= self.from)
    }

    /// Whether an occurrence due at an instant falls into it.
    pub fn covers(&self, due: Millis) -> bool {
        self.from < due && self.until.is_none_or(|until| due <= until)
    }
}
