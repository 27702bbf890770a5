//! The `http` object of jobs and executors: read, checked, merged and shown. It is configuration
//! that clients write as JSON, and a patch of it is defined on what is shown. Its secrets are
//! sealed on the way in and never shown: an answer only says that they are set.
//!
//! ```text
//!   JSON ─> merge (PATCH: over what is shown) ─> read ─┬─ url, lines, headers, auth, tls
//!                                                      └─ payload: can it be sent at all
//!   HttpTarget ─> view ─> JSON
//! ```

mod auth;
mod headers;
pub(crate) mod json_merge;
mod lines;
pub(crate) mod merge;
#[cfg(test)]
mod merge_tests;
pub(crate) mod payload;
mod placeholders;
pub(crate) mod read;
pub(crate) mod tls;
#[cfg(test)]
mod tls_tests;
pub(crate) mod url;
pub(crate) mod view;
