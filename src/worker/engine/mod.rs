//! The engine: one task that owns the due queue, the tracker and the pending rows, and decides what
//! goes out when.
//!
//! ```text
//!   change feed ─> changes ─> loading ─> due queue, pending rows ─> dispatch ─> senders
//!                                  ▲            ▲                                  │
//!                                  │            └───────── send_events <───────────┘
//!   store <── collector <── journal <── record <── results <───────┘
//!                                         └── tracker: watermarks
//! ```
//!
//! What takes long (reading, writing bodies, calling, syncing) happens in tasks that report back.
//! The engine itself only moves things between its parts and never waits for a disk or a network.

mod changes;
mod dispatch;
mod event;
mod journal_read;
mod load;
mod loading;
mod pending;
mod reads;
mod record;
mod results;
mod run;
mod send_events;
mod state;
mod status;
mod tracker;

pub(super) use journal_read::read_unforgotten;
pub(super) use pending::PendingRows;
pub(super) use state::Engine;
pub(super) use status::Status;
pub use status::WorkerStatus;
pub use tracker::Tracker;
