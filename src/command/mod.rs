//! The only vocabulary of replicated change: what a log entry may say, what comes of it, and the
//! rules by which it changes the state.
//!
//! ```text
//!   cluster ── encode ──> log entry ── decode ──> raft::machine ── apply ──> Outcome, Change
//! ```
//!
//! `cluster` encodes and proposes commands, each with the actor that asked for it; `raft::machine`
//! decodes them and applies a chunk of them in one transaction. Below `apply` there is no clock, no
//! random number, no environment and no map order: whatever could differ between nodes (ids from
//! outside, stamps, random bytes) comes in with the command (*determinism*).

mod apply;
mod codec;
#[cfg(test)]
mod codec_tests;
mod commands;
mod level;
mod outcome;
mod payload;
mod proposal;
mod version2;

pub use apply::{Reopened, RestorePolicy, apply, reopen};
pub use codec::{ACTOR_LEVEL, Error, VERSION};
pub use commands::Command;
pub use level::{LEVEL, SCHEMA_LEVEL};
pub use outcome::{Change, Outcome, Rejection, RejectionKind, Reported};
pub use payload::{CreateJobs, JobAction, JobEdit, NewJob, NewProject, ProjectAction, ProjectEdit};
pub use proposal::Proposal;
