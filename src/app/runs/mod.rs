//! Runs: what workers and receivers perform. Listed and read.

mod filter;
mod get;
pub(in crate::app) mod ids;
mod list;
mod names;
mod record;

pub use filter::RunFilter;
pub use get::RunDetails;
pub use list::{RunPage, RunPlace};
pub use record::RunRecord;
