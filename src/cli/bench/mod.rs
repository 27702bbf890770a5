//! `bench`: a workload against a cluster of real processes, with a receiver and an oracle.
//! With `--amqp` the jobs publish to a queue of a broker, and `inbox` is the receiver. With
//! `--workers` worker processes claim runs and report on them, beside a bare server.
//!
//! ```text
//!   load ──jobs──> cluster (starts processes, or --target) ──callbacks──> receiver ──> oracle
//!                                                                            ^            │
//!   baseline: plain SQLite, a bare client ──the same bodies──────────────────┘            │
//!                                   report <── missed, early, doubled occurrences; lag ───┘
//! ```
//!
//! Called by `cli` with the flags. It never touches a node or a folder that it has not made, except
//! through the API of `--target`.

mod alternation;
mod attacker;
mod bare_publisher;
mod baseline;
mod beside;
mod broker;
mod cluster;
mod connection;
mod flags;
mod histogram;
mod inbox;
mod judge;
mod load;
mod memory;
mod messages;
mod oracle;
mod order;
mod progress;
mod receiver;
mod report;
mod run;
mod worker_calls;
mod worker_limit;
mod worker_report;
mod workers;

use std::time::Duration;

pub(super) use flags::Bench;
pub(super) use run::run;

/// Time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
