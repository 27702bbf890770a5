//! The worker: fires the jobs that are due in the shards of this node, and records the results.
//!
//! ```text
//!      change feed                              journal ──> collector (leader)
//!           │                                        ▲
//!  ┌────────▼────────────────────────────────────────┴─────┐
//!  │ engine: ties them together                            │
//!  │ reads the store, gives out what is due, states the    │
//!  │ watermark, writes results to the journal              │
//!  └───┬─────────────────────┬───────────────────────▲─────┘
//!      │ what is due?        │ send it               │ results
//!  ┌───▼──────────────┐  ┌───▼───────────────────────┴─────┐
//!  │ queue: what      │  │ send: do it                     │
//!  │ groups of jobs   │  │ reads the jobs as they are now, │
//!  │ by due instant   │  │ builds requests, makes calls    │
//!  └──────────────────┘  └───┬────────────────────┬────────┘
//!                            │                    │ a queue of workers
//!                            │     ┌──────────────▼────────┐
//!                            │     │ supervision: who has  │<── claims, heartbeats
//!                            │     │ it, who is silent     │
//!                            │     └──────────────┬────────┘
//!                            │ before the first   │ before each claim is
//!                            │ byte of a request  │ journaled and answered
//!                        ┌───▼────────────────────▼────────┐
//!                        │ lease: may I                    │
//!                        │ the lease, promises, watermarks │
//!                        └─────────────────────────────────┘
//! ```
//!
//! The node starts one [`Worker`] with its [`Deps`]. The worker reads the replicated state, and its
//! results reach that state through the journal, which the leader's collector reads. The worker
//! itself proposes two commands only: `BeginRun`, before it sends or hands out what must not
//! overlap with other runs of its job, and `ReportRuns`, for runs whose worker is silent. Gateways
//! ask its [`Supervision`] for runs. All work is level-triggered: after a lost notification, a
//! failed task or a new lease the engine looks at the state as it is.
//!
//! The protocol that an owner of shards follows, with its named rules, is in `DESIGN.md` beside
//! this file.

mod deps;
pub mod engine;
mod handle;
pub mod lease;
mod ports;
pub mod queue;
mod send;
mod supervision;
mod supervisor;
#[cfg(test)]
mod tests;

pub use deps::{AskOwners, Deps, Elsewhere, Options};
pub use engine::WorkerStatus;
pub use handle::Worker;
pub use lease::LeaseGuard;
pub use ports::{Dispatcher, Lease, StateStore};
pub use send::PoisonRegister;
pub use supervision::{NotRunning, Supervision};

pub use crate::model::delivery::MISFIRE_GRACE;
