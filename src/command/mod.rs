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
mod change_events;
#[cfg(test)]
mod change_events_tests;
mod codec;
#[cfg(test)]
mod codec_origin_tests;
#[cfg(test)]
mod codec_tests;
mod commands;
mod level;
mod minute_counts;
mod names;
mod outcome;
mod payload;
mod proposal;
mod version2;

pub use apply::{Reopened, RestorePolicy, anchor_after, apply, reopen};
pub use change_events::ChangeEvents;
pub use codec::{ACTOR_LEVEL, Error, ORIGIN_LEVEL, VERSION};
pub use commands::Command;
pub use level::{LEVEL, REACH_LEVEL, SCHEMA_LEVEL};
pub use minute_counts::{COUNTED_FOR, MinuteCounts, NO_PROJECT};
pub use outcome::{Change, Outcome, Rejection, RejectionKind, Reported, Reshaped};
pub use payload::{
    CreateJobs, DefinitionEdit, JobAction, JobEdit, NewJob, NewProject, ProjectAction, ProjectEdit,
    ReshapeJobs,
};
pub use proposal::Proposal;
