//! The numbers of an answer that is an error: its status by its kind, and `Retry-After`. `error`
//! renders them. Nothing here knows a message.

use std::time::Duration;

use axum::http::StatusCode;

use crate::app::ErrorKind;

/// The status that tells a kind of error.
pub(super) fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed | ErrorKind::Invalid | ErrorKind::TargetNotAllowed => {
            StatusCode::BAD_REQUEST
        }
        ErrorKind::Forbidden
        | ErrorKind::MissingScopes
        | ErrorKind::QuotaExceeded
        | ErrorKind::FeatureDisabled
        | ErrorKind::AccountMismatch => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict | ErrorKind::UpgradePending => StatusCode::CONFLICT,
        ErrorKind::Stale => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unprocessable | ErrorKind::Payload | ErrorKind::KeyReused => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::TooSlow => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// A time in whole seconds, at least 1: `Retry-After` knows no parts of them.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.as_secs() == 0)
}
