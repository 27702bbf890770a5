//! `/ui/templates/{id}/run`: the form of a template, and the job that is made of it. All fields
//! that are wrong are told at once, each at its input.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::templates::{Encoding, InstanceInput, TemplateForm};
use crate::app::{Action, Error};
use crate::model::template::Template;
use crate::schedule::show_duration;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, done, refused_status};
use crate::ui::icons::icon;
use crate::ui::inputs::Inputs;
use crate::ui::parts::{banner, empty};
use crate::ui::shell::Place;
use crate::ui::templates::controls::{Control, controls};
use crate::ui::templates::list::name;
use crate::ui::templates::markup::{Shown, error_name, id, inputs, sentence_end};
use crate::ui::templates::payload::{payload, unknown};
use crate::ui::words::counted;

/// The input of a payload that is entered as JSON.
const WHOLE: &str = "payload";

/// A template with what its form asks for.
struct Asked {
    template: Template,
    form: TemplateForm,
    /// The inputs; `None` where the payload is entered as JSON.
    controls: Option<Vec<Control>>,
}

impl Asked {
    async fn of(page: &Page, id: &str) -> Result<Self, PageError> {
        let id = id.parse().map_err(|_| PageError::no_record("template"))?;
        let template = page.ui.app.get_template(&page.actor, id).await?;
        let form = TemplateForm::of(&template, page.context.now)?;
        let controls = controls(&form, page.context.zone_for(None));
        Ok(Self { template, form, controls })
    }
}

/// `GET /ui/templates/{id}/run`.
pub(crate) async fn show_run(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.require(Action::TemplatesRun)?;
    let asked = Asked::of(&page, &id).await?;
    let form = Form::of(vec![("version".to_owned(), asked.template.version.to_string())]);
    Ok(shown(&page, &asked, &form, Shown::default()))
}

/// `POST /ui/templates/{id}/run`.
pub(crate) async fn create_instance(
    page: Page,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    page.require(Action::TemplatesRun)?;
    let asked = Asked::of(&page, &id).await?;
    match create(&page, &asked, &form).await {
        Ok(job) => Ok(done(&format!("/ui/jobs/{job}"), "The job is made. It shows up here.")),
        Err(error) => {
            let status = refused_status(&error)?;
            // The form is that of the present version from here on.
            let form = form.with("version", &asked.template.version.to_string());
            let mut response =
                shown(&page, &asked, &form, Shown { sent: Some(&form), problem: Some(&error) });
            *response.status_mut() = status;
            Ok(response)
        }
    }
}

async fn create(page: &Page, asked: &Asked, form: &Form) -> Result<u64, Error> {
    let template = &asked.template;
    let (payload, encoding) = match &asked.controls {
        None => (form.text(WHOLE).unwrap_or("{}").to_owned(), Encoding::Json),
        Some(controls) => {
            // What was entered for a field that is gone would be lost without a word.
            if let Some(gone) = unknown(controls, form) {
                let message = format!(
                    "the template was changed while you filled in its form: {} is no field of it \
                     any more. Look at the fields again",
                    gone.trim_start_matches("p.")
                );
                return Err(Error::stale(message));
            }
            payload(&asked.form.schema, controls, form)
        }
    };
    let start_in_seconds = match form.text("start") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Error::invalid("startInSeconds", "the seconds must be a whole number, 0 or more")
        })?),
    };
    let start = form.text("start").unwrap_or_default();
    let name = form.text("name");
    let body = format!("{start} {} {payload}", name.unwrap_or_default());
    let key = page.key(form, &format!("ui run template {}", template.id), &body);
    let input = InstanceInput {
        payload,
        encoding,
        start_in_seconds,
        external_id: name.map(str::to_owned),
        labels: None,
        created_by: page.by(),
    };
    Ok(page.ui.app.create_instance(&page.actor, key, template.id, input).await?.job.id)
}

fn shown(page: &Page, asked: &Asked, form: &Form, shown: Shown<'_>) -> Response {
    let template = &asked.template;
    let place = format!("/ui/templates/{}", template.id);
    let fixed = Inputs::new(form, shown.problem, |field| match field {
        "externalId" => "name",
        "startInSeconds" => "start",
        _ => "",
    });
    let is_of_fields = shown.problem.is_some_and(|error| !error.fields().is_empty());
    let start = template.start_in_seconds.to_string();
    let start_hint = if template.start_in_seconds == 0 {
        "In seconds. Empty: at once.".to_owned()
    } else {
        let length = show_duration(template.start());
        format!("In seconds. Empty: after {length}, as the template says.")
    };
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/templates" { "Templates" } (icon("right")) a href=(place) { (name(template)) } (icon("right")) span { "Run" }
        }
        div.page-head { h1 { "Run " (name(template)) } }
        @if !template.description.is_empty() { p.lead-line { (template.description) } }
        (cannot(page, template))
        @if is_of_fields { (summary(asked, shown)) } @else { (fixed.loose_problem()) }
        form.narrow method="post" action={ (place) "/run" } novalidate {
            (fixed.hidden())
            fieldset.card {
                legend { "Payload" }
                @match &asked.controls {
                    Some(controls) if controls.is_empty() => (empty("Nothing to enter", "Its jobs carry no payload that somebody chooses.", html! {})),
                    Some(controls) => (inputs(controls, shown)),
                    None => (fixed.area((WHOLE, "Payload"), 12, "{}", Some("JSON, by the rules of the template."))),
                }
            }
            fieldset.card {
                legend { "Job" }
                div.pair {
                    (fixed.text("start", "Starts after", &start, Some(&start_hint)))
                    (fixed.text("name", "Name", "order-77", Some("Your own id for it, unique in the project. Optional.")))
                }
            }
            div.form-end {
                button.button.primary { (icon("play")) "Run it" }
                a.button href=(place) { "Cancel" }
            }
        }
    };
    page.document(Place::Templates, &format!("Run {}", name(template)), body)
}

/// Why the form cannot make a job, where it cannot.
fn cannot(page: &Page, template: &Template) -> Markup {
    let edit = html! {
        @if page.may(Action::TemplatesWrite) { " " a href={ "/ui/templates/" (template.id) "/edit" } { "Edit it" } }
    };
    html! {
        @if !template.user_triggered {
            (banner("info", "This template keeps one job by itself. Terminate that one, and the next begins."))
        } @else if !template.active {
            (banner("info", html! { "This template is inactive, so that no job can be made of it." (edit) }))
        }
    }
}

/// All that is wrong, with links to the inputs. What belongs to no input is told in full.
fn summary(asked: &Asked, shown: Shown<'_>) -> Markup {
    let controls = asked.controls.as_deref().unwrap_or_default();
    let wrong = shown.wrong(controls);
    let known: Vec<_> = wrong.iter().map(|(control, _)| error_name(control)).collect();
    let all = shown.problem.map(Error::fields).into_iter().flatten();
    let others: Vec<_> = all.filter(|(field, _)| !known.contains(field)).collect();
    let number = (wrong.len() + others.len()) as u64;
    banner(
        "bad",
        html! {
            strong { "Nothing was made: " (counted(number, "field")) @if number == 1 { " is" } @else { " are" } " not valid" }
            @if !wrong.is_empty() {
                ": " @for (at, (control, _)) in wrong.iter().enumerate() { @if at > 0 { ", " } a href={ "#" (id(control)) } { (control.label) } }
            }
            ul {
                @for (field, error) in &others { li { code { (field) } " " (sentence_end(error)) } }
            }
        },
    )
}
