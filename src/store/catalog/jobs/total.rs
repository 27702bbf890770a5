//! The total of a list of jobs.
//!
//! What the api shows as a status is derived from the stored one: a job that is paused up to an
//! instant is stored as active, and a recurring job that is over is, too. So a total begins with
//! the kept number, and corrects it by an index of timed pauses and by the definitions with a last
//! date. No total looks at all jobs of a large cluster.

use rusqlite::{Connection, params, params_from_iter};

use super::completion::{completed, ending, json};
use super::counts::{counts, in_timed_pause};
use super::search::{Filter, Search, search};
use crate::model::job::JobStatus;
use crate::model::{Millis, ProjectId};
use crate::store::catalog::projects;
use crate::store::row::id_at;

/// The most jobs among which those that are over are found one by one for a total.
const MAX_EXACT: u64 = 20_000;

/// The number of jobs that a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The number.
    pub count: u64,
    /// It is no estimate.
    pub exact: bool,
}

/// The most jobs that are counted one by one: a list does not wait for more.
pub const MAX_COUNTED: u64 = 10_000;

/// The number of jobs that match. One by status, in a cluster of many jobs of which some have a
/// last date, may be an estimate, and so is one of more than [`MAX_COUNTED`] that no counter has.
pub fn count(conn: &Connection, filter: &Filter) -> rusqlite::Result<Total> {
    let exact = |count| Total { count, exact: true };
    let rest = Filter { project: None, status: None, ..filter.clone() };
    match (filter.project, filter.status) {
        _ if rest != Filter::default() => {}
        (Some(project), None) => return projects::job_count(conn, project).map(exact),
        (None, None) => return Ok(exact(counts(conn, None)?.all())),
        (project, Some((status, now))) => return of_status(conn, project, status, now),
    }
    let Search { from, values } = search(conn, filter)?;
    let most = MAX_COUNTED + 1;
    let found = conn
        .prepare_cached(&format!("SELECT COUNT(*) FROM (SELECT 1 {from} LIMIT {most})"))?
        .query_row(params_from_iter(&values), |row| id_at(row, 0))?;
    Ok(Total { count: found.min(MAX_COUNTED), exact: found <= MAX_COUNTED })
}

/// The number of jobs of a status as the api shows it at an instant.
fn of_status(
    conn: &Connection,
    project: Option<ProjectId>,
    status: JobStatus,
    now: Millis,
) -> rusqlite::Result<Total> {
    let stored = counts(conn, project)?;
    if status == JobStatus::Disabled {
        return Ok(Total { count: stored.disabled, exact: true });
    }
    let paused = in_timed_pause(conn, project, now)?;
    // Of those that are over: fire by their row, are in a timed pause, are paused without an end.
    let (over, exact) = if stored.all() <= MAX_EXACT {
        (over(conn, project, now)?, true)
    } else {
        let (number, exact) = ending(conn, project, paused, now)?;
        ([number, 0, 0], exact)
    };
    let [firing, in_pause, inactive] = over;
    let count = match status {
        JobStatus::Active => stored.active.saturating_sub(paused).saturating_sub(firing),
        JobStatus::Inactive => (stored.inactive + paused).saturating_sub(in_pause + inactive),
        JobStatus::Completed | JobStatus::Disabled => {
            stored.completed + firing + in_pause + inactive
        }
    };
    Ok(Total { count, exact })
}

/// The recurring jobs that are over: those that fire by their row, that are in a timed pause, and
/// that are paused without an end.
fn over(conn: &Connection, project: Option<ProjectId>, now: Millis) -> rusqlite::Result<[u64; 3]> {
    let over = completed(conn, project, None, now)?;
    if over.is_empty() {
        return Ok([0; 3]);
    }
    let mut found = [0; 3];
    let mut select = conn.prepare_cached(
        "SELECT CASE WHEN status <> 0 THEN 2
                 WHEN plan_from >= ?2 AND plan_from > COALESCE(modified, created) THEN 1
                 ELSE 0 END AS kind, COUNT(*)
         FROM jobs WHERE id IN (SELECT value FROM json_each(?1)) GROUP BY kind",
    )?;
    let mut rows = select.query(params![json(&over), now])?;
    while let Some(row) = rows.next()? {
        if let Some(number) = found.get_mut(usize::from(row.get::<_, u8>(0)?)) {
            *number = id_at(row, 1)?;
        }
    }
    Ok(found)
}
