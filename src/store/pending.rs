//! Pending rows: occurrences whose next attempt is in the books (retries, one-offs, manual runs).
//! Apply writes; the worker of the shard's owner reads.
//!
//! An occurrence is in at most one row. One that is in a row has no end state, except that the row of
//! a replay (its `base` is not 0) is of an occurrence that was given up.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::empty_tables::Table;
use super::writer::Tx;
use super::{attempts, id_at, ledger};
use crate::model::job::{PARKED, Pending};
use crate::model::members::Members;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis};

const COLUMNS: &str = "id, shard, project, due, scheduled, attempt, next_at, members, run, base, forced, \
                       postponed";

/// A row by its number.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Pending>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM pending WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// All rows of a shard, in the order of their next attempts.
pub fn for_shard(conn: &Connection, shard: ShardId) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE shard = ?1 ORDER BY next_at, id"
    ))?
    .query_map([shard], read)?
    .collect()
}

/// The rows of a shard whose next attempt lies at or before an instant, earliest first, at most
/// `limit` of them.
pub fn ready(
    conn: &Connection,
    shard: ShardId,
    until: Millis,
    limit: u32,
) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE shard = ?1 AND next_at <= ?2
         ORDER BY next_at, id LIMIT ?3"
    ))?
    .query_map(params![shard, until, limit], read)?
    .collect()
}

/// How many rows there are, and how many occurrences in them.
pub fn totals(conn: &Connection) -> rusqlite::Result<(u64, u64)> {
    conn.prepare_cached("SELECT COUNT(*), COALESCE(SUM(count), 0) FROM pending")?
        .query_row([], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))
}

/// The rows that hold any of these members at a scheduled instant (`run`: of that manual run, 0 for
/// the planned occurrence): at most those that could, in no particular order.
pub fn at_occurrence(
    conn: &Connection,
    shard: ShardId,
    scheduled: Millis,
    run: u64,
    members: &Members,
) -> rusqlite::Result<Vec<Pending>> {
    const ALL: &str = "SELECT id, shard, project, due, scheduled, attempt, next_at, members, run,
             base, forced, postponed
         FROM pending WHERE shard = ?1 AND scheduled = ?2 AND ?3 = 0 AND run = ?4";
    const LONE: &str = "SELECT id, shard, project, due, scheduled, attempt, next_at, members, run,
             base, forced, postponed
         FROM pending WHERE shard = ?1 AND scheduled = ?2 AND lone = 0 AND run = ?4
         UNION ALL
         SELECT id, shard, project, due, scheduled, attempt, next_at, members, run, base, forced,
             postponed
         FROM pending WHERE shard = ?1 AND scheduled = ?2 AND lone = ?3 AND run = ?4";
    attempts::of_occurrence(conn, (ALL, LONE), (shard, scheduled, run), members, read)
}

/// The rows of a shard scheduled from one instant to another that may hold a job.
pub(super) fn between(
    conn: &Connection,
    shard: ShardId,
    job: JobId,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<Pending>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pending
         WHERE shard = ?1 AND scheduled BETWEEN ?3 AND ?4 AND lone IN (0, ?2)"
    );
    ledger::of_job(conn, &sql, (shard, job), (from, until), read)
}

/// Adds a row.
pub fn insert(tx: &Tx<'_>, row: &Pending) -> rusqlite::Result<()> {
    tx.mark_occupied(Table::Pending, row.shard);
    tx.prepare_cached(
        "INSERT INTO pending (id, shard, project, due, scheduled, attempt, next_at, members, count,
             lone, run, base, forced, postponed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        row.id as i64,
        row.shard,
        row.project as i64,
        row.due,
        row.scheduled,
        row.attempt,
        row.next_at,
        row.members.as_bytes(),
        row.members.len() as i64,
        attempts::lone(&row.members) as i64,
        row.run as i64,
        row.base,
        row.forced,
        row.postponed,
    ])?;
    Ok(())
}

/// The rows of a job that wait behind a run of it.
pub fn parked(conn: &Connection, job: JobId) -> rusqlite::Result<Vec<Pending>> {
    // The number is `PARKED`, written out for the index.
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pending WHERE lone = ?1 AND next_at = 9223372036854775807
         ORDER BY id"
    ))?
    .query_map([job as i64], read)?
    .collect()
}

/// Lets a row wait behind a run ([`PARKED`]).
pub fn park(tx: &Tx<'_>, id: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE pending SET next_at = ?2 WHERE id = ?1")?
        .execute(params![id as i64, PARKED])?;
    Ok(())
}

/// Lets the rows of a job that wait behind a run ([`PARKED`]) be due at an instant; how many.
pub fn wake(tx: &Tx<'_>, job: JobId, at: Millis) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE pending SET next_at = ?2 WHERE lone = ?1 AND next_at = 9223372036854775807",
    )?
    .execute(params![job as i64, at])
}

/// Leaves a row with these members only; with none, it goes.
pub fn keep(tx: &Tx<'_>, id: u64, members: &Members) -> rusqlite::Result<()> {
    attempts::keep(
        tx,
        "DELETE FROM pending WHERE id = ?1",
        "UPDATE pending SET members = ?2, count = ?3, lone = ?4 WHERE id = ?1",
        id,
        members,
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending {
        id: id_at(row, 0)?,
        shard: row.get(1)?,
        project: id_at(row, 2)?,
        due: row.get(3)?,
        scheduled: row.get(4)?,
        attempt: row.get(5)?,
        next_at: row.get(6)?,
        members: Members::from_bytes(row.get(7)?),
        run: id_at(row, 8)?,
        base: row.get(9)?,
        forced: row.get(10)?,
        postponed: row.get(11)?,
    })
}
