//! Access tokens of identity providers (OAuth 2.0 Bearer tokens, RFC 6750, as JWTs, RFC 9068): who
//! a caller is that shows one. `auth::check` asks for each request with a token. `docs/oidc.md`
//! says how to set an issuer up.
//!
//! ```text
//!   verifier ─┬─ token_cache    tokens that were verified lately
//!             ├─ token          the form of a token; nothing is believed yet
//!             ├─ issuer_keys ─┬─ provider   discovery and keys, over HTTP
//!             │               └─ key_set    the keys that are accepted ── algorithm
//!             └─ claims         for this node, valid now, with which scopes
//! ```
//!
//! A token is verified in this order. Its `iss` chooses one of the configured issuers. Its `kid`
//! chooses a key that this issuer published. The *key* says by which algorithm it verifies, and a
//! token that names another one is refused. Only then are the claims looked at, and errors about
//! them are told only to callers whose token was signed by the issuer.
//!
//! Nothing here gives anybody a token, keeps one, or logs one. Nothing here decides what a caller
//! may do.

mod algorithm;
mod claims;
mod error;
mod issuer_keys;
mod key_set;
mod provider;
mod token;
mod token_cache;
mod verifier;

pub use error::TokenError;
pub use verifier::Oidc;
