//! Jobs by id, by a client's id, by shard. The worker reads rows to build its queue and payloads to
//! build requests, the api reads whole jobs.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::row::{COLUMNS, JobRow, Payload, read_job, read_row};
use crate::model::job::Job;
use crate::model::members::Members;
use crate::model::shard::{SHARDS, ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::catalog::definitions::DefinitionCache;
use crate::store::row::{clamped, id_at};

/// The number of consecutive jobs that share a shard; see [`shard_of`].
const RUN: u64 = 64;

/// A job by its id.
pub fn get(conn: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    let mut definitions = DefinitionCache::default();
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?
        .query_row([id as i64], |row| read_job(conn, &mut definitions, row))
        .optional()
}

/// The anchor of a job: a look that reads no definition.
pub fn anchor(conn: &Connection, id: JobId) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT anchor FROM jobs WHERE id = ?1")?
        .query_row([id as i64], |row| row.get(0))
        .optional()
}

/// The project that a job is in.
pub fn project_of(conn: &Connection, id: JobId) -> rusqlite::Result<Option<ProjectId>> {
    conn.prepare_cached("SELECT project_id FROM jobs WHERE id = ?1")?
        .query_row([id as i64], |row| id_at(row, 0))
        .optional()
}

/// The job that a client knows by its own id.
pub fn by_external_id(
    conn: &Connection,
    project: ProjectId,
    external_id: &str,
) -> rusqlite::Result<Option<Job>> {
    id_by_external_id(conn, project, external_id)?.map_or(Ok(None), |id| get(conn, id))
}

/// The id of the job that a client knows by its own id.
pub fn id_by_external_id(
    conn: &Connection,
    project: ProjectId,
    external_id: &str,
) -> rusqlite::Result<Option<JobId>> {
    conn.prepare_cached("SELECT id FROM jobs WHERE project_id = ?1 AND external_id = ?2")?
        .query_row(params![project as i64, external_id], |row| id_at(row, 0))
        .optional()
}

/// The ids that jobs have among the `n` from `first` on, in order.
pub fn ids_between(conn: &Connection, first: JobId, n: u64) -> rusqlite::Result<Vec<JobId>> {
    let (first, end) = (clamped(first), clamped(first.saturating_add(n)));
    conn.prepare_cached("SELECT id FROM jobs WHERE id >= ?1 AND id < ?2 ORDER BY id")?
        .query_map([first, end], |row| id_at(row, 0))?
        .collect()
}

/// Those of some ids that no job has, in their order.
pub fn missing(conn: &Connection, ids: &[JobId]) -> rusqlite::Result<Vec<JobId>> {
    let mut query = conn.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?;
    let mut missing = Vec::new();
    for id in ids {
        if !query.exists([*id as i64])? {
            missing.push(*id);
        }
    }
    Ok(missing)
}

/// Reads whole jobs of consecutive ids one by one, in order, until `f` returns `false`: the jobs of
/// a task.
pub fn each_of_range(
    conn: &Connection,
    first: JobId,
    n: u64,
    mut f: impl FnMut(Job) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let mut definitions = DefinitionCache::default();
    let mut select = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM jobs WHERE id >= ?1 AND id < ?2 ORDER BY id"
    ))?;
    let mut rows = select.query([first as i64, first.saturating_add(n) as i64])?;
    while let Some(row) = rows.next()? {
        if !f(read_job(conn, &mut definitions, row)?)? {
            break;
        }
    }
    Ok(())
}

/// Calls `f` for the rows of consecutive ids, in order.
pub fn range(
    conn: &Connection,
    first: JobId,
    n: u64,
    mut f: impl FnMut(JobRow),
) -> rusqlite::Result<()> {
    let mut select = conn.prepare_cached(
        "SELECT id, shape_id, created, anchor, plan_from, status FROM jobs
         WHERE id >= ?1 AND id < ?2 ORDER BY id",
    )?;
    let mut rows = select.query([first as i64, first.saturating_add(n) as i64])?;
    while let Some(row) = rows.next()? {
        f(read_row(row)?);
    }
    Ok(())
}

/// Calls `f` for the rows of one shard, in order. It skips from run to run of consecutive ids, so
/// that its cost depends on what the shard holds and not on what all hold.
pub fn for_shard(
    conn: &Connection,
    shard: ShardId,
    mut f: impl FnMut(JobRow),
) -> rusqlite::Result<()> {
    let mut next_id = conn.prepare_cached("SELECT MIN(id) FROM jobs WHERE id >= ?1")?;
    let mut at = u64::from(shard) * RUN;
    loop {
        let next: Option<i64> = next_id.query_row([at as i64], |row| row.get(0))?;
        let Some(next) = next else { return Ok(()) };
        let first = run_at_or_after(shard, next as u64);
        range(conn, first, RUN, &mut f)?;
        at = first + RUN;
    }
}

/// The first id of the shard's run that holds `id`, or of the next run after it.
fn run_at_or_after(shard: ShardId, id: JobId) -> JobId {
    let run = id / RUN;
    let ahead = u64::from((shard + SHARDS - shard_of(id)) % SHARDS);
    (run + ahead) * RUN
}

/// The payloads of these jobs; those that do not exist any more are missing. The reading ends with
/// the job that makes it `max_bytes` of data or more, and then returns its id.
pub fn payloads(
    conn: &Connection,
    members: &Members,
    max_bytes: usize,
) -> rusqlite::Result<(Vec<Payload>, Option<JobId>)> {
    let mut found: Vec<Payload> = Vec::with_capacity(members.len() as usize);
    let mut bytes = 0;
    let mut select = conn.prepare_cached(
        "SELECT id, shape_id, created, anchor, plan_from, status, data FROM jobs
         WHERE id >= ?1 AND id < ?2 ORDER BY id",
    )?;
    for (first, n) in members.runs() {
        let mut rows = select.query([first as i64, (first + n) as i64])?;
        while let Some(row) = rows.next()? {
            let JobRow { id, definition_id, created, anchor, from, status } = read_row(row)?;
            let data: String = row.get(6)?;
            bytes += data.len();
            found.push(Payload { id, definition_id, data, created, anchor, from, status });
            if bytes >= max_bytes {
                return Ok((found, Some(id)));
            }
        }
    }
    Ok((found, None))
}

/// As [`payloads`] of all these jobs, but their data are not read: they are empty.
pub fn without_data(conn: &Connection, members: &Members) -> rusqlite::Result<Vec<Payload>> {
    let mut found: Vec<Payload> = Vec::new();
    let mut select = conn.prepare_cached(
        "SELECT id, shape_id, created, anchor, plan_from, status FROM jobs
         WHERE id >= ?1 AND id < ?2 ORDER BY id",
    )?;
    for (first, n) in members.runs() {
        let mut rows = select.query([first as i64, (first + n) as i64])?;
        while let Some(row) = rows.next()? {
            let JobRow { id, definition_id, created, anchor, from, status } = read_row(row)?;
            let data = String::new();
            found.push(Payload { id, definition_id, data, created, anchor, from, status });
        }
    }
    Ok(found)
}

/// The client's ids of those of these jobs that have one.
pub fn external_ids(
    conn: &Connection,
    members: &Members,
) -> rusqlite::Result<BTreeMap<JobId, String>> {
    let mut found = BTreeMap::new();
    let mut select = conn.prepare_cached(
        "SELECT id, external_id FROM jobs
         WHERE id >= ?1 AND id < ?2 AND external_id IS NOT NULL ORDER BY id",
    )?;
    for (first, n) in members.runs() {
        let mut rows = select.query([first as i64, (first + n) as i64])?;
        while let Some(row) = rows.next()? {
            found.insert(id_at(row, 0)?, row.get(1)?);
        }
    }
    Ok(found)
}

/// The lapsed one-offs: those that do not fire and were due at `until` or before. Earliest first,
/// at most `limit`.
pub fn lapsed(conn: &Connection, until: Millis, limit: u32) -> rusqlite::Result<Vec<JobId>> {
    conn.prepare_cached(
        "SELECT id FROM jobs WHERE asleep IS NOT NULL AND asleep <= ?1 ORDER BY asleep, id LIMIT ?2",
    )?
    .query_map(params![until, limit], |row| id_at(row, 0))?
    .collect()
}

/// The instant at which the next one-off lapses.
pub fn next_lapse(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MIN(asleep) FROM jobs WHERE asleep IS NOT NULL")?
        .query_row([], |row| row.get(0))
}

/// The jobs of a project that are paused up to an instant beyond `at`, in order.
pub fn paused_beyond(
    conn: &Connection,
    project: ProjectId,
    at: Millis,
) -> rusqlite::Result<Vec<JobId>> {
    conn.prepare_cached("SELECT id FROM jobs WHERE project_id = ?1 AND plan_from > ?2 ORDER BY id")?
        .query_map(params![project as i64, at], |row| id_at(row, 0))?
        .collect()
}
