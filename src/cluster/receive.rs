//! Receiving a snapshot: its bytes are written to a file, checked, and staged beside the state
//! before Raft hears of it. `rpc` calls it for each snapshot that a leader sends. It installs
//! nothing.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use axum::body::Bytes;
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::wire::SnapshotHead;
use crate::disk;
use crate::raft::machine;
use crate::raft::snapshot::SnapshotFile;
use crate::store::Store;

/// The longest head of a snapshot, in bytes: two ids and the members.
const MAX_HEAD: usize = 1 << 20;

/// The reason why a snapshot was not received.
pub(super) enum Unreceived {
    /// This node lacks disk or descriptors.
    Lacking(String),
    /// The snapshot is not whole, or not the announced one.
    Unusable(String),
}

impl From<io::Error> for Unreceived {
    fn from(error: io::Error) -> Self {
        let lacking = disk::may_pass(&error);
        if lacking { Self::Lacking(error.to_string()) } else { Self::Unusable(error.to_string()) }
    }
}

/// Writes the pieces to a file, checks it, and stages it; an incomplete file is removed.
pub(super) fn receive(
    path: PathBuf,
    turn: OwnedMutexGuard<()>,
    mut queue: mpsc::Receiver<Bytes>,
    store: &Store,
) -> Result<(SnapshotHead, SnapshotFile), Unreceived> {
    let mut file = disk::create_new(&path)?;
    // From here on the file is removed when `snapshot` is dropped.
    let mut snapshot = SnapshotFile::received(path, turn)?;
    let unusable = |why: &str| Unreceived::Unusable(why.to_owned());
    let mut waiting = Vec::new();
    let mut head: Option<SnapshotHead> = None;
    let mut crc = crc32fast::Hasher::new();
    let mut left = 0;
    while let Some(piece) = queue.blocking_recv() {
        waiting.extend_from_slice(&piece);
        if head.is_none() {
            head = take_head(&mut waiting)?;
            left = head.as_ref().map_or(0, |h| h.length);
            room_for(&file, left)?;
        }
        if head.is_some() {
            let now = (waiting.len() as u64).min(left) as usize;
            file.write_all(&waiting[..now])?;
            crc.update(&waiting[..now]);
            waiting.drain(..now);
            left -= now as u64;
        }
        if waiting.len() > MAX_HEAD {
            return Err(unusable("more bytes than announced"));
        }
    }
    let head = head.ok_or_else(|| unusable("it ended before its head"))?;
    if left > 0 || waiting != crc.finalize().to_le_bytes() {
        return Err(unusable("it is cut off or damaged"));
    }
    file.sync_all()?;
    let staged = store.stage(snapshot.path()).map_err(|e| {
        let text = e.to_string();
        if e.may_pass() { Unreceived::Lacking(text) } else { Unreceived::Unusable(text) }
    })?;
    if machine::covered_by(&staged)? != head.meta.last_log_id {
        return Err(unusable("it covers another part of the log than announced"));
    }
    snapshot.stage(staged);
    Ok((head, snapshot))
}

/// Looks whether the disk has room for a snapshot and its copy before it is received.
fn room_for(file: &File, length: u64) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(file)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < length.saturating_mul(2) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

fn take_head(waiting: &mut Vec<u8>) -> io::Result<Option<SnapshotHead>> {
    let Some(length) = waiting.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_HEAD {
        return Err(io::Error::other("its head is too long"));
    }
    let Some(bytes) = waiting.get(4..4 + length) else { return Ok(None) };
    let head = postcard::from_bytes(bytes).map_err(io::Error::other)?;
    waiting.drain(..4 + length);
    Ok(Some(head))
}
