//! The reports of the engine's own tasks. Readers and the journal's writer send them; the head of
//! the engine takes them in.

use super::load::Loaded;
use super::reads::ReadDone;
use super::results::Results;
use crate::model::shard::OwnershipKey;

/// A report of a task that the engine started.
pub(in crate::worker) enum Event {
    /// A read of the store is done.
    Read(ReadDone),
    /// A range is loaded. The number is the generation of that load.
    Loaded(OwnershipKey, u64, Result<Loaded, String>),
    /// A write to the journal is done.
    Appended(Results, Result<(), String>),
}
