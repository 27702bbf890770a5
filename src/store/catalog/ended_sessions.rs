//! Sessions of browsers that were ended before their time, by their random numbers. `apply` adds
//! and drops them; `auth` and streams of events ask. A session that is not here may be over for
//! another reason.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use crate::model::Millis;
use crate::store::db::Tx;

/// Adds a session, which would have ended at `expires`.
pub fn insert(tx: &Tx<'_>, id: u64, expires: Millis) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO ended_sessions (id, expires) VALUES (?1, ?2)")?
        .execute(params![id as i64, expires])?;
    Ok(())
}

/// Drops the sessions that would have ended by now.
pub fn drop_before(tx: &Tx<'_>, now: Millis) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM ended_sessions WHERE expires <= ?1")?.execute([now])?;
    Ok(())
}

/// Their number.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT COUNT(*) FROM ended_sessions")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

/// All of them.
pub fn all(conn: &Connection) -> rusqlite::Result<HashSet<u64>> {
    conn.prepare_cached("SELECT id FROM ended_sessions")?
        .query_map([], |row| Ok(row.get::<_, i64>(0)? as u64))?
        .collect()
}

/// Returns whether a session was ended.
pub fn has(conn: &Connection, id: u64) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM ended_sessions WHERE id = ?1")?.exists([id as i64])
}
