//! The routes of runs: lists, single runs, and reports on them.

mod input;
mod list;
mod report;
pub(crate) mod routes;
mod view;
