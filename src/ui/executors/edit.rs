//! `/ui/executors/new` and `/ui/executors/{id}/edit`: the form, and what becomes of it. It is read
//! by the API's own reader. Settings beyond a URL are the JSON of the API; secrets that are set
//! stay as long as the form names them as set.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::api::{Fields, executor_json};
use crate::app::executors::input::ExecutorInput;
use crate::app::{Action, Error, ErrorKind};
use crate::model::target::{Executor, WEBHOOK_URL};
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::executors::describe;
use crate::ui::form::{Form, at_version, done, number, refused_status};
use crate::ui::icons::icon;
use crate::ui::inputs::{Inputs, choice};
use crate::ui::jobs::describe::kind_words;
use crate::ui::parts::banner;
use crate::ui::shell::Place;

/// The choices of a kind beside those with settings of their own.
const URL: &str = "url";
const HTTP: &str = "http";

fn input_of(field: &str) -> &str {
    match field {
        "name" => "name",
        "type" => "kind",
        "webhookUrl" => "url",
        "webhookMethod" => "method",
        "maxConcurrency" => "most",
        "ratePerSecond" => "rate",
        "webhookSecret" => "",
        _ => "settings",
    }
}

/// `GET /ui/executors/new`.
pub(crate) async fn show_new(page: Page) -> Result<Response, PageError> {
    page.require(Action::ExecutorsWrite)?;
    Ok(shown(&page, &Form::default(), None, None))
}

/// `POST /ui/executors/new`.
pub(crate) async fn create_executor(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::ExecutorsWrite)?;
    match create(&page, &form).await {
        Ok(id) => Ok(done(&format!("/ui/executors/{id}"), "The executor is created.")),
        Err(error) => refused(&page, &form, None, &error),
    }
}

/// `GET /ui/executors/{id}/edit`.
pub(crate) async fn show_edit(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.require(Action::ExecutorsWrite)?;
    let executor = executor(&page, &id).await?;
    Ok(shown(&page, &of_executor(&page, &executor), Some(&executor), None))
}

/// `POST /ui/executors/{id}/edit`.
pub(crate) async fn update_executor(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::ExecutorsWrite)?;
    let known = executor(&page, &id).await?;
    match update(&page, &form, known.id).await {
        Ok(()) => Ok(done(&format!("/ui/executors/{}", known.id), "The executor is saved.")),
        Err(error) => refused(&page, &form, Some(&executor(&page, &id).await?), &error),
    }
}

async fn executor(page: &Page, id: &str) -> Result<Executor, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("executor"))?;
    Ok(page.ui.app.get_executor(&page.actor, id).await?)
}

fn of_executor(page: &Page, executor: &Executor) -> Form {
    let kind = match (&executor.http, executor.kind.as_str()) {
        (Some(_), _) => HTTP,
        (None, WEBHOOK_URL) => URL,
        (None, other) => other,
    };
    let settings = describe::settings(page, executor);
    let settings = settings.and_then(|(_, value)| serde_json::to_string_pretty(&value).ok());
    let bound = |most: Option<u32>| most.map(|most| most.to_string()).unwrap_or_default();
    let fields = [
        ("name", executor.name.clone()),
        ("kind", kind.to_owned()),
        ("url", executor.webhook_url.clone()),
        ("method", executor.webhook_method.clone()),
        ("settings", settings.unwrap_or_default()),
        ("most", bound(executor.max_concurrency)),
        ("rate", bound(executor.rate_per_second)),
        ("version", executor.version.to_string()),
    ];
    Form::of(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// Reads the form as the body of a `PUT`, which replaces settings whole.
fn read(page: &Page, form: &Form) -> Result<(ExecutorInput, String), Error> {
    let kind = form.text("kind").unwrap_or(URL);
    let (api_kind, place) = match kind {
        URL => (WEBHOOK_URL, None),
        HTTP => (WEBHOOK_URL, Some(HTTP)),
        other => (other, Some(other)),
    };
    let mut fields = Map::new();
    fields.insert("name".to_owned(), form.text("name").unwrap_or_default().into());
    fields.insert("type".to_owned(), api_kind.into());
    match place {
        None => {
            fields.insert("webhookUrl".to_owned(), form.text("url").unwrap_or_default().into());
            fields.insert("webhookMethod".to_owned(), form.text("method").unwrap_or("POST").into());
        }
        Some(place) => {
            let text = form.text("settings").unwrap_or("{}");
            let value: Value = serde_json::from_str(text).map_err(|error| {
                Error::invalid("settings", format!("the settings are not valid JSON: {error}"))
            })?;
            fields.insert(place.to_owned(), value);
        }
    }
    for (input, field) in [("most", "maxConcurrency"), ("rate", "ratePerSecond")] {
        fields.insert(field.to_owned(), form.text(input).map_or(Value::Null, number));
    }
    let body = Value::Object(fields).to_string();
    let read = Fields::parse(body.as_bytes())
        .and_then(|mut fields| executor_json::read(&mut fields, page.ui.app.kinds_with_settings()));
    Ok((read.map_err(crate::api::Error::into_app)?, body))
}

async fn create(page: &Page, form: &Form) -> Result<u64, Error> {
    let (mut input, body) = read(page, form)?;
    input.created_by = page.by();
    let key = page.key(form, "ui executor", &body);
    Ok(page.ui.app.create_executor(&page.actor, key, input).await?.id)
}

async fn update(page: &Page, form: &Form, id: u64) -> Result<(), Error> {
    if form.text("name").is_none() {
        return Err(Error::invalid("name", "an executor needs a name"));
    }
    let (mut input, _) = read(page, form)?;
    input.modified_by = page.by();
    page.ui.app.update_executor(&page.actor, &at_version(form), id, input).await?;
    Ok(())
}

/// The form once more, with the error at its input. An error that has nothing to do with what was
/// entered is a page of its own.
fn refused(
    page: &Page,
    form: &Form,
    known: Option<&Executor>,
    error: &Error,
) -> Result<Response, PageError> {
    let status = refused_status(error)?;
    let mut response = shown(page, form, known, Some(error));
    *response.status_mut() = status;
    Ok(response)
}

fn shown(page: &Page, form: &Form, known: Option<&Executor>, problem: Option<&Error>) -> Response {
    let stale = known.filter(|_| problem.is_some_and(|error| error.kind() == ErrorKind::Stale));
    // Who saves again after having been told overwrites the newer version on purpose.
    let form = &match stale {
        Some(known) => form.with("version", &known.version.to_string()),
        None => form.clone(),
    };
    let inputs = Inputs::new(form, problem.filter(|_| stale.is_none()), input_of);
    let title = known.map_or_else(|| "New executor".to_owned(), |one| format!("Edit {}", one.name));
    let place =
        known.map_or_else(|| "/ui/executors".to_owned(), |one| format!("/ui/executors/{}", one.id));
    let action =
        if known.is_some() { format!("{place}/edit") } else { "/ui/executors/new".to_owned() };
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/executors" { "Executors" } (icon("right"))
            @if let Some(known) = known { a href=(place) { (known.name) } (icon("right")) }
            span { @if known.is_some() { "Edit" } @else { "New" } }
        }
        div.page-head { h1 { (title) } }
        @if let Some(known) = stale { (banner("bad", changed(page, known))) }
        (inputs.loose_problem())
        form.narrow method="post" action=(action) {
            (inputs.hidden())
            fieldset.card {
                legend { "Executor" }
                (inputs.text("name", "Name", "crm", Some("Unique in the cluster. Of a queue: the name by which workers ask for it.")))
            }
            (target(page, &inputs, known))
            fieldset.card {
                legend { "Limits" }
                div.pair {
                    (inputs.text("most", "Calls at a time", "20", Some("On each node. Empty: no bound of its own.")))
                    (inputs.text("rate", "Calls a second", "100", Some("On each node. Empty: no bound of its own.")))
                }
            }
            div.form-end {
                button.button.primary { @if known.is_some() { "Save the executor" } @else { "Create the executor" } }
                a.button href=(place) { "Cancel" }
            }
        }
    };
    page.document(Place::Executors, &title, body)
}

fn target(page: &Page, inputs: &Inputs<'_>, known: Option<&Executor>) -> Markup {
    let chosen = inputs.form.text("kind").unwrap_or(URL);
    let mut kinds: Vec<&str> = page.ui.app.kinds_with_settings().collect();
    // Kinds of the original's clients stay as they are; none is made here.
    if let Some(known) = known.filter(|known| known.kind != WEBHOOK_URL)
        && !kinds.contains(&known.kind.as_str())
    {
        kinds.push(&known.kind);
    }
    html! {
        fieldset.card {
            legend { "Where" }
            div.choices {
                (choice("kind", URL, "URL, in batches", chosen))
                (choice("kind", HTTP, "A call each", chosen))
                @for kind in kinds { (choice("kind", kind, kind_words(kind), chosen)) }
            }
            div.chosen data-value="url" {
                div.pair.narrow-first {
                    (inputs.select("method", "Method", &["POST", "PUT"].map(|one| (one.to_owned(), one.to_owned())), None))
                    (inputs.text("url", "URL", "https://example.com/callback", Some("Jobs that are due together are sent in one request.")))
                }
            }
            div.chosen data-value="settings" {
                (inputs.area(("settings", "Settings"), 12, "{\"method\": \"POST\", \"url\": \"https://example.com/run\"}", Some("JSON, as in the API. Secrets that are set stay while their field that ends with Set is there.")))
            }
        }
    }
}

fn changed(page: &Page, known: &Executor) -> Markup {
    html! {
        strong { "The executor was changed while you edited it" }
        @if let Some(by) = &known.modified_by { ", by " (by) }
        @if let Some(at) = known.modified { " at " (page.context.brief(at, None)) }
        ". Nothing was saved, and what you entered is below. Save once more to put it over version "
        (known.version) "."
    }
}
