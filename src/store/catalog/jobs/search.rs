//! What jobs are asked for, and the query that finds them. `list` and `total` use it.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::completion::{completed, json};
use super::counts::{counts, in_timed_pause};
use crate::model::job::JobStatus;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::db::hint;
use crate::store::row::id_at;

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
    /// Those with this schedule, letter by letter.
    pub spec: Option<String>,
    /// Those whose schedule is read in the zone of this name.
    pub timezone: Option<String>,
}

/// The jobs by the index of those at rest.
const AT_REST: &str = "jobs INDEXED BY jobs_at_rest";
/// The jobs by the index of clients' ids.
const BY_EXTERNAL_ID: &str = "jobs INDEXED BY jobs_by_external_id";
/// The labelled jobs by the index of definitions.
const BY_SHAPE: &str = "jobs INDEXED BY jobs_by_shape";
/// So many labelled jobs are sorted in no time.
const FEW_LABELLED: u64 = 5_000;

/// The condition that an active job is paused up to an instant that is still to come, as
/// `Job::paused_until` says.
fn is_paused(now: &str) -> String {
    format!("(plan_from >= {now} AND plan_from > COALESCE(modified, created))")
}

/// The part of a query that selects jobs.
pub(super) struct Search {
    /// `FROM ... WHERE ...`.
    pub(super) from: String,
    /// Its parameters.
    pub(super) values: Vec<Value>,
}

/// The jobs by an index, where the connection can name one.
fn hinted(conn: &Connection, table: &'static str) -> rusqlite::Result<&'static str> {
    let named = hint(conn, table)?;
    Ok(if named.is_empty() { "jobs" } else { named })
}

/// Tells whether the jobs of a status are found by the index of those at rest, where none of them
/// is over: none is in a timed pause, and a project has more jobs than are at rest in all projects.
fn is_at_rest(
    conn: &Connection,
    project: Option<ProjectId>,
    (status, now): (JobStatus, Millis),
) -> rusqlite::Result<bool> {
    let is_stored = match status {
        JobStatus::Active => false,
        JobStatus::Inactive => in_timed_pause(conn, project, now)? == 0,
        JobStatus::Completed | JobStatus::Disabled => true,
    };
    let Some(project) = project.filter(|_| is_stored) else { return Ok(is_stored) };
    Ok(counts(conn, None)?.of(status) <= counts(conn, Some(project))?.all())
}

/// Tells whether a large part of all jobs has the labels of a filter: at least a twentieth.
fn has_common_labels(conn: &Connection, filter: &Filter) -> rusqlite::Result<bool> {
    let mut least = u64::MAX;
    for (key, value) in &filter.labels {
        let refs = conn
            .prepare_cached(
                "SELECT COALESCE(SUM(refs), 0) FROM shapes WHERE id IN (
                     SELECT shape_id FROM shape_labels
                     WHERE key = ?2 AND value = ?3
                         AND project IN (SELECT id FROM projects WHERE ?1 IS NULL OR id = ?1))",
            )?
            .query_row(params![filter.project.map(|id| id as i64), key, value], |row| {
                id_at(row, 0)
            })?;
        least = least.min(refs);
    }
    Ok(least > FEW_LABELLED && least >= counts(conn, None)?.all() / 20)
}

/// Makes the query of a filter.
pub(super) fn search(conn: &Connection, filter: &Filter) -> rusqlite::Result<Search> {
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    let mut parts = Vec::new();
    let (mut table, mut at_rest) = ("jobs", false);
    let project = filter.project.map(|project| bind((project as i64).into()));
    if let Some((status, now)) = filter.status {
        let over = match status {
            JobStatus::Disabled => Vec::new(),
            _ => completed(conn, filter.project, filter.ids.as_deref(), now)?,
        };
        if over.is_empty() && is_at_rest(conn, filter.project, (status, now))? {
            // The condition of the index.
            parts.push("status <> 0".into());
            at_rest = true;
            table = hinted(conn, AT_REST)?;
        }
        let over = if over.is_empty() {
            "FALSE".into()
        } else {
            format!("id IN (SELECT value FROM json_each({}))", bind(json(&over).into()))
        };
        let mut paused = || is_paused(&bind(now.into()));
        parts.push(match status {
            JobStatus::Active => format!("status = 0 AND NOT {} AND NOT {over}", paused()),
            JobStatus::Inactive if at_rest => "status = 1".into(),
            JobStatus::Inactive => {
                format!("(status = 1 OR status = 0 AND {}) AND NOT {over}", paused())
            }
            JobStatus::Completed if at_rest => "status = 2".into(),
            JobStatus::Completed => format!("(status = 2 OR {over})"),
            JobStatus::Disabled => "status = 3".into(),
        });
    }
    // Clients' ids and labels are a project's own: without one, every project is searched.
    let within =
        project.as_ref().map_or("IN (SELECT id FROM projects)".into(), |p| format!("= {p}"));
    if let Some(names) = &filter.external_ids {
        let names = bind(Value::Text(serde_json::Value::from(names.as_slice()).to_string()));
        table = hinted(conn, BY_EXTERNAL_ID)?;
        parts.push(format!(
            "project_id {within} AND external_id IN (SELECT value FROM json_each({names}))"
        ));
    }
    if let Some(external_id) = &filter.external_id {
        let external_id = bind(external_id.clone().into());
        table = hinted(conn, BY_EXTERNAL_ID)?;
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
    for (path, value) in [("$.spec", &filter.spec), ("$.timezone", &filter.timezone)] {
        let Some(value) = value else { continue };
        let is_it = format!("json_extract(s.body, '{path}') = {}", bind(value.clone().into()));
        parts.push(if filter.ids.is_some() {
            // One look-up for each of these jobs, however many definitions there are.
            format!("EXISTS (SELECT 1 FROM shapes s WHERE s.id = jobs.shape_id AND {is_it})")
        } else {
            format!("shape_id IN (SELECT s.id FROM shapes s WHERE {is_it})")
        });
    }
    let is_by_name = filter.external_id.is_some() || filter.external_ids.is_some();
    if !filter.labels.is_empty() && !is_by_name {
        // Of many, the first ones by id are found sooner by a walk than all of them are sorted.
        let is_common = filter.ids.is_none() && has_common_labels(conn, filter)?;
        table = if is_common { "jobs NOT INDEXED" } else { hinted(conn, BY_SHAPE)? };
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
