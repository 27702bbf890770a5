//! `GET /ui/templates/{id}`: one template. What it takes, the jobs that it made, and its versions.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::{Action, Error};
use crate::model::template::Template;
use crate::schedule::show_duration;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::json_text::pretty;
use crate::ui::mask::masked;
use crate::ui::parts::{banner, card, fact, live, menu};
use crate::ui::shell::Place;
use crate::ui::templates::fields::field_card;
use crate::ui::templates::instances::instance_card;
use crate::ui::templates::json::fields_of;
use crate::ui::templates::list::{name, state};
use crate::ui::templates::versions::version_card;
use crate::ui::words::{count, cut};

/// The parts of a template that are shown as JSON: field, words, and the levels that have lines of
/// their own.
const FOLDED: [(&str, &str, usize); 5] = [
    ("target", "Target", 3),
    ("job", "Terms of its jobs", 3),
    ("payloadSchema", "Rules of the payload", 1),
    ("jsonSchema", "JSON Schema", 9),
    ("payload", "What its form begins with", 3),
];
/// The longest JSON that is shown, in characters.
const LONGEST: usize = 8_000;

/// `GET /ui/templates/{id}?state=&after=`.
pub(crate) async fn show_template(
    page: Page,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("template"))?;
    let template = page.ui.app.get_template(&page.actor, id).await?;
    let on = "job_created job_deleted job_updated job_terminated job_progress executions execution \
              run_accepted run_lost run_cancelled template_changed";
    let instances = if page.wants("instances") {
        live("instances", on, instance_card(&page, &template).await?)
    } else {
        html! {}
    };
    let head = live("head", "template_changed", head(&page, &template));
    if let Some(part) = page.asked_part(&headers, &[("instances", &instances), ("head", &head)]) {
        return Ok(part);
    }
    let versions = page.ui.app.template_versions(&page.actor, id).await?;
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/templates" { "Templates" } (icon("right")) span { (name(&template)) } }
        (head)
        div.split {
            div.wide-column { (instances) (field_card(&page, &template)?) }
            div.side-column { (settings(&page, &template).await?) (folded(&page, &template)) (version_card(&page, &versions)) }
        }
    };
    Ok(page.document(Place::Templates, name(&template), body))
}

fn head(page: &Page, template: &Template) -> Markup {
    let place = format!("/ui/templates/{}", template.id);
    html! {
        div.page-head {
            h1 { (name(template)) }
            span.muted.num { "#" (template.id) }
            (state(template))
            span.grow {}
            div.actions {
                @if template.user_triggered && template.active && page.may(Action::TemplatesRun) {
                    a.button.primary href={ (place) "/run" } { (icon("play")) "Run…" }
                }
                @if page.may(Action::TemplatesWrite) {
                    a.button href={ (place) "/edit" } { (icon("edit")) "Edit" }
                    (delete(template, &place))
                }
            }
        }
        @if !template.description.is_empty() { p.lead-line { (template.description) } }
        @if !template.has_target() {
            (banner("info", html! {
                "It has no target yet, so that no job can be made of it."
                @if page.may(Action::TemplatesWrite) { " " a href={ (place) "/edit#f-where" } { "Give it one" } " to make it active." }
            }))
        } @else if !template.user_triggered && template.active {
            (banner("info", html! {
                "It keeps one job by itself"
                @if template.reschedule { ", and makes the next one when that is over" }
                ". To have it run now, terminate the one that waits."
            }))
        }
    }
}

fn delete(template: &Template, place: &str) -> Markup {
    menu(
        "right quiet",
        html! { span.hidden { "Delete" } (icon("trash")) },
        html! {
            form.stack method="post" action={ (place) "/delete" } {
                p.menu-title { "Delete " (name(template)) "?" }
                input type="hidden" name="version" value=(template.version);
                label.choice { input.pick type="checkbox" name="terminate" value="yes"; span { "End its live jobs, too" } }
                p.hint { "With live jobs it is deleted only together with them. Jobs that are over stay." }
                button.button.danger { "Delete the template" }
            }
        },
    )
}

async fn settings(page: &Page, template: &Template) -> Result<Markup, Error> {
    let projects = page.projects().await?;
    let starts = if template.user_triggered { "by people and programs" } else { "by itself" };
    let body = html! {
        dl.facts {
            (fact("Type", html! { code.break { (template.kind) } }))
            (fact("Project", html! { a href={ "/ui/projects/" (template.project) } { (projects.name(template.project)) } }))
            (fact("Started", starts))
            (fact("Due after", html! { @if template.start_in_seconds == 0 { "at once" } @else { (show_duration(template.start())) } }))
            (fact("Then", if template.reschedule { "another one follows" } else { "it is over" }))
            (fact("Kept", html! { (count(template.keep_completed.into())) " that are over" }))
            (fact("Created", html! { (page.context.instant(template.created / 1_000 * 1_000, None)) @if let Some(by) = &template.created_by { " by " (by) } }))
            @if let Some(modified) = template.modified {
                (fact("Changed", html! { (page.context.instant(modified / 1_000 * 1_000, None)) @if let Some(by) = &template.modified_by { " by " (by) } }))
            }
            (fact("Version", template.version.to_string()))
        }
    };
    Ok(card("Settings", html! {}, body))
}

/// The parts of a template that are JSON, folded.
fn folded(page: &Page, template: &Template) -> Markup {
    let fields = fields_of(page, template);
    let is_worth = |json: &&String| !matches!(json.as_str(), "{}" | "null");
    html! {
        @for (field, words, levels) in FOLDED {
            @if let Some(json) = fields.get(field).filter(is_worth) {
                details.card.folded {
                    summary { (words) }
                    pre { (cut(&masked(&pretty(json, levels)), LONGEST)) }
                }
            }
        }
    }
}
