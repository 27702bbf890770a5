//! The tables, their versions, and how connections are opened. `Store::open` calls it; pragmas are
//! set here and in `backup` and `snapshot` only.
//!
//! Files that were written by each version are kept under `tests/fixtures/formats` and opened by
//! `tests/it/formats.rs`. The steps themselves are in `schema_steps`.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::Error;
use super::schema_steps::{V1, V2, V3, V4, V5, V6, V7, V8};
use crate::disk::spare;

/// The steps of the schema, one a version, in order; `user_version` says how many were taken. A
/// step is never changed.
const STEPS: &[&str] = &[V1, V2, V3, V4, V5, V6, V7, V8];
/// The newest version that this binary reads.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

/// Every replicated table with its key, in the order of the hash.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("meta", "key"),
    ("projects", "id"),
    ("shapes", "id"),
    ("jobs", "id"),
    ("staged_jobs", "task, seq"),
    ("closed_plans", "job, seq"),
    ("credentials", "id"),
    ("tasks", "id"),
    ("idempotency", "key"),
    ("shards", "id"),
    ("nodes", "node"),
    ("cursors", "node, incarnation"),
    ("pending", "id"),
    ("blocks", "id"),
    ("dead_letters", "id"),
    ("tallies", "hour, project, sort"),
    ("project_pauses", "project, seq"),
    ("shape_labels", "project, key, value, shape_id"),
    ("executors", "id"),
    ("runs", "job, scheduled, run"),
    ("gaps", "shard, gap_from"),
    ("counts", "project, status"),
    ("templates", "id"),
    ("template_versions", "template, version"),
    ("template_jobs", "id"),
    ("accounts", "id"),
    ("quota_pauses", "account, seq"),
    ("audit", "id"),
    ("ended_sessions", "id"),
];

/// Opens the one connection that writes.
pub(super) fn open_writer(file: &Path) -> Result<Connection, Error> {
    spare::open(|| writer(file), may_lack_descriptors)
}

/// Opens a connection that can only read.
pub(super) fn open_reader(file: &Path) -> Result<Connection, Error> {
    spare::open(|| reader(file), may_lack_descriptors)
}

/// Tells whether a failure to open may come from a lack of descriptors: SQLite says only that it
/// cannot open the file.
fn may_lack_descriptors(error: &Error) -> bool {
    let Error::Sqlite(error) = error else { return false };
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure))
}

fn writer(file: &Path) -> Result<Connection, Error> {
    let conn = Connection::open(file)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -32768;",
    )?;
    common(&conn)?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

fn reader(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    common(&conn)?;
    conn.execute_batch("PRAGMA cache_size = -4096; PRAGMA query_only = ON;")?;
    // The first read opens the log beside the file: that must not fail later.
    conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn common(conn: &Connection) -> Result<(), Error> {
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF; PRAGMA mmap_size = 0;",
    )?;
    // A plan depends on no bound value (SQLite's query planner stability guarantee). Otherwise the
    // planner looks at some of them, and the statement is compiled anew whenever others are bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Takes the steps of the schema that the file lacks.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), Error> {
    let found = version(conn)?;
    if found > KNOWN {
        return Err(Error::Newer { found, known: KNOWN });
    }
    for (i, step) in STEPS.iter().enumerate().skip(found as usize) {
        let tx = conn.transaction()?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", i as i64 + 1)?;
        tx.commit()?;
    }
    Ok(())
}

/// The number of steps that a file has taken.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures are those of docs/operations.md on the memory of a node.
    #[test]
    fn connections_keep_as_many_pages_as_the_sum_of_memory_says_and_map_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        let mut writer = open_writer(&file).unwrap();
        migrate(&mut writer).unwrap();
        let reader = open_reader(&file).unwrap();
        let of = |conn: &Connection, name: &str| {
            conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap_or(0)
        };
        // A negative size is in KiB.
        assert_eq!((of(&writer, "cache_size"), of(&reader, "cache_size")), (-32_768, -4_096));
        assert_eq!((of(&writer, "mmap_size"), of(&reader, "mmap_size")), (0, 0));
    }
}
