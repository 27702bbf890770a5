//! Snapshots as files: one current one under `DataDir/snapshots`, and what it covers beside it.
//!
//! `machine` builds and installs them, `cluster` sends them. Nothing here looks inside.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::log::{read_file, replace_file, sync_dir};
use super::types::{Snapshot, SnapshotMeta};

/// The file that names the current snapshot and says what it covers.
const CURRENT: &str = "current";

/// A snapshot on the disk, open for reading. One that was received is removed when dropped, unless
/// it was installed.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    file: Arc<File>,
    temporary: bool,
}

impl SnapshotFile {
    /// A received file, complete and checked.
    pub fn received(path: PathBuf) -> io::Result<Self> {
        let file = Arc::new(File::open(&path)?);
        Ok(Self { path, file, temporary: true })
    }

    /// Where it is. A current one may be replaced (and removed) at any time: read from `file`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It, open; what is read stays this snapshot even when a newer one takes its place.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        if self.temporary {
            // Installed means renamed: then there is nothing under this name any more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Current {
    name: String,
    meta: SnapshotMeta,
}

/// The folder of snapshots.
#[derive(Debug)]
pub struct Snapshots {
    dir: PathBuf,
    current: Mutex<Option<Current>>,
    serial: AtomicU64,
}

impl Snapshots {
    /// Opens the folder under `DataDir` and removes what a crash left half done.
    pub fn open(data: &Path) -> io::Result<Self> {
        let dir = data.join("snapshots");
        fs::create_dir_all(&dir)?;
        let current: Option<Current> = match read_file(&dir.join(CURRENT))? {
            Some(body) => Some(postcard::from_bytes(&body).map_err(io::Error::other)?),
            None => None,
        };
        // The name is written after the file: without it there is no snapshot.
        let current = current.filter(|c| dir.join(&c.name).exists());
        let snapshots = Self { dir, current: Mutex::new(current), serial: AtomicU64::new(0) };
        snapshots.sweep()?;
        Ok(snapshots)
    }

    fn sweep(&self) -> io::Result<()> {
        let keep = self.lock().as_ref().map(|c| c.name.clone());
        for file in fs::read_dir(&self.dir)? {
            let file = file?;
            let name = file.file_name();
            if name != CURRENT && name.to_str() != keep.as_deref() {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that no file has yet, for one being built or received.
    pub fn fresh_path(&self) -> PathBuf {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("part-{}-{serial}", std::process::id()))
    }

    /// Makes a finished, synced file the current snapshot, unless the current one is newer; gives
    /// the current one.
    pub fn publish(&self, meta: &SnapshotMeta, path: &Path) -> io::Result<Snapshot> {
        let mut current = self.lock();
        let newest = current.as_ref().and_then(|c| c.meta.last_log_id);
        if current.is_some() && newest > meta.last_log_id {
            fs::remove_file(path)?;
        } else {
            let (term, index) = meta.last_log_id.map_or((0, 0), |id| (id.leader_id.term, id.index));
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let id = std::process::id();
            let name = format!("state-{term}-{index}-{id}-{serial}.db");
            let old = current.as_ref().map(|c| self.dir.join(&c.name));
            let new = Current { name, meta: meta.clone() };
            fs::rename(path, self.dir.join(&new.name))?;
            sync_dir(&self.dir)?;
            let body = postcard::to_allocvec(&new).map_err(io::Error::other)?;
            replace_file(&self.dir.join(CURRENT), &body)?;
            *current = Some(new);
            if let Some(old) = old {
                // A file that cannot be removed now is swept at the next start.
                let _ = fs::remove_file(old);
            }
        }
        self.open_current(current.as_ref())?.ok_or_else(|| io::Error::other("no snapshot"))
    }

    /// The length of the current snapshot; 0 when there is none.
    pub fn current_size(&self) -> u64 {
        let current = self.lock();
        let path = current.as_ref().map(|c| self.dir.join(&c.name));
        path.and_then(|path| fs::metadata(path).ok()).map_or(0, |data| data.len())
    }

    /// The current snapshot.
    pub fn current(&self) -> io::Result<Option<Snapshot>> {
        self.open_current(self.lock().as_ref())
    }

    fn open_current(&self, current: Option<&Current>) -> io::Result<Option<Snapshot>> {
        let Some(current) = current else { return Ok(None) };
        let path = self.dir.join(&current.name);
        let file = Arc::new(File::open(&path)?);
        let snapshot = SnapshotFile { path, file, temporary: false };
        Ok(Some(Snapshot { meta: current.meta.clone(), snapshot }))
    }
}
