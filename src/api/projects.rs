//! Projects: the folders that jobs live in, with what their jobs have in common, and pauses of all
//! of them at once.

mod pause;
mod settings;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use rusqlite::Connection;
use serde::Serialize;

use self::pause::{Standing, Wanted, pauses};
use self::settings::{Edit, SettingsView};
use super::App;
use super::ask::{Ask, Id};
use super::error::Error;
use super::fields::Fields;
use super::idempotency::Key;
use super::input::{Input, SMALL};
use super::page::{ListWriter, Orders, cursor};
use super::reads::Stage;
use super::reply;
use super::signing::Rotation;
use super::state::AppState;
use super::version::{self, ATTEMPTS, Conditions, is_stale};
use crate::command::{Command, NewProject, Outcome, ProjectEdit};
use crate::model::project::{Project, ProjectSettings};
use crate::model::time::rfc3339;
use crate::model::{Millis, ProjectId};
use crate::store::After;
use crate::store::projects::{self, Order};

const LONGEST_NAME: usize = 256;
const LONGEST_DESCRIPTION: usize = 4_096;
/// The longest `createdBy` and `modifiedBy`, in bytes.
const LONGEST_BY: usize = 256;

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("name", Order::Name), ("dateCreated", Order::Created)];
/// What a `GET` shows and nobody can set.
const SHOWN: &[&str] = &[
    "id",
    "version",
    "dateCreated",
    "dateModified",
    "accountId",
    "deletedBy",
    "webhookSecretSet",
    "previousSecretUntil",
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProjectView {
    id: ProjectId,
    name: String,
    description: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_until: Option<String>,
    #[serde(flatten)]
    settings: SettingsView,
    /// The new secret, in the answer to its rotation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<String>,
    version: u64,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
}

fn view(project: Project, state: Standing, now: Millis) -> ProjectView {
    let (status, until) = match state {
        Standing::Active => ("active", None),
        Standing::Paused(until) => ("inactive", until),
    };
    ProjectView {
        id: project.id,
        name: project.name,
        description: project.description,
        status,
        pause_until: until.map(rfc3339),
        settings: SettingsView::of(&project.settings, now),
        webhook_secret: None,
        version: project.version,
        date_created: rfc3339(project.created),
        date_modified: project.modified.map(rfc3339),
        created_by: project.created_by,
        modified_by: project.modified_by,
    }
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/projects", get(list).post(create))
        .route("/projects/{id}", get(one).put(put).patch(patch).delete(remove))
        .route("/projects/{id}/pause", post(pause::pause))
        .route("/projects/{id}/resume", post(pause::resume))
        .route("/projects/{id}/rotate-secret", post(rotate))
}

async fn list(State(app): App, ask: Ask) -> Result<Response, Error> {
    let page = ask.page_after(ORDERS, &[Order::Name])?;
    ask.settle(&app).await?;
    let (now, casing) = (app.time.now(), ask.casing());
    let body = app.read(move |conn| {
        let pauses = pauses(conn, now)?;
        let total = projects::count(conn)?;
        let mut list = ListWriter::new("projects", &page, (total, false), casing);
        projects::each(conn, &page, |project| {
            let after = After { key: page.order_by.key(&project), id: project.id };
            let state =
                pauses.get(&project.id).map_or(Standing::Active, |until| Standing::Paused(*until));
            Ok(list.push(&view(project, state, now), || {
                let by_key = page.order_by != Order::Name;
                by_key.then(|| cursor(ORDERS, &page.order_by, after))
            }))
        })?;
        Ok(list.end())
    });
    Ok(reply::json(StatusCode::OK, body.await?))
}

async fn one(State(app): App, ask: Ask, headers: HeaderMap, Id(id): Id) -> Result<Response, Error> {
    ask.settle(&app).await?;
    Conditions::of(&headers).answer(shown(&app, &ask, id, Stage::Asked).await?)
}

async fn found(app: &AppState, id: ProjectId, stage: Stage) -> Result<(Project, Standing), Error> {
    let now = app.time.now();
    let found = app.read_at(stage, move |conn| {
        let Some(project) = projects::get(conn, id)? else { return Ok(None) };
        let standing = pauses(conn, now)?.remove(&id).map_or(Standing::Active, Standing::Paused);
        Ok(Some((project, standing)))
    });
    found.await?.ok_or_else(missing)
}

/// Reads the version of a project.
fn version_of(id: ProjectId) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(projects::get(conn, id)?.map(|project| project.version))
}

fn missing() -> Error {
    Error::not_found("project does not exist")
}

async fn shown(app: &AppState, ask: &Ask, id: ProjectId, stage: Stage) -> Result<Response, Error> {
    let (project, standing) = found(app, id, stage).await?;
    let version = project.version;
    let view = view(project, standing, app.time.now());
    Ok(version::tag(reply::ok(&view, ask.casing()), version))
}

async fn create(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let required = |text: Option<String>, field: &'static str| {
        let filled = text.filter(|text| !text.trim().is_empty());
        filled.ok_or_else(|| Error::invalid(field, format!("{field} field is required")))
    };
    let name = required(fields.text("name", LONGEST_NAME)?, "name")?;
    let description = required(fields.text("description", LONGEST_DESCRIPTION)?, "description")?;
    let by = fields.text("createdBy", LONGEST_BY)?;
    let settings = Edit::read(&mut fields, app.config.max_job_timeout)?;
    let settings = settings.over(&ProjectSettings::default(), &app.keys, app.time.now());
    let action = Wanted::read(&mut fields, &app)?.action(Standing::Active);
    fields.ignore(SHOWN);
    fields.ignore(&["modifiedBy"]);
    let key = Key::of(&headers, ask.caller, "POST /projects", &body)?;
    let new = NewProject { name, description, settings, action, by };
    match app.cluster.propose(Key::around(key, Command::CreateProject(new))).await? {
        Outcome::Created(id) => {
            let mut response = shown(&app, &ask, id, Stage::Done).await?;
            *response.status_mut() = StatusCode::CREATED;
            Ok(reply::warn(response, &fields.warnings()))
        }
        other => Err(refused(other)),
    }
}

async fn put(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    update(&app, &ask, &headers, id, Fields::parse(&body)?).await
}

/// A JSON Merge Patch (RFC 7396). In a `PUT`, null is what a client has not set.
async fn patch(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let fields = Fields::parse(&body)?;
    fields.not_null(&["name", "description", "status"])?;
    update(&app, &ask, &headers, id, fields).await
}

async fn update(
    app: &AppState,
    ask: &Ask,
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
    fields.ignore(SHOWN);
    fields.ignore(&["createdBy"]);
    let settings = Edit::read(&mut fields, app.config.max_job_timeout)?;
    let wanted = Wanted::read(&mut fields, app)?;
    let (name, description) = (name.as_ref(), description.as_ref());
    let says_more = name.is_some() || description.is_some() || !settings.is_empty();
    change(app, id, &Conditions::of(headers), None, |old, state| {
        let action = wanted.action(state);
        // Who names nothing but the status changes nothing else; who names nothing at all is noted.
        if !says_more && !wanted.is_empty() && action.is_none() {
            return None;
        }
        let settings = settings.over(&old.settings, &app.keys, app.time.now());
        Some(ProjectEdit {
            name: name.cloned(),
            description: description.cloned(),
            settings: (settings != old.settings).then_some(settings),
            action,
            by: by.clone(),
            ..ProjectEdit::default()
        })
    })
    .await?;
    let response = shown(app, ask, id, Stage::Done).await?;
    Ok(reply::warn(response, &fields.warnings()))
}

/// Makes of a project what `new` makes of it as it is now, whoever else is changing it; `None`: it
/// is so already.
async fn change(
    app: &AppState,
    id: ProjectId,
    conditions: &Conditions,
    key: Option<Key>,
    new: impl Fn(&Project, Standing) -> Option<ProjectEdit>,
) -> Result<(), Error> {
    for tried in 1.. {
        // What the request does not name stays as it is, so this node must know how it is.
        app.cluster.linearize().await?;
        let (old, state) = found(app, id, Stage::Asked).await?;
        conditions.check(Some(old.version))?;
        let Some(edit) = new(&old, state) else { break };
        let edit = ProjectEdit { id, expect: Some(old.version), ..edit };
        match app.cluster.propose(Key::around(key, Command::UpdateProject(edit))).await? {
            outcome if is_stale(&outcome) && tried < ATTEMPTS => {}
            Outcome::Done => break,
            other => return Err(refused(other)),
        }
    }
    Ok(())
}

/// `{webhookSecret?, overlap?}`: the new secret is shown once.
async fn rotate(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let route = format!("POST /projects/{id}/rotate-secret");
    let key = Key::of(&headers, ask.caller, &route, &body)?;
    let rotation = Rotation::read(&mut fields, &app.keys, key)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    app.cluster.linearize().await?;
    let old = found(&app, id, Stage::Asked).await?.0;
    rotation.check(&old.settings.signing, &app).await?;
    change(&app, id, &Conditions::of(&headers), key, |old, _| {
        let signing = rotation.of(&old.settings.signing, &app.keys, app.time.now());
        let settings = Some(ProjectSettings { signing, ..old.settings.clone() });
        Some(ProjectEdit { settings, by: by.clone(), ..ProjectEdit::default() })
    })
    .await?;
    let (project, state) = found(&app, id, Stage::Done).await?;
    let shown = rotation.shown(&project.settings.signing, &app.keys);
    let version = project.version;
    let mut view = view(project, state, app.time.now());
    view.webhook_secret = shown;
    let mut response = version::tag(reply::ok(&view, ask.casing()), version);
    reply::forget(&mut response);
    Ok(reply::warn(response, &fields.warnings()))
}

async fn remove(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let cascade = ask.flag("cascade")?;
    let command = |expect| Command::DeleteProject { id, cascade, expect };
    match Conditions::of(&headers).guard(&app, version_of(id), missing, command).await? {
        Outcome::Done => Ok(reply::no_content()),
        other => {
            let error = refused(other);
            if error.status() == StatusCode::CONFLICT {
                let offer = "add ?cascade=true to delete the jobs with it";
                return Err(error.because(offer));
            }
            Err(error)
        }
    }
}

fn refused(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Rejected(rejection) => rejection.into(),
        other => super::unexpected(&other),
    }
}
