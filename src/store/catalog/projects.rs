//! Projects, each with the number of its jobs. Apply writes; api and worker read.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::project::{Project, ProjectSettings};
use crate::model::target::ProjectPause;
use crate::model::{AccountId, Millis, ProjectId};
use crate::store::db::Tx;
use crate::store::page::{self, Page};
use crate::store::row::{from_json, id_at, to_json};

const COLUMNS: &str = "id, name, description, created, modified, created_by, modified_by, settings, \
                       version";

/// The sort keys of projects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Id.
    #[default]
    Id,
    /// Name.
    Name,
    /// The instant of its creation.
    Created,
    /// The instant of the last change.
    Modified,
}

/// A project by its id.
pub fn get(conn: &Connection, id: ProjectId) -> rusqlite::Result<Option<Project>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM projects WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// Tells whether there is a project of that id.
pub fn exists(conn: &Connection, id: ProjectId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM projects WHERE id = ?1")?.exists([id as i64])
}

/// The account of a project.
pub fn account(conn: &Connection, id: ProjectId) -> rusqlite::Result<Option<AccountId>> {
    conn.prepare_cached("SELECT account FROM projects WHERE id = ?1")?
        .query_row([id as i64], |row| id_at(row, 0))
        .optional()
}

/// Whether any project says where its jobs may call.
pub fn any_lists_targets(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM projects WHERE json_extract(settings, '$.allowed_targets') IS NOT NULL",
    )?
    .exists([])
}

/// The id of the project of an account with a name.
pub fn id_in_account(
    conn: &Connection,
    account: AccountId,
    name: &str,
) -> rusqlite::Result<Option<ProjectId>> {
    conn.prepare_cached("SELECT id FROM projects WHERE account = ?1 AND name = ?2")?
        .query_row(params![account as i64, name], |row| id_at(row, 0))
        .optional()
}

/// The id of the project with a name; of several accounts that have one, the first.
pub fn id_by_name(conn: &Connection, name: &str) -> rusqlite::Result<Option<ProjectId>> {
    conn.prepare_cached("SELECT id FROM projects WHERE name = ?1 ORDER BY account LIMIT 1")?
        .query_row([name], |row| id_at(row, 0))
        .optional()
}

/// The number of jobs of a project; 0 when there is no such project.
pub fn job_count(conn: &Connection, id: ProjectId) -> rusqlite::Result<u64> {
    let count = conn
        .prepare_cached("SELECT jobs FROM projects WHERE id = ?1")?
        .query_row([id as i64], |row| id_at(row, 0))
        .optional()?;
    Ok(count.unwrap_or(0))
}

/// The number of projects, and those of a page.
pub fn list(conn: &Connection, page: &Page<Order>) -> rusqlite::Result<(u64, Vec<Project>)> {
    let mut found = Vec::new();
    each(conn, page, |project| {
        found.push(project);
        Ok(true)
    })?;
    Ok((count(conn)?, found))
}

/// The number of projects.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    page::count(conn, "projects")
}

/// The ids of all projects, ascending.
pub fn ids(conn: &Connection) -> rusqlite::Result<Vec<ProjectId>> {
    page::all_ids(conn, "projects")
}

/// Reads the projects of a page one by one, until `f` returns `false`.
pub fn each(
    conn: &Connection,
    page: &Page<Order>,
    f: impl FnMut(Project) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let column = match page.order_by {
        Order::Id => "id",
        Order::Name => "name",
        Order::Created => "created",
        Order::Modified => "modified",
    };
    page.each(conn, ("projects", column), get, f)
}

impl Order {
    /// The sort key of a project, where that is a number other than its id.
    pub fn key(self, project: &Project) -> Option<i64> {
        match self {
            Self::Id | Self::Name => None,
            Self::Created => Some(project.created),
            Self::Modified => project.modified,
        }
    }
}

/// Adds a project without jobs to an account.
pub fn insert(tx: &Tx<'_>, account: AccountId, project: &Project) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO projects (id, name, description, created, modified, created_by, modified_by,
             settings, account, jobs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
    )?
    .execute(params![
        project.id as i64,
        project.name,
        project.description,
        project.created,
        project.modified,
        project.created_by,
        project.modified_by,
        settings(project)?,
        account as i64,
    ])?;
    Ok(())
}

/// Writes the fields of a project that an edit may change.
pub fn update(tx: &Tx<'_>, project: &Project) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE projects SET name = ?2, description = ?3, modified = ?4, modified_by = ?5,
             settings = ?6, version = ?7
         WHERE id = ?1",
    )?
    .execute(params![
        project.id as i64,
        project.name,
        project.description,
        project.modified,
        project.modified_by,
        settings(project)?,
        project.version as i64,
    ])?;
    Ok(())
}

/// Removes a project; its jobs must be gone.
pub fn delete(tx: &Tx<'_>, id: ProjectId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM projects WHERE id = ?1")?.execute([id as i64])?;
    Ok(())
}

/// Adds jobs to the count of a project, or takes them away when `by` is negative.
pub fn add_jobs(tx: &Tx<'_>, id: ProjectId, by: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE projects SET jobs = jobs + ?2 WHERE id = ?1")?
        .execute(params![id as i64, by])?;
    Ok(())
}

/// The pauses of a project that somebody asked for, oldest first.
pub fn own_pauses(conn: &Connection, id: ProjectId) -> rusqlite::Result<Vec<ProjectPause>> {
    conn.prepare_cached(
        "SELECT project, pause_from, until, 0 FROM project_pauses WHERE project = ?1 ORDER BY seq",
    )?
    .query_map([id as i64], read_pause)?
    .collect()
}

/// The pauses of a project: its own, oldest first, and those in which the executions of its account
/// are used up.
pub fn pauses(conn: &Connection, id: ProjectId) -> rusqlite::Result<Vec<ProjectPause>> {
    conn.prepare_cached(
        "SELECT project, pause_from, until, 0 AS by_quota, seq FROM project_pauses
         WHERE project = ?1
         UNION ALL SELECT ?1, pause_from, until, 1, seq FROM quota_pauses
         WHERE account = (SELECT account FROM projects WHERE id = ?1)
         ORDER BY by_quota, seq",
    )?
    .query_map([id as i64], read_pause)?
    .collect()
}

/// All pauses that reach beyond an instant, by project, its own ones first; a worker reads them.
pub fn pauses_after(conn: &Connection, after: Millis) -> rusqlite::Result<Vec<ProjectPause>> {
    conn.prepare_cached(
        "SELECT project, pause_from, until, 0 AS by_quota, seq FROM project_pauses
         WHERE until IS NULL OR until > ?1
         UNION ALL SELECT projects.id, pause_from, until, 1, seq
         FROM quota_pauses JOIN projects USING (account) WHERE until > ?1
         ORDER BY 1, by_quota, seq",
    )?
    .query_map([after], read_pause)?
    .collect()
}

/// Adds a pause to those of its project.
pub fn add_pause(tx: &Tx<'_>, pause: &ProjectPause) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO project_pauses (project, seq, pause_from, until)
         VALUES (?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM project_pauses WHERE project = ?1),
             ?2, ?3)",
    )?
    .execute(params![pause.project as i64, pause.from, pause.until])?;
    Ok(())
}

/// Ends the pauses of a project that reach beyond an instant at that instant, and removes those
/// that would begin there or later. Returns how many it ended or removed.
pub fn cut_pauses(tx: &Tx<'_>, id: ProjectId, at: Millis) -> rusqlite::Result<usize> {
    let gone = tx
        .prepare_cached("DELETE FROM project_pauses WHERE project = ?1 AND pause_from >= ?2")?
        .execute(params![id as i64, at])?;
    let cut = tx
        .prepare_cached(
            "UPDATE project_pauses SET until = ?2
             WHERE project = ?1 AND (until IS NULL OR until > ?2)",
        )?
        .execute(params![id as i64, at])?;
    Ok(gone + cut)
}

/// Drops pauses that ended before an instant.
pub fn drop_pauses(tx: &Tx<'_>, before: Millis) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM project_pauses WHERE until < ?1")?.execute([before])?;
    tx.prepare_cached("DELETE FROM quota_pauses WHERE until < ?1")?.execute([before])?;
    Ok(())
}

fn read_pause(row: &Row<'_>) -> rusqlite::Result<ProjectPause> {
    Ok(ProjectPause {
        project: id_at(row, 0)?,
        from: row.get(1)?,
        until: row.get(2)?,
        by_quota: row.get(3)?,
    })
}

fn settings(project: &Project) -> rusqlite::Result<Option<String>> {
    if project.settings == ProjectSettings::default() {
        return Ok(None);
    }
    to_json(&project.settings).map(Some)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Project> {
    let settings: Option<String> = row.get(7)?;
    let settings = settings.map_or(Ok(ProjectSettings::default()), |text| from_json(&text, 7));
    Ok(Project {
        id: id_at(row, 0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        created: row.get::<_, Millis>(3)?,
        modified: row.get(4)?,
        created_by: row.get(5)?,
        modified_by: row.get(6)?,
        settings: settings?,
        version: id_at(row, 8)?,
    })
}
