//! Jobs: created by the thousand or one by one, listed, changed, paused, run, deleted.
//!
//! ```text
//!   JobInput ─> validate::batch ─> definitions + rows ─> create ──────────────────────> the log
//!                     │
//!          validate::definition: one set of rules for new jobs and edits
//!                     │
//!   JobInput ─> validate::edit (the job as it is) ─> update ──────────────────────────> the log
//!                     └─ validate::merge: a patch as a merge patch
//!
//!   store ─> next_runs (the schedule at the moment of asking) ─> record ─> the caller
//! ```
//!
//! A job has exactly one schedule (`spec`, `at`, `after`) and one target (`callbackUrl`, `http`,
//! the settings of another kind under its name, `executorId`).

mod actions;
mod bulk;
mod create;
mod delete;
mod external_id;
pub mod input;
mod json_text;
pub(crate) mod misfire;
pub(in crate::app) mod next_runs;
pub mod preview;
mod read;
mod record;
mod references;
mod stream;
mod tasks;
mod update;
mod upsert;
mod validate;

pub use actions::ManualRun;
pub use bulk::{BulkInput, BulkResult, MOST_NAMED, bulk_filter, bulk_pause_end};
pub use create::CreatedJobs;
pub use external_id::JobName;
pub use json_text::JsonText;
pub use next_runs::Upcoming;
pub(in crate::app) use read::missing_job;
pub use record::JobRecord;
pub use stream::JobsLeft;
pub use tasks::{TaskRecord, missing_task};
pub use update::Edit;
pub use upsert::Upserted;
pub use validate::batch::{Batch, NewJobs};
pub use validate::edit::EditMode;
#[cfg(test)]
pub(crate) use validate::fixtures::rules as test_rules;
pub use validate::own_fields::{LONGEST_BY, LONGEST_TIME};
pub use validate::policy::check_label;
pub use validate::rules::Rules;
pub(crate) use validate::worker_fields::show_retry_on;

pub use crate::store::jobs::{Filter, Order};
