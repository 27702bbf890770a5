//! One job as answers show it. All routes that answer with a job end in [`respond_job`].

use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::http::version;
use crate::store::jobs;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use rusqlite::Connection;

use crate::api::http::context::RequestContext;
use crate::api::http::ids::Id;
use crate::api::http::version::conditions;
use crate::api::jobs::view::Views;
use crate::api::state::{App, AppState};
use crate::app::reads::ReadPhase;
use crate::model::JobId;
use crate::model::job::Job;

/// 404, with the original's message.
pub(crate) fn missing_job() -> Error {
    missing_record().into()
}

/// The error of a use case where there is no such job.
pub(crate) fn missing_record() -> crate::app::Error {
    crate::app::jobs::missing_job()
}

pub(crate) async fn get_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&app.app).await?;
    version::answer(
        &conditions(&headers),
        respond_job(&app, &context, id, ReadPhase::BeforeWrite).await?,
    )
}

/// Answers 200 with a job and its version.
pub(crate) async fn respond_job(
    app: &AppState,
    context: &RequestContext,
    id: JobId,
    stage: ReadPhase,
) -> Result<Response, Error> {
    let (now, retry_max) = (app.time.now(), app.config.job_execution_retry_max);
    let found = app.read_at(stage, move |conn| {
        let Some(job) = jobs::get(conn, id)? else { return Ok(None) };
        Views::new(conn, now, retry_max)?.job(job).map(Some)
    });
    let job = found.await?.ok_or_else(missing_job)?;
    Ok(version::tag(respond::ok(&job, context.casing()), job.version))
}

/// Reads the version of a job.
pub(crate) fn version_of(
    id: JobId,
) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(jobs::get(conn, id)?.map(|job| job.version))
}

/// Reads a job before it is changed; 404 where there is none.
pub(crate) async fn load_job(app: &AppState, id: JobId) -> Result<Job, Error> {
    app.read(move |conn| jobs::get(conn, id)).await?.ok_or_else(missing_job)
}
