//! Closed plans: the schedules that jobs had before an edit, a pause or their end. Apply writes
//! them; the worker catches up on what fell due under them, `history::timeline` reads them.

use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::definitions::DefinitionCache;
use crate::model::job::{ClosedPlan, Job, JobDefinition, JobStatus, LONGEST_JITTER};
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::db::Tx;
use crate::store::row::id_at;

/// The most pages of closed plans that one call of [`drop_ended`] looks at.
const MAX_PAGES: usize = 2;

const COLUMNS: &str = "job, shape_id, anchor, plan_from, until, status";

/// The closed plans of a shard's jobs that have occurrences due after an instant, by job and age.
/// Jitter may delay the last occurrence of a plan beyond the plan's end.
pub fn of_shard(
    conn: &Connection,
    shard: ShardId,
    after: Millis,
) -> rusqlite::Result<Vec<ClosedPlan>> {
    // Of the plans that ended before, only those with jitter are read: there may be a plan for
    // every one-off of a day.
    let mut select = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM closed_plans
         WHERE shard = ?1 AND until > ?2 AND (until > ?3 OR until + COALESCE(
             (SELECT json_extract(body, '$.jitter') FROM shapes WHERE id = shape_id), 0) > ?3)
         ORDER BY job, seq"
    ))?;
    let rows = select.query(params![shard, after.saturating_sub(LONGEST_JITTER), after])?;
    read_all(conn, rows)
}

/// All closed plans of a job, oldest first.
pub fn of_job(conn: &Connection, job: JobId) -> rusqlite::Result<Vec<ClosedPlan>> {
    let mut select = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM closed_plans WHERE job = ?1 ORDER BY seq"
    ))?;
    read_all(conn, select.query([job as i64])?)
}

/// All closed plans of a job, oldest first, with their definitions as the transaction sees them: a
/// definition that the transaction made has no row yet.
pub fn of_job_in(tx: &mut Tx<'_>, job: JobId) -> rusqlite::Result<Vec<ClosedPlan>> {
    let mut plans: Vec<ClosedPlan> = tx
        .prepare_cached(&format!("SELECT {COLUMNS} FROM closed_plans WHERE job = ?1 ORDER BY seq"))?
        .query_map([job as i64], |row| read(row, id_at(row, 1)?, Arc::default()))?
        .collect::<rusqlite::Result<_>>()?;
    for plan in &mut plans {
        plan.definition = Arc::new(tx.definition(plan.definition_id)?);
    }
    Ok(plans)
}

/// A closed plan to be added.
pub struct NewPlan {
    /// The id of the job whose plan it was.
    pub job: JobId,
    /// The id of its definition.
    pub definition_id: u64,
    /// The instant that its schedule counts from; the instant of a one-off.
    pub anchor: Millis,
    /// It covers instants after this one ...
    pub from: Millis,
    /// ... up to and including this one, which may lie ahead.
    pub until: Millis,
    /// The status of the job in it.
    pub status: JobStatus,
}

/// Closes a job's current plan at an instant. Returns `false` for a plan of no length, which is not
/// kept. For one that is kept, the caller adds a reference to the job's definition.
pub fn close(tx: &Tx<'_>, job: &Job, until: Millis) -> rusqlite::Result<bool> {
    if job.from >= until {
        return Ok(false);
    }
    insert(
        tx,
        &NewPlan {
            job: job.id,
            definition_id: job.definition_id,
            anchor: job.anchor,
            from: job.from,
            until,
            status: job.status,
        },
    )?;
    Ok(true)
}

/// Adds a closed plan to those of its job. The caller adds a reference to its definition.
pub fn insert(tx: &Tx<'_>, plan: &NewPlan) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO closed_plans (job, seq, shard, shape_id, anchor, plan_from, until, status)
         VALUES (?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM closed_plans WHERE job = ?1),
             ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        plan.job as i64,
        shard_of(plan.job),
        plan.definition_id as i64,
        plan.anchor,
        plan.from,
        plan.until,
        plan.status as i64,
    ])?;
    Ok(())
}

/// Ends the plans of a job that reach beyond an instant (pauses whose end is known) at that
/// instant, and removes those that would begin there or later. Returns the definitions of the
/// removed ones, whose references the caller gives back.
pub fn cut(tx: &Tx<'_>, job: JobId, at: Millis) -> rusqlite::Result<Vec<u64>> {
    let gone = tx
        .prepare_cached(
            "DELETE FROM closed_plans WHERE job = ?1 AND until > ?2 AND plan_from >= ?2
             RETURNING shape_id",
        )?
        .query_map(params![job as i64, at], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    tx.prepare_cached("UPDATE closed_plans SET until = ?2 WHERE job = ?1 AND until > ?2")?
        .execute(params![job as i64, at])?;
    Ok(gone)
}

/// Closes the current plans of all jobs of a project. The plans take over the jobs' references to
/// their definitions. The references of plans of no length are returned as (definition, count); the
/// caller gives them back.
pub fn close_project(
    tx: &Tx<'_>,
    project: ProjectId,
    until: Millis,
) -> rusqlite::Result<Vec<(u64, u64)>> {
    tx.prepare_cached(
        "INSERT INTO closed_plans (job, seq, shard, shape_id, anchor, plan_from, until, status)
         SELECT id, (SELECT COALESCE(MAX(seq), 0) + 1 FROM closed_plans WHERE job = jobs.id),
             (id / 64) % 64, shape_id, anchor, plan_from, ?2, status
         FROM jobs WHERE project_id = ?1 AND plan_from < ?2",
    )?
    .execute(params![project as i64, until])?;
    tx.prepare_cached(
        "SELECT shape_id, COUNT(*) FROM jobs WHERE project_id = ?1 AND plan_from >= ?2
         GROUP BY shape_id ORDER BY shape_id",
    )?
    .query_map(params![project as i64, until], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))?
    .collect()
}

/// Drops at most `limit` plans of a shard, oldest first, whose occurrences were all due before an
/// instant: a plan is kept for as long after its end as its jitter may delay its last occurrence.
///
/// At most [`MAX_PAGES`] times `limit` plans are looked at. Those behind many that are still kept
/// are dropped a day later at most, because no jitter is longer. Returns the definitions of the
/// dropped plans, whose references the caller gives back.
pub fn drop_ended(
    tx: &mut Tx<'_>,
    shard: ShardId,
    before: Millis,
    limit: u32,
) -> rusqlite::Result<Vec<u64>> {
    let mut jitter: HashMap<u64, Millis> = HashMap::new();
    let mut ended: Vec<(i64, i64, u64)> = Vec::new();
    let mut last = (Millis::MIN, 0_i64, 0_i64);
    for _ in 0..MAX_PAGES {
        if ended.len() >= limit as usize {
            break;
        }
        let page: Vec<(i64, i64, u64, Millis)> = tx
            .prepare_cached(
                "SELECT job, seq, shape_id, until FROM closed_plans
                 WHERE shard = ?1 AND until < ?2 AND (until, job, seq) > (?4, ?5, ?6)
                 ORDER BY until, job, seq LIMIT ?3",
            )?
            .query_map(params![shard, before, limit, last.0, last.1, last.2], |row| {
                Ok((row.get(0)?, row.get(1)?, id_at(row, 2)?, row.get(3)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let Some((job, seq, _, until)) = page.last() else { break };
        last = (*until, *job, *seq);
        for (job, seq, definition, until) in page {
            let late = match jitter.entry(definition) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => *place.insert(tx.definition(definition)?.jitter.max(0)),
            };
            if until.saturating_add(late) < before && ended.len() < limit as usize {
                ended.push((job, seq, definition));
            }
        }
    }
    let mut delete = tx.prepare_cached("DELETE FROM closed_plans WHERE job = ?1 AND seq = ?2")?;
    for (job, seq, _) in &ended {
        delete.execute([job, seq])?;
    }
    Ok(ended.into_iter().map(|(.., definition)| definition).collect())
}

fn read_all(conn: &Connection, mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Vec<ClosedPlan>> {
    let mut definitions = DefinitionCache::default();
    let mut plans = Vec::new();
    while let Some(row) = rows.next()? {
        let definition_id = id_at(row, 1)?;
        plans.push(read(row, definition_id, definitions.get(conn, definition_id)?)?);
    }
    Ok(plans)
}

fn read(
    row: &Row<'_>,
    definition_id: u64,
    definition: Arc<JobDefinition>,
) -> rusqlite::Result<ClosedPlan> {
    Ok(ClosedPlan {
        job: id_at(row, 0)?,
        definition,
        definition_id,
        anchor: row.get(2)?,
        from: row.get(3)?,
        until: row.get(4)?,
        status: JobStatus::from_code(row.get(5)?),
    })
}
