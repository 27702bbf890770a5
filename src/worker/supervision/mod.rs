//! The task around the supervisor, as gateways see it: [`Supervision`] takes their questions, and
//! [`Core`](self::core) keeps the pure [`Supervisor`](super::supervisor::Supervisor) that answers
//! them behind a lock. Nothing here decides what becomes of a run.

mod core;
mod handle;
mod requests;

pub use handle::{NotRunning, Supervision};
