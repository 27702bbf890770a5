//! Changes of jobs that exist. Apply is the only caller.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};

use super::row::{COLUMNS, read_row, whole};
use crate::model::job::{Job, JobStatus};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::db::Tx;
use crate::store::row::id_at;

/// Writes all of a job that an edit may change; `lapses_at` as in [`super::NewRow`].
pub fn update(tx: &Tx<'_>, job: &Job, lapses_at: Option<Millis>) -> rusqlite::Result<()> {
    let was = tx
        .prepare_cached("SELECT project_id, status FROM jobs WHERE id = ?1")?
        .query_row([job.id as i64], read_standing)?;
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
    let is = (job.definition.project, job.status);
    if was != is {
        tx.count_jobs(was.0, was.1, -1);
        tx.count_jobs(is.0, is.1, 1);
    }
    Ok(())
}

/// Writes that a job is completed, as its plan is from an instant on; `lapses_at` as in
/// [`super::NewRow`]. All else stays: a column that is written costs the work of each of its
/// indexes, whether or not it has changed, and one-offs end by the thousand.
pub fn complete(
    tx: &Tx<'_>,
    old: &Job,
    from: Millis,
    lapses_at: Option<Millis>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE jobs SET status = ?2, plan_from = ?3, version = ?4, asleep = ?5 WHERE id = ?1",
    )?
    .execute(params![
        old.id as i64,
        JobStatus::Completed as i64,
        from,
        (old.version + 1) as i64,
        lapses_at,
    ])?;
    let project = old.definition.project;
    tx.count_jobs(project, old.status, -1);
    tx.count_jobs(project, JobStatus::Completed, 1);
    Ok(())
}

/// Removes a job.
pub fn delete(tx: &Tx<'_>, id: JobId) -> rusqlite::Result<()> {
    let was = tx
        .prepare_cached("DELETE FROM jobs WHERE id = ?1 RETURNING project_id, status")?
        .query_row([id as i64], read_standing)
        .optional()?;
    if let Some((project, status)) = was {
        tx.count_jobs(project, status, -1);
    }
    Ok(())
}

/// Removes a project's jobs and returns their ids, in order.
pub fn delete_of_project(tx: &Tx<'_>, project: ProjectId) -> rusqlite::Result<Vec<JobId>> {
    let mut ids = Vec::new();
    let mut select =
        tx.prepare_cached("SELECT id, status FROM jobs WHERE project_id = ?1 ORDER BY id")?;
    let mut rows = select.query([project as i64])?;
    while let Some(row) = rows.next()? {
        ids.push(id_at(row, 0)?);
        tx.count_jobs(project, JobStatus::from_code(row.get(1)?), -1);
    }
    tx.prepare_cached("DELETE FROM jobs WHERE project_id = ?1")?.execute([project as i64])?;
    Ok(ids)
}

/// The project and the status of a job.
fn read_standing(row: &Row<'_>) -> rusqlite::Result<(ProjectId, JobStatus)> {
    Ok((id_at(row, 0)?, JobStatus::from_code(row.get(1)?)))
}

/// A job with its definition as the transaction sees it.
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
