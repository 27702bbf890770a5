//! The HTTP side of the API, which knows no resource: what comes in with a request and what goes
//! out.
//!
//! ```text
//!   middleware ─> action_router ─> handler ─┬─ context, ids, body, fields     (in)
//!                          ├─ version, idempotency, query    (conditions)
//!                          └─ respond, page, error (out)
//! ```

pub(crate) mod action_router;
pub(crate) mod auth_error;
pub(crate) mod body;
pub(crate) mod casing;
pub(crate) mod context;
pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod idempotency;
pub(crate) mod ids;
pub(crate) mod middleware;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod respond;
pub(crate) mod route_prefix;
mod status;
pub(crate) mod version;
