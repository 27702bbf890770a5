//! Jobs by the names that clients have for them. `PUT` makes the job what the body says, whether it
//! existed or not, so that a deployment can be repeated.

use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::http::version::{self, conditions};
use crate::api::jobs::get::respond_job;
use crate::api::jobs::input::parse;
use crate::api::state::ApiState;
use crate::app::jobs::JobName;

/// The job that a path names.
#[derive(Clone, Debug)]
pub(crate) struct Named(JobName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::bad_request("the path is not valid UTF-8"))?;
        let part = |wanted: &str| {
            let found = params.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, text)| text).unwrap_or_default()
        };
        let number = part("id");
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("projectId", "project id in the path must be a number"));
        }
        // A number that no project can have becomes 0, which no project has.
        let project = number.parse().ok().filter(|id: &u64| i64::try_from(*id).is_ok());
        Ok(Self(JobName::new(project.unwrap_or(0), part("external"))?))
    }
}

pub(crate) async fn get_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Named(name): Named,
) -> Result<Response, Error> {
    context.apply_consistency(&state.app).await?;
    let record = state.app.get_job_by_name(&context.actor, name).await?;
    let response = respond_job(record, &state.app, context.casing());
    version::answer(&conditions(&headers), response)
}

pub(crate) async fn upsert_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Named(name): Named,
    JsonBody(body, _hold): JsonBody<{ 4 * SMALL }>,
) -> Result<Response, Error> {
    let (input, mut warnings) = parse::one(&body, &state.app.kinds_for_jobs())?;
    let (actor, conditions, casing) = (&context.actor, conditions(&headers), context.casing());
    let upsert = state.app.upsert_job(actor, &conditions, &name, input, casing, &mut warnings);
    let upserted = upsert.await?;
    let mut response = respond_job(upserted.record, &state.app, casing);
    if upserted.created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(respond::warn(response, &warnings))
}

pub(crate) async fn delete_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Named(name): Named,
) -> Result<Response, Error> {
    state.app.delete_job_by_name(&context.actor, &conditions(&headers), &name).await?;
    Ok(respond::no_content())
}
