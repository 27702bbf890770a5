//! Numbers of jobs that cost no look at the jobs: those that apply keeps by project and status, and
//! that of timed pauses, by their index.

use rusqlite::{Connection, params};

use crate::model::job::JobStatus;
use crate::model::{Millis, ProjectId};
use crate::store::db::hint;
use crate::store::row::id_at;

/// The index of the jobs in a timed pause.
const BY_TIMED_PAUSE: &str = "INDEXED BY jobs_in_timed_pause";
/// The jobs in a timed pause at ?2; the condition of the index is in it word for word.
const IN_TIMED_PAUSE: &str =
    "WHERE status = 0 AND plan_from > coalesce(modified, created) AND plan_from >= ?2";

/// The numbers of jobs by their stored status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Those that fire, and those that are paused up to an instant.
    pub active: u64,
    /// Those that are paused without an end.
    pub inactive: u64,
    /// One-offs that have ended.
    pub completed: u64,
    /// Those whose target was gone for good.
    pub disabled: u64,
}

impl JobCounts {
    /// The number of all.
    pub fn all(&self) -> u64 {
        self.active + self.inactive + self.completed + self.disabled
    }

    /// The number of a stored status.
    pub fn of(&self, status: JobStatus) -> u64 {
        match status {
            JobStatus::Active => self.active,
            JobStatus::Inactive => self.inactive,
            JobStatus::Completed => self.completed,
            JobStatus::Disabled => self.disabled,
        }
    }
}

/// Reads the numbers of jobs by stored status, of one project or of all. It reads a row for each
/// project and status.
pub fn counts(conn: &Connection, project: Option<ProjectId>) -> rusqlite::Result<JobCounts> {
    let sql = match project {
        Some(_) => "SELECT status, n FROM counts WHERE project = ?1",
        None => "SELECT status, SUM(n) FROM counts WHERE ?1 IS NULL GROUP BY status",
    };
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query([project.map(|id| id as i64)])?;
    let mut found = JobCounts::default();
    while let Some(row) = rows.next()? {
        let number = match JobStatus::from_code(row.get(0)?) {
            JobStatus::Active => &mut found.active,
            JobStatus::Inactive => &mut found.inactive,
            JobStatus::Completed => &mut found.completed,
            JobStatus::Disabled => &mut found.disabled,
        };
        *number = id_at(row, 1)?;
    }
    Ok(found)
}

/// The number of jobs that are paused up to a later instant, as `Job::paused_until` says.
pub(super) fn in_timed_pause(
    conn: &Connection,
    project: Option<ProjectId>,
    now: Millis,
) -> rusqlite::Result<u64> {
    let paused = format!("jobs {} {IN_TIMED_PAUSE}", hint(conn, BY_TIMED_PAUSE)?);
    let of_one = format!("SELECT COUNT(*) FROM {paused} AND project_id = ?1");
    // Project by project, so that pauses that have ended are not passed.
    let of_all = format!(
        "SELECT COALESCE(SUM((SELECT COUNT(*) FROM {paused}
             AND project_id = projects.id)), 0) FROM projects WHERE ?1 IS NULL"
    );
    let sql = if project.is_some() { of_one } else { of_all };
    conn.prepare_cached(&sql)?
        .query_row(params![project.map(|id| id as i64), now], |row| id_at(row, 0))
}
