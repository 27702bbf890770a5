//! `/ui/templates/new` and `/ui/templates/{id}/edit`: what becomes of the form. It is turned into
//! the JSON of the API and read by the API's own reader, so that there is one set of rules.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::template_json;
use crate::app::templates::input::TemplateInput;
use crate::app::warnings::Warnings;
use crate::app::{Action, Error, ErrorKind};
use crate::model::job::Casing;
use crate::model::template::Template;
use crate::ui::context::Page;
use crate::ui::error::{PageError, sentence};
use crate::ui::form::{Form, at_version, done, number, refused_status};
use crate::ui::icons::icon;
use crate::ui::inputs::Inputs;
use crate::ui::json_text::pretty;
use crate::ui::parts::banner;
use crate::ui::shell::Place;
use crate::ui::templates::difference::difference;
use crate::ui::templates::editor::{Editor, preview};
use crate::ui::templates::json::{fields_of, members};
use crate::ui::templates::list::name;

/// What is shown with the form.
#[derive(Default)]
struct Told<'a> {
    /// The template that is changed; `None` for a new one.
    known: Option<&'a Template>,
    problem: Option<&'a Error>,
    /// What the form would make, and what is probably not meant.
    checked: Option<(Template, Vec<String>)>,
}

/// `GET /ui/templates/new?project=`.
pub(crate) async fn show_new(page: Page) -> Result<Response, PageError> {
    page.require(Action::TemplatesWrite)?;
    let project = page.context.parameter("project").unwrap_or_default();
    let fields = [("active", "true"), ("kept", "100"), ("start", "0"), ("project", project)];
    let form = Form::of(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
    shown(&page, &form, Told::default()).await
}

/// `POST /ui/templates/new`.
pub(crate) async fn create_template(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::TemplatesWrite)?;
    Box::pin(finish(&page, &form, None)).await
}

/// `GET /ui/templates/{id}/edit`.
pub(crate) async fn show_edit(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.require(Action::TemplatesWrite)?;
    let known = template(&page, &id).await?;
    let form = of_template(&page, &known);
    shown(&page, &form, Told { known: Some(&known), ..Told::default() }).await
}

/// `POST /ui/templates/{id}/edit`.
pub(crate) async fn update_template(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::TemplatesWrite)?;
    let known = template(&page, &id).await?;
    Box::pin(finish(&page, &form, Some(known))).await
}

async fn template(page: &Page, id: &str) -> Result<Template, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("template"))?;
    Ok(page.ui.app.get_template(&page.actor, id).await?)
}

/// Saves or checks what was entered, and answers.
async fn finish(page: &Page, form: &Form, known: Option<Template>) -> Result<Response, PageError> {
    let is_check = form.text("action") == Some("check");
    let mut warnings = Warnings::default();
    let id = known.as_ref().map(|known| known.id);
    let done_so_far = if is_check {
        check(page, form, id, &mut warnings).await
    } else {
        save(page, form, id, &mut warnings).await
    };
    match done_so_far {
        Ok(template) if is_check => {
            let checked = Some((template, warnings.lines()));
            shown(page, form, Told { known: known.as_ref(), checked, problem: None }).await
        }
        Ok(template) => {
            let lines = warnings.lines();
            let told = if lines.is_empty() {
                "The template is saved.".to_owned()
            } else {
                format!("The template is saved. Note: {}.", lines.join("; "))
            };
            Ok(done(&format!("/ui/templates/{}", template.id), &told))
        }
        Err(error) => {
            let status = refused_status(&error)?;
            // It may have been read before the change that this one came too late for.
            let known = match id {
                Some(id) if error.kind() == ErrorKind::Stale => {
                    Some(page.ui.app.get_template(&page.actor, id).await?)
                }
                _ => known,
            };
            let told = Told { known: known.as_ref(), problem: Some(&error), checked: None };
            let mut response = shown(page, form, told).await?;
            *response.status_mut() = status;
            Ok(response)
        }
    }
}

/// Reads a form as the body of a request.
fn read<'b>(
    page: &Page,
    body: &'b str,
    warnings: &mut Warnings,
) -> Result<TemplateInput<'b>, Error> {
    let read = template_json::read(body.as_bytes(), &page.ui.app.kinds_for_jobs());
    let (input, said) = read.map_err(crate::api::Error::into_app)?;
    warnings.merge(said);
    Ok(input)
}

async fn check(
    page: &Page,
    form: &Form,
    id: Option<u64>,
    warnings: &mut Warnings,
) -> Result<Template, Error> {
    let body = body(form, id.is_some())?;
    let input = read(page, &body, warnings)?;
    page.ui.app.check_template(&page.actor, id, &input, Casing::Camel, warnings).await
}

async fn save(
    page: &Page,
    form: &Form,
    id: Option<u64>,
    warnings: &mut Warnings,
) -> Result<Template, Error> {
    let (app, actor) = (&page.ui.app, &page.actor);
    let body = body(form, id.is_some())?;
    let mut input = read(page, &body, warnings)?;
    match id {
        None => {
            input.created_by = page.by();
            let key = page.key(form, "ui new template", &body);
            app.create_template(actor, key, &input, Casing::Camel, warnings).await
        }
        Some(id) => {
            input.modified_by = page.by();
            app.update_template(actor, &at_version(form), id, &input, Casing::Camel, warnings).await
        }
    }
}

/// The form of a template.
fn of_template(page: &Page, template: &Template) -> Form {
    let fields = fields_of(page, template);
    let json = |name: &str, levels: usize| {
        let json = fields.get(name).filter(|json| !matches!(json.as_str(), "null" | "{}"));
        json.map(|json| pretty(json, levels)).unwrap_or_default()
    };
    let target = fields.get("target").map(|json| members(json)).unwrap_or_default();
    let only = |name: &str| target.get(name).filter(|_| target.len() == 1);
    let text = |json: &String| serde_json::from_str::<String>(json).unwrap_or_default();
    let url = only("callbackUrl").map(text);
    let executor = only("executorId").cloned();
    let place = match (&url, &executor, target.is_empty()) {
        (_, Some(_), _) => "executor",
        (Some(_), ..) | (.., true) => "url",
        _ => "json",
    };
    let is_schema = fields.contains_key("jsonSchema");
    let rules = if is_schema { json("jsonSchema", 9) } else { json("payloadSchema", 1) };
    let flag = |is_set: bool| if is_set { "true" } else { "" }.to_owned();
    let values = [
        ("version", template.version.to_string()),
        ("type", template.kind.clone()),
        ("label", template.label.clone()),
        ("description", template.description.clone()),
        ("by", if template.user_triggered { "people" } else { "system" }.to_owned()),
        ("again", flag(template.reschedule)),
        ("active", flag(template.active)),
        ("start", template.start_in_seconds.to_string()),
        ("kept", template.keep_completed.to_string()),
        ("schema", if is_schema { "json" } else { "fields" }.to_owned()),
        ("rules", rules),
        ("payload", json("payload", 3)),
        ("where", place.to_owned()),
        ("url", url.unwrap_or_default()),
        ("executor", executor.unwrap_or_default()),
        ("target", json("target", 9)),
        ("job", json("job", 3)),
    ];
    Form::of(values.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// The form as the JSON of the API. The JSON in it stays as it was entered.
fn body(form: &Form, is_change: bool) -> Result<String, Error> {
    let quoted = |text: &str| Value::from(text).to_string();
    let text = |input: &str| quoted(form.text(input).unwrap_or_default());
    let is_schema = form.text("schema") == Some("json");
    let rules = if is_schema { "jsonSchema" } else { "payloadSchema" };
    let is_set = |input: &str| form.text(input).is_some().to_string();
    let mut fields = vec![
        ("label", text("label")),
        ("description", text("description")),
        ("userTriggered", (form.text("by") != Some("system")).to_string()),
        ("rescheduleAfterTermination", is_set("again")),
        ("active", is_set("active")),
        (rules, json(form, "rules", rules)?.unwrap_or_else(|| "{}".to_owned())),
        ("payload", json(form, "payload", "payload")?.unwrap_or_else(|| "null".to_owned())),
        ("job", json(form, "job", "job")?.unwrap_or_else(|| "null".to_owned())),
    ];
    for (input, field) in [("start", "startInSeconds"), ("kept", "keepCompleted")] {
        fields.extend(form.text(input).map(|text| (field, number(text).to_string())));
    }
    // The project of a template never changes, and a type that was left out is missed.
    if !is_change {
        fields.extend(form.text("project").map(|id| ("projectId", number(id).to_string())));
    }
    if is_change || form.text("type").is_some() {
        fields.push(("type", text("type")));
    }
    fields.extend(target(form)?.map(|target| ("target", target)));
    let fields: Vec<_> =
        fields.iter().map(|(field, json)| format!("{}:{json}", quoted(field))).collect();
    Ok(format!("{{{}}}", fields.join(",")))
}

/// The target that was entered; without one that of the template stays.
fn target(form: &Form) -> Result<Option<String>, Error> {
    Ok(match form.text("where") {
        Some("json") => json(form, "target", "target")?,
        Some("executor") => {
            form.text("executor").map(|id| format!("{{\"executorId\":{}}}", number(id)))
        }
        _ => form.text("url").map(|url| format!("{{\"callbackUrl\":{}}}", Value::from(url))),
    })
}

/// The JSON in an input; `field` is its field in errors.
fn json(form: &Form, input: &str, field: &'static str) -> Result<Option<String>, Error> {
    let Some(text) = form.text(input) else { return Ok(None) };
    serde_json::from_str::<&RawValue>(text)
        .map_err(|error| Error::invalid(field, format!("this is not valid JSON: {error}")))?;
    Ok(Some(text.to_owned()))
}

/// The input of a field of the API.
fn input_of(form: &Form, field: &str) -> &'static str {
    let place = match form.text("where") {
        Some("executor") => "executor",
        Some("json") => "target",
        _ => "url",
    };
    match field.split('.').next().unwrap_or(field) {
        "type" => "type",
        "projectId" => "project",
        "label" => "label",
        "description" => "description",
        "startInSeconds" => "start",
        "keepCompleted" => "kept",
        "payloadSchema" | "jsonSchema" => "rules",
        "payload" => "payload",
        "target" | "callbackUrl" | "http" | "executorId" | "message" | "amqp" => place,
        "userTriggered" | "rescheduleAfterTermination" | "active" => "",
        // Every other field is one of the terms.
        _ => "job",
    }
}

async fn shown(page: &Page, form: &Form, told: Told<'_>) -> Result<Response, PageError> {
    let Told { known, problem, checked } = told;
    let stale = known.filter(|_| problem.is_some_and(|error| error.kind() == ErrorKind::Stale));
    let mut others = html! {};
    if let Some(known) = stale {
        others = changed(page, form, known).await?;
    }
    // Who saves again after having been told overwrites the newer version on purpose.
    let form = &match stale {
        Some(known) => form.with("version", &known.version.to_string()),
        None => form.clone(),
    };
    let (projects, executors) = (page.projects().await?, page.executors().await?);
    let problem = problem.filter(|_| stale.is_none());
    let inputs = Inputs::new(form, problem, |field| input_of(form, field));
    let editor = Editor { inputs, projects: &projects, executors: &executors, known };
    let title =
        known.map_or_else(|| "New template".to_owned(), |one| format!("Edit {}", name(one)));
    let valid = checked.as_ref().map(|(template, _)| template);
    let form = editor.markup();
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/templates" { "Templates" } (icon("right"))
            @if let Some(known) = known { a href={ "/ui/templates/" (known.id) } { (name(known)) } (icon("right")) }
            span { @if known.is_some() { "Edit" } @else { "New" } }
        }
        div.page-head { h1 { (title) } }
        (others)
        @if let Some((_, notes)) = &checked { (is_valid(notes)) }
        // An error may be about an input that this form does not have.
        (editor.inputs.unplaced_problem())
        div.split {
            div.wide-column { (form) }
            div.side-column { (preview(page, valid.or(known))?) }
        }
    };
    Ok(page.document(Place::Templates, &title, body))
}

/// What is said of a form that was checked.
fn is_valid(notes: &[String]) -> Markup {
    banner(
        "good",
        html! {
            strong { "It is valid. Nothing is saved yet." }
            @if !notes.is_empty() { ul { @for note in notes { li { (sentence(note)) } } } }
        },
    )
}

/// What is said where somebody else has changed the template meanwhile.
async fn changed(page: &Page, form: &Form, known: &Template) -> Result<Markup, Error> {
    let version = form.text("version").and_then(|text| text.parse().ok()).unwrap_or_default();
    let before = page.ui.app.template_version(&page.actor, known.id, version).await;
    let before = match before {
        Ok(before) => Some(before),
        // Only the last versions are kept.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(banner(
        "bad",
        html! {
            strong { "The template was changed while you edited it" }
            @if let Some(by) = &known.modified_by { ", by " (by) }
            @if let Some(at) = known.modified { " at " (page.context.brief(at, None)) }
            ". Nothing was saved, and what you entered is below. Save once more to put it over version "
            (known.version) "."
            @if let Some(before) = &before { (difference(page, before, known)) }
        },
    ))
}
