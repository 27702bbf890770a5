//! Runs under way: occurrences that others may have to wait for. Apply writes; the api lists them,
//! the worker reads which occurrences are taken, the coordinator reads the next deadline.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sql;
use crate::model::members::Members;
use crate::model::run::{Occurrence, Run};
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::cache::empty_tables::Table;
use crate::store::db::Tx;
use crate::store::row::{from_json, id_at, to_json};

const COLUMNS: &str = "job, scheduled, run, project, shard, due, attempt, base, node, epoch, \
                       accepted, started, heard, deadline, heartbeat_timeout, ends, retry, \
                       forced";

/// The run of an occurrence.
pub fn get(conn: &Connection, of: Occurrence) -> rusqlite::Result<Option<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE job = ?1 AND scheduled = ?2 AND run = ?3"
    ))?
    .query_row(params![of.job as i64, of.scheduled, of.run as i64], read)
    .optional()
}

/// The runs of a job, oldest first.
pub fn of_job(conn: &Connection, job: JobId) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE job = ?1 ORDER BY scheduled, run"
    ))?
    .query_map([job as i64], read)?
    .collect()
}

/// The runs of these members at a scheduled instant.
pub fn at_occurrence(
    conn: &Connection,
    shard: ShardId,
    scheduled: Millis,
    run: u64,
    members: &Members,
) -> rusqlite::Result<Vec<Run>> {
    // One job is found by the key, however many others run since the same instant.
    let lone = sql::lone(members);
    if lone != 0 {
        let found = get(conn, Occurrence { job: lone, scheduled, run })?;
        return Ok(found.into_iter().collect());
    }
    let mut found: Vec<Run> = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM runs WHERE shard = ?1 AND scheduled = ?2 AND run = ?3
             ORDER BY job"
        ))?
        .query_map(params![shard, scheduled, run as i64], read)?
        .collect::<rusqlite::Result<_>>()?;
    found.retain(|found| members.contains(found.occurrence.job));
    Ok(found)
}

/// The runs of planned occurrences of a shard that were due in `from..=until`, by job.
pub fn due_between(
    conn: &Connection,
    shard: ShardId,
    from: Millis,
    until: Millis,
) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE shard = ?1 AND run = 0 AND due >= ?2 AND due <= ?3
         ORDER BY job, scheduled"
    ))?
    .query_map(params![shard, from, until], read)?
    .collect()
}

/// The planned occurrences of a shard, due after an instant, that a receiver has accepted and not
/// yet ended, with their due instants. They are neither pending nor over, and a worker that takes
/// the shard over must not fire them again. A run that only began is fired again, because its
/// sender may have died before the first byte.
pub fn after(
    conn: &Connection,
    shard: ShardId,
    due: Millis,
) -> rusqlite::Result<Vec<(Millis, Occurrence)>> {
    conn.prepare_cached(
        "SELECT due, job, scheduled FROM runs
         WHERE shard = ?1 AND run = 0 AND accepted <> 0 AND due > ?2 ORDER BY due, job",
    )?
    .query_map(params![shard, due], |row| {
        let of = Occurrence { job: id_at(row, 1)?, scheduled: row.get(2)?, run: 0 };
        Ok((row.get(0)?, of))
    })?
    .collect()
}

/// The runs of a project's jobs, by job.
pub fn of_project(conn: &Connection, project: ProjectId) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs
         WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job AND jobs.project_id = ?1)
         ORDER BY job, scheduled, run"
    ))?
    .query_map([project as i64], read)?
    .collect()
}

/// The runs whose deadline lies before an instant, at most `limit`, earliest first.
pub fn expired(conn: &Connection, before: Millis, limit: u32) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE deadline < ?1
         ORDER BY deadline, job, scheduled, run LIMIT ?2"
    ))?
    .query_map(params![before, limit], read)?
    .collect()
}

/// All runs.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Run>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM runs ORDER BY job, scheduled, run"))?
        .query_map([], read)?
        .collect()
}

/// The earliest deadline.
pub fn next_deadline(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MIN(deadline) FROM runs")?.query_row([], |row| row.get(0))
}

/// Adds a run, or replaces it.
pub fn put(tx: &Tx<'_>, run: &Run) -> rusqlite::Result<()> {
    tx.mark_occupied(Table::Runs, run.shard);
    let retry = to_json(&run.retry)?;
    tx.prepare_cached(&format!(
        "INSERT OR REPLACE INTO runs ({COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
             ?18)"
    ))?
    .execute(params![
        run.occurrence.job as i64,
        run.occurrence.scheduled,
        run.occurrence.run as i64,
        run.project as i64,
        run.shard,
        run.due,
        run.attempt,
        run.base,
        run.node as i64,
        run.epoch as i64,
        run.accepted,
        run.started,
        run.heard,
        run.deadline,
        run.heartbeat_timeout,
        run.ends,
        retry,
        run.forced,
    ])?;
    Ok(())
}

/// Removes the run of an occurrence.
pub fn delete(tx: &Tx<'_>, of: Occurrence) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM runs WHERE job = ?1 AND scheduled = ?2 AND run = ?3")?
        .execute(params![of.job as i64, of.scheduled, of.run as i64])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        occurrence: Occurrence { job: id_at(row, 0)?, scheduled: row.get(1)?, run: id_at(row, 2)? },
        project: id_at(row, 3)?,
        shard: row.get(4)?,
        due: row.get(5)?,
        attempt: row.get(6)?,
        base: row.get(7)?,
        node: id_at(row, 8)?,
        epoch: id_at(row, 9)?,
        accepted: row.get(10)?,
        started: row.get(11)?,
        heard: row.get(12)?,
        deadline: row.get(13)?,
        heartbeat_timeout: row.get(14)?,
        ends: row.get(15)?,
        retry: from_json(row.get_ref(16)?.as_str()?, 16)?,
        forced: row.get(17)?,
    })
}
