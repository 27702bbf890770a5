//! Projects, each with the number of its jobs. Apply writes; api and worker read.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{Page, id_at};
use crate::model::project::Project;
use crate::model::{Millis, ProjectId};

const COLUMNS: &str = "id, name, description, created, modified, created_by, modified_by";

/// What projects can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Number.
    #[default]
    Id,
    /// Name.
    Name,
    /// When it was created.
    Created,
    /// When it was last changed.
    Modified,
}

/// A project by its number.
pub fn get(conn: &Connection, id: ProjectId) -> rusqlite::Result<Option<Project>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM projects WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// Whether there is a project of that number.
pub fn exists(conn: &Connection, id: ProjectId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM projects WHERE id = ?1")?.exists([id as i64])
}

/// The number of the project with a name.
pub fn id_by_name(conn: &Connection, name: &str) -> rusqlite::Result<Option<ProjectId>> {
    conn.prepare_cached("SELECT id FROM projects WHERE name = ?1")?
        .query_row([name], |row| id_at(row, 0))
        .optional()
}

/// How many jobs a project has; 0 when there is no such project.
pub fn job_count(conn: &Connection, id: ProjectId) -> rusqlite::Result<u64> {
    let count = conn
        .prepare_cached("SELECT jobs FROM projects WHERE id = ?1")?
        .query_row([id as i64], |row| id_at(row, 0))
        .optional()?;
    Ok(count.unwrap_or(0))
}

/// How many projects there are, and those of a page.
pub fn list(conn: &Connection, page: &Page<Order>) -> rusqlite::Result<(u64, Vec<Project>)> {
    let total =
        conn.prepare_cached("SELECT COUNT(*) FROM projects")?.query_row([], |row| id_at(row, 0))?;
    let column = match page.order_by {
        Order::Id => "id",
        Order::Name => "name",
        Order::Created => "created",
        Order::Modified => "modified",
    };
    let rows = conn
        .prepare(&format!("SELECT {COLUMNS} FROM projects {}", page.clause(column)))?
        .query_map([], read)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((total, rows))
}

/// Adds a project without jobs.
pub fn insert(tx: &Tx<'_>, project: &Project) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO projects (id, name, description, created, modified, created_by, modified_by,
             jobs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
    )?
    .execute(params![
        project.id as i64,
        project.name,
        project.description,
        project.created,
        project.modified,
        project.created_by,
        project.modified_by,
    ])?;
    Ok(())
}

/// Writes name, description and modification of a project.
pub fn update(tx: &Tx<'_>, project: &Project) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE projects SET name = ?2, description = ?3, modified = ?4, modified_by = ?5
         WHERE id = ?1",
    )?
    .execute(params![
        project.id as i64,
        project.name,
        project.description,
        project.modified,
        project.modified_by,
    ])?;
    Ok(())
}

/// Removes a project; its jobs must be gone.
pub fn delete(tx: &Tx<'_>, id: ProjectId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM projects WHERE id = ?1")?.execute([id as i64])?;
    Ok(())
}

/// Counts jobs in (or out, below zero).
pub fn add_jobs(tx: &Tx<'_>, id: ProjectId, by: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE projects SET jobs = jobs + ?2 WHERE id = ?1")?
        .execute(params![id as i64, by])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: id_at(row, 0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        created: row.get::<_, Millis>(3)?,
        modified: row.get(4)?,
        created_by: row.get(5)?,
        modified_by: row.get(6)?,
    })
}
