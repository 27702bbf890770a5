//! The checks of jobs in requests: a valid job becomes the definition and the row that the store
//! holds.
//!
//! ```text
//!   JobInput ─> batch (new jobs) ─┬─> definition ─> timing, target, policy     shared by many jobs
//!               edit  (one job)  ─┘─> instants, own_fields, payload            each job's own
//! ```
//!
//! All of it is pure but `executors`, which looks up the executors that a request names.

pub(crate) mod batch;
pub(crate) mod definition;
pub(crate) mod edit;
pub(crate) mod executors;
#[cfg(test)]
mod fixtures;
pub(crate) mod instants;
pub(crate) mod merge;
pub(crate) mod own_fields;
pub(crate) mod payload;
pub(crate) mod policy;
pub(crate) mod refusals;
pub(crate) mod rules;
pub(crate) mod seen;
pub(crate) mod target;
pub(crate) mod timing;
