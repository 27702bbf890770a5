//! `POST /projects/{id}/rotate-secret`: `{webhookSecret?, overlap?, modifiedBy?}`. The answer shows
//! the new secret, once.

use crate::api::projects::load::Loaded;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency::Key;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::{self, Conditions};
use crate::api::http::write::{Versioned, update_with_retry};
use crate::api::limits::reader::ReadPhase;
use crate::api::projects::load::{LONGEST_BY, load};
use crate::api::projects::view::view;
use crate::api::state::App;
use crate::api::targets::signing::Rotation;
use crate::command::{Command, ProjectEdit};
use crate::model::project::ProjectSettings;

pub(crate) async fn rotate_secret(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let route = format!("POST /projects/{id}/rotate-secret");
    let key = Key::of(&headers, context.caller, &route, &body)?;
    let rotation = Rotation::read(&mut fields, &app.keys, key)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    app.cluster.linearize().await?;
    let old = load(&app, id, ReadPhase::BeforeWrite).await?.project;
    rotation.check(&old.settings.signing, &app).await?;
    let edit = |old: &Loaded| {
        let old_settings = &old.project.settings;
        let signing = rotation.apply_to(&old_settings.signing, &app.keys, app.time.now());
        Ok(Some(Command::UpdateProject(ProjectEdit {
            id,
            expect: Some(old.version()),
            settings: Some(ProjectSettings { signing, ..old_settings.clone() }),
            by: by.clone(),
            ..ProjectEdit::default()
        })))
    };
    let load_old = || load(&app, id, ReadPhase::BeforeWrite);
    update_with_retry(&app, &Conditions::of(&headers), key, load_old, edit).await?;
    let Loaded { project, state } = load(&app, id, ReadPhase::AfterWrite).await?;
    let secret = rotation.secret_to_show(&project.settings.signing, &app.keys);
    let version = project.version;
    let mut view = view(project, state, app.time.now());
    view.webhook_secret = secret;
    let mut response = version::tag(respond::ok(&view, context.casing()), version);
    respond::no_store(&mut response);
    Ok(respond::warn(response, &fields.warnings()))
}
