//! The Raft log on disk: append-only segments, written and synced by one thread.
//!
//! openraft's core appends here and reads for replication and apply; nobody else does. An append is
//! readable at once and acknowledged when it is synced. Vote, truncation and purge are durable
//! before they return.
//!
//! ```text
//!  core --append--> index (cache, places) --queue--> thread: write, one fdatasync --> callbacks
//!  reader <--------- cache, or a segment
//! ```

mod index;
mod load;
mod segment;
mod store;
mod thread;

#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod tests;

pub use self::store::{Joiner, LogStore, LogView, dir_under};
pub use self::thread::Counters;
