//! Async tasks: the receipts of requests that created jobs. Apply writes; the api reads.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::task::{Task, TaskState};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::db::Tx;
use crate::store::row::{from_json, id_at, to_json, u128_at};

const COLUMNS: &str = "id, request, state, jobs, created";

/// A task by the id of its request.
pub fn get(conn: &Connection, request: u128) -> rusqlite::Result<Option<Task>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM tasks WHERE request = ?1"))?
        .query_row([request.to_be_bytes()], read)
        .optional()
}

/// A task by its id.
pub fn by_id(conn: &Connection, id: u64) -> rusqlite::Result<Option<Task>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM tasks WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// The number of jobs that a task has staged.
pub fn staged(conn: &Connection, id: u64) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT staged FROM tasks WHERE id = ?1")?
        .query_row([id as i64], |row| id_at(row, 0))
}

/// Adds a task, with the projects of its jobs, where the level of the cluster keeps them.
pub fn insert(
    tx: &Tx<'_>,
    task: &Task,
    staged: u64,
    projects: Option<&[ProjectId]>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO tasks (id, request, state, jobs, created, staged, projects)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        task.id as i64,
        task.request.to_be_bytes(),
        task.state as i64,
        to_json(&task.jobs)?,
        task.created,
        staged as i64,
        projects.map(to_json).transpose()?,
    ])?;
    Ok(())
}

/// The projects of a task's jobs, ascending; `None` where they are not kept.
pub fn projects(conn: &Connection, id: u64) -> rusqlite::Result<Option<Vec<ProjectId>>> {
    conn.prepare_cached("SELECT projects FROM tasks WHERE id = ?1")?
        .query_row([id as i64], |row| row.get::<_, Option<String>>(0))?
        .map(|text| from_json(&text, 0))
        .transpose()
}

/// Sets the projects of a task's jobs.
pub fn set_projects(tx: &Tx<'_>, id: u64, projects: &[ProjectId]) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE tasks SET projects = ?2 WHERE id = ?1")?
        .execute(params![id as i64, to_json(projects)?])?;
    Ok(())
}

/// Sets the number of jobs that a task has staged.
pub fn set_staged(tx: &Tx<'_>, id: u64, staged: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE tasks SET staged = ?2 WHERE id = ?1")?
        .execute([id as i64, staged as i64])?;
    Ok(())
}

/// Ends a task; it has no staged jobs from then on.
pub fn finish(
    tx: &Tx<'_>,
    id: u64,
    state: TaskState,
    jobs: &[(JobId, u64)],
) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE tasks SET state = ?2, jobs = ?3, staged = 0 WHERE id = ?1")?
        .execute(params![id as i64, state as i64, to_json(jobs)?])?;
    Ok(())
}

/// The oldest task that has been in progress since before an instant.
pub fn abandoned(conn: &Connection, before: Millis) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached(
        "SELECT id FROM tasks WHERE state = ?1 AND created < ?2 ORDER BY created, id LIMIT 1",
    )?
    .query_row(params![TaskState::InProgress as i64, before], |row| id_at(row, 0))
    .optional()
}

/// Drops at most `limit` finished tasks created before an instant, oldest first.
pub fn drop_finished(tx: &Tx<'_>, before: Millis, limit: u32) -> rusqlite::Result<()> {
    for state in [TaskState::Succeeded, TaskState::Failed] {
        tx.prepare_cached(
            "DELETE FROM tasks WHERE id IN (
                 SELECT id FROM tasks WHERE state = ?1 AND created < ?2
                 ORDER BY created, id LIMIT ?3)",
        )?
        .execute(params![state as i64, before, limit])?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Task> {
    let state = match row.get::<_, i64>(2)? {
        0 => TaskState::NotStarted,
        1 => TaskState::InProgress,
        2 => TaskState::Succeeded,
        _ => TaskState::Failed,
    };
    let jobs = from_json(row.get_ref(3)?.as_str()?, 3)?;
    Ok(Task { id: id_at(row, 0)?, request: u128_at(row, 1)?, state, jobs, created: row.get(4)? })
}
