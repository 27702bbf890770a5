//! Snapshots as files: written through a connection that reads, installed by renames that a crash
//! at any point leaves either undone or ready to be finished. `raft::machine` calls it through
//! `Store`.
//!
//! ```text
//!   path --copy--> state.db.incoming --check, fsync--> staged --rename--> state.db.install
//!   (decided)      drop -wal, -shm; rename state.db.install --> state.db
//! ```
//!
//! The write-ahead log must be gone before the new file gets its name, because SQLite would replay
//! the old log into the new file. If it were removed before the install is decided, a crash in
//! between would lose what only the log held. So the decision is a file of its own,
//! `state.db.install` (*decided install*), and `Store::open` finishes the install that it
//! finds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::error::Error;
use super::limit::{ReadLimit, STEPS};
use super::{FILE, schema};
use crate::disk;
use crate::store::cache::meta;

pub(super) const INCOMING: &str = "state.db.incoming";
pub(super) const INSTALL: &str = "state.db.install";

/// Writes a compact copy of `file` to `to`, unless `limit` ends that. Returns the applied mark of
/// the copy. After an error there is no file at `to`, nor a temporary one beside it.
pub(super) fn write(
    file: &Path,
    to: &Path,
    limit: Option<&Arc<ReadLimit>>,
) -> Result<Vec<u8>, Error> {
    let temp = to.with_extension("tmp");
    remove(&temp)?;
    let written = copy_compact(file, &temp, limit).and_then(|applied| {
        sync_and_rename(&temp, to)?;
        Ok(applied)
    });
    if written.is_err() {
        // Repeated tries must not fill a full disk further. The first error is the one to report.
        let _ = remove(&temp);
        let _ = remove(to);
    }
    written
}

fn copy_compact(
    file: &Path,
    temp: &Path,
    limit: Option<&Arc<ReadLimit>>,
) -> Result<Vec<u8>, Error> {
    {
        // A connection of its own: a query-only one may not run VACUUM INTO.
        let mut conn = Connection::open(file)?;
        conn.execute_batch("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        let name = temp.to_str().ok_or_else(|| {
            Error::Damaged("the path of the snapshot is not valid utf-8: move DataDir".into())
        })?;
        // Only the copy may be ended, so the limit is set last.
        if let Some(limit) = limit.cloned() {
            conn.progress_handler(STEPS, Some(move || limit.ended().is_some()))?;
        }
        conn.execute("VACUUM INTO ?1", [name]).map_err(|error| {
            let end = limit.and_then(|limit| limit.ended());
            end.map_or_else(|| error.into(), Error::Ended)
        })?;
    }
    let copy = Connection::open(temp)?;
    Ok(meta::applied(&copy)?.unwrap_or_default())
}

/// A copy of a snapshot beside the state, checked and synced, ready to replace it. There is one at
/// a time; it is removed when dropped, unless it was put in place.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    applied: Vec<u8>,
}

impl Staged {
    /// The mark that `raft::machine` left in it; empty when nothing was ever applied.
    pub fn applied(&self) -> &[u8] {
        &self.applied
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // One that was put in place was renamed: no file has this name any more.
        let _ = remove(&self.path);
    }
}

/// Copies a snapshot beside the state and checks it.
pub(super) fn stage(dir: &Path, path: &Path) -> Result<Staged, Error> {
    let incoming = dir.join(INCOMING);
    remove(&incoming)?;
    let mut staged = Staged { path: incoming, applied: Vec::new() };
    disk::copy(path, &staged.path).map_err(Error::io("copy the snapshot into DataDir"))?;
    let conn = Connection::open(&staged.path)?;
    check_open(&conn)?;
    staged.applied = meta::applied(&conn)?.unwrap_or_default();
    drop(conn);
    sync(&staged.path)?;
    Ok(staged)
}

/// Decides an install: from here on the snapshot replaces the state, at the latest when the node
/// starts again. It may be repeated.
pub(super) fn decide(dir: &Path, staged: &Staged) -> Result<(), Error> {
    let install = dir.join(INSTALL);
    let waits = |path: &Path| path.try_exists().map_err(Error::io("look for the snapshot"));
    if waits(&staged.path)? || !waits(&install)? {
        disk::rename(&staged.path, &install).map_err(Error::io("rename the snapshot"))?;
    }
    sync_dir(dir)
}

/// Refuses a file that is damaged or of a newer version.
pub(super) fn check_open(conn: &Connection) -> Result<(), Error> {
    let damaged = |e: rusqlite::Error| Error::Damaged(e.to_string());
    let found = schema::version(conn).map_err(damaged)?;
    if found == 0 {
        return Err(Error::Damaged("it has no schema version".into()));
    }
    if found > schema::KNOWN {
        return Err(Error::Newer { found, known: schema::KNOWN });
    }
    let said: String =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
    if said != "ok" {
        return Err(Error::Damaged(said));
    }
    Ok(())
}

/// Finishes an install that was decided. No connection may have the file open.
pub(super) fn finish_install(dir: &Path) -> Result<(), Error> {
    remove(&dir.join(INCOMING))?;
    let install = dir.join(INSTALL);
    if !install.try_exists().map_err(Error::io("look for a decided snapshot install"))? {
        return Ok(());
    }
    let file = dir.join(FILE);
    for suffix in ["-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        remove(Path::new(&name))?;
    }
    sync_dir(dir)?;
    disk::rename(&install, &file).map_err(Error::io("put the snapshot in place of state.db"))?;
    sync_dir(dir)
}

pub(super) fn sync_and_rename(from: &Path, to: &Path) -> Result<(), Error> {
    sync(from)?;
    disk::rename(from, to).map_err(Error::io("rename the snapshot"))?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))
}

fn sync(file: &Path) -> Result<(), Error> {
    let synced = disk::open_to_read(file).and_then(|file| disk::sync_all(&file));
    synced.map_err(Error::io("fsync the snapshot"))
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    disk::sync_dir(dir).map_err(Error::io("fsync the folder"))
}

pub(super) fn remove(path: &Path) -> Result<(), Error> {
    disk::remove_if_there(path).map_err(Error::io("remove a temporary file of the store"))
}
