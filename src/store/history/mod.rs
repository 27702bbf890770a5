//! The history: what became of occurrences, and what is still to come. A file of queries for each
//! table, and five views over all of them. Apply writes, every module may read.
//!
//! ```text
//!   tables   attempts  pending  runs  dead_letters  counters  cursors  restore_gaps  audit
//!   views    executions, open_runs (lists)   timeline -> ledger -> explain (one job)
//!            ends (one occurrence)
//! ```

pub mod attempts;
pub mod audit;
pub mod counters;
pub mod cursors;
pub mod dead_letters;
pub mod ends;
pub mod executions;
pub mod explain;
pub mod ledger;
mod letter_targets;
mod open_parts;
mod open_run;
pub mod open_runs;
pub mod pending;
pub mod restore_gaps;
pub mod runs;
mod sql;
pub mod timeline;
