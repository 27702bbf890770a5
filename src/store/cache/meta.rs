//! The table of single facts: the cluster's id, log time, the applied mark of raft. `numbers`
//! caches those that change with almost every command; `catalog::meta` is how other modules read
//! and set them.

use rusqlite::types::{FromSql, Value};
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::Millis;

pub(in crate::store) const CLUSTER: &str = "cluster";
pub(in crate::store) const BORN: &str = "born";
pub(in crate::store) const GENERATION: &str = "generation";
pub(in crate::store) const LEVEL: &str = "level";
pub(super) const LOG_TIME: &str = "log_time";
pub(super) const ASSIGN_INDEX: &str = "assign_index";
pub(in crate::store) const APPLIED: &str = "applied";
pub(in crate::store) const OPERATOR_SESSIONS_FROM: &str = "operator_sessions_from";
pub(in crate::store) const HISTORY_DROPPED: &str = "history_dropped";
pub(in crate::store) const HISTORY_BYTES: &str = "history_bytes";
pub(in crate::store) const HAD_ACCOUNTS: &str = "had_accounts";
pub(super) const AUDIT_BASE: &str = "audit_base";

/// Log time after the last applied entry.
pub fn log_time(conn: &Connection) -> rusqlite::Result<Millis> {
    Ok(get(conn, LOG_TIME)?.unwrap_or(0))
}

/// The log index of the last entry that changed an assignment; 0 before the first.
pub fn assign_index(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(get::<i64>(conn, ASSIGN_INDEX)?.unwrap_or(0) as u64)
}

/// The mark that raft left with the state, opaque here; `None` on an empty store.
pub fn applied(conn: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    get(conn, APPLIED)
}

/// Whether there was ever another account than the first.
pub fn had_accounts(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(get::<i64>(conn, HAD_ACCOUNTS)?.is_some())
}

/// The value of a key; `None` when it was never set.
pub(in crate::store) fn get<T: FromSql>(
    conn: &Connection,
    key: &str,
) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Sets the value of a key.
pub(in crate::store) fn put(
    conn: &Connection,
    key: &str,
    value: impl Into<Value>,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![key, value.into()])?;
    Ok(())
}
