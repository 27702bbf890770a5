//! One SQLite file: how it is opened, written, read, copied, replaced and checked. It knows the
//! schema, and nothing of what the rows mean.
//!
//! ```text
//!   writer ─ tx ─ schema ──> state.db (WAL) <── pool ─ threads, limit
//!                               │    ^
//!                     snapshot, │    │ snapshot (install)
//!                       backup  v    │
//!                            a file that another node, or a restore, starts from
//! ```

mod backup;
mod error;
mod hash;
mod limit;
#[cfg(test)]
mod plan_tests;
mod pool;
mod reach_views;
#[cfg(test)]
mod read_tests;
mod schema;
mod schema_steps;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod threads;
mod tx;
mod writer;

pub use backup::{Label, is_hashed};
pub use error::Error;
pub use limit::{ReadEnd, ReadLimit};
pub use pool::ReadClass;
pub(in crate::store) use reach_views::hint;
pub use reach_views::in_force;
pub use snapshot::Staged;
pub use store::Store;
pub use tx::Tx;
pub use writer::Writer;

/// The file under `DataDir` that holds the replicated state.
pub const FILE: &str = "state.db";
