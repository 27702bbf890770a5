//! `/ui/jobs/new` and `/ui/jobs/{id}/edit`: the form, and what becomes of it. It is turned into the
//! JSON of the API and read by the API's own parser, so that there is one set of rules.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use crate::api::job_json;
use crate::app::jobs::{Batch, CreatedJobs, Edit, EditMode, JobRecord};
use crate::app::projects::input::ProjectInput;
use crate::app::warnings::Warnings;
use crate::app::{Action, Error, ErrorKind};
use crate::model::job::Casing;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, LongForm, at_version, done, refused_status};
use crate::ui::icons::icon;
use crate::ui::inputs::Inputs;
use crate::ui::jobs::describe;
use crate::ui::jobs::editor::{Editor, FROM};
use crate::ui::jobs::fields::{copy, input_of, new_job, of_job, patch};
use crate::ui::jobs::merge::{BASE, Difference, base, differences, merged};
use crate::ui::jobs::preview::of_form;
use crate::ui::parts::banner;
use crate::ui::shell::Place;

/// `GET /ui/jobs/new?from=`.
pub(crate) async fn show_new(page: Page) -> Result<Response, PageError> {
    page.require(Action::JobsWrite)?;
    let form = if let Some(id) = page.context.number("from")? {
        of_source(&page.ui.app.get_job(&page.actor, id).await?).with(FROM, &id.to_string())
    } else {
        let project = page.context.parameter("project").unwrap_or_default().to_owned();
        let zone = ("timezone".to_owned(), first_zone(&page));
        Form::of(vec![zone, ("project".to_owned(), project)])
    };
    editor(&page, &form, None, None).await
}

/// `POST /ui/jobs/new`.
pub(crate) async fn create_job(
    page: Page,
    LongForm(form): LongForm,
) -> Result<Response, PageError> {
    page.require(Action::JobsWrite)?;
    match Box::pin(create(&page, &form)).await {
        Ok((id, warnings)) => {
            Ok(done(&format!("/ui/jobs/{id}"), &told("The job is created.", &warnings)))
        }
        Err(error) => refused(&page, &form, None, error).await,
    }
}

/// `GET /ui/jobs/{id}/edit`.
pub(crate) async fn show_edit(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.require(Action::JobsWrite)?;
    let record = job(&page, &id).await?;
    let form = of_job(&record);
    let base = base(&form);
    editor(&page, &form.with(BASE, &base), Some(&record), None).await
}

/// `POST /ui/jobs/{id}/edit`.
pub(crate) async fn update_job(
    page: Page,
    Path(id): Path<String>,
    LongForm(form): LongForm,
) -> Result<Response, PageError> {
    page.require(Action::JobsWrite)?;
    let record = job(&page, &id).await?;
    match update(&page, &form, &record).await {
        Ok(warnings) => {
            Ok(done(&format!("/ui/jobs/{}", record.job.id), &told("The job is saved.", &warnings)))
        }
        // The record may have been read before the change that this one came too late for.
        Err(error) if error.kind() == ErrorKind::Stale => {
            refused(&page, &form, Some(&job(&page, &id).await?), error).await
        }
        Err(error) => refused(&page, &form, Some(&record), error).await,
    }
}

async fn job(page: &Page, id: &str) -> Result<JobRecord, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("job"))?;
    Ok(page.ui.app.get_job(&page.actor, id).await?)
}

async fn create(page: &Page, form: &Form) -> Result<(u64, Warnings), Error> {
    let app = &page.ui.app;
    if let Some(source) = source(page, form).await? {
        return copied(page, form, &source).await;
    }
    let project = form.text("project").and_then(|project| project.parse().ok());
    let project = match (project, form.text("project_name")) {
        (Some(project), _) => project,
        (None, Some(name)) if form.text("project").is_none() => {
            // A job that is refused leaves no project behind: it is checked as one of some project.
            check(page, &new_job(form, 1)?)?;
            new_project(page, form, name).await?
        }
        (None, _) => 0,
    };
    let mut json = new_job(form, project)?;
    if let (Value::Object(job), Some(by)) = (&mut json, page.by()) {
        job.insert("createdBy".to_owned(), by.into());
    }
    let body = json.to_string();
    let key = page.key(form, "ui create", &body);
    let mut batch = Batch::new(app.job_rules(Casing::Camel));
    let kinds = app.kinds_for_jobs();
    let read = job_json::each(body.as_bytes(), &kinds, &mut |_, job| Ok(batch.add(job)?));
    let mut warnings = read.map_err(crate::api::Error::into_app)?;
    warnings.merge(batch.warnings());
    let created = app.create_jobs(&page.actor, key, batch.finish()?).await?;
    Ok((only(page, created).await?, warnings))
}

/// Checks the JSON of a new job as far as that can be done before there is a project.
fn check(page: &Page, json: &Value) -> Result<(), Error> {
    let app = &page.ui.app;
    let (body, kinds) = (json.to_string(), app.kinds_for_jobs());
    let mut batch = Batch::new(app.job_rules(Casing::Camel));
    job_json::each(body.as_bytes(), &kinds, &mut |_, job| Ok(batch.add(job)?))
        .map_err(crate::api::Error::into_app)?;
    batch.finish().map(|_| ())
}

/// The job that a form makes a copy of, if it does.
async fn source(page: &Page, form: &Form) -> Result<Option<JobRecord>, Error> {
    let Some(id) = form.text(FROM).and_then(|id| id.parse().ok()) else { return Ok(None) };
    match page.ui.app.get_job(&page.actor, id).await {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!("job {id}, which this is a copy of, was deleted meanwhile");
            Err(Error::conflict(message))
        }
        Err(error) => Err(error),
    }
}

/// Makes a copy of a job: what the form does not show is as it is there.
async fn copied(page: &Page, form: &Form, source: &JobRecord) -> Result<(u64, Warnings), Error> {
    let app = &page.ui.app;
    let mut json = copy(form, &of_source(source))?;
    if let (Value::Object(job), Some(by)) = (&mut json, page.by()) {
        job.insert("modifiedBy".to_owned(), by.into());
    }
    let (body, from) = (json.to_string(), source.job.id);
    let key = page.key(form, "ui copy", &format!("{from} {body}"));
    let kinds = app.kinds_for_jobs();
    let read = job_json::one(body.as_bytes(), &kinds);
    let (input, mut warnings) = read.map_err(crate::api::Error::into_app)?;
    let created = app.copy_job(&page.actor, key, from, &input, &mut warnings).await?;
    Ok((only(page, created).await?, warnings))
}

/// The fields of a job for a copy of it.
fn of_source(record: &JobRecord) -> Form {
    of_job(record).without(&["name", "version"])
}

/// The number of the one job that was created.
async fn only(page: &Page, mut created: CreatedJobs) -> Result<u64, Error> {
    let first = |only: &mut Option<u64>, record: JobRecord| {
        *only = Some(record.job.id);
        true
    };
    let id = page.ui.app.read_piece(&mut created.jobs, None, first).await?;
    // The job may be deleted before it is read.
    id.ok_or_else(|| {
        Error::unavailable("the job was created, and deleted by another before it could be shown")
    })
}

async fn new_project(page: &Page, form: &Form, name: &str) -> Result<u64, Error> {
    let input = ProjectInput::named(name, page.by())?;
    let key = page.key(form, "ui first project", name);
    let record = page.ui.app.create_project(&page.actor, key, input).await?;
    Ok(record.project.id)
}

async fn update(page: &Page, form: &Form, record: &JobRecord) -> Result<Warnings, Error> {
    let app = &page.ui.app;
    let conditions = at_version(form);
    conditions.check(Some(record.job.version))?;
    let mut json = patch(form, &of_job(record))?;
    if let (Value::Object(job), Some(by)) = (&mut json, page.by()) {
        job.insert("modifiedBy".to_owned(), by.into());
    }
    let body = json.to_string();
    let kinds = app.kinds_for_jobs();
    let read = job_json::one(body.as_bytes(), &kinds);
    let (input, mut warnings) = read.map_err(crate::api::Error::into_app)?;
    let edit = Edit { input: &input, mode: EditMode::Patch, casing: Casing::Camel };
    app.update_job(&page.actor, &conditions, record.job.id, edit, &mut warnings).await?;
    Ok(warnings)
}

/// The form once more, with the error at its input. An error that has nothing to do with what was
/// entered is a page of its own.
async fn refused(
    page: &Page,
    form: &Form,
    record: Option<&JobRecord>,
    error: Error,
) -> Result<Response, PageError> {
    let status = refused_status(&error)?;
    let mut response = editor(page, form, record, Some(&error)).await?;
    *response.status_mut() = status;
    Ok(response)
}

async fn editor(
    page: &Page,
    form: &Form,
    record: Option<&JobRecord>,
    problem: Option<&Error>,
) -> Result<Response, PageError> {
    let stale = record.filter(|_| problem.is_some_and(|error| error.kind() == ErrorKind::Stale));
    // Who saves again after having been told overwrites the newer version on purpose.
    let (form, others) = match stale {
        Some(record) => {
            let theirs = of_job(record);
            let (form, others) = merged(form, &theirs);
            let version = record.job.version.to_string();
            (form.with("version", &version).with(BASE, &base(&theirs)), others)
        }
        None => (form.clone(), Vec::new()),
    };
    let form = &form;
    let number = |name: &str| form.text(name).and_then(|text| text.parse().ok());
    let projects = page.projects_with(number("project")).await?;
    let executors = page.executors().await?;
    let preview = of_form(page, form, record.map(|record| &record.job)).await;
    let source = if record.is_none() { source(page, form).await.ok().flatten() } else { None };
    let editor = Editor {
        page,
        inputs: Inputs::new(form, problem.filter(|_| stale.is_none()), input_of),
        projects: &projects,
        executors: &executors,
        record,
        source: source.as_ref(),
        preview,
    };
    let title = record
        .map_or_else(|| "New job".to_owned(), |record| format!("Edit {}", describe::name(record)));
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/jobs" { "Jobs" } (icon("right"))
            @if let Some(record) = record { a href={ "/ui/jobs/" (record.job.id) } { (describe::name(record)) } (icon("right")) }
            span { @if record.is_some() { "Edit" } @else { "New" } }
        }
        div.page-head { h1 { (title) } }
        @if let Some(record) = stale { (changed(page, record, &others)) }
        (editor.markup())
    };
    Ok(page.document(Place::Jobs, &title, body))
}

fn changed(page: &Page, record: &JobRecord, others: &[Difference]) -> Markup {
    let zone = Some(record.job.definition.timezone.as_str());
    html! {
        (banner("bad", html! {
            strong { "The job was changed while you edited it" }
            @if let Some(by) = &record.job.modified_by { ", by " (by) }
            @if let Some(at) = record.job.modified { " at " (page.context.brief(at, zone)) ", " (page.context.relative_time(at)) }
            ". Nothing was saved yet, and nothing that you entered is lost: "
            @if others.is_empty() { "the fields of this form are as they were. " } @else { "what changed is below. " }
            "Save once more to put your values on top of "
            a href={ "/ui/jobs/" (record.job.id) } target="_blank" rel="noopener" { "version " (record.job.version) }
            "."
        }))
        @if !others.is_empty() { (differences(others)) }
    }
}

fn first_zone(page: &Page) -> String {
    page.context.own_zone.map_or("UTC", |zone| zone.name()).to_owned()
}

fn told(done: &str, warnings: &Warnings) -> String {
    let lines = warnings.lines();
    if lines.is_empty() { done.to_owned() } else { format!("{done} Note: {}.", lines.join("; ")) }
}
