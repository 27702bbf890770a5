//! `/ui/templates/import`: a file of templates by type, such as the original's
//! `job_templates.json`. The page says what would become of each, or what became of it.

use axum::response::Response;
use maud::{Markup, html};

use crate::api::template_json;
use crate::app::templates::{Import, ImportReport, Imported};
use crate::app::warnings::Warnings;
use crate::app::{Action, Error};
use crate::model::job::Casing;
use crate::ui::context::Page;
use crate::ui::error::{PageError, sentence};
use crate::ui::form::{Form, refused_status};
use crate::ui::icons::icon;
use crate::ui::inputs::Inputs;
use crate::ui::parts::{banner, card, chip, table};
use crate::ui::shell::Place;
use crate::ui::words::counted;

const EXAMPLE: &str = "{\n  \"send_mail\": {\n    \"type\": \"send_mail\", \"userTriggered\": true,\n    \"payload_schema\": {\"user_id\": {\"type\": \"uint\"}}\n  }\n}";

/// What the page tells above its form.
enum Told<'a> {
    Nothing,
    Report(&'a ImportReport),
    Refused(&'a Error),
}

/// `GET /ui/templates/import`.
pub(crate) async fn show_import(page: Page) -> Result<Response, PageError> {
    page.require(Action::TemplatesWrite)?;
    shown(&page, &Form::default(), true, &Told::Nothing).await
}

/// `POST /ui/templates/import`: imports what was entered where that was asked for, else only says
/// what would happen.
pub(crate) async fn import_templates(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::TemplatesWrite)?;
    let dry_run = form.text("action") != Some("import");
    match import(&page, &form, dry_run).await {
        Ok(report) => shown(&page, &form, dry_run, &Told::Report(&report)).await,
        Err(error) => {
            let status = refused_status(&error)?;
            let mut response = shown(&page, &form, dry_run, &Told::Refused(&error)).await?;
            *response.status_mut() = status;
            Ok(response)
        }
    }
}

async fn import(page: &Page, form: &Form, dry_run: bool) -> Result<ImportReport, Error> {
    let app = &page.ui.app;
    let number = |name: &str| form.text(name).and_then(|text| text.parse().ok());
    let project = number("project").filter(|id| *id > 0);
    let project = project.ok_or_else(|| Error::invalid("projectId", "choose a project"))?;
    let executor = number("executor");
    let kinds = app.kinds_for_jobs();
    let mut said = Warnings::default();
    let Some(text) = form.text("file") else {
        return Err(Error::invalid("file", "choose a file, or paste what is in it"));
    };
    let templates = template_json::read_file(text, &kinds, &mut said);
    let templates = templates.map_err(|error| {
        let told = error.into_app().detail().replace("the request's body", "the file");
        Error::invalid("file", told)
    })?;
    let import = Import { project, executor, dry_run, templates };
    let mut report = Box::pin(app.import_templates(&page.actor, import, Casing::Camel)).await?;
    report.warnings.extend(said.lines());
    Ok(report)
}

async fn shown(
    page: &Page,
    form: &Form,
    dry_run: bool,
    told: &Told<'_>,
) -> Result<Response, PageError> {
    let projects = page.projects().await?.choices();
    let mut executors = vec![(String::new(), "As each template has it".to_owned())];
    let named = page.executors().await?;
    executors.extend(named.into_iter().map(|one| (one.id.to_string(), one.name)));
    let problem = match told {
        Told::Refused(error) if error.fields().is_empty() => Some(*error),
        _ => None,
    };
    let inputs = Inputs::new(form, problem, |field| match field {
        "projectId" => "project",
        "executorId" => "executor",
        "file" => "file",
        _ => "",
    });
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/templates" { "Templates" } (icon("right")) span { "Import" } }
        div.page-head { h1 { "Import templates" } }
        (inputs.loose_problem())
        @match told {
            Told::Report(report) => (report_card(report, dry_run)),
            Told::Refused(error) if !error.fields().is_empty() => (refused_card(error)),
            _ => {},
        }
        form.narrow method="post" action="/ui/templates/import" {
            (inputs.hidden())
            fieldset.card {
                legend { "File" }
                div.field hidden {
                    label for="f-from" { "Choose a file" }
                    input #f-from type="file" accept=".json,application/json" data-into="f-file";
                }
                (inputs.area(("file", "Templates"), 14, EXAMPLE, Some("JSON: an object of templates by their types, as in job_templates.json.")))
                div.pair {
                    (inputs.select("project", "Project", &projects, Some("A type that is there already is changed.")))
                    (inputs.select("executor", "Target", &executors, Some("Without a target a template is inactive.")))
                }
            }
            div.form-end {
                button.button.primary name="action" value="check" { "See what would change" }
                button.button name="action" value="import" { "Import" }
                a.button href="/ui/templates" { "Cancel" }
            }
        }
    };
    Ok(page.document(Place::Templates, "Import templates", body))
}

/// What became of each template of the file, or would become of it.
fn report_card(report: &ImportReport, dry_run: bool) -> Markup {
    let groups = [
        ("created", "delivered", &report.created),
        ("changed", "running", &report.updated),
        ("unchanged", "completed", &report.unchanged),
    ];
    let counts: Vec<_> =
        groups.iter().map(|(what, _, list)| format!("{} {what}", list.len())).collect();
    let counts = counts.join(", ");
    let rows = html! { @for (what, kind, list) in groups { @for one in list { (line(what, kind, one)) } } };
    let number = (report.created.len() + report.updated.len() + report.unchanged.len()) as u64;
    let more = html! { span.muted { (counts) } };
    html! {
        @if dry_run { (banner("info", html! { strong { "Nothing is imported yet." } " Press Import to do what is below." })) }
        @else { (banner("good", html! { (counted(number, "template")) " imported: " (counts) "." })) }
        (card(if dry_run { "What would change" } else { "What changed" }, more, table("Templates of the file", &["Template", "State", "Then"], rows)))
        @if !report.warnings.is_empty() {
            (banner("info", html! { strong { "Worth a look" } ul { @for warning in &report.warnings { li { (sentence(warning)) } } } }))
        }
    }
}

fn line(what: &str, kind: &str, one: &Imported) -> Markup {
    html! {
        tr {
            td.lead data-label="Template" {
                @match one.id { Some(id) => a href={ "/ui/templates/" (id) } { (one.kind) }, None => (one.kind) }
            }
            td data-label="State" { (chip(kind, what)) }
            td data-label="Then" { @if one.active { "active" } @else { span.muted { "inactive" } } }
        }
    }
}

/// All that is wrong with the templates of a file.
fn refused_card(error: &Error) -> Markup {
    let rows = html! {
        @for (field, message) in error.fields() {
            tr {
                td.lead data-label="Where" { code.break { (field) } }
                td data-label="What is wrong" { (sentence(message)) }
            }
        }
    };
    html! {
        (banner("bad", html! { strong { "Nothing was imported." } " Either all templates of a file are valid, or none is taken." }))
        (card("What is wrong", html! {}, table("What is wrong", &["Where", "What is wrong"], rows)))
    }
}
