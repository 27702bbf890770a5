//! The settings of targets whose kind reads them itself, as requests give them and as answers show
//! them: names in either casing, patches, and the kind's own check. Jobs and executors call it. No
//! kind is known here.
//!
//! ```text
//!   request ── names ──> read [merge with Executor::show] ──> Executor::validate ──> model
//!   answer  <── shown <── kinds: Executor::show <──────────────────────────────────────┘
//! ```

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod kinds;
pub(crate) mod merge;
pub(crate) mod names;
pub(crate) mod read;
pub(crate) mod shown;
