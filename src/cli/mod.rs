//! The command line: data on stdout (tables for people, JSON for programs), talk on stderr, and an
//! exit code that says what went wrong (see [`Failure::code`]).
//!
//! ```text
//!   run ── clap ──> Command ──> init, credential, reset, restore, recover  (files of this node)
//!                      │
//!                      ├──────> create, list, accounts, audit, runs ... ────> client ─HTTP─> node
//!                      ├──────> login, logout ──HTTP──> a provider   (the user's session file)
//!                      ├──────> start, dev ──> crate::node        (runs a node in this process)
//!                      ├──────> worker ──HTTP──> a node           (runs a command for each run)
//!                      └──────> next                              (needs no node)
//! ```
//!
//! Called by `main` alone. A command changes a node's data through the API only, with three
//! exceptions: `reset raft` and `cluster recover`, which ask first, and `restore`, which wants an
//! empty folder.

mod accounts;
mod ask;
mod audit;
mod backup;
mod bench;
mod browser;
mod client;
mod client_login;
mod cluster;
mod columns;
mod commands;
mod create;
mod credential;
pub mod dev;
mod explain;
mod failure;
mod global;
mod hardening;
mod http_cause;
mod identity;
mod init;
mod job_edits;
mod jobs;
mod list;
mod login;
mod next;
mod output;
mod probe;
mod recover;
mod remove;
mod reset;
mod run;
mod runs;
mod signals;
pub mod start;
mod status;
mod templates;
mod ui;
mod unlock;
mod visible;
mod whoami;
mod worker;
mod workers;

pub use commands::{Cli, Command};
pub use failure::Failure;
pub use global::Global;
pub use run::{main, run};

#[cfg(test)]
mod tests;
