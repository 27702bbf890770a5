//! The nouns: projects, jobs, credentials, shards, execution records, with their serde forms and the
//! rules that need nothing but themselves.
//!
//! Everybody above uses them (store, coordinator, worker, api, cli). Nothing here does I/O, reads a
//! clock or draws a random number, so that `command::apply` may call any of it.

pub mod attempt;
pub mod credential;
pub mod delivery;
pub mod job;
pub mod lease;
pub mod members;
pub mod postponement;
pub mod process;
pub mod project;
pub mod run;
pub mod shard;
pub mod target;
pub mod task;
pub mod text;
pub mod time;

pub use time::Millis;

/// A node's number, as configured by `NodeId`; unique in the cluster, 1 or more.
pub type NodeId = u64;
/// A project's number, from 1, never reused.
pub type ProjectId = u64;
/// A job's number, from 1, never reused.
pub type JobId = u64;
