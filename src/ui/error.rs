//! The error of a page. A handler returns it, and `enter` shows it in the shell: navigation stays,
//! and the page says what happened and what to do. It never carries a secret.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::app::{Error, ErrorKind};
use crate::cluster;

/// An error that a person is shown.
#[derive(Clone, Debug)]
pub(crate) struct PageError {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    /// What happened, in words.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) hint: &'static str,
}

impl PageError {
    /// 404 for a path.
    pub(crate) fn no_page() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "There is no such page",
            text: "The address may have a slip, or be one of an older version.".to_owned(),
            hint: "Use the navigation above, or search for a job.",
        }
    }

    /// 404 for an id that is none.
    pub(crate) fn no_record(what: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "Nothing is known of it",
            text: format!("There is no {what} at this address."),
            hint: "It may have been deleted, or be older than the history that is kept.",
        }
    }

    /// 403 for a request that another site made.
    pub(crate) fn foreign() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            title: "This request was refused",
            text: "It does not come from a page of this node, so nothing was changed.".to_owned(),
            hint: "Open the page again and repeat it. Behind a proxy, set PublicUrl.",
        }
    }

    /// 429 for a request of a key that made as many as it may.
    pub(crate) fn rate_limited() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            title: "Too much at a time",
            text: "The key of this session makes more requests than it may.".to_owned(),
            hint: "Nothing was changed. Close some tabs, or wait a moment and try again.",
        }
    }

    /// 400 for a form that cannot be read.
    pub(crate) fn bad_form(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            title: "The form cannot be read",
            text: text.into(),
            hint: "Go back and send it again. Nothing was changed.",
        }
    }

    /// 400 for a parameter of the address.
    pub(crate) fn bad_address(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            title: "The address has a value that is not valid",
            text: text.into(),
            hint: "Take it out of the address, or begin again from the navigation.",
        }
    }

    /// 500 for a fault of this program.
    pub(crate) fn fault() -> Self {
        Error::internal().into()
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        let (status, title, hint) = match error.kind() {
            ErrorKind::Malformed | ErrorKind::Invalid | ErrorKind::TargetNotAllowed => {
                (StatusCode::BAD_REQUEST, "This is not valid", "Nothing was changed.")
            }
            ErrorKind::Unprocessable | ErrorKind::Payload | ErrorKind::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "This cannot be done as it is",
                "Nothing was changed.",
            ),
            ErrorKind::Forbidden | ErrorKind::MissingScopes => (
                StatusCode::FORBIDDEN,
                "You may not do this",
                "Sign in with credentials that may, or ask an operator.",
            ),
            ErrorKind::QuotaExceeded | ErrorKind::FeatureDisabled | ErrorKind::AccountMismatch => (
                StatusCode::FORBIDDEN,
                "The account does not allow this",
                "Nothing was changed. Ask who administers accounts.",
            ),
            ErrorKind::NotFound => (
                StatusCode::NOT_FOUND,
                "Nothing is known of it",
                "It may have been deleted, or be older than the history that is kept.",
            ),
            ErrorKind::Conflict | ErrorKind::UpgradePending => (
                StatusCode::CONFLICT,
                "The state does not allow this",
                "Nothing was changed. Look at it again and repeat what still fits.",
            ),
            ErrorKind::Stale => (
                StatusCode::PRECONDITION_FAILED,
                "It has changed since you looked",
                "Nothing was changed. Open it again and repeat what still fits.",
            ),
            ErrorKind::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "This is too large", "Nothing was changed.")
            }
            ErrorKind::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not possible at the moment",
                "What this node has applied can still be read. Try again in a moment.",
            ),
            ErrorKind::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too much at a time",
                "Close some tabs, or wait a moment and try again.",
            ),
            ErrorKind::Busy | ErrorKind::TooSlow => (
                StatusCode::SERVICE_UNAVAILABLE,
                "This node is busy",
                "Try again in a moment, or ask for less: a project, a job, a shorter time.",
            ),
            ErrorKind::NoSpace => (
                StatusCode::INSUFFICIENT_STORAGE,
                "The disk of this node is nearly full",
                "Reading works. Writes work again when there is room.",
            ),
            ErrorKind::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This node failed to answer",
                "The cause is in its log. Try again, or ask another node.",
            ),
        };
        Self { status, title, text: sentence(error.detail()), hint }
    }
}

impl From<cluster::Error> for PageError {
    fn from(error: cluster::Error) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A message of the application as a sentence: with a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?', '"']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
