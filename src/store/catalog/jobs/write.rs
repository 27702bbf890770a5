//! Changes of jobs that exist. Apply is the only caller.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::row::{COLUMNS, read_row, whole};
use crate::model::job::Job;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::db::Tx;
use crate::store::row::id_at;

/// Writes all of a job that an edit may change; `lapses_at` as in [`super::NewRow`].
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

/// Removes a project's jobs and returns their ids, in order.
pub fn delete_of_project(tx: &Tx<'_>, project: ProjectId) -> rusqlite::Result<Vec<JobId>> {
    let ids = tx
        .prepare_cached("SELECT id FROM jobs WHERE project_id = ?1 ORDER BY id")?
        .query_map([project as i64], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    tx.prepare_cached("DELETE FROM jobs WHERE project_id = ?1")?.execute([project as i64])?;
    Ok(ids)
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
