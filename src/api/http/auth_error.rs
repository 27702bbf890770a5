//! The answers to requests whose credentials are not accepted. `middleware` calls [`counted`]. The
//! texts about tokens are those of Simple Scheduler, whose clients know them.

use axum::http::StatusCode;

use crate::api::http::error::Error;
use crate::app;
use crate::auth::{AuthError, ChoiceError, CredentialKind, TokenError};
use crate::metrics::Metrics;

/// The challenge of a request whose token is not accepted (RFC 6750 3.1).
const INVALID_TOKEN: &str = "Bearer realm=\"scheduler0\", error=\"invalid_token\"";
/// The challenge of a request whose header cannot be read, and of one without credentials.
pub(super) const BEARER: &str = "Bearer realm=\"scheduler0\"";

/// The answer, after it was counted.
pub(crate) fn counted(refused: AuthError, metrics: &Metrics) -> Error {
    if matches!(refused, AuthError::Rate { .. }) {
        metrics.rate_limited.inc();
    }
    let (error, counted) = answer(refused);
    if let Some((kind, result)) = counted {
        metrics.auth_failure(kind.name(), result);
    }
    error
}

/// The answer, and what is counted: the kind of credentials, and the result.
fn answer(refused: AuthError) -> (Error, Option<(CredentialKind, &'static str)>) {
    match refused {
        AuthError::Missing => (Error::unauthorized(), None),
        AuthError::Wrong(kind) => (Error::unauthorized(), Some((kind, "wrong"))),
        AuthError::Limited { kind, wait } => {
            (Error::too_many_attempts(wait), Some((kind, "limited")))
        }
        AuthError::Rate { wait } => (Error::rate_limited(wait), None),
        AuthError::Ambiguous => (ambiguous(), None),
        AuthError::Token(TokenError::Unavailable) => (unavailable(), None),
        AuthError::Token(error) => (of_token(error), Some((CredentialKind::Token, "wrong"))),
    }
}

/// The answer to a request that chooses an account which it cannot have.
pub(super) fn of_choice(refused: ChoiceError) -> Error {
    let message = refused.to_string();
    match refused {
        ChoiceError::NotANumber => Error::bad_request(message),
        ChoiceError::Unknown(_) => Error::not_found(message),
        ChoiceError::Mismatch => app::Error::account_mismatch(message).into(),
    }
}

fn ambiguous() -> Error {
    let message = "the request has several credentials: send either x-api-key and x-secret-key, or \
                   one Authorization: Bearer";
    let detail = message.to_owned();
    Error::of_credentials(StatusCode::BAD_REQUEST, "ambiguous_credentials", message, detail, None)
}

/// The answer to a token whose issuer cannot be asked. Whoever has a key pair is not concerned.
fn unavailable() -> Error {
    let message = "the issuer of the access token cannot be asked for its keys: try again, or use \
                   a key pair";
    let detail = message.to_owned();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Error::of_credentials(status, "oidc_unavailable", message, detail, None)
}

fn of_token(error: TokenError) -> Error {
    let (code, text, challenge) = match error {
        TokenError::Format => ("authorization_invalid", "Invalid authorization format", BEARER),
        TokenError::Missing => ("token_missing", "Access token is missing", BEARER),
        TokenError::Invalid(_) | TokenError::Unavailable => {
            ("token_invalid", "Invalid access token", INVALID_TOKEN)
        }
        TokenError::Issuer(_) => ("issuer_invalid", "Invalid issuer", INVALID_TOKEN),
        TokenError::Claims(_) => ("claims_invalid", "Invalid claims", INVALID_TOKEN),
    };
    let detail = format!("{text}: {error}");
    Error::of_credentials(StatusCode::UNAUTHORIZED, code, text, detail, Some(challenge))
}
