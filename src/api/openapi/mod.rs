//! The OpenAPI document of the API: `GET /openapi.json`, and the page `/ui/api` that shows it.
//!
//! ```text
//!   closed_routes, http::query ─┐
//!   source: *.yaml ─────────────┼─> document (operation, errors) ─> GET /openapi.json, ui
//!   docs/errors.md ─────────────┘
//! ```
//!
//! Routes, their query parameters and who may call them come from the tables that serve requests,
//! so that they cannot differ. What these tables do not know (words, bodies, answers, examples) is
//! in the YAML files here. Tests hold that every route is there, that every field of an answer is
//! in its schema, and that the examples run (`tests/it/api/openapi.rs`).

mod document;
mod errors;
mod operation;
mod serve;
mod source;

pub(crate) use document::{Operation, document};
pub(crate) use serve::router;
