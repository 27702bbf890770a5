//! `POST /jobs`: one job or thousands, answered with a receipt or with the jobs themselves.

use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::http::version;
use crate::api::jobs::input::parse;
use crate::api::jobs::submission;
use crate::api::jobs::view::Views;
use crate::store::jobs;
use crate::store::tasks;
use rusqlite::Connection;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use uuid::Uuid;

use crate::api::http::body::{BULK, JsonBody};
use crate::api::http::context::RequestContext;
use crate::api::http::idempotency;
use crate::api::http::warnings::Warnings;
use crate::api::jobs::stream::Jobs;
use crate::api::jobs::submission::{CreatedJobs, Submission};
use crate::api::jobs::validate::batch::Batch;
use crate::api::jobs::validate::rules::Rules;
use crate::api::state::{App, AppState};
use crate::app::reads::ReadPhase;

/// Bodies above this many bytes are read on a thread of their own, since the runtime serves others
/// too.
const MAX_INLINE: usize = 64 * 1_024;

pub(crate) async fn create_jobs(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<BULK>,
) -> Result<Response, Error> {
    let rules = Rules::new(&app, context.casing());
    let whole = wants_jobs(&headers);
    let actor = context.actor;
    let read = move |body: Bytes| {
        let key = idempotency::key(&headers, &actor, submission::ROUTE, &body)?;
        let mut batch = Batch::new(rules);
        let submission =
            parse::each(&body, &mut |_, job| batch.add(job)).and_then(|mut warnings| {
                warnings.merge(batch.warnings());
                Ok((Submission::new(batch, key)?, warnings))
            });
        Ok::<_, Error>((key, submission))
    };
    let (key, submission) = if body.len() > MAX_INLINE {
        // The task fails only when the reading panics, which no input makes it do.
        tokio::task::spawn_blocking(move || read(body)).await.map_err(|_| Error::internal())??
    } else {
        read(body)?
    };
    let (made, warnings) = match submission {
        Ok((submission, warnings)) => (submission.commit(&app).await?, warnings),
        // The body was valid when it was first sent, and an instant in it has passed since.
        Err(error) => {
            (submission::created_before(&app, key).await?.ok_or(error)?, Warnings::default())
        }
    };
    let response = if whole {
        representation(&app, &context, &made).await
    } else {
        receipt(&app, &context, &made).await
    };
    Ok(respond::warn(response?, &warnings))
}

/// Says whether a request prefers the created jobs to a receipt (RFC 7240).
fn wants_jobs(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    preferences.any(|preference| {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        let value = value.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("return")
            && value.trim().trim_matches('"').eq_ignore_ascii_case("representation")
    })
}

/// Answers 202 with the place of the task. The jobs are there already: the task is a receipt.
async fn receipt(
    app: &AppState,
    context: &RequestContext,
    made: &CreatedJobs,
) -> Result<Response, Error> {
    let request = made.request;
    let id = Uuid::from_u128(request).to_string();
    let body = if context.prefix == RoutePrefix::ApiV1 {
        respond::envelope(&id, context.casing())
    } else {
        let read = move |conn: &Connection| tasks::get(conn, request);
        let task = app.read_at(ReadPhase::AfterWrite, read).await?;
        let numbers: Vec<u64> = task.iter().map(|task| task.id).collect();
        respond::envelope(&numbers, context.casing())
    };
    let mut response = respond::json(StatusCode::ACCEPTED, body);
    let location = format!("{}/async-tasks/{id}", context.prefix.as_str());
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Answers 201 with the jobs, in the order of the request.
async fn representation(
    app: &Arc<AppState>,
    context: &RequestContext,
    made: &CreatedJobs,
) -> Result<Response, Error> {
    let mut response = if let [(id, 1)] = made.jobs[..] {
        let (now, retry_max) = (app.time.now(), app.config.job_execution_retry_max);
        let read = move |conn: &Connection| {
            let job = jobs::get(conn, id)?;
            job.map(|job| Views::new(conn, now, retry_max)?.job(job)).transpose()
        };
        let job = app.read_at(ReadPhase::AfterWrite, read).await?;
        let body = respond::envelope(&Vec::from_iter(&job), context.casing());
        let response = respond::json(StatusCode::CREATED, body);
        match job {
            Some(job) => version::tag(response, job.version),
            None => response,
        }
    } else {
        let jobs = Jobs::new(app, &made.jobs, context.casing(), false);
        let (head, tail) = (b"{\"data\":".to_vec(), b",\"success\":true}".to_vec());
        jobs.answer(StatusCode::CREATED, head, tail).await?
    };
    let applied = HeaderValue::from_static("return=representation");
    response.headers_mut().insert("preference-applied", applied);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_found_among_others() {
        for (value, wanted) in [
            ("return=representation", true),
            ("respond-async, Return=\"representation\"; x=1", true),
            ("return=minimal", false),
            ("representation", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(
                header::HeaderName::from_static("prefer"),
                HeaderValue::from_static(value),
            )]);
            assert_eq!(wants_jobs(&headers), wanted, "{value}");
        }
    }
}
