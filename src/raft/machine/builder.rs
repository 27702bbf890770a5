//! Building a snapshot of what is applied: openraft asks for it, on a thread for blocking work. It
//! never touches the writer: applying goes on meanwhile.

use std::io;
use std::sync::Arc;

use openraft::RaftSnapshotBuilder;

use super::applied::decode_applied;
use crate::disk::{self, spare};
use crate::raft::snapshot::{Snapshot, SnapshotFile, Snapshots};
use crate::raft::types::{SnapshotMeta, TypeConfig};
use crate::store::{self, Store};

/// The descriptors that a snapshot takes while it is built.
const DESCRIPTORS: usize = 8;

/// Makes a snapshot of what is applied when it runs. One that lacks disk or descriptors is noted,
/// and openraft hears of the snapshot before instead: an error would end the node.
pub struct Builder {
    store: Store,
    snapshots: Arc<Snapshots>,
    must: bool,
}

impl Builder {
    pub(super) fn new(store: Store, snapshots: Arc<Snapshots>, must: bool) -> Self {
        Self { store, snapshots, must }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (store, snapshots) = (self.store.clone(), self.snapshots.clone());
        let built = tokio::task::spawn_blocking(move || build(&store, &snapshots)).await;
        match built.map_err(io::Error::other)? {
            Ok(snapshot) => {
                self.snapshots.failures().worked();
                Ok(snapshot)
            }
            Err(Unbuilt::Passing(error)) if !self.must => Ok(self.snapshots.failed(&error)),
            Err(Unbuilt::Passing(error) | Unbuilt::Fatal(error)) => Err(error),
        }
    }
}

/// The reason why a snapshot was not built.
pub(super) enum Unbuilt {
    /// Disk, descriptors or memory are lacking.
    Passing(io::Error),
    /// The stored state cannot be read.
    Fatal(io::Error),
}

pub(super) fn build(store: &Store, snapshots: &Snapshots) -> Result<Snapshot, Unbuilt> {
    // Two databases, a file and a folder.
    spare::lend(DESCRIPTORS);
    let path = snapshots.fresh_path();
    let written = loop {
        match store.snapshot_to(&path) {
            // An install ended it, and does not wait for it. The next try is of what was installed.
            Err(store::Error::Ended(_)) => {}
            written => break written,
        }
    };
    let position = written.map_err(|error| {
        let passes = error.may_pass();
        let error = io::Error::other(error);
        if passes { Unbuilt::Passing(error) } else { Unbuilt::Fatal(error) }
    })?;
    let position = decode_applied(Some(position)).map_err(Unbuilt::Fatal)?;
    let meta = SnapshotMeta { last_log_id: position.last, last_membership: position.membership };
    let published = snapshots.publish(&meta, &path);
    if published.is_err() {
        // The next try makes another one.
        let _ = disk::remove_if_there(&path);
    }
    published.map_err(Unbuilt::Passing)
}
