//! `worker`: claims runs of queues from a cluster and runs a command for each. A client of the
//! HTTP API that runs on any machine; it needs no node beside it. Called by `cli::run`. It reads no
//! state of a node, and keeps nothing on disk.
//!
//! ```text
//!   claims ──a run──> perform ──> process (the command, in a process group of its own)
//!     │                 │  ▲
//!     ▼                 │  └── directives: stop it, it is gone, kill it
//!   HeldRuns ◄──────────┘           │
//!     ▲  ▲                          │
//!     │  └── self_fencing: no answered heartbeat in time ── heartbeats: one call for all runs
//!     └── reports: repeated until answered
//! ```
//!
//! A run is held from the answer to its claim until its end is answered. While it is held it has a
//! place, and heartbeats name it. The rule that no two workers perform one run is in
//! [`silence_deadline`]; when a command may begin, and which directive wins over which, is in
//! [`held`]. If the worker itself is killed, its [`keeper`] kills the commands.

mod assignment;
mod captured;
mod claims;
mod directive;
mod ending;
mod environment;
mod event_lines;
mod flags;
mod heartbeats;
mod held;
pub(super) mod keeper;
mod nodes;
mod perform;
mod process;
mod progress_line;
mod reports;
mod retry_pause;
mod self_fencing;
mod serve;
mod silence_deadline;
mod state;
mod stops;
#[cfg(test)]
mod tests;

pub(super) use flags::WorkerFlags;
pub(super) use serve::run;
