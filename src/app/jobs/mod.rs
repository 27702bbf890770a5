//! Jobs: created by the thousand or one by one, listed, changed, paused, run, deleted.
//!
//! ```text
//!   JobInput ─> validate::batch ─> definitions + rows ─> create ──────────────────────> the log
//!                     │
//!          validate::definition: one set of rules for new jobs and edits
//!                     │
//!   JobInput ─> validate::edit (the job as it is) ─> update ──────────────────────────> the log
//!                     │                           └─> bulk_edit, once a definition ───> the log
//!                     └─ validate::merge: a patch as a merge patch
//!
//!   JobInput ─> copy (another job, through validate::edit) ─> create
//!
//!   store ─> next_runs (the schedule at the moment of asking) ─> record ─> the caller
//! ```
//!
//! A job has exactly one schedule (`spec`, `at`, `after`) and one target (`callbackUrl`, `http`,
//! the settings of another kind under its name, `executorId`).

mod actions;
mod bulk;
mod bulk_edit;
mod copy;
mod create;
mod delete;
mod external_id;
pub mod input;
mod instance;
mod json_text;
mod labels;
pub(crate) mod misfire;
pub(in crate::app) mod next_runs;
pub mod preview;
mod read;
mod record;
mod references;
mod stream;
mod tasks;
mod terminate;
mod update;
mod upsert;
mod validate;

pub use actions::ManualRun;
pub use bulk::{BulkInput, BulkResult, MOST_NAMED, bulk_filter, bulk_pause_end};
pub use bulk_edit::{BulkEdit, BulkEditInput, BulkEditResult, EditProblem, EditSample};
pub use create::CreatedJobs;
pub use external_id::JobName;
pub use json_text::JsonText;
pub(in crate::app) use labels::Labels;
pub use labels::{JobLabel, MOST_LABELLED};
pub use next_runs::Upcoming;
pub(in crate::app) use read::missing_job;
pub(in crate::app) use record::Records;
pub use record::{JobRecord, TemplateLink};
pub use stream::JobsLeft;
pub use tasks::{TaskRecord, missing_task};
pub use terminate::LONGEST_REASON;
pub use update::Edit;
pub use upsert::Upserted;
pub use validate::batch::{Batch, NewJobs};
pub use validate::edit::EditMode;
#[cfg(test)]
pub(crate) use validate::fixtures::rules as test_rules;
pub use validate::own_fields::{LONGEST_BY, LONGEST_TIME};
pub use validate::policy::{check_label, check_label_count};
pub use validate::rules::Rules;
pub use validate::template_terms::TemplateTerms;
pub(in crate::app) use validate::template_terms::add_labels;
pub(crate) use validate::worker_fields::show_retry_on;

pub use crate::store::jobs::{Filter, MAX_COUNTED, Order};
