//! An answer that is an error, with its message for the other node's log. `auth` and the handlers
//! of every peer route make it.

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::headers::STOP;

/// An answer that is an error: a status and a message for the other node's log.
#[derive(Debug)]
pub struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) stop: bool,
    pub(super) close: bool,
}

impl Refusal {
    /// An error answer.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), stop: false, close: false }
    }

    /// An error answer that says that the process which asked must end: its message is the reason.
    /// That process ends when the leader or most of the others say so.
    pub fn stop(message: String) -> Self {
        Self { status: StatusCode::CONFLICT, message, stop: true, close: false }
    }

    /// An error answer after which the connection is closed.
    pub(super) fn closing(status: StatusCode, message: &str) -> Self {
        Self { status, message: message.to_owned(), stop: false, close: true }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message).into_response();
        if self.stop {
            response.headers_mut().insert(STOP, HeaderValue::from_static("1"));
        }
        if self.close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
