//! Backups as files: a compact copy of the books with one table more, which says what it is. And the
//! way back: a copy of such a file becomes the books of a folder that has none. `raft::backup` calls
//! both by way of `Store`; what the label says is its business.
//!
//! ```text
//!   file --copy--> state.db.incoming --check, change, fsync, rename--> state.db.install --> state.db
//! ```
//! A crash before the last rename but one leaves a folder without books; after it, `Store::open`
//! finishes the rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::writer::Writer;
use super::{Error, meta, schema, snapshot};
use crate::model::Millis;

/// What a backup says of itself, by name.
pub type Label = BTreeMap<String, String>;

/// The table that only a backup has.
const TABLE: &str = "backup";

/// Puts the label on a file that nobody else has open, and syncs it.
pub(super) fn label(path: &Path, label: &Label) -> Result<(), Error> {
    let mut conn = Connection::open(path)?;
    // One file, whole: nothing of it may stay in a log beside it.
    conn.execute_batch("PRAGMA journal_mode = DELETE;")?;
    let tx = conn.transaction()?;
    tx.execute_batch(&format!(
        "CREATE TABLE {TABLE} (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
    ))?;
    for (key, value) in label {
        tx.execute(&format!("INSERT INTO {TABLE} (key, value) VALUES (?1, ?2)"), [key, value])?;
    }
    tx.commit()?;
    drop(conn);
    fs::File::open(path).and_then(|f| f.sync_all()).map_err(Error::io("fsync the backup"))
}

/// Reads the label and the raft mark of a backup, after a look at the whole file; a file that is no
/// backup, is damaged or was written by a newer version is an error.
pub(super) fn inspect(path: &Path) -> Result<(Label, Vec<u8>), Error> {
    // SQLite would make an empty database of a file that is not there.
    fs::metadata(path).map_err(Error::io("read the backup"))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    let damaged = |e: rusqlite::Error| Error::NoBackup(e.to_string());
    let known: bool = conn
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")
        .and_then(|mut select| select.exists([TABLE]))
        .map_err(damaged)?;
    if !known {
        return Err(Error::NoBackup("it has no label".into()));
    }
    snapshot::check_open(&conn)?;
    let label = conn
        .prepare(&format!("SELECT key, value FROM {TABLE}"))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Label>>()?;
    let mark = meta::applied(&conn)?.unwrap_or_default();
    Ok((label, mark))
}

/// Makes a copy of a backup the books of a folder, changed by `change` in one transaction. The caller
/// holds the folder's lock and has seen that it holds no books.
pub(super) fn restore<T, E: From<Error> + From<rusqlite::Error>>(
    path: &Path,
    dir: &Path,
    change: impl FnOnce(&mut super::Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let incoming = dir.join(snapshot::INCOMING);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        snapshot::remove(&dir.join(format!("{}{suffix}", snapshot::INCOMING)))?;
    }
    fs::copy(path, &incoming).map_err(Error::io("copy the backup into DataDir"))?;
    let mut conn = Connection::open(&incoming)?;
    snapshot::check_open(&conn)?;
    // What is half done after a crash is thrown away: nothing has to be safe before the end.
    conn.execute_batch(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;",
    )?;
    conn.execute_batch(&format!("DROP TABLE {TABLE}"))?;
    schema::migrate(&mut conn)?;
    let mut writer = Writer::new(conn);
    let done = writer.transaction(change)?;
    drop(writer);
    snapshot::sync_and_rename(&incoming, &dir.join(snapshot::INSTALL))?;
    snapshot::finish_install(dir)?;
    Ok(done)
}

/// Log time and number of jobs of a file.
pub(super) fn measure(path: &Path) -> Result<(Millis, u64), Error> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let jobs = conn.query_row("SELECT COUNT(*) FROM jobs", [], |row| super::id_at(row, 0))?;
    Ok((meta::log_time(&conn)?, jobs))
}
