//! Backups as files: a compact copy of the state with one more table, its label. A restore makes a
//! copy of such a file the state of a folder that has none. `raft::backup` calls both through
//! `Store` and decides what the label says.
//!
//! ```text
//!   file --copy--> state.db.incoming --check, change, fsync--> state.db.install --> state.db
//! ```
//! A crash before the rename to `state.db.install` leaves a folder without a state; after it,
//! `Store::open` finishes the rest.
//!
//! The label holds the SHA-256 of the whole file, with zeros in the place of the hash itself.
//! SQLite notices few of the bits that a disk or a transfer may flip; the hash notices each.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::tx::Tx;
use super::writer::Writer;
use super::{schema, snapshot};
use crate::disk;
use crate::model::Millis;
use crate::store::cache::meta;
use crate::store::row::id_at;

/// The label of a backup: names and values.
pub type Label = BTreeMap<String, String>;

/// The table that only a backup has.
const TABLE: &str = "backup";
/// The name of the file's hash in the label.
const HASH: &str = "sha256";
/// The length of the hash in hex digits.
const HASH_DIGITS: usize = 64;
/// The bytes of a file that are read at a time.
const CHUNK: usize = 1 << 20;

/// Adds the label, and the hash of the whole file in it, to a file that no one else has open, and
/// syncs it.
pub(super) fn label(path: &Path, label: &Label) -> Result<(), Error> {
    let place = hex::encode(rand::random::<[u8; HASH_DIGITS / 2]>());
    let mut label = label.clone();
    label.insert(HASH.to_owned(), place.clone());
    write_label(path, &label)?;
    let (hash, places) = hash(path, &place).map_err(Error::io("read the backup"))?;
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|file| {
        for at in places {
            file.write_all_at(hash.as_bytes(), at)?;
        }
        file.sync_all()
    })
    .map_err(Error::io("write the hash of the backup"))
}

/// The SHA-256 of a file with zeros in all places that hold `without`, and these places.
fn hash(path: &Path, without: &str) -> std::io::Result<(String, Vec<u64>)> {
    let mut file = fs::File::open(path)?;
    let (mut sink, mut places) = (Sha256::new(), Vec::new());
    // The part that is not hashed yet, because the text may begin in it, and its offset in the
    // file.
    let (mut rest, mut at) = (Vec::with_capacity(CHUNK + HASH_DIGITS), 0);
    loop {
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut rest)?;
        let mut from = 0;
        while let Some(found) = find(&rest[from..], without.as_bytes()) {
            let found = from + found;
            places.push(at + found as u64);
            rest[found..found + without.len()].fill(0);
            from = found + without.len();
        }
        let keep = if read == 0 { 0 } else { rest.len().min(without.len() - 1) };
        let done = rest.len() - keep;
        sink.update(&rest[..done]);
        rest.drain(..done);
        at += done as u64;
        if read == 0 {
            return Ok((hex::encode(sink.finalize()), places));
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut from = 0;
    loop {
        from += text[from..].iter().position(|byte| byte == first)?;
        if text[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
}

fn write_label(path: &Path, label: &Label) -> Result<(), Error> {
    let mut conn = Connection::open(path)?;
    // A backup is one file: nothing of it may stay in a log beside it.
    conn.execute_batch("PRAGMA journal_mode = DELETE;")?;
    let tx = conn.transaction()?;
    tx.execute_batch(&format!(
        "CREATE TABLE {TABLE} (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
    ))?;
    for (key, value) in label {
        tx.execute(&format!("INSERT INTO {TABLE} (key, value) VALUES (?1, ?2)"), [key, value])?;
    }
    Ok(tx.commit()?)
}

/// Reads the label and the raft mark of a backup, and the whole file to check it. Fails for a file
/// that is no backup, is damaged or was written by a newer version. The caller decides about a
/// label without a hash: older versions wrote none.
pub(super) fn inspect(path: &Path) -> Result<(Label, Vec<u8>), Error> {
    // SQLite would create an empty database for a file that does not exist.
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
    let label = conn
        .prepare(&format!("SELECT key, value FROM {TABLE}"))
        .and_then(|mut select| {
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Label>>()
        })
        .map_err(damaged)?;
    if let Some(told) = label.get(HASH) {
        let (hash, _) = hash(path, told).map_err(Error::io("read the backup"))?;
        if *told != hash {
            return Err(Error::Altered);
        }
    }
    snapshot::check_open(&conn)?;
    let mark = meta::applied(&conn)?.unwrap_or_default();
    Ok((label, mark))
}

/// Tells whether a label holds the hash of its file.
pub fn is_hashed(label: &Label) -> bool {
    label.contains_key(HASH)
}

/// Makes a copy of a backup the state of a folder, changed by `change` in one transaction. The
/// caller holds the folder's lock and has checked that it has no state.
pub(super) fn restore<T, E: From<Error> + From<rusqlite::Error>>(
    path: &Path,
    dir: &Path,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let incoming = dir.join(snapshot::INCOMING);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        snapshot::remove(&dir.join(format!("{}{suffix}", snapshot::INCOMING)))?;
    }
    disk::copy(path, &incoming).map_err(Error::io("copy the backup into DataDir"))?;
    // The copy is what is used from here on, and a byte may have changed on its way.
    inspect(&incoming)?;
    let mut conn = Connection::open(&incoming)?;
    // After a crash the incomplete copy is removed, so nothing has to be safe before the end.
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

/// The log time and the number of jobs of a file.
pub(super) fn measure(path: &Path) -> Result<(Millis, u64), Error> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let jobs = conn.query_row("SELECT COUNT(*) FROM jobs", [], |row| id_at(row, 0))?;
    Ok((meta::log_time(&conn)?, jobs))
}
