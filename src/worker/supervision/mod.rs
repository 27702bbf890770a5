//! The task around the supervisor: it brings the pure [`Supervisor`](super::supervisor::Supervisor)
//! what happens, and carries out what it asks for.
//!
//! ```text
//!   senders ─ Handover ──┐                      ┌── writer ───> own journal ──> leader is told
//!   gateways ─ Request ──┤                      ├── lookup ───> jobs, rows, BeginRun
//!   (Supervision)        ├──> task: one step ───┼── reader ───> offers, runs, loads
//!   change feed ─ reader ┤    after the other   ├── proposer ─> log: runs that are lost
//!   bus ─ hearer ────────┤                      ├── answers, hints, reports to the engine
//!   results of effects ──┘                      └── publisher ──> bus: offers, cancels
//! ```
//!
//! `handle` starts it beside the engine, on the runtime of the senders. Reads of the store are made
//! one after the other and delivered in the order of the change feed; entries are written in the
//! order in which they were asked for. Whatever waits is taken in before each tick. Nothing here
//! decides what becomes of a run.
//!
//! | file | what is in it |
//! |---|---|
//! | `handle` | [`Supervision`]: what gateways ask |
//! | `shared` | the supervisor behind its lock, as the engine and gateways see it |
//! | `shared_reads` | reads that claims share when many come together |
//! | `task` | the loop: one step after the other |
//! | `carry_out` | the way of an effect to whoever carries it out |
//! | `requests`, `answers`, `done` | questions under way, and the data that answers carry |
//! | `dispatches` | pieces of work whose members are not all journaled |
//! | `reader`, `news` | what the change feed names, and loads of shards |
//! | `lookup`, `prepare` | members of a claim as the store has them now; leave to begin |
//! | `writer`, `proposer` | entries of the own journal; proposals |
//! | `publishing` | runs that leave over a bus |
//! | `attaching`, `attachments`, `addresses`, `bus_queues` | whom a bus listens to |
//! | `hearing`, `reporting`, `open_reports`, `report_standing` | what workers at a broker say |
//! | `heard_beats` | their signs of life, on their way to the supervisor |
//! | `task_parts`, `bus_parts` | what the task is made of |

mod addresses;
mod answers;
mod attaching;
mod attachments;
mod bus_parts;
mod bus_queues;
mod carry_out;
mod dispatches;
mod done;
mod figures;
mod handle;
mod heard_beats;
mod hearing;
mod lookup;
mod news;
mod open_reports;
mod prepare;
mod proposer;
mod publishing;
mod reader;
mod report_standing;
mod reporting;
mod requests;
mod shared;
mod shared_reads;
mod task;
mod task_parts;
mod tick;
mod writer;

pub use handle::{NotRunning, Supervision};
pub(super) use requests::Inbox;
pub(super) use shared::SharedSupervisor;
pub(super) use task::Task;
pub(super) use task_parts::Parts;
