//! Closed plans: the schedules that jobs had before an edit, a pause or their end. Apply writes
//! them; the worker makes up what fell due under them, `explain` reads them.

use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::writer::Tx;
use super::{definitions, id_at};
use crate::model::job::{ClosedPlan, Job, JobDefinition, JobStatus, LONGEST_JITTER};
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, ProjectId};

/// How many pages of closed plans one call of [`drop_ended`] looks at.
const PAGES: usize = 2;

const COLUMNS: &str = "job, shape_id, anchor, plan_from, until, status";

/// The closed plans of a shard's jobs that have occurrences due after an instant (jitter carries the
/// last of them beyond the plan's end), by job and age.
pub fn of_shard(
    conn: &Connection,
    shard: ShardId,
    after: Millis,
) -> rusqlite::Result<Vec<ClosedPlan>> {
    // Of those that ended before, only the ones with jitter are read: there may be a plan for every
    // one-off of a day.
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

/// All closed plans of a job, oldest first, for apply: with their definitions as the transaction sees
/// them. A definition that the transaction made has no row yet.
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

/// A closed plan that is new.
pub struct NewPlan {
    /// The job.
    pub job: JobId,
    /// The number of its definition.
    pub definition_id: u64,
    /// What it counts from; the instant of a one-off.
    pub anchor: Millis,
    /// It covers instants after this one ...
    pub from: Millis,
    /// ... up to and including this one, which may lie ahead.
    pub until: Millis,
    /// Whether the job fires in it.
    pub status: JobStatus,
}

/// Closes a job's current plan at an instant. The plan needs a reference to the job's definition, which
/// the caller adds. Says whether there was anything to keep: a plan of no length is left out.
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

/// Adds a closed plan to those of its job. It needs a reference to its definition, which the caller adds.
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

/// Ends the plans of a job that reach beyond an instant (a pause whose end is known) there. Those
/// that would begin there or later go; returns the definitions they used, to be given back.
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
/// their definitions; those of plans of no length are returned as (definition, how many), to be given back.
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

/// Drops at most `limit` plans of a shard, oldest first, of which all was due before an instant: a
/// plan is kept for as long after its end as its jitter may delay the last occurrence. At most
/// [`PAGES`] times `limit` are looked at: those behind many that are still kept go a day later at
/// most, as no jitter is longer. Returns the definitions they used, to be given back.
pub fn drop_ended(
    tx: &mut Tx<'_>,
    shard: ShardId,
    before: Millis,
    limit: u32,
) -> rusqlite::Result<Vec<u64>> {
    let mut jitter: HashMap<u64, Millis> = HashMap::new();
    let mut ended: Vec<(i64, i64, u64)> = Vec::new();
    let mut last = (Millis::MIN, 0_i64, 0_i64);
    for _ in 0..PAGES {
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
    let mut met: HashMap<u64, Arc<JobDefinition>> = HashMap::new();
    let mut plans = Vec::new();
    while let Some(row) = rows.next()? {
        let definition_id = id_at(row, 1)?;
        let definition = if let Some(definition) = met.get(&definition_id) {
            definition.clone()
        } else {
            let read = definitions::get(conn, definition_id)?
                .ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            met.entry(definition_id).or_insert(Arc::new(read)).clone()
        };
        plans.push(read(row, definition_id, definition)?);
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
