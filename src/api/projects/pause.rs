//! Pauses of a project by routes of their own: none of its jobs fires while a pause holds.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::{Error, refused};
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::Conditions;
use crate::api::http::write::propose_if;
use crate::api::limits::reader::ReadPhase;
use crate::api::projects::load::{LONGEST_BY, missing_project, respond_project, version_of};
use crate::api::projects::pause_state::until;
use crate::api::state::{App, AppState};
use crate::command::{Command, Outcome, ProjectAction, ProjectEdit};
use crate::model::ProjectId;

/// `{until?, modifiedBy?}`. A new pause replaces the one that holds.
pub(crate) async fn pause_project(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let until = match until(&mut fields, "until", &app)? {
        None => until(&mut fields, "pauseUntil", &app)?,
        until => until,
    };
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    toggle(&app, &context, &headers, id, (ProjectAction::Pause { until }, by), fields).await
}

pub(crate) async fn resume_project(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    toggle(&app, &context, &headers, id, (ProjectAction::Resume, by), fields).await
}

async fn toggle(
    app: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
    id: ProjectId,
    (action, by): (ProjectAction, Option<String>),
    fields: Fields,
) -> Result<Response, Error> {
    let command = |expect| {
        let (action, by) = (Some(action), by.clone());
        Command::UpdateProject(ProjectEdit { id, expect, action, by, ..ProjectEdit::default() })
    };
    match propose_if(app, &Conditions::of(headers), version_of(id), missing_project, command)
        .await?
    {
        Outcome::Done => {
            let response = respond_project(app, context, id, ReadPhase::AfterWrite).await?;
            Ok(respond::warn(response, &fields.warnings()))
        }
        other => Err(refused(other)),
    }
}
