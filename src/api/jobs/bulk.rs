//! Many jobs paused, resumed or deleted at once: those that a filter finds.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::{idempotency, respond};
use crate::api::jobs::list::status_named;
use crate::api::state::ApiState;
use crate::app::jobs::{
    BulkInput, Filter, LONGEST_BY, LONGEST_TIME, MOST_NAMED, bulk_filter, bulk_pause_end,
    check_label, check_label_count,
};
use crate::model::Millis;
use crate::model::time::parse_rfc3339;

const LONGEST_STATUS: usize = 20;
const LONGEST_SPEC: usize = 512;
const LONGEST_ZONE: usize = 64;

pub(crate) async fn pause_jobs(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let mut fields = Fields::parse(&body)?;
    let until = match fields.text("until", LONGEST_TIME)? {
        None => None,
        Some(text) => Some(end(&text, app.now())?),
    };
    let key = idempotency::key(&headers, actor, "POST /jobs/pause", &body)?;
    let input = read_input(fields, app.now())?;
    Ok(respond::ok(&app.pause_jobs(actor, key, input, until).await?, context.casing()))
}

pub(crate) async fn resume_jobs(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let key = idempotency::key(&headers, actor, "POST /jobs/resume", &body)?;
    let input = read_input(Fields::parse(&body)?, app.now())?;
    Ok(respond::ok(&app.resume_jobs(actor, key, input).await?, context.casing()))
}

pub(crate) async fn delete_jobs(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let key = idempotency::key(&headers, actor, "POST /jobs/delete", &body)?;
    let input = read_input(Fields::parse(&body)?, app.now())?;
    Ok(respond::ok(&app.delete_jobs(actor, key, input).await?, context.casing()))
}

/// The end of a pause, which must lie in the future. It needs an offset, since the jobs may have
/// many zones.
fn end(text: &str, now: Millis) -> Result<Millis, Error> {
    let until = parse_rfc3339(text).ok_or_else(|| {
        let message = "until is not valid, give RFC 3339 with an offset, such as \
                       2026-11-20T20:18:07Z";
        unprocessable("until", message)
    })?;
    Ok(bulk_pause_end(until, now)?)
}

/// Reads what a request asks for beside the end of a pause.
fn read_input(mut fields: Fields, now: Millis) -> Result<BulkInput, Error> {
    let filter = wanted(&mut fields, now)?;
    let dry_run = fields.flag("dryRun")?.unwrap_or(false);
    let by = fields.text("modifiedBy", LONGEST_BY)?.or(fields.text("deletedBy", LONGEST_BY)?);
    // An unknown field might be meant to narrow the filter.
    if let Some(name) = fields.warnings().first_unknown() {
        let message = format!("there is no field {name}: give filter, all, dryRun, until");
        return Err(Error::unprocessable(message));
    }
    Ok(BulkInput { filter, dry_run, by })
}

/// The jobs that a request is about: its `filter`, or `all`.
pub(crate) fn wanted(fields: &mut Fields, now: Millis) -> Result<Filter, Error> {
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
        check_label_count("labels", labels.len())?;
        for (key, value) in labels {
            let Value::String(value) = value else { return Err(wrong()) };
            check_label(&key, &value)?;
            filter.labels.push((key, value));
        }
    }
    filter.spec = given.text("spec", LONGEST_SPEC)?;
    filter.timezone = given.text("timezone", LONGEST_ZONE)?;
    filter.ids = list(&mut given, "ids", "whole numbers", Value::as_u64)?;
    filter.external_ids =
        list(&mut given, "externalIds", "texts", |value| value.as_str().map(str::to_owned))?;
    if let Some(name) = given.warnings().first_unknown() {
        let message = format!(
            "filter has no field {name}: it has projectId, status, labels, spec, timezone, ids, \
             externalIds"
        );
        return Err(unprocessable("filter", message));
    }
    Ok(bulk_filter(filter, all)?)
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

/// 422: a value that is understood, but does not fit the rest.
fn unprocessable(field: &'static str, message: impl Into<String>) -> Error {
    Error::unprocessable(message).field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (r#"{"filter":{"spec":5}}"#, "spec"),
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
            "external_ids":["e"],"spec":"@daily","timezone":"UTC"}}"#;
        let filter = Filter {
            project: Some(1),
            status: Some((crate::model::job::JobStatus::Inactive, 5)),
            labels: vec![("a".into(), "b".into())],
            external_id: None,
            external_ids: Some(vec!["e".into()]),
            ids: Some(vec![]),
            spec: Some("@daily".into()),
            timezone: Some("UTC".into()),
        };
        assert_eq!(read(body).unwrap(), filter);
        assert!(end("2026-11-20T20:00:00", 0).is_err());
        assert!(end("2026-11-20T20:00:00Z", i64::MAX).is_err());
    }
}
