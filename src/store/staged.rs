//! Staged jobs: the chunks of a large request, invisible until their task is activated. Only apply
//! touches them.

use rusqlite::params;

use super::id_at;
use super::writer::Tx;
use crate::model::job::JobStatus;
use crate::model::{JobId, Millis, ProjectId};

/// A staged job.
pub struct StagedRow<'a> {
    /// Its place in the request, from 0.
    pub seq: u64,
    /// Its project.
    pub project: ProjectId,
    /// The number of its shape.
    pub shape_id: u64,
    /// Whether its anchor is rounded up to a whole second.
    pub whole_seconds: bool,
    /// Whether it will fire.
    pub status: JobStatus,
    /// What it carries.
    pub data: &'a str,
}

/// Adds rows to a task.
pub fn insert<'a>(
    tx: &Tx<'_>,
    task: u64,
    rows: impl Iterator<Item = StagedRow<'a>>,
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO staged_jobs (task, seq, project_id, shape_id, whole_seconds, status, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for row in rows {
        insert.execute(params![
            task as i64,
            row.seq as i64,
            row.project as i64,
            row.shape_id as i64,
            row.whole_seconds,
            row.status as i64,
            row.data,
        ])?;
    }
    Ok(())
}

/// How many jobs of each project a task has staged.
pub fn by_project(tx: &Tx<'_>, task: u64) -> rusqlite::Result<Vec<(ProjectId, u64)>> {
    tx.prepare_cached(
        "SELECT project_id, COUNT(*) FROM staged_jobs WHERE task = ?1
         GROUP BY project_id ORDER BY project_id",
    )?
    .query_map([task as i64], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))?
    .collect()
}

/// How many staged jobs of a task use each shape.
pub fn by_shape(tx: &Tx<'_>, task: u64) -> rusqlite::Result<Vec<(u64, u64)>> {
    tx.prepare_cached(
        "SELECT shape_id, COUNT(*) FROM staged_jobs WHERE task = ?1
         GROUP BY shape_id ORDER BY shape_id",
    )?
    .query_map([task as i64], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))?
    .collect()
}

/// Turns a task's staged jobs into jobs numbered from `first`, in the order of the request.
pub fn activate(
    tx: &Tx<'_>,
    task: u64,
    first: JobId,
    stamp: Millis,
    whole_second: Millis,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from, status)
         SELECT ?2 + seq, project_id, shape_id, data, ?3, CASE whole_seconds WHEN 1 THEN ?4
             ELSE ?3 END, ?3, status
         FROM staged_jobs WHERE task = ?1 ORDER BY seq",
    )?
    .execute(params![task as i64, first as i64, stamp, whole_second])?;
    discard(tx, task)
}

/// Drops a task's staged jobs. What they refer to is the caller's to give back, or to keep.
pub fn discard(tx: &Tx<'_>, task: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM staged_jobs WHERE task = ?1")?.execute([task as i64])?;
    Ok(())
}
