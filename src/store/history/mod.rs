//! The history: what became of occurrences, and what is still to come. A file of queries for each
//! table, and four views over all of them. Apply writes, every module may read.
//!
//! ```text
//!   tables   attempts  pending  runs  dead_letters  counters  cursors  restore_gaps
//!   views    executions, open_runs (lists)   timeline -> ledger -> explain (one job)
//! ```

pub mod attempts;
pub mod counters;
pub mod cursors;
pub mod dead_letters;
pub mod executions;
pub mod explain;
pub mod ledger;
pub mod open_runs;
pub mod pending;
pub mod restore_gaps;
pub mod runs;
mod sql;
pub mod timeline;
