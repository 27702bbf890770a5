//! The routes of the audit: pages of it, and its export.

mod export;
mod list;
pub(crate) mod routes;
mod view;
