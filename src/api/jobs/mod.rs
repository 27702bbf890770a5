//! The API of jobs: created by the thousand or one by one, listed, changed, paused, run, deleted.
//!
//! ```text
//!   POST body ─> input ─> validate::batch ─> definitions + rows ─> submission ────────> the log
//!                              │
//!                   validate::definition: one set of rules for new jobs and edits
//!                              │
//!   PUT, PATCH ─> input ─> validate::edit (the job as it is) ─> edit ─────────────────> the log
//!                              └─ validate::merge: PATCH as a merge patch
//!
//!   store ─> app::jobs::next_runs (the schedule as of now) ─> view ─> respond
//! ```
//!
//! A job has exactly one schedule (`spec`, `at`, `after`) and one target (`callbackUrl`, `http`,
//! `executorId`). The published clients may send `callbackUrl` and `executorId`: the executor
//! counts only where the URL is empty.

pub(crate) mod actions;
pub(crate) mod bulk;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod edit;
pub(crate) mod external_id;
pub(crate) mod get;
pub(crate) mod input;
pub(crate) mod list;
pub(crate) mod preview;
pub(crate) mod references;
pub(crate) mod routes;
pub(crate) mod stream;
pub(crate) mod submission;
pub(crate) mod validate;
pub(crate) mod view;
