//! Scheduler0: a Raft-replicated cron cluster with embedded SQLite, in one binary.

pub mod api;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod config;
pub mod coordinator;
pub mod executor;
pub mod journal;
pub mod metrics;
pub mod model;
pub mod node;
pub mod peer;
pub mod raft;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod worker;
