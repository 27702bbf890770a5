//! `PUT` and `PATCH` of a job. An edit is made of the job as it was read, and committed for that
//! version only. Where the job has changed since, it is read and edited again, unless the request's
//! conditions do not hold any more.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rusqlite::Connection;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::conditions;
use crate::api::http::warnings::Warnings;
use crate::api::jobs::get::{load_job, respond_job};
use crate::api::jobs::input::parse;
use crate::api::jobs::validate::edit::{EditMode, edited};
use crate::api::jobs::validate::executors;
use crate::api::jobs::validate::rules::Rules;
use crate::api::state::{App, AppState};
use crate::app::conditions::Conditions;
use crate::app::jobs::next_runs::ScheduleCache;
use crate::app::reads::ReadPhase;
use crate::app::write::{ATTEMPTS, is_stale};
use crate::command::{Command, Outcome, RejectionKind};
use crate::model::job::Job;
use crate::model::{JobId, ProjectId};

/// The longest body of an edit, in bytes.
const EDIT: usize = 4 * SMALL;
pub(crate) async fn put_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<EDIT>,
) -> Result<Response, Error> {
    edit(&app, &context, &headers, id, &body, EditMode::Put).await
}

pub(crate) async fn patch_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<EDIT>,
) -> Result<Response, Error> {
    edit(&app, &context, &headers, id, &body, EditMode::Patch).await
}

async fn edit(
    app: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
    id: JobId,
    body: &[u8],
    mode: EditMode,
) -> Result<Response, Error> {
    let (input, mut warnings) = parse::one(body)?;
    let conditions = conditions(headers);
    // Fields that the request does not name stay as they are, so the read must be up to date.
    app.cluster.linearize().await?;
    for _ in 0..ATTEMPTS {
        let job = load_job(app, id).await?;
        if replace(app, context, &job, &input, mode, &conditions, &mut warnings).await? {
            return match respond_job(app, context, id, ReadPhase::AfterWrite).await {
                // A 404 would say that nothing was changed, while others may have seen the change.
                Err(gone) if gone.status() == StatusCode::NOT_FOUND => Err(Error::unavailable(
                    "the job was changed, and deleted by another before it could be shown",
                )),
                shown => Ok(respond::warn(shown?, &warnings)),
            };
        }
    }
    Err(busy())
}

/// Commits an edit of a job as it was read. `false` means that the job has changed or gone since,
/// and that the caller may read it again.
pub(crate) async fn replace(
    app: &AppState,
    context: &RequestContext,
    job: &Job,
    input: &parse::JobInput<'_>,
    mode: EditMode,
    conditions: &Conditions,
    warnings: &mut Warnings,
) -> Result<bool, Error> {
    let mut edit = edited(&Rules::new(app, context.casing()), job, input, mode, warnings)?;
    edit.expect = Some(job.version);
    if mode == EditMode::Put
        && job.definition.retry_max.is_none()
        && edit.definition.retry_max.is_some()
    {
        // A GET shows the default where the job has no number of its own. Sent back, the default is
        // no own number.
        let default = default_retries(app, edit.definition.project).await?;
        edit.definition.retry_max = edit.definition.retry_max.filter(|given| *given != default);
    }
    let definitions = std::slice::from_ref(&edit.definition);
    let data = std::iter::once((0, edit.data.as_str()));
    executors::check(app, definitions, data).await.map_err(|(_, error)| error)?;
    conditions.check(Some(job.version))?;
    match app.cluster.propose(Command::UpdateJob(edit)).await? {
        outcome if is_stale(&outcome) => Ok(false),
        Outcome::Rejected(rejection) => match rejection.kind {
            RejectionKind::Conflict => Err(Error::from(rejection).field("externalId")),
            _ => Err(rejection.into()),
        },
        _ => Ok(true),
    }
}

/// The retries of a project's jobs that have no number of their own.
async fn default_retries(app: &AppState, project: ProjectId) -> Result<u32, Error> {
    let (now, configured) = (app.time.now(), app.config.job_execution_retry_max);
    let read = move |conn: &Connection| {
        Ok(ScheduleCache::new(conn, now, configured).project(project)?.retry_max)
    };
    app.read(read).await
}

/// 503: other writes were faster each time.
pub(crate) fn busy() -> Error {
    Error::unavailable(
        "job is being changed by others all the time, nothing was written: try again",
    )
}
