//! `GET /jobs/{id}`, and the answer with one job that other routes give too.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::{self, conditions};
use crate::api::jobs::view::JobView;
use crate::api::state::ApiState;
use crate::app::App;
use crate::app::jobs::JobRecord;
use crate::model::job::Casing;

pub(crate) async fn get_job(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&state.app).await?;
    let record = state.app.get_job(&context.actor, id).await?;
    let response = respond_job(record, &state.app, context.casing());
    version::answer(&conditions(&headers), response)
}

/// Answers 200 with a job and its version.
pub(crate) fn respond_job(record: JobRecord, app: &App, casing: Casing) -> Response {
    let version = record.job.version;
    version::tag(respond::ok(&JobView::of(record, app), casing), version)
}
