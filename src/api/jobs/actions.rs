//! One job paused, resumed, or run out of turn.

use crate::api::jobs::validate::own_fields::{LONGEST_BY, LONGEST_TIME};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::conditions;
use crate::api::jobs::get::{load_job, missing_job, missing_record, respond_job, version_of};
use crate::api::jobs::validate::instants::pause_until;
use crate::api::jobs::validate::rules::Rules;
use crate::api::state::{App, AppState};
use crate::app::Actor;
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::refused;
use crate::command::{Command, JobAction, Outcome};
use crate::model::JobId;
use crate::model::attempt::occurrence_id;
use crate::model::time::rfc3339;
use crate::store::meta;

pub(crate) async fn pause_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let until = fields.text("until", LONGEST_TIME)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    let until = match until {
        None => None,
        Some(text) => {
            let job = load_job(&app, id).await?;
            let rules = Rules::new(&app, context.casing());
            Some(pause_until("until", &rules, &job.definition, &text)?)
        }
    };
    change(&app, &context.actor, &headers, id, JobAction::Pause { until }, by).await?;
    Ok(respond::warn(
        respond_job(&app, &context, id, ReadPhase::AfterWrite).await?,
        &fields.warnings(),
    ))
}

pub(crate) async fn resume_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    change(&app, &context.actor, &headers, id, JobAction::Resume, by).await?;
    Ok(respond::warn(
        respond_job(&app, &context, id, ReadPhase::AfterWrite).await?,
        &fields.warnings(),
    ))
}

async fn change(
    app: &AppState,
    actor: &Actor,
    headers: &HeaderMap,
    id: JobId,
    action: JobAction,
    by: Option<String>,
) -> Result<(), Error> {
    if id == 0 {
        return Err(missing_job());
    }
    // The command leaves a job that is already so as it is. A job that does not exist is missing
    // when it is shown.
    let command = |version| {
        let jobs = vec![(id, 1)];
        Command::ChangeJobs { jobs, action, by: by.clone() }.for_version(id, version)
    };
    let (of, missing) = (version_of(id), missing_record);
    match app.app.propose_if(actor, &conditions(headers), of, missing, command).await? {
        Outcome::Changed(_) => Ok(()),
        other => Err(refused(other).into()),
    }
}

/// The run that `POST /jobs/{id}/run` made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManualRunView {
    job_id: JobId,
    execution_id: String,
    scheduled_at: String,
}

pub(crate) async fn run_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let forced = fields.flag("force")?.unwrap_or(false);
    fields.ignore(&["modifiedBy", "createdBy"]);
    let key = idempotency::key(&headers, &context.actor, &format!("POST /jobs/{id}/run"), &body)?;
    let command = |version| Key::wrap(key, Command::RunJob { id, forced }.for_version(id, version));
    let (of, missing) = (version_of(id), missing_record);
    match app.app.propose_if(&context.actor, &conditions(&headers), of, missing, command).await? {
        Outcome::Run(occurrence) => {
            let cluster = app.read_at(ReadPhase::AfterWrite, meta::cluster_id).await?;
            let cluster = cluster.unwrap_or_default();
            let run = ManualRunView {
                job_id: id,
                execution_id: occurrence_id(cluster, occurrence),
                scheduled_at: rfc3339(occurrence.scheduled),
            };
            let body = respond::envelope(&run, context.casing());
            Ok(respond::warn(respond::json(StatusCode::ACCEPTED, body), &fields.warnings()))
        }
        other => Err(refused(other).into()),
    }
}
