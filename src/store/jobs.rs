//! Jobs: a small row each, the rest in its definition. Apply writes; the api reads whole jobs, the
//! worker reads rows to build its queue and payloads to build requests.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{definitions, id_at};
use crate::model::job::{Job, JobDefinition, JobStatus};
use crate::model::members::Members;
use crate::model::shard::{SHARDS, ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};

mod insert;
mod list;
mod over;

pub use super::plans::of_shard as closed_plans;
pub use insert::{NewRow, insert};
pub use list::{Filter, Order, Walked, count, each, last_id, list, walk};
pub use over::{first_due, has_nothing_left, is_over, parse};

/// How many jobs in a row share a shard; see [`shard_of`].
const RUN: u64 = 64;

const COLUMNS: &str = "id, shape_id, created, anchor, plan_from, status, data, modified, modified_by, external_id, \
     version";

/// What the due queue needs of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its number.
    pub id: JobId,
    /// The number of its definition.
    pub definition_id: u64,
    /// The stamp of its creation.
    pub created: Millis,
    /// What `@every` counts from.
    pub anchor: Millis,
    /// Its current plan covers instants after this one.
    pub from: Millis,
    /// Whether it fires.
    pub status: JobStatus,
}

/// What a request needs of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Its number.
    pub id: JobId,
    /// The number of its definition.
    pub definition_id: u64,
    /// What it carries to its target.
    pub data: String,
    /// The stamp of its creation.
    pub created: Millis,
    /// What `@every` counts from.
    pub anchor: Millis,
    /// Its current plan covers instants after this one.
    pub from: Millis,
    /// Whether it fires.
    pub status: JobStatus,
}

/// A job by its number.
pub fn get(conn: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    let mut definitions = DefinitionCache::default();
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?
        .query_row([id as i64], |row| read_job(conn, &mut definitions, row))
        .optional()
}

/// The job that a client knows by an id of its own.
pub fn by_external_id(
    conn: &Connection,
    project: ProjectId,
    external_id: &str,
) -> rusqlite::Result<Option<Job>> {
    id_by_external_id(conn, project, external_id)?.map_or(Ok(None), |id| get(conn, id))
}

/// The number of the job that a client knows by an id of its own.
pub fn id_by_external_id(
    conn: &Connection,
    project: ProjectId,
    external_id: &str,
) -> rusqlite::Result<Option<JobId>> {
    conn.prepare_cached("SELECT id FROM jobs WHERE project_id = ?1 AND external_id = ?2")?
        .query_row(params![project as i64, external_id], |row| id_at(row, 0))
        .optional()
}

/// The numbers of the jobs there are among `n` from `first` on, in order.
pub fn ids_between(conn: &Connection, first: JobId, n: u64) -> rusqlite::Result<Vec<JobId>> {
    let (first, end) = (first.min(i64::MAX as u64), first.saturating_add(n).min(i64::MAX as u64));
    conn.prepare_cached("SELECT id FROM jobs WHERE id >= ?1 AND id < ?2 ORDER BY id")?
        .query_map([first as i64, end as i64], |row| id_at(row, 0))?
        .collect()
}

/// Those of some numbers that no job has, in their order.
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

/// Reads whole jobs of consecutive numbers one by one, in order, for as long as `f` wants more: what
/// a task made.
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

/// The rows of consecutive numbers, in order.
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

/// The rows of one shard, in order. Skips from run to run, so that it costs what the shard holds.
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

/// Where the shard's run that holds `id`, or the first one after it, begins.
fn run_at_or_after(shard: ShardId, id: JobId) -> JobId {
    let run = id / RUN;
    let ahead = u64::from((shard + SHARDS - shard_of(id)) % SHARDS);
    (run + ahead) * RUN
}

/// What is to be sent of these jobs; those that do not exist any more are missing. With the one that
/// makes it `max_bytes` of data or more the reading ends: that one is named then.
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

/// Writes all of a job that an edit may change; `asleep` as in [`NewRow`].
pub fn update(tx: &Tx<'_>, job: &Job, lapses_at: Option<Millis>) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE jobs SET project_id = ?2, shape_id = ?3, data = ?4, anchor = ?5, plan_from = ?6,
             status = ?7, modified = ?8, modified_by = ?9, external_id = ?10, version = ?11,
             labelled = ?12, asleep = ?13
         WHERE id = ?1",
    )?
    .execute(params![
        job.id as i64,
        job.definition.project as i64,
        job.definition_id as i64,
        job.data,
        job.anchor,
        job.from,
        job.status as i64,
        job.modified,
        job.modified_by,
        job.external_id,
        job.version as i64,
        !job.definition.labels.is_empty(),
        lapses_at,
    ])?;
    Ok(())
}

/// Removes a job.
pub fn delete(tx: &Tx<'_>, id: JobId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([id as i64])?;
    Ok(())
}

/// One-offs that do not fire and were due at an instant or before, earliest first, at most `limit`.
pub fn lapsed(conn: &Connection, until: Millis, limit: u32) -> rusqlite::Result<Vec<JobId>> {
    conn.prepare_cached(
        "SELECT id FROM jobs WHERE asleep IS NOT NULL AND asleep <= ?1 ORDER BY asleep, id LIMIT ?2",
    )?
    .query_map(params![until, limit], |row| id_at(row, 0))?
    .collect()
}

/// When the next of these is due.
pub fn next_lapse(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    conn.prepare_cached("SELECT MIN(asleep) FROM jobs WHERE asleep IS NOT NULL")?
        .query_row([], |row| row.get(0))
}

/// The jobs of a project that are paused up to an instant beyond this one, in order.
pub fn paused_beyond(
    conn: &Connection,
    project: ProjectId,
    at: Millis,
) -> rusqlite::Result<Vec<JobId>> {
    conn.prepare_cached("SELECT id FROM jobs WHERE project_id = ?1 AND plan_from > ?2 ORDER BY id")?
        .query_map(params![project as i64, at], |row| id_at(row, 0))?
        .collect()
}

/// Removes a project's jobs; their ids, in order.
pub fn delete_of_project(tx: &Tx<'_>, project: ProjectId) -> rusqlite::Result<Vec<JobId>> {
    let ids = tx
        .prepare_cached("SELECT id FROM jobs WHERE project_id = ?1 ORDER BY id")?
        .query_map([project as i64], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    tx.prepare_cached("DELETE FROM jobs WHERE project_id = ?1")?.execute([project as i64])?;
    Ok(ids)
}

/// Reads a job for apply, with its definition as the transaction sees it.
pub fn get_in(tx: &mut Tx<'_>, id: JobId) -> rusqlite::Result<Option<Job>> {
    let found = tx
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?
        .query_row([id as i64], |row| {
            let head = read_row(row)?;
            whole(head, Arc::default(), row)
        })
        .optional()?;
    let Some(mut job) = found else { return Ok(None) };
    job.definition = Arc::new(tx.definition(job.definition_id)?);
    Ok(Some(job))
}

/// Definitions met while reading a list.
#[derive(Default)]
struct DefinitionCache(HashMap<u64, Arc<JobDefinition>>);

impl DefinitionCache {
    fn get(&mut self, conn: &Connection, id: u64) -> rusqlite::Result<Arc<JobDefinition>> {
        if let Some(definition) = self.0.get(&id) {
            return Ok(definition.clone());
        }
        let definition = definitions::get(conn, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let definition = Arc::new(definition);
        self.0.insert(id, definition.clone());
        Ok(definition)
    }
}

fn read_job(
    conn: &Connection,
    definitions: &mut DefinitionCache,
    row: &Row<'_>,
) -> rusqlite::Result<Job> {
    let head = read_row(row)?;
    let definition = definitions.get(conn, head.definition_id)?;
    whole(head, definition, row)
}

fn whole(head: JobRow, definition: Arc<JobDefinition>, row: &Row<'_>) -> rusqlite::Result<Job> {
    let JobRow { id, definition_id, created, anchor, from, status } = head;
    Ok(Job {
        id,
        definition_id,
        definition,
        created,
        anchor,
        from,
        status,
        data: row.get(6)?,
        modified: row.get(7)?,
        modified_by: row.get(8)?,
        external_id: row.get(9)?,
        version: id_at(row, 10)?,
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        id: id_at(row, 0)?,
        definition_id: id_at(row, 1)?,
        created: row.get(2)?,
        anchor: row.get(3)?,
        from: row.get(4)?,
        status: JobStatus::from_code(row.get(5)?),
    })
}
