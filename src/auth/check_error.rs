//! The reasons why a request is not authenticated. `check` and `presented` find them; `api` and
//! `ui` answer with them. No credentials are in here.

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
    Limited(CredentialKind),
    /// The request shows several credentials, and does not say which of them count.
    Ambiguous,
    /// The access token is not accepted.
    Token(TokenError),
}
