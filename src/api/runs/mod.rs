//! The routes of runs: lists and single runs.

mod list;
pub(crate) mod routes;
mod view;
