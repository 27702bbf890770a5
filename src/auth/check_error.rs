//! The reasons why a request is not authenticated. `check` and `presented` find them; `api` and
//! `ui` answer with them. No credentials are in here.

use std::time::Duration;

use super::limiter::CredentialKind;
use super::oidc::TokenError;

/// The reason why a request is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The request shows no credentials.
    Missing,
    /// The credentials are wrong.
    Wrong(CredentialKind),
    /// The network was wrong too often: its key is wrong again, or its password was not checked.
    Limited {
        /// The kind of credentials that it showed.
        kind: CredentialKind,
        /// The time after which a password is checked again.
        wait: Duration,
    },
    /// The key made as many requests as it may.
    Rate {
        /// The time after which it may make the next one.
        wait: Duration,
    },
    /// The request shows several credentials, and does not say which of them count.
    Ambiguous,
    /// The access token is not accepted.
    Token(TokenError),
}
