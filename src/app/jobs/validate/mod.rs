//! The checks of jobs in requests: a valid job becomes the definition and the row that the store
//! holds.
//!
//! ```text
//!   JobInput ─> batch (new jobs) ─┬─> definition ─> timing, target, policy     shared by many jobs
//!               edit  (one job)  ─┘─> instants, own_fields, payload            each job's own
//! ```
//!
//! All of it is pure but `executors`, which looks up the executors that a request names, and
//! `features`, which looks up what the accounts of its projects may use.

pub(super) mod batch;
pub(super) mod definition;
pub(super) mod edit;
pub(super) mod executors;
pub(super) mod features;
#[cfg(test)]
pub(super) mod fixtures;
pub(super) mod instants;
pub(super) mod merge;
pub(super) mod own_fields;
pub(super) mod payload;
pub(super) mod policy;
pub(super) mod project_targets;
pub(super) mod refusals;
pub(super) mod rules;
pub(super) mod seen;
pub(super) mod target;
pub(super) mod template_terms;
pub(super) mod timing;
pub(super) mod worker_fields;
