//! `POST /jobs`: one job or thousands, answered with a receipt or with the jobs themselves.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use uuid::Uuid;

use crate::api::http::body::{BULK, JsonBody};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::http::{idempotency, respond, version};
use crate::api::jobs::input::parse;
use crate::api::jobs::stream::Jobs;
use crate::api::jobs::view::JobView;
use crate::api::state::{ApiState, AppState};
use crate::app::jobs::{Batch, CreatedJobs};
use crate::app::warnings::Warnings;

/// The route that idempotency keys are bound to.
const ROUTE: &str = "POST /jobs";

/// Bodies above this many bytes are read on a thread of their own, since the runtime serves others
/// too.
const MAX_INLINE: usize = 64 * 1_024;

pub(crate) async fn create_jobs(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<BULK>,
) -> Result<Response, Error> {
    let app = &state.app;
    let (rules, kinds) = (app.job_rules(context.casing()), app.kinds_for_jobs());
    let whole = wants_jobs(&headers);
    let (actor, asking) = (context.actor.clone(), context.actor.clone());
    let read = move |body: Bytes| {
        let key = idempotency::key(&headers, &asking, ROUTE, &body)?;
        let mut batch = Batch::new(rules);
        let added = parse::each(&body, &kinds, &mut |_, job| Ok(batch.add(job)?));
        let jobs = added.and_then(|mut warnings| {
            warnings.merge(batch.warnings());
            Ok((batch.finish()?, warnings))
        });
        Ok::<_, Error>((key, jobs))
    };
    let (key, jobs) = if body.len() > MAX_INLINE {
        // The task fails only when the reading panics, which no input makes it do.
        tokio::task::spawn_blocking(move || read(body)).await.map_err(|_| Error::internal())??
    } else {
        read(body)?
    };
    let (created, warnings) = match jobs {
        Ok((jobs, warnings)) => (app.create_jobs(&actor, key, jobs).await?, warnings),
        // The body was valid when it was first sent, and an instant in it has passed since.
        Err(error) => {
            let before = app.jobs_created_before(&actor, key).await?;
            (before.ok_or(error)?, Warnings::default())
        }
    };
    let response = if whole {
        representation(&state, &context, created).await
    } else {
        receipt(&state, &context, &created).await
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
    state: &AppState,
    context: &RequestContext,
    created: &CreatedJobs,
) -> Result<Response, Error> {
    let id = Uuid::from_u128(created.request).to_string();
    let body = if context.prefix == RoutePrefix::ApiV1 {
        respond::envelope(&id, context.casing())
    } else {
        let number = state.app.task_number(&context.actor, created).await?;
        respond::envelope(&Vec::from_iter(number), context.casing())
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
    state: &Arc<AppState>,
    context: &RequestContext,
    created: CreatedJobs,
) -> Result<Response, Error> {
    let CreatedJobs { mut jobs, .. } = created;
    let mut response = if jobs.is_single() {
        let add = |only: &mut Option<_>, record| {
            *only = Some(record);
            true
        };
        let record = state.app.read_piece(&mut jobs, None, add).await?;
        let version = record.as_ref().map(|record| record.job.version);
        let view = record.map(|record| JobView::of(record, &state.app));
        let body = respond::envelope(&Vec::from_iter(view), context.casing());
        let response = respond::json(StatusCode::CREATED, body);
        match version {
            Some(version) => version::tag(response, version),
            None => response,
        }
    } else {
        let jobs = Jobs::new(state, context, jobs, false);
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
