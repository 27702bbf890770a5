//! Many jobs paused, resumed or deleted at once: those that a filter finds.
//!
//! The jobs are looked up on this node, [`MAX_SCANNED`] at a time whether they match or not, so
//! that no read takes long when few match. They are changed in entries of at most about 1,000. Jobs
//! that are created in the meantime are left alone. A client that was cut off sends the same
//! request again: all jobs are looked up again, and those that are done already are passed over.
//! With an `Idempotency-Key` a request that came to its end is not carried out again, but answered
//! as before.

use crate::api::http::respond;
use crate::api::jobs::list::status_named;
use crate::api::jobs::validate::own_fields::{LONGEST_BY, LONGEST_TIME};
use crate::api::jobs::validate::policy::label;
use crate::store::jobs::{Filter, Walked};
use rusqlite::Connection;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::jobs::validate::refusals::unprocessable;
use crate::api::state::{App, AppState};
use crate::app::idempotency::Key;
use crate::app::refused;
use crate::command::{Command, JobAction, Outcome};
use crate::model::time::parse_rfc3339;
use crate::model::{JobId, Millis};
use crate::store::jobs;

/// The most jobs changed by one entry of the log.
const CHUNK: u64 = 1_000;
/// The most jobs that one read looks at.
const MAX_SCANNED: usize = 20_000;
/// The most ids, and the most external ids, that a filter may name.
const MOST_NAMED: usize = 10_000;
const LONGEST_STATUS: usize = 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkResult {
    /// The number of jobs that the filter finds.
    matched: u64,
    /// The number of those that were not so already.
    changed: u64,
    dry_run: bool,
}

pub(crate) async fn pause_jobs(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let until = match fields.text("until", LONGEST_TIME)? {
        None => None,
        Some(text) => Some(end(&text, app.time.now())?),
    };
    let key = idempotency::key(&headers, &context.actor, "POST /jobs/pause", &body)?;
    change_all(&app, &context, fields, JobAction::Pause { until }, key).await
}

pub(crate) async fn resume_jobs(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let key = idempotency::key(&headers, &context.actor, "POST /jobs/resume", &body)?;
    change_all(&app, &context, Fields::parse(&body)?, JobAction::Resume, key).await
}

pub(crate) async fn delete_jobs(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let key = idempotency::key(&headers, &context.actor, "POST /jobs/delete", &body)?;
    change_all(&app, &context, Fields::parse(&body)?, JobAction::Delete, key).await
}

/// The end of a pause, which must lie in the future. It needs an offset, since the jobs may have
/// many zones.
fn end(text: &str, now: Millis) -> Result<Millis, Error> {
    let until = parse_rfc3339(text).ok_or_else(|| {
        let message = "until is not valid, give RFC 3339 with an offset, such as \
                       2026-11-20T20:18:07Z";
        unprocessable("until", message)
    })?;
    if until <= now {
        return Err(unprocessable("until", "until must lie in the future"));
    }
    Ok(until)
}

async fn change_all(
    app: &AppState,
    context: &RequestContext,
    mut fields: Fields,
    action: JobAction,
    key: Option<Key>,
) -> Result<Response, Error> {
    let filter = Arc::new(wanted(&mut fields, app.time.now())?);
    let dry_run = fields.flag("dryRun")?.unwrap_or(false);
    let by = fields.text("modifiedBy", LONGEST_BY)?.or(fields.text("deletedBy", LONGEST_BY)?);
    // An unknown field might be meant to narrow the filter.
    if let Some(name) = fields.warnings().first_unknown() {
        let message = format!("there is no field {name}: give filter, all, dryRun, until");
        return Err(Error::unprocessable(message));
    }
    let key = key.filter(|_| !dry_run);
    if let Some(done) = app.app.replay::<BulkResult>(&context.actor, key).await? {
        return Ok(respond::ok(&done, context.casing()));
    }
    app.cluster.linearize().await?;
    let last = app.read(jobs::last_id).await?;
    let mut done = BulkResult { matched: 0, changed: 0, dry_run };
    let mut after = 0;
    loop {
        let filter = Arc::clone(&filter);
        let read = move |conn: &Connection| jobs::walk(conn, &filter, (after, last), MAX_SCANNED);
        let Walked { found, on } = app.read(read).await?;
        done.matched += found.len() as u64;
        if !dry_run {
            for jobs in chunks(&found) {
                let command = Command::ChangeJobs { jobs, action, by: by.clone() };
                match app.cluster.propose(command).await? {
                    Outcome::Changed(n) => done.changed += u64::from(n),
                    other => return Err(refused(other).into()),
                }
            }
        }
        match on {
            Some(id) => after = id,
            None => break,
        }
    }
    let done = app.app.conclude(&context.actor, key, done).await?;
    Ok(respond::ok(&done, context.casing()))
}

/// The jobs that a request is about: its `filter`, or `all`.
fn wanted(fields: &mut Fields, now: Millis) -> Result<Filter, Error> {
    let all = fields.flag("all")?.unwrap_or(false);
    let mut given = match fields.take("filter") {
        None => Fields::parse(b"")?,
        Some(object @ Value::Object(_)) => Fields::parse(object.to_string().as_bytes())?,
        Some(_) => return Err(unprocessable("filter", "filter must be an object")),
    };
    let status = given.text("status", LONGEST_STATUS)?;
    let status = status.as_deref().map(status_named).transpose()?;
    let mut filter = Filter {
        project: given.number("projectId")?,
        status: status.map(|status| (status, now)),
        ..Filter::default()
    };
    if let Some(labels) = given.take("labels") {
        let wrong = || unprocessable("labels", "filter.labels must be an object of texts");
        let Value::Object(labels) = labels else { return Err(wrong()) };
        for (key, value) in labels {
            let Value::String(value) = value else { return Err(wrong()) };
            label(&key, &value)?;
            filter.labels.push((key, value));
        }
    }
    filter.ids = list(&mut given, "ids", "whole numbers", Value::as_u64)?;
    filter.external_ids =
        list(&mut given, "externalIds", "texts", |value| value.as_str().map(str::to_owned))?;
    if let Some(name) = given.warnings().first_unknown() {
        let message = format!(
            "filter has no field {name}: it has projectId, status, labels, ids, externalIds"
        );
        return Err(unprocessable("filter", message));
    }
    let narrow = filter != Filter::default();
    if !narrow && !all {
        let message = "filter is empty: name some jobs, or say \"all\": true";
        return Err(unprocessable("filter", message));
    }
    if narrow && all {
        return Err(unprocessable("all", "give a filter or all, not both"));
    }
    if filter.external_ids.is_some() && filter.project.is_none() {
        // Without a project each name would be looked up in every project.
        let message = "filter.externalIds are names within a project: give filter.projectId too";
        return Err(Error::invalid("projectId", message));
    }
    Ok(filter)
}

fn list<T>(
    fields: &mut Fields,
    name: &'static str,
    what: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<Vec<T>>, Error> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    let wrong = || {
        unprocessable(name, format!("filter.{name} must be a list of at most {MOST_NAMED} {what}"))
    };
    let list = value.as_array().filter(|list| list.len() <= MOST_NAMED).ok_or_else(wrong)?;
    list.iter().map(read).collect::<Option<_>>().map(Some).ok_or_else(wrong)
}

/// Cuts ascending ids into runs of consecutive ones, at most [`CHUNK`] ids in a command.
fn chunks(ids: &[JobId]) -> impl Iterator<Item = Vec<(JobId, u64)>> + '_ {
    ids.chunks(CHUNK as usize).map(|some| {
        let mut runs: Vec<(JobId, u64)> = Vec::new();
        for id in some {
            match runs.last_mut() {
                Some((first, n)) if *first + *n == *id => *n += 1,
                _ => runs.push((*id, 1)),
            }
        }
        runs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_cut_into_short_lists_of_runs() {
        let ids: Vec<_> = (1..=1_500).chain([2_000, 2_002, 2_003]).collect();
        let cut: Vec<_> = chunks(&ids).collect();
        assert_eq!(cut, [vec![(1, 1_000)], vec![(1_001, 500), (2_000, 1), (2_002, 2)]]);
        assert_eq!(chunks(&[]).count(), 0);
    }

    #[test]
    fn a_filter_that_says_nothing_or_too_much_is_refused() {
        let read = |body: &str| {
            wanted(&mut Fields::parse(body.as_bytes()).unwrap(), 5).map_err(|e| format!("{e:?}"))
        };
        for (body, field) in [
            ("{}", "filter"),
            (r#"{"filter":{}}"#, "filter"),
            (r#"{"filter":{"projectId":null}}"#, "filter"),
            (r#"{"filter":[]}"#, "filter"),
            (r#"{"filter":{"project":1}}"#, "filter"),
            (r#"{"filter":{"status":"asleep"}}"#, "status"),
            (r#"{"filter":{"labels":{"a":1}}}"#, "labels"),
            (r#"{"filter":{"ids":["1"]}}"#, "ids"),
            (r#"{"filter":{"externalIds":"e"}}"#, "externalIds"),
            (r#"{"filter":{"ids":[1]},"all":true}"#, "all"),
        ] {
            let refused = read(body).unwrap_err();
            assert!(refused.contains(&format!("field: Some({field:?})")), "{body}: {refused}");
        }
        for names in [r#"["e"]"#, "[]"] {
            let refused = read(&format!(r#"{{"filter":{{"externalIds":{names}}}}}"#)).unwrap_err();
            assert!(refused.contains("give filter.projectId too"), "{refused}");
            assert!(refused.contains("kind: Invalid"), "{refused}");
        }
        assert!(read(r#"{"all":true}"#).unwrap() == Filter::default());
        let body = r#"{"filter":{"project_id":1,"status":"inactive","labels":{"a":"b"},"ids":[],
            "external_ids":["e"]}}"#;
        let filter = Filter {
            project: Some(1),
            status: Some((crate::model::job::JobStatus::Inactive, 5)),
            labels: vec![("a".into(), "b".into())],
            external_id: None,
            external_ids: Some(vec!["e".into()]),
            ids: Some(vec![]),
        };
        assert_eq!(read(body).unwrap(), filter);
        assert!(end("2026-11-20T20:00:00", 0).is_err());
        assert!(end("2026-11-20T20:00:00Z", i64::MAX).is_err());
    }
}
