//! `/ui/projects/new` and `/ui/projects/{id}/edit`: the form, and what becomes of it. It is read by
//! the API's own reader, so that there is one set of rules.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::api::{Fields, project_json};
use crate::app::projects::ProjectRecord;
use crate::app::{Action, Error, ErrorKind};
use crate::schedule::show_duration;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, at_version, done, number, refused_status};
use crate::ui::icons::icon;
use crate::ui::inputs::Inputs;
use crate::ui::parts::banner;
use crate::ui::shell::Place;

/// The inputs, each with its field in the API, and whether it is a number.
const INPUTS: [(&str, &str, bool); 7] = [
    ("name", "name", false),
    ("description", "description", false),
    ("retries", "retryMax", true),
    ("retry_delay", "retryDelay", false),
    ("retry_factor", "retryFactor", true),
    ("retry_max_delay", "retryMaxDelay", false),
    ("timeout", "timeout", false),
];

fn input_of(field: &str) -> &str {
    INPUTS.iter().find(|(_, api, _)| *api == field).map_or("", |(input, ..)| input)
}

/// `GET /ui/projects/new`.
pub(crate) async fn show_new(page: Page) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    Ok(shown(&page, &Form::default(), None, None))
}

/// `POST /ui/projects/new`.
pub(crate) async fn create_project(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    match create(&page, &form).await {
        Ok(id) => Ok(done(&format!("/ui/projects/{id}"), "The project is created.")),
        Err(error) => refused(&page, &form, None, &error),
    }
}

/// `GET /ui/projects/{id}/edit`.
pub(crate) async fn show_edit(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    let record = project(&page, &id).await?;
    Ok(shown(&page, &of_project(&record), Some(&record), None))
}

/// `POST /ui/projects/{id}/edit`.
pub(crate) async fn update_project(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::ProjectsWrite)?;
    let record = project(&page, &id).await?;
    match update(&page, &form, &record).await {
        Ok(()) => Ok(done(&format!("/ui/projects/{}", record.project.id), "The project is saved.")),
        // The record may have been read before the change that this one came too late for.
        Err(error) if error.kind() == ErrorKind::Stale => {
            refused(&page, &form, Some(&project(&page, &id).await?), &error)
        }
        Err(error) => refused(&page, &form, Some(&record), &error),
    }
}

async fn project(page: &Page, id: &str) -> Result<ProjectRecord, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("project"))?;
    Ok(page.ui.app.get_project(&page.actor, id).await?)
}

fn of_project(record: &ProjectRecord) -> Form {
    let project = &record.project;
    let delivery = &project.settings.delivery;
    let length = |given: Option<i64>| given.map(show_duration).unwrap_or_default();
    let factor = delivery.retry_factor.map(|factor| (f64::from(factor) / 1_000.0).to_string());
    let fields = [
        ("name", project.name.clone()),
        ("description", project.description.clone()),
        ("retries", delivery.retry_max.map(|most| most.to_string()).unwrap_or_default()),
        ("retry_delay", length(delivery.retry_delay)),
        ("retry_factor", factor.unwrap_or_default()),
        ("retry_max_delay", length(delivery.retry_max_delay)),
        ("timeout", length(delivery.timeout)),
        ("version", project.version.to_string()),
    ];
    Form::of(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// The form as the JSON of the API. In a change an empty input leaves the field to the
/// configuration again.
fn json(form: &Form, is_change: bool) -> String {
    let mut fields = Map::new();
    for (input, field, is_number) in INPUTS {
        let value = match form.text(input) {
            Some(text) if is_number => number(text),
            Some(text) => Value::from(text),
            None if is_change && !matches!(input, "name" | "description") => Value::Null,
            None if is_change => Value::from(""),
            None => continue,
        };
        fields.insert(field.to_owned(), value);
    }
    Value::Object(fields).to_string()
}

async fn create(page: &Page, form: &Form) -> Result<u64, Error> {
    let app = &page.ui.app;
    let body = json(form, false);
    let key = page.key(form, "ui project", &body);
    let read = Fields::parse(body.as_bytes()).and_then(|mut fields| {
        project_json::read_new(&mut fields, app.config().max_job_timeout, app.now())
    });
    let mut input = read.map_err(crate::api::Error::into_app)?;
    input.by = page.by();
    Ok(app.create_project(&page.actor, key, input).await?.project.id)
}

async fn update(page: &Page, form: &Form, record: &ProjectRecord) -> Result<(), Error> {
    let app = &page.ui.app;
    if form.text("name").is_none() {
        return Err(Error::invalid("name", "a project needs a name"));
    }
    let body = json(form, true);
    let read = Fields::parse(body.as_bytes()).and_then(|mut fields| {
        project_json::read_edit(&mut fields, app.config().max_job_timeout, app.now())
    });
    let mut change = read.map_err(crate::api::Error::into_app)?;
    change.by = page.by();
    app.update_project(&page.actor, &at_version(form), record.project.id, change).await?;
    Ok(())
}

/// The form once more, with the error at its input. An error that has nothing to do with what was
/// entered is a page of its own.
fn refused(
    page: &Page,
    form: &Form,
    record: Option<&ProjectRecord>,
    error: &Error,
) -> Result<Response, PageError> {
    let status = refused_status(error)?;
    let mut response = shown(page, form, record, Some(error));
    *response.status_mut() = status;
    Ok(response)
}

fn shown(
    page: &Page,
    form: &Form,
    record: Option<&ProjectRecord>,
    problem: Option<&Error>,
) -> Response {
    let stale = record.filter(|_| problem.is_some_and(|error| error.kind() == ErrorKind::Stale));
    // Who saves again after having been told overwrites the newer version on purpose.
    let form = &match stale {
        Some(record) => form.with("version", &record.project.version.to_string()),
        None => form.clone(),
    };
    let inputs = Inputs::new(form, problem.filter(|_| stale.is_none()), input_of);
    let title =
        record.map_or_else(|| "New project".to_owned(), |one| format!("Edit {}", one.project.name));
    let place = record.map_or_else(
        || "/ui/projects".to_owned(),
        |one| format!("/ui/projects/{}", one.project.id),
    );
    let action =
        if record.is_some() { format!("{place}/edit") } else { "/ui/projects/new".to_owned() };
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/projects" { "Projects" } (icon("right"))
            @if let Some(record) = record { a href=(place) { (record.project.name) } (icon("right")) }
            span { @if record.is_some() { "Edit" } @else { "New" } }
        }
        div.page-head { h1 { (title) } }
        @if let Some(record) = stale { (banner("bad", changed(page, record))) }
        (inputs.loose_problem())
        form.narrow method="post" action=(action) {
            (inputs.hidden())
            fieldset.card {
                legend { "Project" }
                (inputs.text("name", "Name", "billing", Some("Unique in the cluster.")))
                (inputs.text("description", "Description", "Invoices and reminders", Some("For people. Nothing depends on it.")))
            }
            fieldset.card {
                legend { "What its jobs share" }
                p.hint { "Of jobs that say nothing else. Empty: as the nodes are configured." }
                div.pair {
                    (inputs.text("retries", "Retries", "3", Some("After the first attempt.")))
                    (inputs.text("retry_delay", "First retry after", "5s", None))
                    (inputs.text("retry_factor", "Each wait is longer by", "2", Some("A factor, 1 or more.")))
                    (inputs.text("retry_max_delay", "Longest wait", "10m", None))
                    (inputs.text("timeout", "Timeout of an attempt", "30s", None))
                }
            }
            div.form-end {
                button.button.primary { @if record.is_some() { "Save the project" } @else { "Create the project" } }
                a.button href=(place) { "Cancel" }
            }
        }
    };
    page.document(Place::Projects, &title, body)
}

fn changed(page: &Page, record: &ProjectRecord) -> Markup {
    html! {
        strong { "The project was changed while you edited it" }
        @if let Some(by) = &record.project.modified_by { ", by " (by) }
        @if let Some(at) = record.project.modified { " at " (page.context.brief(at, None)) }
        ". Nothing was saved, and what you entered is below. Save once more to put it over version "
        (record.project.version) "."
    }
}
