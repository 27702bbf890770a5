//! The part of a journal that its handles and the writing thread share.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::index::SegmentIndex;
use super::options::Options;

/// The shared part. Its lock is never held during an operation on the disk.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) index: Mutex<SegmentIndex>,
    /// The last sequence number on disk.
    pub(super) synced: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn index(&self) -> MutexGuard<'_, SegmentIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
