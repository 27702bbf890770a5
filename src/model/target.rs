//! Targets that are not a plain callback: one HTTP request for each occurrence, and executors,
//! which hold a target once for many jobs.
//!
//! `app` makes them from requests and seals their secrets, `store` keeps them, `executor` renders
//! them into requests, and `worker` opens the secrets right before it signs or sends. A [`Sealed`]
//! never holds anything in the clear, so all of this may be logged, listed and stored in snapshots.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::run_terms::BusKind;
use super::{Millis, ProjectId};

/// A secret, encrypted with the cluster's `SecretKey` and written as base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

/// A secret that requests are signed with, until it is taken out of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SigningSecret {
    /// The sealed secret.
    pub sealed: Sealed,
    /// The last instant of its use; `None` until it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

/// The HTTP request of each occurrence. In `url`, `headers`, `query` and `body` the placeholders
/// `{{executionId}}`, `{{jobId}}`, `{{scheduledAt}}`, `{{attempt}}` and `{{data}}` are filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpTarget {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The URL.
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
    /// How a call authenticates itself to the receiver; its secrets are sealed.
    #[serde(skip_serializing_if = "is_none")]
    pub auth: Auth,
    /// The statuses that count as success; empty means 2xx.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub success_codes: Vec<u16>,
    /// The TLS settings.
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

/// The authentication of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Auth {
    /// No authentication.
    #[default]
    None,
    /// HTTP Basic authentication (RFC 7617).
    Basic {
        /// The username, in the clear, without a colon.
        username: String,
        /// The sealed password.
        password: Sealed,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The sealed token.
        token: Sealed,
    },
}

fn is_none(auth: &Auth) -> bool {
    *auth == Auth::None
}

/// The kind of executor that jobs can be sent to.
pub const WEBHOOK_URL: &str = "webhook_url";

/// The kind of executor whose calls are messages for an AMQP exchange.
pub const AMQP: &str = "amqp";

/// The kind of executor that is a queue: workers perform the occurrences of its jobs.
pub const WORKER: &str = "worker";

/// Says whether an executor of a kind is a queue of workers.
pub fn is_queue(kind: &str) -> bool {
    kind == WORKER
}

/// Says whether occurrences of jobs with settings of a kind may be runs, which somebody accepts and
/// reports on later. (Those of `http` targets may, too.)
fn takes_runs(kind: &str) -> bool {
    is_queue(kind)
}

/// Says whether jobs with an executor of a kind may have a `message`.
pub fn takes_messages(kind: &str) -> bool {
    kind == AMQP
}

/// Settings of a kind that reads them itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Configured {
    /// The kind.
    pub kind: String,
    /// The settings, as the kind has validated them; secrets in them are sealed.
    pub settings: Value,
}

impl Configured {
    /// Returns whether the occurrences of its jobs may be runs.
    pub fn takes_runs(&self) -> bool {
        takes_runs(&self.kind)
    }
}

/// Reads a value that is there: null is one, too. (Serde reads null as `None`.)
pub(super) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<Value>>, D::Error> {
    Value::deserialize(from).map(|value| Some(Box::new(value)))
}

/// A target held once for many jobs. Known to the published clients by the fields down to
/// `webhook_method`; the rest is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Executor {
    /// The executor's number, from 1, never reused; given by `apply`.
    pub id: u64,
    /// The name, unique in the cluster.
    pub name: String,
    /// `webhook_url`, `cloud_function` or `container`, or a kind with settings of its own. Jobs can
    /// be sent to the first and to those with settings.
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
    /// The URL that batches of its jobs are posted to; empty when `http` says where.
    pub webhook_url: String,
    /// `POST` (or `PUT`), of the batches.
    pub webhook_method: String,
    /// The secrets that sign its requests; at most two, the newest first.
    pub signing: Vec<SigningSecret>,
    /// A request for each occurrence instead of batches.
    pub http: Option<Box<HttpTarget>>,
    /// The TLS settings of `webhook_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<Tls>>,
    /// The settings of any other kind that can be called, as its executor has validated them;
    /// secrets in them are sealed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub settings: Option<Box<Value>>,
    /// Requests to it under way at a time, on each node; `None` for no limit of its own.
    pub max_concurrency: Option<u32>,
    /// Requests to it begun in a second, on each node; `None` for no limit of its own.
    pub rate_per_second: Option<u32>,
    /// The instant of its creation.
    pub created: Millis,
    /// The instant of its last change.
    pub modified: Option<Millis>,
    /// The creator, as the client named itself.
    pub created_by: Option<String>,
    /// The client that changed it last.
    pub modified_by: Option<String>,
    /// Counts its changes, from 1.
    pub version: u64,
}

impl Executor {
    /// Returns whether jobs can be sent to it: its kind can be called, and it has a target.
    pub fn takes_jobs(&self) -> bool {
        match self.kind.as_str() {
            WEBHOOK_URL => self.http.is_some() || !self.webhook_url.is_empty(),
            _ => self.settings.is_some(),
        }
    }

    /// The way in which its runs come to workers; `None` if it is no queue, or if this program does
    /// not know the bus.
    pub fn bus(&self) -> Option<BusKind> {
        let settings = self.settings.as_deref().filter(|_| is_queue(&self.kind))?;
        BusKind::deserialize(settings.get("bus")?).ok()
    }

    /// Returns whether the occurrences of its jobs may be runs: each has a request of its own.
    pub fn takes_runs(&self) -> bool {
        self.http.is_some() || takes_runs(&self.kind)
    }
}

/// An interval of time in which no job of a project fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectPause {
    /// The project's number.
    pub project: ProjectId,
    /// The beginning: the pause covers instants after this one ...
    pub from: Millis,
    /// ... up to and including this one; `None` while the end is not known.
    pub until: Option<Millis>,
    /// The executions of the project's account are used up then; nobody paused the project.
    pub by_quota: bool,
}

impl ProjectPause {
    /// A pause that begins at a stamp and ends before an instant, if that is known: what is due at
    /// its end fires.
    pub fn before(project: ProjectId, from: Millis, end: Option<Millis>) -> Self {
        Self { project, from, until: end.map(|end| end.saturating_sub(1)), by_quota: false }
    }

    /// The first instant after it, if that is known.
    pub fn end(&self) -> Option<Millis> {
        self.until.map(|until| until.saturating_add(1))
    }

    /// Returns whether the pause covers no instant.
    pub fn is_empty(&self) -> bool {
        self.until.is_some_and(|until| until <= self.from)
    }

    /// Returns whether the pause covers an occurrence due at an instant.
    pub fn covers(&self, due: Millis) -> bool {
        self.from < due && self.until.is_none_or(|until| due <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::JobDefinition;

    #[test]
    fn a_queue_has_a_bus_and_nothing_else_has() {
        let queue = |kind: &str, settings: Value| {
            let settings = Some(Box::new(settings));
            Executor { kind: kind.to_owned(), settings, ..Executor::default() }.bus()
        };
        let embedded = serde_json::json!({"bus": "embedded"});
        assert_eq!(queue(WORKER, embedded.clone()), Some(BusKind::Embedded));
        assert_eq!(queue(AMQP, embedded), None);
        for unknown in [serde_json::json!({"bus": "nats"}), serde_json::json!({}), Value::Null] {
            assert_eq!(queue(WORKER, unknown), None);
        }
    }

    #[test]
    fn a_value_of_a_kind_may_be_null_and_is_not_lost() {
        let null = || Some(Box::new(Value::Null));
        for settings in [None, null()] {
            let executor = Executor { settings, ..Executor::default() };
            let text = serde_json::to_string(&executor).unwrap();
            assert_eq!(serde_json::from_str::<Executor>(&text).unwrap(), executor);
        }
        for message in [None, null()] {
            let definition = JobDefinition { message, ..JobDefinition::default() };
            let text = serde_json::to_string(&definition).unwrap();
            assert_eq!(serde_json::from_str::<JobDefinition>(&text).unwrap(), definition);
        }
    }
}
