//! The error of a request: a status, a code, a message, and the field and place that it is about.
//! Every handler returns it, and every extractor rejects with it; `middleware` renders it in the
//! casing of the request's prefix. It never carries a secret or a path of this machine.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::http::casing;
use crate::cluster;
use crate::command::{Outcome, Rejection, RejectionKind};
use crate::model::job::Casing;

/// The code of a read that was ended: [`Error::slow_read`].
const TOO_SLOW: &str = "too_slow";
/// The code of a request that waits behind those of others.
const BUSY: &str = "busy";

/// An error that a client is told.
#[derive(Clone, Debug)]
pub struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Option<String>,
    field: Option<&'static str>,
    index: Option<usize>,
    retry_after: Option<u64>,
}

impl Error {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let (message, detail) = (message.into(), None);
        Self { status, code, message, detail, field: None, index: None, retry_after: None }
    }

    /// 400: the request cannot be understood.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 400: the value of a field is not valid. `field` is its camelCase name.
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid", message);
        error.field = Some(field);
        error
    }

    /// 401, with the original's message and the credentials that would do.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "unauthorized requests").because(
            "send a client's key pair as the headers x-api-key and x-secret-key, or, as an \
             operator, Authorization: Basic with x-peer: cmd",
        )
    }

    /// 429: too many wrong passwords or keys came from the client's network.
    pub(crate) fn too_many_attempts() -> Self {
        let message = "too many wrong passwords or keys came from this address: wait a second";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message);
        error.retry_after = Some(1);
        error
    }

    /// 415: the body is compressed.
    pub(crate) fn unsupported_encoding() -> Self {
        let message = "content-encoding is not supported: send the body as it is (identity)";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
    }

    /// 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "this route does not have that method: see the allow header";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 408: the client stopped sending, or sends too slowly.
    pub(crate) fn slow() -> Self {
        let message = "the request's body did not arrive in time: after 10 s of waiting for it, send \
                       at least 64 kB a second, and all of it within 5 minutes";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }

    /// 413.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 422: well-formed, but not what this route accepts.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", message)
    }

    /// 500: a fault of this program. No input leads here; the cause goes to the log, not to the
    /// client.
    pub(crate) fn internal() -> Self {
        let message = "this node failed to answer: see its log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// 501: out of scope.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", message)
    }

    /// 503: the client may try again soon.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
        error.retry_after = Some(1);
        error
    }

    /// 503: other requests take too much at the moment.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        let mut error = Self::unavailable(message);
        error.code = BUSY;
        error
    }

    /// 503: the read took longer than `limit` and was ended. [`Error::narrow`] adds a way to ask
    /// for less.
    pub(crate) fn slow_read(limit: Duration) -> Self {
        let seconds = limit.as_secs();
        let message = format!("this takes more than {seconds} s to read, and was ended");
        let mut error = Self::unavailable(message);
        error.code = TOO_SLOW;
        error
    }

    /// Adds a way to ask for less to the error of a read that took too long.
    #[must_use]
    pub(crate) fn narrow(self, hint: &str) -> Self {
        if self.code == TOO_SLOW { self.because(hint) } else { self }
    }

    /// 409: the state of a record conflicts with the request.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 507: the disk is nearly full.
    pub(crate) fn no_space() -> Self {
        let message =
            "the disk of this node is nearly full: writes are refused until there is room";
        let mut error = Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", message);
        error.retry_after = Some(30);
        error
    }

    /// Turns 400 into 422, for routes whose whole purpose is to say whether a text is valid.
    #[must_use]
    pub(crate) fn into_unprocessable(mut self) -> Self {
        if self.status == StatusCode::BAD_REQUEST {
            self.status = StatusCode::UNPROCESSABLE_ENTITY;
            self.code = "unprocessable";
        }
        self
    }

    /// Names the field, by its camelCase name.
    #[must_use]
    pub(crate) fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Names the index in the request's list.
    #[must_use]
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// Adds a reason to a message that the original's clients know.
    #[must_use]
    pub(crate) fn because(mut self, reason: impl std::fmt::Display) -> Self {
        self.detail = Some(format!("{}: {reason}", self.message));
        self
    }

    /// Replaces the message in the detail, where the message that the original's clients know says
    /// too little.
    #[must_use]
    pub(crate) fn says(mut self, sentence: impl Into<String>) -> Self {
        self.detail = Some(sentence.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The error as a response, in a casing.
    pub(crate) fn render(&self, casing: Casing) -> Response {
        let field = self.field.map(|field| casing::name(field, casing));
        let body = casing::to_json(
            &Envelope {
                data: &self.message,
                success: false,
                error: Body {
                    code: self.code,
                    message: self.detail.as_ref().unwrap_or(&self.message),
                    field: field.as_deref(),
                    index: self.index,
                },
            },
            casing,
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = "ApiKey realm=\"scheduler0\", headers=\"x-api-key x-secret-key\"";
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        (self.status, headers, body).into_response()
    }
}

/// The body of an error that no route made. Its names are the same in both casings.
pub fn refusal(code: &'static str, message: &str) -> Vec<u8> {
    let error = Body { code, message, field: None, index: None };
    casing::to_json(&Envelope { data: message, success: false, error }, Casing::Camel)
}

#[derive(Serialize)]
struct Envelope<'a> {
    data: &'a str,
    success: bool,
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

/// An empty response that carries the error. `middleware` renders it, since it knows the prefix.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.message;
        match rejection.kind {
            RejectionKind::NotFound => Self::not_found(message),
            RejectionKind::Conflict => Self::new(StatusCode::CONFLICT, "conflict", message),
            RejectionKind::Invalid => Self::bad_request(message),
            RejectionKind::Forbidden => Self::forbidden(message),
            RejectionKind::Stale => Self::new(StatusCode::PRECONDITION_FAILED, "stale", message),
            RejectionKind::KeyReused => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "idempotency_key_reused", message)
            }
        }
    }
}

impl From<cluster::Error> for Error {
    fn from(error: cluster::Error) -> Self {
        match &error {
            cluster::Error::NoLeader | cluster::Error::NotLeader { .. } => {
                let message =
                    "the cluster has no leader at the moment, nothing was written: try again";
                Self::unavailable(message)
            }
            cluster::Error::Busy => Self::unavailable(
                "as many requests to the leader as may be are under way at this node, nothing was \
                 written: try again, or ask another node",
            ),
            cluster::Error::Unavailable(_) => {
                tracing::warn!(%error, "a client was told that the outcome is unknown");
                let message = "the cluster did not answer in time and the outcome is unknown: \
                               send it again with the same Idempotency-Key";
                Self::unavailable(message)
            }
            cluster::Error::NotRaised(_) => {
                tracing::warn!(%error, "a request was refused");
                let message = "the cluster did not answer in time, nothing was written: try again";
                Self::unavailable(message)
            }
            cluster::Error::UpgradePending { .. } => {
                Self::new(StatusCode::CONFLICT, "upgrade_pending", error.to_string())
            }
            cluster::Error::TooLarge { .. } => Self::too_large(error.to_string()),
            cluster::Error::Refused(rejection) => rejection.clone().into(),
            cluster::Error::Fatal(_) => {
                Self::unavailable("this node is stopping: ask another node")
            }
            cluster::Error::Ended(_) => {
                Self::busy("this node's state is being replaced by a newer one: try again")
            }
            cluster::Error::Store(_) | cluster::Error::Open(_) => {
                tracing::error!(%error, "a request failed on this node");
                Self::internal()
            }
        }
    }
}

/// The error of an outcome that is no success: its rejection, or a 500 for an outcome that the
/// command cannot have.
pub(crate) fn refused(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Rejected(rejection) => rejection.into(),
        other => {
            tracing::error!(outcome = %other, "a command came to an outcome that it cannot have");
            Error::internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_message_code_field_and_index() {
        let error =
            Error::invalid("callbackUrl", "job callback_url is not valid").at(3).because("no host");
        let response = error.render(Casing::Snake);
        assert_eq!(response.status(), 400);
        let body = futures_util::FutureExt::now_or_never(axum::body::to_bytes(
            response.into_body(),
            10_000,
        ));
        assert_eq!(
            body.unwrap().unwrap(),
            r#"{"data":"job callback_url is not valid","success":false,"error":{"code":"invalid","message":"job callback_url is not valid: no host","field":"callback_url","index":3}}"#
        );
        assert!(
            Error::unavailable("x").render(Casing::Camel).headers().contains_key("retry-after")
        );
    }
}
