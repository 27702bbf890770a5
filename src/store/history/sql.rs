//! SQL that the tables of occurrences share. Each has a column `lone`: the job when it is the only
//! member of the row, else 0. With it a single job is found among thousands that went out one by
//! one at the same instant.

use rusqlite::{Connection, Params, Row, params};

use crate::model::members::Members;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis};
use crate::store::db::Tx;

/// The only member, or 0 when there are more (or none): the value of the column `lone`.
pub(super) fn lone(members: &Members) -> u64 {
    let mut runs = members.runs();
    match (runs.next(), runs.next()) {
        (Some((job, 1)), None) => job,
        _ => 0,
    }
}

/// A search for rows that may have one of some members, in two forms. The first is for several
/// members; it takes rows of any `lone`. The second is for one member and searches twice, because
/// `lone IN (0, ?)` would fill a table of its own on each call.
pub(super) struct MemberSearch {
    several: String,
    single: String,
}

impl MemberSearch {
    /// A search with a condition in which the parameter `place` is free for the value of `lone`.
    pub(super) fn new(columns: &str, table: &str, condition: &str, place: usize) -> Self {
        let select = format!("SELECT {columns} FROM {table} WHERE {condition}");
        Self {
            several: format!("{select} AND ?{place} = 0"),
            single: format!("{select} AND lone = 0 UNION ALL {select} AND lone = ?{place}"),
        }
    }

    /// The rows that the search finds, in no particular order. `lone` is that of the members.
    pub(super) fn rows<T>(
        &self,
        conn: &Connection,
        lone: u64,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let sql = if lone == 0 { &self.several } else { &self.single };
        conn.prepare_cached(sql)?.query_map(params, read)?.collect()
    }

    /// A search by shard, scheduled instant and run: see [`MemberSearch::at_occurrence`].
    pub(super) fn by_occurrence(columns: &str, table: &str) -> Self {
        Self::new(columns, table, "shard = ?1 AND scheduled = ?2 AND run = ?4", 3)
    }

    /// The rows that may have some of these members of an occurrence (shard, scheduled instant,
    /// run).
    pub(super) fn at_occurrence<T>(
        &self,
        conn: &Connection,
        (shard, scheduled, run): (ShardId, Millis, u64),
        members: &Members,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let lone = lone(members);
        self.rows(conn, lone, params![shard, scheduled, lone as i64, run as i64], read)
    }
}

/// A search for rows that may have one job, over an interval. It has one form, with `lone IN`: the
/// two searches of [`MemberSearch`] would read the whole interval twice.
pub(super) struct JobSearch(String);

impl JobSearch {
    /// A search over an interval of the instants in a column, with a further condition.
    pub(super) fn new(columns: &str, table: &str, instant: &str, condition: &str) -> Self {
        Self(format!(
            "SELECT {columns} FROM {table}
             WHERE shard = ?1 AND lone IN (0, ?2) AND {instant} BETWEEN ?3 AND ?4 AND {condition}"
        ))
    }

    /// A search by the scheduled instant.
    pub(super) fn by_scheduled(columns: &str, table: &str) -> Self {
        Self::new(columns, table, "scheduled", "TRUE")
    }

    /// The rows of a shard from one instant to another that may have a job, in no particular order.
    pub(super) fn between<T>(
        &self,
        conn: &Connection,
        (shard, job): (ShardId, JobId),
        (from, until): (Millis, Millis),
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        conn.prepare_cached(&self.0)?
            .query_map(params![shard, job as i64, from, until], read)?
            .collect()
    }
}

/// Leaves a row with these members only; with none, the row is removed.
pub(super) fn keep(
    tx: &Tx<'_>,
    table: &'static str,
    id: u64,
    members: &Members,
) -> rusqlite::Result<()> {
    if members.is_empty() {
        tx.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id as i64])?;
        return Ok(());
    }
    tx.prepare_cached(&format!(
        "UPDATE {table} SET members = ?2, count = ?3, lone = ?4 WHERE id = ?1"
    ))?
    .execute(params![
        id as i64,
        members.as_bytes(),
        members.len() as i64,
        lone(members) as i64
    ])?;
    Ok(())
}
