//! The jobs that go to a named executor. `app` shows them; nothing here decides whether an executor
//! may be deleted (`store::db::tx` counts for that).

use rusqlite::{Connection, params};

use crate::model::JobId;
use crate::store::row::{clamped, id_at};

/// The newest jobs that go to an executor, at most `limit`, of the newest `looked` jobs of all: no
/// index leads from an executor to its jobs.
pub fn of_executor(
    conn: &Connection,
    executor: u64,
    (looked, limit): (u64, u64),
) -> rusqlite::Result<Vec<JobId>> {
    let uses = "SELECT id FROM shapes WHERE executor = ?1";
    let mut any = conn.prepare_cached(&format!("{uses} LIMIT 1"))?;
    if !any.exists([clamped(executor)])? {
        return Ok(Vec::new());
    }
    let mut select = conn.prepare_cached(&format!(
        "SELECT id FROM (SELECT id, shape_id FROM jobs ORDER BY id DESC LIMIT ?2)
         WHERE shape_id IN ({uses}) LIMIT ?3"
    ))?;
    let bounds = params![clamped(executor), clamped(looked), clamped(limit)];
    select.query_map(bounds, |row| id_at(row, 0))?.collect()
}
