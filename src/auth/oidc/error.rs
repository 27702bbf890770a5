//! The reasons for which an access token is refused. `api` makes an answer of them: each variant
//! has a status, a code and a text of its own. The inner texts say more, and hold nothing of the
//! token.

/// An access token, or the header with it, is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The header is no `Bearer` with one token (RFC 6750 2.1).
    #[error("the header is not of the form Authorization: Bearer TOKEN")]
    Format,
    /// There is no token in the header.
    #[error("there is no token behind Bearer")]
    Missing,
    /// The token is none, was not signed by its issuer, or is no access token.
    #[error("{0}")]
    Invalid(&'static str),
    /// The token is not of an issuer of this node.
    #[error("{0}")]
    Issuer(&'static str),
    /// The token was signed by its issuer, and is not valid here and now.
    #[error("{0}")]
    Claims(&'static str),
    /// The keys of the issuer are not known, and it does not tell them. Nothing is said about the
    /// token.
    #[error("the keys of the token's issuer cannot be fetched")]
    Unavailable,
}
