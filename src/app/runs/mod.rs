//! Runs: what workers and receivers perform. Listed and read, cancelled, and reported on.

pub(in crate::app) mod absence;
pub(in crate::app) mod arrivals;
mod cancels;
mod claimed;
mod filter;
pub(in crate::app) mod gather;
mod get;
pub(in crate::app) mod ids;
mod list;
mod names;
mod overlay;
mod placed;
mod record;
mod report;
pub(in crate::app) mod standing;
mod word;

pub use filter::RunFilter;
pub use get::RunDetails;
pub use list::{RunPage, RunPlace};
pub use record::RunRecord;
pub use word::{RunAnswer, RunInput, RunWord};
