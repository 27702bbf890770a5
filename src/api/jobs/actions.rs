//! One job paused, resumed, run out of turn, or ended before its time.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::version::conditions;
use crate::api::http::{idempotency, respond};
use crate::api::jobs::get::respond_job;
use crate::api::state::ApiState;
use crate::app::jobs::{LONGEST_BY, LONGEST_REASON, LONGEST_TIME};
use crate::model::JobId;
use crate::model::time::rfc3339;

/// `{until?, modifiedBy?}`.
pub(crate) async fn pause_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let until = fields.text("until", LONGEST_TIME)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    let (actor, conditions) = (&context.actor, conditions(&headers));
    let record = state.app.pause_job(actor, &conditions, id, until.as_deref(), by).await?;
    Ok(respond::warn(respond_job(record, &state.app, context.casing()), &fields.warnings()))
}

/// `{modifiedBy?}`.
pub(crate) async fn resume_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    let record = state.app.resume_job(&context.actor, &conditions(&headers), id, by).await?;
    Ok(respond::warn(respond_job(record, &state.app, context.casing()), &fields.warnings()))
}

/// `{reschedule?, reason?}`. A job that goes with its end is answered with 204.
pub(crate) async fn terminate_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor, conditions) = (&state.app, &context.actor, conditions(&headers));
    let mut fields = Fields::parse(&body)?;
    let reschedule = fields.flag("reschedule")?;
    let reason = fields.text("reason", LONGEST_REASON)?;
    fields.ignore(&["modifiedBy"]);
    let response = match app.terminate_job(actor, &conditions, id, reschedule, reason).await? {
        Some(record) => respond_job(record, app, context.casing()),
        None => respond::no_content(),
    };
    Ok(respond::warn(response, &fields.warnings()))
}

/// The run that `POST /jobs/{id}/run` made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManualRunView {
    job_id: JobId,
    execution_id: String,
    scheduled_at: String,
}

/// `{force?}`.
pub(crate) async fn run_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let actor = &context.actor;
    let mut fields = Fields::parse(&body)?;
    let forced = fields.flag("force")?.unwrap_or(false);
    fields.ignore(&["modifiedBy", "createdBy"]);
    let key = idempotency::key(&headers, actor, &format!("POST /jobs/{id}/run"), &body)?;
    let run = state.app.run_job(actor, &conditions(&headers), key, id, forced).await?;
    let view = ManualRunView {
        job_id: id,
        execution_id: run.execution_id,
        scheduled_at: rfc3339(run.scheduled),
    };
    let body = respond::envelope(&view, context.casing());
    Ok(respond::warn(respond::json(StatusCode::ACCEPTED, body), &fields.warnings()))
}
