//! `login` and `logout`: sessions of the command line, one for each server. A session holds the
//! tokens of an OpenID Connect provider, or a key pair. Each command that talks to a node shows the
//! session of that node's URL, if there is one (`identity` has the order).
//!
//! ```text
//!   command ─┬─ issuer       which provider: flags, else `GET /auth/config` of the node
//!            ├─ code_flow    in the browser: RFC 6749 with PKCE (RFC 7636); callback listens
//!            ├─ device_flow  on another device: RFC 8628
//!            └─ logout       revokes (RFC 7009) and deletes
//!   live_session             the access token of a request, refreshed before it ends
//!   provider, token_answer, id_token, proof         requests to the provider, and what they say
//!   session, session_file    what is kept, in a file that only its owner may read
//! ```
//!
//! The flows are a few forms over HTTPS. The crate `oauth2` (5.0) would do them, but it wants older
//! versions of eight crates that are in the tree, and an HTTP client of its own beside ours.
//!
//! No file here logs a token or shows one in an error. The node alone checks access tokens; the
//! command line reads none but the `id_token`, which it has from the provider itself.

pub(super) mod command;
pub(super) mod live_session;
pub(super) mod logout;
pub(super) mod provider_error;
pub(super) mod session;
pub(super) mod session_file;

mod callback;
mod callback_page;
mod code_flow;
mod device_flow;
mod device_polling;
mod endpoint;
mod id_token;
mod issuer;
mod metadata;
mod proof;
mod provider;
mod request;
mod token_answer;
