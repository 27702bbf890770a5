//! Single executions: one by its id, and all of one occurrence.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{Execution, read};
use crate::model::members::Members;
use crate::model::shard::shard_of;
use crate::model::{JobId, Millis};
use crate::store::history::attempts;
use crate::store::row::{clamped, id_at};

/// An execution by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Execution>> {
    conn.prepare_cached(&format!(
        "SELECT {} FROM blocks WHERE id <= ?1 ORDER BY id DESC LIMIT 1",
        attempts::COLUMNS
    ))?
    .query_row([clamped(id)], |row| {
        let ordinal = id - id_at(row, 0)?;
        let members = Members::from_bytes(row.get(17)?);
        let job = members.iter().nth(ordinal.min(usize::MAX as u64) as usize);
        job.map(|job| read(row, ordinal, job)).transpose()
    })
    .optional()
    .map(Option::flatten)
}

/// All executions of one occurrence, ranges that hold it included, in the order of recording.
pub fn of_occurrence(
    conn: &Connection,
    job: JobId,
    due: Millis,
) -> rusqlite::Result<Vec<Execution>> {
    let mut found = Vec::new();
    let mut collect = |sql: &str, lone: Option<i64>| -> rusqlite::Result<()> {
        let mut select = conn.prepare_cached(sql)?;
        let mut rows = match lone {
            Some(lone) => select.query(params![shard_of(job), due, lone])?,
            None => select.query(params![shard_of(job), due])?,
        };
        while let Some(row) = rows.next()? {
            if let Some(ordinal) = ordinal_of(row, job)? {
                found.push(read(row, ordinal, job)?);
            }
        }
        Ok(())
    };
    let columns = attempts::COLUMNS;
    collect(
        &format!(
            "SELECT {columns} FROM blocks
             WHERE due = ?2 AND shard = ?1 AND lone IN (0, ?3) AND since IS NULL"
        ),
        Some(job as i64),
    )?;
    collect(
        &format!(
            "SELECT {columns} FROM blocks
             WHERE shard = ?1 AND due >= ?2 AND since IS NOT NULL AND since <= ?2"
        ),
        None,
    )?;
    found.sort_unstable_by_key(|e| e.id);
    Ok(found)
}

/// The place of a job among the members of a row with `attempts::COLUMNS`.
fn ordinal_of(row: &Row<'_>, job: JobId) -> rusqlite::Result<Option<u64>> {
    Ok(Members::place_in(row.get_ref(17)?.as_blob()?, job))
}
