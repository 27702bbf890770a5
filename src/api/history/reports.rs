//! Reports of receivers about runs that they accepted (`202` and `Scheduler-Async: true`), and
//! cancellations by clients.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;

use crate::api::http::body::{self, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::IdText;
use crate::api::http::respond;
use crate::api::state::{ApiState, AppState};
use crate::app::history::{ReportedState, bounded_words};
use crate::model::run::Report;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportView {
    execution_id: String,
    state: &'static str,
}

pub(crate) async fn complete(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    report(&state, &context, id, Report::Complete).await
}

pub(crate) async fn heartbeat(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    report(&state, &context, id, Report::Heartbeat).await
}

pub(crate) async fn cancel(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    report(&state, &context, id, Report::Cancel).await
}

/// `{error?, retry?}`; with `retry: false` the occurrence is dead-lettered.
pub(crate) async fn fail(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
    request: Request,
) -> Result<Response, Error> {
    // A node that is short of memory accepts it too, since it ends a run.
    let (body, _hold) = body::read(&state.bodies, request, SMALL).await?;
    let mut fields = Fields::parse(&body)?;
    let retry = fields.flag("retry")?.unwrap_or(true);
    let error = fields.take("error").map(|value| match value {
        serde_json::Value::String(text) => bounded_words(&text),
        other => bounded_words(&other.to_string()),
    });
    let response = report(&state, &context, id, Report::Fail { error, retry }).await?;
    Ok(respond::warn(response, &fields.warnings()))
}

/// Answers with the state that the occurrence has after a report.
async fn report(
    state: &AppState,
    context: &RequestContext,
    id: String,
    report: Report,
) -> Result<Response, Error> {
    let told = state.app.report_run(&context.actor, id, report).await?;
    let ReportedState { execution_id, state } = told;
    Ok(respond::ok(&ReportView { execution_id, state }, context.casing()))
}
