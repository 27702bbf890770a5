//! Dead letters: occurrences that were given up, one row for what went out as one. Apply writes and
//! takes out what is delivered after all; the api lists.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{Page, blocks, id_at};
use crate::model::members::Members;
use crate::model::shard::ShardId;
use crate::model::{Millis, ProjectId};

const COLUMNS: &str = "id, block, project, shard, due, scheduled, attempt, http_code, error, \
                       created, members, run";

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number.
    pub id: u64,
    /// The block of the last attempt.
    pub block: u64,
    /// The project of all members.
    pub project: ProjectId,
    /// The shard of all members.
    pub shard: ShardId,
    /// When they were due.
    pub due: Millis,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of the last attempt.
    pub attempt: u32,
    /// The HTTP status of the last attempt; 0 when none came back.
    pub http_code: u16,
    /// What went wrong at last.
    pub error: Option<String>,
    /// When it was recorded.
    pub created: Millis,
    /// The jobs.
    pub members: Members,
    /// The number of a manual run; 0 for planned occurrences.
    pub run: u64,
}

/// What dead letters can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Number; also the order in which they were recorded.
    #[default]
    Id,
    /// When they were due.
    Due,
}

/// A dead letter by its number.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<DeadLetter>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM dead_letters WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// How many dead letters there are (of a project, or in all), and those of a page.
pub fn list(
    conn: &Connection,
    project: Option<ProjectId>,
    page: &Page<Order>,
) -> rusqlite::Result<(u64, Vec<DeadLetter>)> {
    let project = project.map(|p| p as i64);
    let total = conn
        .prepare_cached("SELECT COUNT(*) FROM dead_letters WHERE ?1 IS NULL OR project = ?1")?
        .query_row([project], |row| id_at(row, 0))?;
    let column = match page.order_by {
        Order::Id => "id",
        Order::Due => "due",
    };
    let rows = conn
        .prepare(&format!(
            "SELECT {COLUMNS} FROM dead_letters WHERE ?1 IS NULL OR project = ?1 {}",
            page.clause(column)
        ))?
        .query_map([project], read)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((total, rows))
}

/// Number and members of those that hold any of these members at a scheduled instant: at most those
/// that could, in no particular order.
pub fn at_occurrence(
    conn: &Connection,
    shard: ShardId,
    scheduled: Millis,
    run: u64,
    members: &Members,
) -> rusqlite::Result<Vec<(u64, Members)>> {
    // Two searches, as in `pending::at_occurrence`.
    const ALL: &str = "SELECT id, members FROM dead_letters
         WHERE shard = ?1 AND scheduled = ?2 AND ?3 = 0 AND run = ?4";
    const LONE: &str = "SELECT id, members FROM dead_letters
         WHERE shard = ?1 AND scheduled = ?2 AND lone = 0 AND run = ?4
         UNION ALL
         SELECT id, members FROM dead_letters
         WHERE shard = ?1 AND scheduled = ?2 AND lone = ?3 AND run = ?4";
    let lone = blocks::lone(members);
    conn.prepare_cached(if lone == 0 { ALL } else { LONE })?
        .query_map(params![shard, scheduled, lone as i64, run as i64], |row| {
            Ok((id_at(row, 0)?, Members::from_bytes(row.get(1)?)))
        })?
        .collect()
}

/// Adds a dead letter.
pub fn insert(tx: &Tx<'_>, letter: &DeadLetter) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO dead_letters (id, block, project, shard, due, scheduled, attempt, http_code,
             error, created, members, count, lone, run)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        letter.id as i64,
        letter.block as i64,
        letter.project as i64,
        letter.shard,
        letter.due,
        letter.scheduled,
        letter.attempt,
        letter.http_code,
        letter.error,
        letter.created,
        letter.members.as_bytes(),
        letter.members.len() as i64,
        blocks::lone(&letter.members) as i64,
        letter.run as i64,
    ])?;
    Ok(())
}

/// Leaves a dead letter with these members only; with none, it goes.
pub fn keep(tx: &Tx<'_>, id: u64, members: &Members) -> rusqlite::Result<()> {
    blocks::keep(
        tx,
        "DELETE FROM dead_letters WHERE id = ?1",
        "UPDATE dead_letters SET members = ?2, count = ?3, lone = ?4 WHERE id = ?1",
        id,
        members,
    )
}

/// Drops at most `limit` dead letters recorded before an instant, oldest first.
pub fn drop_old(tx: &Tx<'_>, before: Millis, limit: u32) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM dead_letters WHERE id IN (
             SELECT id FROM dead_letters WHERE created < ?1 ORDER BY created, id LIMIT ?2)",
    )?
    .execute(params![before, limit])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: id_at(row, 0)?,
        block: id_at(row, 1)?,
        project: id_at(row, 2)?,
        shard: row.get(3)?,
        due: row.get(4)?,
        scheduled: row.get(5)?,
        attempt: row.get(6)?,
        http_code: row.get(7)?,
        error: row.get(8)?,
        created: row.get(9)?,
        members: Members::from_bytes(row.get(10)?),
        run: id_at(row, 11)?,
    })
}
