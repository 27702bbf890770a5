//! The nouns: projects, jobs, credentials, shards, attempt records, with their serde forms and
//! their pure rules.
//!
//! All other modules use them. Nothing here does I/O, reads a clock or draws a random number, so
//! that `command::apply` may call any of it.

pub mod account;
pub mod actor;
pub mod attempt;
pub mod audit;
pub mod audit_chain;
pub mod call_target;
pub mod claim;
pub mod credential;
pub mod delivery;
pub mod event;
pub mod event_counts;
pub mod execution_id;
pub mod feature;
pub mod job;
mod job_needs;
pub mod job_set;
pub mod key_terms;
pub mod lease;
pub mod members;
pub mod network;
pub mod offer;
mod offer_record;
pub mod on_offer;
pub mod postponement;
pub mod process;
pub mod project;
pub mod reach;
pub mod result_code;
pub mod run;
pub mod run_id;
pub mod run_report;
pub mod run_terms;
pub mod scope;
pub mod scope_words;
pub mod shard;
pub mod target;
pub mod target_pattern;
pub mod target_text;
pub mod task;
pub mod template;
pub mod template_ref;
pub mod text;
pub mod time;

pub use time::Millis;

/// A node's number, as configured by `NodeId`; unique in the cluster, 1 or more.
pub type NodeId = u64;
/// An account's number, from 1, never reused.
pub type AccountId = u64;
/// The account that owned everything before there were others.
pub const FIRST_ACCOUNT: AccountId = 1;
/// A project's number, from 1, never reused.
pub type ProjectId = u64;
/// A job's number, from 1, never reused.
pub type JobId = u64;
