//! The replicated state: one SQLite file, the same on every node at the same log index.
//!
//! ```text
//!   raft::machine --- Writer::transaction ---> Tx --- command::apply ---> state.db (WAL)
//!   api, worker, coordinator --- Store::read ---> query-only readers, in classes
//!   raft::machine --- snapshot_to / replace_with ---> a file that another node can start from
//! ```
//!
//! The writer commits one transaction for a chunk of log entries, with `last_applied` in the same
//! transaction (*position inside*). After a crash the state is that of some log index, whole,
//! and the log, which is fsynced, is applied again from there. That is why `synchronous=NORMAL` is
//! enough here.
//!
//! Four sub-modules, each of which uses only those above it:
//!
//! | module | what is in it |
//! |---|---|
//! | `cache` | values that the writer keeps in memory during transactions |
//! | `db` | the file: schema, writer, readers, snapshots, backups, hash |
//! | `catalog` | what users and nodes define: projects, jobs, executors, credentials, nodes ... |
//! | `history` | what became of occurrences: attempts, retries, runs, dead letters, and "why?" |
//!
//! Each noun has a file of queries. A function that takes a `&Connection` reads, and every module
//! may call it; a function that takes a [`Tx`] writes, and only `command::apply` may call it. The
//! store knows how things are kept, and never decides what may be done: rules live in
//! `command::apply`. It never reads a clock. `DESIGN.md` names the invariants.

mod cache;
mod catalog;
mod db;
mod history;
mod page;
mod row;

pub use cache::empty_tables;
pub use catalog::{
    accounts, credentials, definitions, ended_sessions, executors, idempotency, jobs, meta, nodes,
    plans, projects, shards, staged, tasks, template_jobs, templates,
};
pub use db::{
    Error, FILE, Label, ReadClass, ReadEnd, ReadLimit, Staged, Store, Tx, Writer, in_force,
    is_hashed,
};
pub use history::{
    attempts, audit, counters, cursors, dead_letters, ends, executions, explain, ledger, open_runs,
    pending, restore_gaps, runs, timeline,
};
pub use page::{After, Page, Walked};
