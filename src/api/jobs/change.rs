//! One job changed: edited, deleted, paused, resumed, run out of turn. `super` routes to it.
//!
//! An edit is made of a job as it was read, and committed for that version only. Where the job has
//! changed since, it is read and edited again, unless the request's conditions do not hold any more.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use rusqlite::Connection;
use serde::Serialize;

use super::check::{Rules, pause_until};
use super::edit::{EditMode, edited};
use super::view::Views;
use super::{executors, missing, parse, shown};
use crate::api::App;
use crate::api::ask::{Ask, Id};
use crate::api::error::Error;
use crate::api::fields::Fields;
use crate::api::idempotency::Key;
use crate::api::input::{Input, SMALL};
use crate::api::reads::Stage;
use crate::api::reply::{self, Warnings};
use crate::api::state::AppState;
use crate::api::unexpected;
use crate::api::version::{ATTEMPTS, Conditions, is_stale};
use crate::command::{Command, JobAction, Outcome, RejectionKind};
use crate::model::attempt::occurrence_id;
use crate::model::job::Job;
use crate::model::time::rfc3339;
use crate::model::{JobId, ProjectId};
use crate::store::{jobs, meta};

/// The longest body of an edit, in bytes.
const EDIT: usize = 4 * SMALL;
/// The longest `until`, in bytes.
pub(super) const LONGEST_TIME: usize = 64;
/// The longest `modifiedBy`, in bytes.
pub(super) const LONGEST_BY: usize = 256;

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/jobs/{id}/pause", post(pause))
        .route("/jobs/{id}/resume", post(resume))
        .route("/jobs/{id}/run", post(run))
}

pub(super) async fn put(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<EDIT>,
) -> Result<Response, Error> {
    edit(&app, &ask, &headers, id, &body, EditMode::Put).await
}

pub(super) async fn patch(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<EDIT>,
) -> Result<Response, Error> {
    edit(&app, &ask, &headers, id, &body, EditMode::Patch).await
}

async fn edit(
    app: &AppState,
    ask: &Ask,
    headers: &HeaderMap,
    id: JobId,
    body: &[u8],
    mode: EditMode,
) -> Result<Response, Error> {
    let (input, mut warnings) = parse::one(body)?;
    let conditions = Conditions::of(headers);
    // What the request does not name stays as it is, so this node must know how it is.
    app.cluster.linearize().await?;
    for _ in 0..ATTEMPTS {
        let job = read(app, id).await?;
        if replace(app, ask, &job, &input, mode, &conditions, &mut warnings).await? {
            return match shown(app, ask, id, Stage::Done).await {
                // "Not found" would say that nothing was changed, which others may have seen.
                Err(gone) if gone.status() == StatusCode::NOT_FOUND => Err(Error::unavailable(
                    "the job was changed, and deleted by another before it could be shown",
                )),
                shown => Ok(reply::warn(shown?, &warnings)),
            };
        }
    }
    Err(busy())
}

/// Commits an edit of a job as it was read. `false`: it has changed or gone since, and the caller
/// may look again.
pub(super) async fn replace(
    app: &AppState,
    ask: &Ask,
    job: &Job,
    input: &parse::JobInput<'_>,
    mode: EditMode,
    conditions: &Conditions,
    warnings: &mut Warnings,
) -> Result<bool, Error> {
    let mut edit = edited(&Rules::new(app, ask.casing()), job, input, mode, warnings)?;
    edit.expect = Some(job.version);
    if mode == EditMode::Put
        && job.definition.retry_max.is_none()
        && edit.definition.retry_max.is_some()
    {
        // A GET shows the default where the job has no number of its own: sent back, it is none.
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
    let read =
        move |conn: &Connection| Ok(Views::new(conn, now, configured)?.project(project)?.retry_max);
    app.read(read).await
}

/// 503: others were always faster.
pub(super) fn busy() -> Error {
    Error::unavailable(
        "job is being changed by others all the time, nothing was written: try again",
    )
}

pub(super) async fn remove(
    State(app): App,
    _: Ask,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let command = |expect| Command::DeleteJob { id, expect };
    match Conditions::of(&headers).guard(&app, version_of(id), missing, command).await? {
        Outcome::Rejected(rejection) => Err(rejection.into()),
        _ => Ok(reply::no_content()),
    }
}

async fn pause(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let until = fields.text("until", LONGEST_TIME)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    let until = match until {
        None => None,
        Some(text) => {
            let job = read(&app, id).await?;
            let rules = Rules::new(&app, ask.casing());
            Some(pause_until("until", &rules, &job.definition, &text)?)
        }
    };
    change(&app, &headers, id, JobAction::Pause { until }, by).await?;
    Ok(reply::warn(shown(&app, &ask, id, Stage::Done).await?, &fields.warnings()))
}

async fn resume(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    change(&app, &headers, id, JobAction::Resume, by).await?;
    Ok(reply::warn(shown(&app, &ask, id, Stage::Done).await?, &fields.warnings()))
}

async fn change(
    app: &AppState,
    headers: &HeaderMap,
    id: JobId,
    action: JobAction,
    by: Option<String>,
) -> Result<(), Error> {
    if id == 0 {
        return Err(missing());
    }
    // A job that is so already is left as it is; one that is not there is missing when it is shown.
    let command = |version| {
        let jobs = vec![(id, 1)];
        Command::ChangeJobs { jobs, action, by: by.clone() }.for_version(id, version)
    };
    match Conditions::of(headers).guard(app, version_of(id), missing, command).await? {
        Outcome::Changed(_) => Ok(()),
        Outcome::Rejected(rejection) => Err(rejection.into()),
        other => Err(unexpected(&other)),
    }
}

/// What `POST /jobs/{id}/run` made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ran {
    job_id: JobId,
    execution_id: String,
    scheduled_at: String,
}

async fn run(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let forced = fields.flag("force")?.unwrap_or(false);
    fields.ignore(&["modifiedBy", "createdBy"]);
    let key = Key::of(&headers, ask.caller, &format!("POST /jobs/{id}/run"), &body)?;
    let command =
        |version| Key::around(key, Command::RunJob { id, forced }.for_version(id, version));
    match Conditions::of(&headers).guard(&app, version_of(id), missing, command).await? {
        Outcome::Run(occurrence) => {
            let cluster = app.read_at(Stage::Done, meta::cluster_id).await?;
            let cluster = cluster.unwrap_or_default();
            let ran = Ran {
                job_id: id,
                execution_id: occurrence_id(cluster, occurrence),
                scheduled_at: rfc3339(occurrence.scheduled),
            };
            let body = reply::envelope(&ran, ask.casing());
            Ok(reply::warn(reply::json(StatusCode::ACCEPTED, body), &fields.warnings()))
        }
        Outcome::Rejected(rejection) => Err(rejection.into()),
        other => Err(unexpected(&other)),
    }
}

/// Reads the version of a job.
fn version_of(id: JobId) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(jobs::get(conn, id)?.map(|job| job.version))
}

async fn read(app: &AppState, id: JobId) -> Result<Job, Error> {
    app.read(move |conn| jobs::get(conn, id)).await?.ok_or_else(missing)
}
