//! Snapshots as files: one current one under `DataDir/snapshots`, and what it covers beside it.
//!
//! `machine` builds and installs them, `cluster` sends them. Nothing here looks inside. The current
//! one is held open: it can be sent also where the process has no descriptors left. A
//! snapshot that cannot be written is noted in [`Failures`], and the one before stays the current
//! one.
//!
//! Frozen: what is in `current`, and the applied position that `machine` writes into the state, are
//! read back from kept files by `tests/it/formats.rs`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::failures::Failures;
use super::installing::Installing;
use super::types::{SnapshotMeta, TypeConfig};
use crate::disk;
use crate::store::Staged;

/// The file that names the current snapshot and says what it covers.
const CURRENT: &str = "current";

/// A snapshot: what it covers, and its file.
pub type Snapshot = openraft::alias::SnapshotOf<TypeConfig, SnapshotFile>;

/// A snapshot on the disk, open for reading. One that was received is removed when dropped, unless
/// it was installed.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    file: Option<Arc<File>>,
    temporary: bool,
    /// A copy beside the state, checked, that only has to be put in its place.
    staged: Option<Staged>,
    /// The turn to receive: only one snapshot is received at a time, until this is dropped.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl SnapshotFile {
    /// A received file, which is complete once [`SnapshotFile::stage`] was called.
    pub fn received(path: PathBuf, turn: OwnedMutexGuard<()>) -> io::Result<Self> {
        let file = Some(Arc::new(disk::open_to_read(&path)?));
        Ok(Self { path, file, temporary: true, staged: None, _turn: Some(turn) })
    }

    /// Adds the copy that takes the place of the state.
    pub fn stage(&mut self, staged: Staged) {
        self.staged = Some(staged);
    }

    /// The copy that takes the place of the state, if it was made before.
    pub fn staged(&self) -> Option<&Staged> {
        self.staged.as_ref()
    }

    /// The absence of a snapshot, for an answer that has to have one; nobody reads it.
    fn none() -> Self {
        Self { path: PathBuf::new(), file: None, temporary: false, staged: None, _turn: None }
    }

    /// The path of the file. A current one may be replaced (and removed) at any time: read from
    /// `file`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file. It stays this snapshot even when a newer one takes its place.
    pub fn file(&self) -> io::Result<&Arc<File>> {
        self.file.as_ref().ok_or_else(|| io::Error::other("there is no snapshot yet"))
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        if self.temporary {
            // An installed file was renamed: then nothing has this name any more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Current {
    name: String,
    meta: SnapshotMeta,
}

/// The current snapshot, and its file, open.
#[derive(Debug)]
struct Open {
    current: Current,
    file: Arc<File>,
}

/// The folder of snapshots.
#[derive(Debug)]
pub struct Snapshots {
    dir: PathBuf,
    current: Mutex<Option<Open>>,
    /// One that the disk may name, or will not after a power cut, since the last step of naming it
    /// failed. It and the current one stay until the next [`Snapshots::publish`] has named it
    /// again. Locked only while `current` is locked.
    undecided: Mutex<Option<Open>>,
    serial: AtomicU64,
    failures: Failures,
    installing: Installing,
}

impl Snapshots {
    /// Opens the folder under `DataDir` and removes what a crash left half done.
    pub fn open(data: &Path) -> io::Result<Self> {
        let dir = data.join("snapshots");
        disk::create_dir(&dir)?;
        let current: Option<Current> = match disk::read_checked(&dir.join(CURRENT))? {
            Some(body) => Some(postcard::from_bytes(&body).map_err(io::Error::other)?),
            None => None,
        };
        // The name is written after the file: without it there is no snapshot.
        let open = match current.filter(|c| dir.join(&c.name).exists()) {
            Some(current) => {
                let file = Arc::new(disk::open_to_read(&dir.join(&current.name))?);
                Some(Open { current, file })
            }
            None => None,
        };
        let (current, undecided) = (Mutex::new(open), Mutex::new(None));
        let (serial, failures) = (AtomicU64::new(0), Failures::default());
        let installing = Installing::default();
        let snapshots = Self { dir, current, undecided, serial, failures, installing };
        // The name of the current one may not be durable yet, if its maker was killed: what would
        // be named otherwise is removed only after that.
        disk::sync_dir(&snapshots.dir)?;
        snapshots.sweep()?;
        Ok(snapshots)
    }

    /// The failures of snapshots since the start.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// The install that is under way.
    pub fn installing(&self) -> &Installing {
        &self.installing
    }

    fn sweep(&self) -> io::Result<()> {
        let keep = self.lock().as_ref().map(|open| open.current.name.clone());
        for file in fs::read_dir(&self.dir)? {
            let file = file?;
            let name = file.file_name();
            if name != CURRENT && name.to_str() != keep.as_deref() {
                disk::remove(&file.path())?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that no file has yet, for one being built or received.
    pub fn fresh_path(&self) -> PathBuf {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("part-{}-{serial}", std::process::id()))
    }

    /// Makes a finished, synced file the current snapshot, unless the current one is newer; gives
    /// the current one. After an error the current one is as before; the file has its old name, or
    /// is kept as one that the disk may name already, and the next call makes that the current one
    /// first.
    pub fn publish(&self, meta: &SnapshotMeta, path: &Path) -> io::Result<Snapshot> {
        let mut current = self.lock();
        self.decide(&mut current)?;
        let newest = current.as_ref().and_then(|open| open.current.meta.last_log_id);
        if current.is_some() && newest > meta.last_log_id {
            disk::remove(path)?;
        } else {
            let (term, index) = meta.last_log_id.map_or((0, 0), |id| (id.leader_id.term, id.index));
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let id = std::process::id();
            let name = format!("state-{term}-{index}-{id}-{serial}.db");
            let file = Arc::new(disk::open_to_read(path)?);
            let new = Current { name, meta: meta.clone() };
            let named = self.dir.join(&new.name);
            disk::rename(path, &named)?;
            if let Err(error) = self.prepare(&new) {
                // The file gets its old name back: else each try would leave a file behind. What
                // cannot be renamed is swept at the next start.
                let _ = disk::rename(&named, path);
                return Err(error);
            }
            *self.undecided() = Some(Open { current: new, file });
            self.name(&mut current)?;
        }
        self.snapshot_of(current.as_ref()).ok_or_else(|| io::Error::other("no snapshot"))
    }

    fn undecided(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.undecided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a file's name durable, then writes down, beside the name of the current snapshot, what
    /// will take its place.
    fn prepare(&self, new: &Current) -> io::Result<()> {
        disk::sync_dir(&self.dir)?;
        let body = postcard::to_allocvec(new).map_err(io::Error::other)?;
        disk::prepare(&self.dir.join(CURRENT), &body)
    }

    /// Makes the undecided one, whose name is prepared, the current snapshot. After an error the
    /// disk names the one or the other, so that neither file may go.
    fn name(&self, current: &mut Option<Open>) -> io::Result<()> {
        disk::replace_prepared(&self.dir.join(CURRENT))?;
        if let Some(new) = self.undecided().take()
            && let Some(old) = current.replace(new)
        {
            // A file that cannot be removed now is swept at the next start.
            let _ = disk::remove(&self.dir.join(old.current.name));
        }
        Ok(())
    }

    /// Names the undecided one again, if there is one: so there is never a second.
    fn decide(&self, current: &mut Option<Open>) -> io::Result<()> {
        let undecided = self.undecided().as_ref().map(|open| open.current.clone());
        let Some(new) = undecided else { return Ok(()) };
        self.prepare(&new)?;
        self.name(current)
    }

    /// The length of the current snapshot; 0 when there is none.
    pub fn current_size(&self) -> u64 {
        let current = self.lock();
        let data = current.as_ref().and_then(|open| open.file.metadata().ok());
        data.map_or(0, |data| data.len())
    }

    /// The current snapshot.
    pub fn current(&self) -> Option<Snapshot> {
        self.snapshot_of(self.lock().as_ref())
    }

    /// Takes note that a snapshot could not be written, and gives what openraft is told instead:
    /// the one before, which covers what it covered, so that no more of the log is dropped.
    pub fn failed(&self, error: &io::Error) -> Snapshot {
        self.failures.note(error);
        self.current().unwrap_or_else(|| Snapshot {
            meta: SnapshotMeta::default(),
            snapshot: SnapshotFile::none(),
        })
    }

    fn snapshot_of(&self, open: Option<&Open>) -> Option<Snapshot> {
        let Open { current, file } = open?;
        let (path, file) = (self.dir.join(&current.name), Some(file.clone()));
        let snapshot = SnapshotFile { path, file, temporary: false, staged: None, _turn: None };
        Some(Snapshot { meta: current.meta.clone(), snapshot })
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
