//! Edits of many jobs at once: those that a filter finds, all by one patch.
//!
//! ```text
//!   filter ─> walk ─> plan (each definition once, by the rules of a patch) ─> tally, samples
//!                       └─> batches (ReshapeJobs) ─> the log ─> apply: an edit of each job
//! ```
//!
//! A request looks at all jobs first. Where one of them is refused the edit, nothing is written.
//! Then they are walked through once more and written. Jobs that others change in between are
//! looked at again.

mod batches;
mod input;
mod plan;
mod result;
mod run;
#[cfg(test)]
mod same_tests;
mod samples;
mod tally;
mod walk;

pub use input::BulkEditInput;
pub use result::{BulkEdit, BulkEditResult, EditProblem, EditSample};
