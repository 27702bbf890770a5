//! The nouns that users and nodes define: a file of queries for each. Apply writes, every module
//! may read.
//!
//! A job is a small row; what many jobs have in common is their *definition*, which is stored once
//! and counted. A job's present plan is in its own row, its former plans are in `plans`.

pub mod accounts;
pub mod credentials;
pub mod definitions;
pub mod ended_sessions;
pub mod executors;
pub mod idempotency;
pub mod jobs;
pub mod meta;
pub mod nodes;
pub mod plans;
pub mod projects;
pub mod shards;
pub mod staged;
pub mod tasks;
pub mod template_jobs;
pub mod templates;
