//! The error of a request: an error of a use case with the status that tells its kind, or one of
//! HTTP itself. Every handler returns it, and every extractor rejects with it; `middleware` renders
//! it in the casing of the request's prefix. It never carries a secret or a path of this machine.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};

use crate::api::http::casing;
use crate::api::http::status::{status, whole_seconds};
use crate::app;
use crate::app::fields::verbatim;
use crate::cluster;
use crate::model::job::Casing;
use crate::model::run_report::RunState;
use crate::model::scope::{Scope, Scopes};

/// An error that a client is told.
#[derive(Clone, Debug)]
pub enum Error {
    /// A use case came to it, or the input of one could not be read.
    App(app::Error),
    /// The request itself is at fault, whatever it asks for.
    Http(HttpError),
}

/// An error of HTTP itself.
#[derive(Clone, Debug)]
pub struct HttpError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The whole message, where the short one is the original's.
    detail: Option<Cow<'static, str>>,
    /// Seconds.
    retry_after: Option<u64>,
    /// A further `WWW-Authenticate`.
    challenge: Option<&'static str>,
}

impl Error {
    fn http(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let (detail, retry_after, challenge) = (None, None, None);
        Self::Http(HttpError { status, code, message, detail, retry_after, challenge })
    }

    /// An error of credentials: a message that published clients know, and what it means here.
    /// `challenge` is the `WWW-Authenticate` of the scheme that was used.
    pub(crate) fn of_credentials(
        status: StatusCode,
        code: &'static str,
        message: &str,
        detail: String,
        challenge: Option<&'static str>,
    ) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        let (message, detail) = (message.to_owned(), Some(detail.into()));
        Self::Http(HttpError { status, code, message, detail, retry_after, challenge })
    }

    /// 400: the request cannot be understood.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        app::Error::malformed(message).into()
    }

    /// 400: the value of a field is not valid. `field` is its camelCase name.
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        app::Error::invalid(field, message).into()
    }

    /// 401, with the original's message and the credentials that would do.
    pub(crate) fn unauthorized() -> Self {
        Self::Http(HttpError {
            status: StatusCode::UNAUTHORIZED,
            code: "unauthorized",
            message: "unauthorized requests".to_owned(),
            detail: Some(
                "unauthorized requests: send a client's key pair as the headers x-api-key and \
                 x-secret-key, or, as an operator, Authorization: Basic with x-peer: cmd"
                    .into(),
            ),
            retry_after: None,
            challenge: None,
        })
    }

    /// 429: too many wrong passwords or keys came from the client's network.
    pub(crate) fn too_many_attempts(wait: Duration) -> Self {
        let retry_after = whole_seconds(wait);
        let message = format!(
            "too many wrong passwords or keys came from this address: passwords are not checked for \
             {retry_after} s"
        );
        Self::Http(HttpError {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "too_many_attempts",
            message,
            detail: None,
            retry_after: Some(retry_after),
            challenge: None,
        })
    }

    /// 429: the key or its account made as many requests as it may.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let message = "this key, or its account, made as many requests in a second as it may at \
                       this node (ratePerSecond of the key, requestsPerSecond of the account, \
                       ApiRatePerSecond of the node): send fewer";
        Self::Http(HttpError {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "rate_limited",
            message: message.to_owned(),
            detail: None,
            retry_after: Some(whole_seconds(wait)),
            challenge: None,
        })
    }

    /// 415: the body is compressed.
    pub(crate) fn unsupported_encoding() -> Self {
        let message = "content-encoding is not supported: send the body as it is (identity)";
        Self::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        app::Error::not_found(message).into()
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "this route does not have that method: see the allow header";
        Self::http(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 408: the client stopped sending, or sends too slowly.
    pub(crate) fn slow() -> Self {
        let message = "the request's body did not arrive in time: after 10 s of waiting for it, send \
                       at least 64 kB a second, and all of it within 5 minutes";
        Self::http(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }

    /// 413.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        app::Error::too_large(message).into()
    }

    /// 422: well-formed, but not what this route accepts.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        app::Error::unprocessable(message).into()
    }

    /// 500: a fault of this program. No input leads here; the cause goes to the log, not to the
    /// client.
    pub(crate) fn internal() -> Self {
        app::Error::internal().into()
    }

    /// 501: out of scope.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::http(StatusCode::NOT_IMPLEMENTED, "not_implemented", message)
    }

    /// 503: the client may try again soon.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        app::Error::unavailable(message).into()
    }

    /// 503: other requests take too much at the moment.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        app::Error::busy(message).into()
    }

    /// 409: the state of a record conflicts with the request.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        app::Error::conflict(message).into()
    }

    /// The error as one of a use case, for callers in this process that speak no JSON.
    pub(crate) fn into_app(self) -> app::Error {
        match self {
            Self::App(error) => error,
            Self::Http(error) => app::Error::malformed(error.message),
        }
    }

    /// Changes the error of a use case; one of HTTP itself stays.
    #[must_use]
    fn map(self, change: impl FnOnce(app::Error) -> app::Error) -> Self {
        match self {
            Self::App(error) => Self::App(change(error)),
            Self::Http(_) => self,
        }
    }

    /// See [`app::Error::narrow`].
    #[must_use]
    pub(crate) fn narrow(self, hint: &str) -> Self {
        self.map(|error| error.narrow(hint))
    }

    /// Turns 400 into 422, for routes whose whole purpose is to say whether a text is valid.
    #[must_use]
    pub(crate) fn into_unprocessable(self) -> Self {
        self.map(app::Error::into_unprocessable)
    }

    /// Names the field, by its camelCase name.
    #[must_use]
    pub(crate) fn field(self, field: &'static str) -> Self {
        self.map(|error| error.field(field))
    }

    /// Names the index in the request's list.
    #[must_use]
    pub(crate) fn at(self, index: usize) -> Self {
        self.map(|error| error.at(index))
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::App(error) => status(error.kind()),
            Self::Http(error) => error.status,
        }
    }

    /// The scopes that the caller lacks.
    fn missing_scopes(&self) -> Scopes {
        match self {
            Self::App(error) => error.missing_scopes(),
            Self::Http(_) => Scopes::NONE,
        }
    }

    /// The challenge of the answer: the scopes that a `Bearer` token would need (RFC 6750, section
    /// 3), where the error is about a token. The names of scopes are valid in a header.
    fn challenge(&self) -> Option<HeaderValue> {
        let scopes = self.missing_scopes();
        match self {
            Self::App(_) if scopes.is_empty() => None,
            Self::App(_) => {
                let names: Vec<_> = scopes.iter().map(Scope::name).collect();
                let text =
                    format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", names.join(" "));
                HeaderValue::from_str(&text).ok()
            }
            Self::Http(error) => error.challenge.map(HeaderValue::from_static),
        }
    }

    /// The body of the error without casing, and the seconds after which to try again.
    fn body(&self) -> (&str, Body<'_>, Option<u64>) {
        match self {
            Self::App(error) => {
                let field = error.field_name().map(str::to_owned);
                let (code, message) = (error.kind().code(), error.detail());
                let state = error.state().map(RunState::name);
                let (index, fields) = (error.index(), Some(error.fields()));
                let fields = fields.filter(|fields| !fields.is_empty()).map(FieldErrors);
                let body = Body { code, message, field, index, state, fields };
                (error.message(), body, error.retry_after())
            }
            Self::Http(error) => {
                let message = error.detail.as_deref().unwrap_or(&error.message);
                let code = error.code;
                let body = Body { code, message, ..Body::default() };
                (&error.message, body, error.retry_after)
            }
        }
    }

    /// The error as a response, in a casing.
    pub(crate) fn render(&self, casing: Casing) -> Response {
        let (data, mut error, retry_after) = self.body();
        error.field = error.field.map(|field| casing::name(&field, casing));
        let missing = self.missing_scopes();
        let missing_scopes =
            (!missing.is_empty()).then(|| missing.iter().map(Scope::name).collect());
        let envelope = Envelope { data, success: false, missing_scopes, error };
        let body = casing::to_json(&envelope, casing);
        let status = self.status();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = "ApiKey realm=\"scheduler0\", headers=\"x-api-key x-secret-key\"";
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        if let Some(challenge) = self.challenge() {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        (status, headers, body).into_response()
    }
}

/// The body of an error that no route made. Its names are the same in both casings.
pub fn refusal(code: &'static str, message: &str) -> Vec<u8> {
    let error = Body { code, message, ..Body::default() };
    let envelope = Envelope { data: message, success: false, missing_scopes: None, error };
    casing::to_json(&envelope, Casing::Camel)
}

#[derive(Serialize)]
struct Envelope<'a> {
    data: &'a str,
    success: bool,
    /// The name is that of published clients, in either casing.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_scopes: Option<Vec<&'static str>>,
    error: Body<'a>,
}

/// The errors of the fields of a payload or a template, whose names are the client's own.
struct FieldErrors<'a>(&'a BTreeMap<String, String>);

impl Serialize for FieldErrors<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        verbatim(self.0, to)
    }
}

#[derive(Default, Serialize)]
struct Body<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// The state of the run that the error is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<FieldErrors<'a>>,
}

/// An empty response that carries the error. `middleware` renders it, since it knows the prefix.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<app::Error> for Error {
    fn from(error: app::Error) -> Self {
        Self::App(error)
    }
}

impl From<cluster::Error> for Error {
    fn from(error: cluster::Error) -> Self {
        Self::App(error.into())
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
