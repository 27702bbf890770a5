//! Staged jobs: the chunks of a large request, invisible until their task is activated. Apply is
//! the only caller.

use rusqlite::{OptionalExtension, Row, params};

use super::jobs::JobRow;
use crate::model::job::JobStatus;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::db::Tx;
use crate::store::row::id_at;

/// The condition of the index on special rows, word for word: those that activation has to look at
/// one by one.
const SPECIAL: &str = "(at IS NOT NULL OR delay IS NOT NULL OR pause_until IS NOT NULL)";

/// A staged job.
pub struct StagedRow<'a> {
    /// Its place in the request, from 0.
    pub seq: u64,
    /// The id of its project.
    pub project: ProjectId,
    /// The id of its definition.
    pub definition_id: u64,
    /// Its anchor is rounded up to a whole second.
    pub whole_seconds: bool,
    /// Its status: it will fire or not.
    pub status: JobStatus,
    /// Its data, for its target.
    pub data: &'a str,
    /// The instant of a one-off that has one already.
    pub at: Option<Millis>,
    /// The delay of a one-off that counts from its activation.
    pub delay: Option<Millis>,
    /// The end of its pause.
    pub pause_until: Option<Millis>,
    /// The client's own id of it.
    pub external_id: Option<&'a str>,
    /// Its definition has labels.
    pub labelled: bool,
}

/// The part of a special staged job that activation needs: a one-off, or a job that begins with a
/// pause.
pub struct SpecialRow {
    /// Its place in the request.
    pub seq: u64,
    /// The id of its project.
    pub project: ProjectId,
    /// The id of its definition.
    pub definition_id: u64,
    /// Its anchor is rounded up to a whole second.
    pub whole_seconds: bool,
    /// Its status: it will fire or not.
    pub status: JobStatus,
    /// The instant of a one-off that has one already.
    pub at: Option<Millis>,
    /// The delay of a one-off that counts from its activation.
    pub delay: Option<Millis>,
    /// The end of its pause.
    pub pause_until: Option<Millis>,
}

/// Adds rows to a task.
pub fn insert<'a>(
    tx: &Tx<'_>,
    task: u64,
    rows: impl Iterator<Item = StagedRow<'a>>,
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO staged_jobs (task, seq, project_id, shape_id, whole_seconds, status, data, at,
             delay, pause_until, external_id, labelled)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for row in rows {
        insert.execute(params![
            task as i64,
            row.seq as i64,
            row.project as i64,
            row.definition_id as i64,
            row.whole_seconds,
            row.status as i64,
            row.data,
            row.at,
            row.delay,
            row.pause_until,
            row.external_id,
            row.labelled,
        ])?;
    }
    Ok(())
}

/// The number of staged jobs of a task by project and status.
pub fn by_status(tx: &Tx<'_>, task: u64) -> rusqlite::Result<Vec<(ProjectId, JobStatus, u64)>> {
    tx.prepare_cached(
        "SELECT project_id, status, COUNT(*) FROM staged_jobs WHERE task = ?1
         GROUP BY project_id, status ORDER BY project_id, status",
    )?
    .query_map([task as i64], |row| {
        Ok((id_at(row, 0)?, JobStatus::from_code(row.get(1)?), id_at(row, 2)?))
    })?
    .collect()
}

/// The number of staged jobs of a task by definition.
pub fn by_definition(tx: &Tx<'_>, task: u64) -> rusqlite::Result<Vec<(u64, u64)>> {
    tx.prepare_cached(
        "SELECT shape_id, COUNT(*) FROM staged_jobs WHERE task = ?1
         GROUP BY shape_id ORDER BY shape_id",
    )?
    .query_map([task as i64], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))?
    .collect()
}

/// Tells whether a task has staged a job under a client's id.
pub fn has_external_id(
    tx: &Tx<'_>,
    task: u64,
    project: ProjectId,
    external_id: &str,
) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT 1 FROM staged_jobs WHERE task = ?1 AND project_id = ?2 AND external_id = ?3",
    )?
    .exists(params![task as i64, project as i64, external_id])
}

/// The first staged job of a task whose client's id another job has: its project and that id.
pub fn taken_external_id(tx: &Tx<'_>, task: u64) -> rusqlite::Result<Option<(ProjectId, String)>> {
    tx.prepare_cached(
        "SELECT staged_jobs.project_id, staged_jobs.external_id FROM staged_jobs
         JOIN jobs ON jobs.project_id = staged_jobs.project_id
             AND jobs.external_id = staged_jobs.external_id
         WHERE task = ?1 AND staged_jobs.external_id IS NOT NULL ORDER BY seq LIMIT 1",
    )?
    .query_row([task as i64], |row| Ok((id_at(row, 0)?, row.get(1)?)))
    .optional()
}

/// The special staged jobs of a task, in order. [`activate`] leaves them to the caller.
pub fn special(tx: &Tx<'_>, task: u64) -> rusqlite::Result<Vec<SpecialRow>> {
    tx.prepare_cached(&format!(
        "SELECT seq, project_id, shape_id, whole_seconds, status, at, delay, pause_until
         FROM staged_jobs WHERE task = ?1 AND {SPECIAL} ORDER BY seq"
    ))?
    .query_map([task as i64], read_special)?
    .collect()
}

/// Turns a task's staged jobs into jobs with ids from `first`, in the order of the request, except
/// those that are [`special`]. `by_status` is what [`by_status`] says of the task.
pub fn activate(
    tx: &Tx<'_>,
    task: u64,
    by_status: &[(ProjectId, JobStatus, u64)],
    first: JobId,
    stamp: Millis,
    whole_second: Millis,
) -> rusqlite::Result<()> {
    tx.prepare_cached(&format!(
        "INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from, status,
             external_id, labelled)
         SELECT ?2 + seq, project_id, shape_id, data, ?3, CASE whole_seconds WHEN 1 THEN ?4
             ELSE ?3 END, ?3, status, external_id, labelled
         FROM staged_jobs WHERE task = ?1 AND NOT {SPECIAL} ORDER BY seq"
    ))?
    .execute(params![task as i64, first as i64, stamp, whole_second])?;
    // Special ones are counted anew when they are activated: their status may be another then.
    for (project, status, n) in by_status {
        tx.count_jobs(*project, *status, *n as i64);
    }
    Ok(())
}

/// Turns one staged job, which [`activate`] left out, into a job that begins as `row` says; the
/// rest of it is what was staged. `lapses_at` as in [`super::jobs::NewRow`].
pub fn activate_one(
    tx: &Tx<'_>,
    task: u64,
    staged: &SpecialRow,
    row: &JobRow,
    lapses_at: Option<Millis>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from, status,
             external_id, labelled, asleep)
         SELECT ?3, project_id, shape_id, data, ?4, ?5, ?6, ?7, external_id, labelled, ?8
         FROM staged_jobs WHERE task = ?1 AND seq = ?2",
    )?
    .execute(params![
        task as i64,
        staged.seq as i64,
        row.id as i64,
        row.created,
        row.anchor,
        row.from,
        row.status as i64,
        lapses_at,
    ])?;
    if staged.status != row.status {
        tx.count_jobs(staged.project, staged.status, -1);
        tx.count_jobs(staged.project, row.status, 1);
    }
    Ok(())
}

/// Drops a task's staged jobs. The caller gives back their references to definitions, or keeps
/// them.
pub fn discard(tx: &Tx<'_>, task: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM staged_jobs WHERE task = ?1")?.execute([task as i64])?;
    Ok(())
}

fn read_special(row: &Row<'_>) -> rusqlite::Result<SpecialRow> {
    Ok(SpecialRow {
        seq: id_at(row, 0)?,
        project: id_at(row, 1)?,
        definition_id: id_at(row, 2)?,
        whole_seconds: row.get(3)?,
        status: JobStatus::from_code(row.get(4)?),
        at: row.get(5)?,
        delay: row.get(6)?,
        pause_until: row.get(7)?,
    })
}
