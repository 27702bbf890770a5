//! Jobs found by project, status, labels or a client's own id: as a page, or as the ids of a walk.
//! The api is the caller; `total` has their number.

use rusqlite::{Connection, params, params_from_iter};

use super::row::{COLUMNS, read_job};
use super::search::{Filter, Search, search};
use super::total::count;
use crate::model::JobId;
use crate::model::job::Job;
use crate::store::catalog::definitions::DefinitionCache;
use crate::store::db::hint;
use crate::store::page::{self, Page};
use crate::store::row::{clamped, id_at};

/// The sort keys of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Id; also the order of creation.
    #[default]
    Id,
    /// The instant of the last change.
    Modified,
    /// Project.
    Project,
    /// Status.
    Status,
}

/// The number of jobs that match, and those of a page.
pub fn list(
    conn: &Connection,
    filter: &Filter,
    page: &Page<Order>,
) -> rusqlite::Result<(u64, Vec<Job>)> {
    let mut jobs = Vec::new();
    each(conn, filter, page, |job| {
        jobs.push(job);
        Ok(true)
    })?;
    Ok((count(conn, filter)?.count, jobs))
}

/// Reads the jobs of a page one by one, until `f` returns `false`.
pub fn each(
    conn: &Connection,
    filter: &Filter,
    page: &Page<Order>,
    mut f: impl FnMut(Job) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let Search { from, values } = search(conn, filter)?;
    let column = match page.order_by {
        Order::Id => "id",
        Order::Modified => "modified",
        Order::Project => "project_id",
        Order::Status => "status",
    };
    let ids = page.ids(conn, &from, values, column)?;
    let mut definitions = DefinitionCache::default();
    let mut select = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?;
    for id in ids {
        let job = select.query_row([id as i64], |row| read_job(conn, &mut definitions, row))?;
        if !f(job)? {
            break;
        }
    }
    Ok(())
}

/// Reads whole jobs by their ids one by one, in that order, until `f` returns `false`. Ids that no
/// job has are passed over.
pub fn each_of(
    conn: &Connection,
    ids: &[JobId],
    mut f: impl FnMut(Job) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let mut definitions = DefinitionCache::default();
    let mut select = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?;
    for id in ids {
        let mut rows = select.query([*id as i64])?;
        let Some(row) = rows.next()? else { continue };
        if !f(read_job(conn, &mut definitions, row)?)? {
            break;
        }
    }
    Ok(())
}

impl Order {
    /// The sort key of a job, where that is not its id.
    pub fn key(self, job: &Job) -> Option<i64> {
        match self {
            Self::Id => None,
            Self::Modified => job.modified,
            Self::Project => Some(job.definition.project as i64),
            Self::Status => Some(job.status as i64),
        }
    }
}

/// The highest id that a job has; 0 when there is none.
pub fn last_id(conn: &Connection) -> rusqlite::Result<JobId> {
    conn.prepare_cached("SELECT COALESCE(MAX(id), 0) FROM jobs")?.query_row([], |row| id_at(row, 0))
}

/// One part of a walk through the jobs: the ids of those that match.
pub type Walked = page::Walked<JobId>;

/// Looks at the next `most` jobs with ids above `after`, up to `last`, and finds those that match.
/// A filter that names jobs has only those looked at; any other has the project's, or all. So a
/// call takes about as long however few match, and a walk comes to its end although each call has a
/// time limit.
pub fn walk(
    conn: &Connection,
    filter: &Filter,
    (after, last): (JobId, JobId),
    most: usize,
) -> rusqlite::Result<Walked> {
    let (seen, all) = next(conn, filter, (after, last), most)?;
    let on = seen.last().copied().filter(|_| seen.len() >= most);
    if all || seen.is_empty() {
        return Ok(Walked { found: seen, on });
    }
    let among = Filter { ids: Some(seen), ..filter.clone() };
    let Search { from, values } = search(conn, &among)?;
    let found = conn
        .prepare_cached(&format!("SELECT id {from} ORDER BY id"))?
        .query_map(params_from_iter(values), |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Walked { found, on })
}

/// The next jobs to look at, in order, and `true` if all of them match.
fn next(
    conn: &Connection,
    filter: &Filter,
    (after, last): (JobId, JobId),
    most: usize,
) -> rusqlite::Result<(Vec<JobId>, bool)> {
    let project = filter.project.map(|project| project as i64);
    let named = match (&filter.ids, &filter.external_ids) {
        (Some(ids), _) => Some(ids.clone()),
        (None, Some(names)) if project.is_some() => {
            let names = serde_json::Value::from(names.as_slice()).to_string();
            let hint = hint(conn, "INDEXED BY jobs_by_external_id")?;
            let mut select = conn.prepare_cached(&format!(
                "SELECT id FROM jobs {hint}
                 WHERE project_id = ?1 AND external_id IN (SELECT value FROM json_each(?2))"
            ))?;
            let ids = select.query_map(params![project, names], |row| id_at(row, 0))?;
            Some(ids.collect::<rusqlite::Result<_>>()?)
        }
        _ => None,
    };
    if let Some(mut ids) = named {
        ids.retain(|id| (after + 1..=last).contains(id));
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(most);
        return Ok((ids, false));
    }
    let of = match project {
        Some(_) => {
            let hint = hint(conn, "INDEXED BY jobs_by_project")?;
            format!("jobs {hint} WHERE project_id = ?1")
        }
        None => "jobs WHERE ?1 IS NULL".into(),
    };
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let seen = conn
        .prepare_cached(&format!(
            "SELECT id FROM {of} AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4"
        ))?
        .query_map(params![project, clamped(after), clamped(last), most], |row| id_at(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok((seen, *filter == Filter { project: filter.project, ..Filter::default() }))
}
