//! `POST /projects`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::{Error, refused};
use crate::api::http::fields::Fields;
use crate::api::http::idempotency::Key;
use crate::api::http::respond;
use crate::api::limits::reader::ReadPhase;
use crate::api::projects::input::{LONGEST_DESCRIPTION, READ_ONLY};
use crate::api::projects::load::{LONGEST_BY, LONGEST_NAME, respond_project};
use crate::api::projects::pause_state::{PauseInput, PauseState};
use crate::api::projects::settings::SettingsPatch;
use crate::api::state::App;
use crate::command::{Command, NewProject, Outcome};
use crate::model::project::ProjectSettings;

pub(crate) async fn create_project(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let required = |text: Option<String>, field: &'static str| {
        let filled = text.filter(|text| !text.trim().is_empty());
        filled.ok_or_else(|| Error::invalid(field, format!("{field} field is required")))
    };
    let name = required(fields.text("name", LONGEST_NAME)?, "name")?;
    let description = required(fields.text("description", LONGEST_DESCRIPTION)?, "description")?;
    let by = fields.text("createdBy", LONGEST_BY)?;
    let settings = SettingsPatch::read(&mut fields, app.config.max_job_timeout)?;
    let settings = settings.apply_to(&ProjectSettings::default(), &app.keys, app.time.now());
    let action = PauseInput::read(&mut fields, &app)?.action(PauseState::Active);
    fields.ignore(READ_ONLY);
    fields.ignore(&["modifiedBy"]);
    let key = Key::of(&headers, context.caller, "POST /projects", &body)?;
    let new = NewProject { name, description, settings, action, by };
    match app.cluster.propose(Key::wrap(key, Command::CreateProject(new))).await? {
        Outcome::Created(id) => {
            let mut response = respond_project(&app, &context, id, ReadPhase::AfterWrite).await?;
            *response.status_mut() = StatusCode::CREATED;
            Ok(respond::warn(response, &fields.warnings()))
        }
        other => Err(refused(other)),
    }
}
