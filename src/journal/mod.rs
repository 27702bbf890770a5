//! The journal of this node: results and watermarks that the cluster does not have yet, durable on
//! this disk until they are in the replicated log.
//!
//! The worker appends. The collector of the leader reads the entries that are on disk, and when
//! they are committed, lets the journal forget them. Nothing here interprets an entry, and no entry
//! is kept for longer: the replicated log is the acknowledgement.
//!
//! ```text
//!   append --+                +-> window in memory --+
//!   append --+-> one thread --+                      +-> read(after) -> collector -> log
//!   append --+   write, fsync +-> segment files -----+                               |
//!                                  ^ deleted whole <----------- forget(upto) <-------+
//! ```
//!
//! * [`handle`]: the handle that callers hold.
//! * [`segment`]: the form of the files, and the difference between a torn tail and damage.
//! * [`index`]: the positions of records, and the newest entries, in memory.
//! * [`writer`]: the one thread that writes; appends that come while it syncs share the next sync.
//!
//! The sequence begins at 1 with the *incarnation* of the journal, a random number made with it. So
//! a folder that was wiped shows as a new incarnation and cannot be mistaken for the old journal.

mod error;
mod handle;
mod index;
mod options;
#[cfg(test)]
mod power_loss;
mod segment;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use error::Error;
pub use handle::Journal;
pub use options::Options;
pub use state::{Page, State};
