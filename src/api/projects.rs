//! Projects: the folders that jobs live in.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::App;
use super::ask::{Ask, Id};
use super::error::Error;
use super::fields::Fields;
use super::idempotency::Key;
use super::input::{Input, SMALL};
use super::page::{List, Orders};
use super::reply;
use super::state::AppState;
use crate::command::{Command, NewProject, Outcome, ProjectEdit};
use crate::model::ProjectId;
use crate::model::project::{Project, ProjectSettings};
use crate::model::time::rfc3339;
use crate::store::projects::{self, Order};

const LONGEST_NAME: usize = 256;
const LONGEST_DESCRIPTION: usize = 4_096;
/// The longest `createdBy` and `modifiedBy`, in bytes.
const LONGEST_BY: usize = 256;

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("name", Order::Name), ("dateCreated", Order::Created)];
/// What a `GET` shows and nobody can set.
const SHOWN: &[&str] = &["id", "dateCreated", "dateModified", "accountId", "deletedBy"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProjectView {
    id: ProjectId,
    name: String,
    description: String,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        Self {
            id: project.id,
            name: project.name,
            description: project.description,
            date_created: rfc3339(project.created),
            date_modified: project.modified.map(rfc3339),
            created_by: project.created_by,
            modified_by: project.modified_by,
        }
    }
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/projects", get(list).post(create))
        .route("/projects/{id}", get(one).put(update).delete(remove))
}

async fn list(State(app): App, ask: Ask) -> Result<Response, Error> {
    let page = ask.page(ORDERS)?;
    ask.settle(&app).await?;
    let (total, found) = app.cluster.read(move |conn| projects::list(conn, &page)).await?;
    let projects: Vec<_> = found.into_iter().map(ProjectView::from).collect();
    let list = List::new("projects", &page, total, projects);
    Ok(reply::ok(&list, ask.dialect()))
}

async fn one(State(app): App, ask: Ask, Id(id): Id) -> Result<Response, Error> {
    ask.settle(&app).await?;
    shown(&app, &ask, id, StatusCode::OK).await
}

async fn shown(
    app: &AppState,
    ask: &Ask,
    id: ProjectId,
    status: StatusCode,
) -> Result<Response, Error> {
    let found = app.cluster.read(move |conn| projects::get(conn, id)).await?;
    let project = found.ok_or_else(|| Error::not_found("project does not exist"))?;
    Ok(reply::json(status, reply::envelope(&ProjectView::from(project), ask.dialect())))
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
    fields.ignore(SHOWN);
    fields.ignore(&["modifiedBy"]);
    let key = Key::of(&headers, ask.caller, "POST /projects", &body)?;
    let command = Command::CreateProject(NewProject {
        name,
        description,
        settings: ProjectSettings::default(),
        by,
    });
    match app.cluster.propose(Key::around(key, command)).await? {
        Outcome::Created(id) => {
            let response = shown(&app, &ask, id, StatusCode::CREATED).await?;
            Ok(reply::warn(response, &fields.unknown()))
        }
        other => Err(refused(other)),
    }
}

async fn update(
    State(app): App,
    ask: Ask,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let name = fields.text("name", LONGEST_NAME)?.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Error::invalid("name", "name must not be blank"));
    }
    let description = fields.text("description", LONGEST_DESCRIPTION)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    fields.ignore(SHOWN);
    fields.ignore(&["createdBy"]);
    let edit = ProjectEdit { id, name, description, settings: None, by };
    match app.cluster.propose(Command::UpdateProject(edit)).await? {
        Outcome::Done => {
            let response = shown(&app, &ask, id, StatusCode::OK).await?;
            Ok(reply::warn(response, &fields.unknown()))
        }
        other => Err(refused(other)),
    }
}

async fn remove(State(app): App, ask: Ask, Id(id): Id) -> Result<Response, Error> {
    let cascade = ask.flag("cascade")?;
    match app.cluster.propose(Command::DeleteProject { id, cascade }).await? {
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
