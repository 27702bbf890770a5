//! Jobs found by project, status, labels or a client's own id: as a page, as a count, or as the ids
//! of a walk. The api is the caller.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::completion::{completed, json};
use super::row::{COLUMNS, read_job};
use crate::model::job::{Job, JobStatus};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::catalog::definitions::DefinitionCache;
use crate::store::catalog::projects;
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

/// The jobs that are asked for: those that match every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of one project.
    pub project: Option<ProjectId>,
    /// Those of one status at an instant, as the api shows it: a job that is paused up to a later
    /// instant is inactive, and a recurring job that has no occurrence left is completed.
    pub status: Option<(JobStatus, Millis)>,
    /// Those with these labels, as (key, value).
    pub labels: Vec<(String, String)>,
    /// The one with this client's id.
    pub external_id: Option<String>,
    /// Those with one of these clients' ids; without a project, every project is searched.
    pub external_ids: Option<Vec<String>>,
    /// Those with these ids.
    pub ids: Option<Vec<JobId>>,
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
    Ok((count(conn, filter)?, jobs))
}

/// The number of jobs that match.
pub fn count(conn: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    if let Some(total) = count_plain(conn, filter)? {
        return Ok(total);
    }
    let Search { from, values } = search(conn, filter)?;
    conn.prepare_cached(&format!("SELECT COUNT(*) {from}"))?
        .query_row(params_from_iter(&values), |row| id_at(row, 0))
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

/// The number of jobs that match a filter on the project alone, or on nothing: projects count their
/// jobs. `None` for any other filter.
fn count_plain(conn: &Connection, filter: &Filter) -> rusqlite::Result<Option<u64>> {
    if *filter != (Filter { project: filter.project, ..Filter::default() }) {
        return Ok(None);
    }
    let total = match filter.project {
        Some(project) => projects::job_count(conn, project)?,
        None => conn
            .prepare_cached("SELECT COALESCE(SUM(jobs), 0) FROM projects")?
            .query_row([], |row| id_at(row, 0))?,
    };
    Ok(Some(total))
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
            let of_project = "SELECT id FROM jobs INDEXED BY jobs_by_external_id
                 WHERE project_id = ?1 AND external_id IN (SELECT value FROM json_each(?2))";
            let mut select = conn.prepare_cached(of_project)?;
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
        Some(_) => "jobs INDEXED BY jobs_by_project WHERE project_id = ?1",
        None => "jobs WHERE ?1 IS NULL",
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

/// The condition that an active job is paused up to an instant that is still to come, as
/// `Job::paused_until` says.
fn is_paused(now: &str) -> String {
    format!("(plan_from >= {now} AND plan_from > COALESCE(modified, created))")
}

/// The part of a query that selects jobs.
struct Search {
    /// `FROM ... WHERE ...`.
    from: String,
    values: Vec<Value>,
}

fn search(conn: &Connection, filter: &Filter) -> rusqlite::Result<Search> {
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    let mut parts = Vec::new();
    let project = filter.project.map(|project| bind((project as i64).into()));
    if let Some((status, now)) = filter.status {
        let over = match status {
            JobStatus::Disabled => Vec::new(),
            _ => completed(conn, filter.project, filter.ids.as_deref(), now)?,
        };
        let over = if over.is_empty() {
            "FALSE".into()
        } else {
            format!("id IN (SELECT value FROM json_each({}))", bind(json(&over).into()))
        };
        let mut paused = || is_paused(&bind(now.into()));
        parts.push(match status {
            JobStatus::Active => format!("status = 0 AND NOT {} AND NOT {over}", paused()),
            JobStatus::Inactive => {
                format!("(status = 1 OR status = 0 AND {}) AND NOT {over}", paused())
            }
            JobStatus::Completed => format!("(status = 2 OR {over})"),
            JobStatus::Disabled => "status = 3".into(),
        });
    }
    // Clients' ids and labels are a project's own: without one, every project is searched.
    let within =
        project.as_ref().map_or("IN (SELECT id FROM projects)".into(), |p| format!("= {p}"));
    let mut table = "jobs";
    if let Some(names) = &filter.external_ids {
        let names = bind(Value::Text(serde_json::Value::from(names.as_slice()).to_string()));
        table = "jobs INDEXED BY jobs_by_external_id";
        parts.push(format!(
            "project_id {within} AND external_id IN (SELECT value FROM json_each({names}))"
        ));
    }
    if let Some(external_id) = &filter.external_id {
        let external_id = bind(external_id.clone().into());
        table = "jobs INDEXED BY jobs_by_external_id";
        parts.push(format!("project_id {within} AND external_id = {external_id}"));
    } else if let Some(project) = project.as_ref().filter(|_| filter.external_ids.is_none()) {
        parts.push(format!("project_id = {project}"));
    }
    for (key, value) in &filter.labels {
        let (key, value) = (bind(key.clone().into()), bind(value.clone().into()));
        parts.push(if filter.ids.is_some() {
            // One look-up for each of these jobs, however many others have the label.
            format!(
                "EXISTS (SELECT 1 FROM shape_labels l WHERE l.project = jobs.project_id
                     AND l.key = {key} AND l.value = {value} AND l.shape_id = jobs.shape_id)"
            )
        } else {
            format!(
                "shape_id IN (SELECT shape_id FROM shape_labels
                     WHERE project {within} AND key = {key} AND value = {value})"
            )
        });
    }
    if !filter.labels.is_empty() && table == "jobs" {
        table = "jobs INDEXED BY jobs_by_shape";
        parts.push("labelled = 1".into());
    }
    if let Some(ids) = &filter.ids {
        parts.push(format!("id IN (SELECT value FROM json_each({}))", bind(json(ids).into())));
        // Each is looked up by its id, whatever else is asked.
        table = "jobs NOT INDEXED";
    }
    let condition = if parts.is_empty() { "TRUE".into() } else { parts.join(" AND ") };
    Ok(Search { from: format!("FROM {table} WHERE {condition}"), values })
}
