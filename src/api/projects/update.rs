//! `PUT` and `PATCH` of a project. Fields that a request does not name stay in both.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::Conditions;
use crate::api::http::write::{Versioned, update_with_retry};
use crate::api::limits::reader::ReadPhase;
use crate::api::projects::input::{LONGEST_DESCRIPTION, READ_ONLY};
use crate::api::projects::load::{LONGEST_BY, LONGEST_NAME, Loaded, load, respond_project};
use crate::api::projects::pause_state::PauseInput;
use crate::api::projects::settings::SettingsPatch;
use crate::api::state::{App, AppState};
use crate::command::{Command, ProjectEdit};
use crate::model::ProjectId;

pub(crate) async fn put_project(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    update(&app, &context, &headers, id, Fields::parse(&body)?).await
}

/// A JSON Merge Patch (RFC 7396). In a `PUT`, null means that the client has not set the field.
pub(crate) async fn patch_project(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let fields = Fields::parse(&body)?;
    fields.not_null(&["name", "description", "status"])?;
    update(&app, &context, &headers, id, fields).await
}

async fn update(
    app: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
    id: ProjectId,
    mut fields: Fields,
) -> Result<Response, Error> {
    let name = fields.text("name", LONGEST_NAME)?.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Error::invalid("name", "name must not be blank"));
    }
    let description = fields.text("description", LONGEST_DESCRIPTION)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    fields.ignore(READ_ONLY);
    fields.ignore(&["createdBy"]);
    let settings = SettingsPatch::read(&mut fields, app.config.max_job_timeout)?;
    let pause = PauseInput::read(&mut fields, app)?;
    let (name, description) = (name.as_ref(), description.as_ref());
    let names_more = name.is_some() || description.is_some() || !settings.is_empty();
    let edit = |old: &Loaded| {
        let action = pause.action(old.state);
        // A request that names the status alone changes nothing where the status is so already. A
        // request that names nothing at all still notes who modified the project.
        if !names_more && !pause.is_empty() && action.is_none() {
            return Ok(None);
        }
        let new = settings.apply_to(&old.project.settings, &app.keys, app.time.now());
        Ok(Some(Command::UpdateProject(ProjectEdit {
            id,
            expect: Some(old.version()),
            name: name.cloned(),
            description: description.cloned(),
            settings: (new != old.project.settings).then_some(new),
            action,
            by: by.clone(),
        })))
    };
    let load = || load(app, id, ReadPhase::BeforeWrite);
    update_with_retry(app, &Conditions::of(headers), None, load, edit).await?;
    let response = respond_project(app, context, id, ReadPhase::AfterWrite).await?;
    Ok(respond::warn(response, &fields.warnings()))
}
