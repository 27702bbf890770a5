//! `GET /ui/templates`: what can be started, as cards, and what keeps itself going.

use std::collections::HashMap;

use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::page::Page as ListPage;
use crate::app::templates::{Filter, LiveInstances, MOST_LIVE};
use crate::model::job::JobStatus;
use crate::model::template::Template;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::lists::{Gather, Listed, Projects, cursor, read_cursor};
use crate::ui::parts::{chip, empty, live, pager, tab};
use crate::ui::shell::Place;
use crate::ui::words::{counted, cut};

/// The cards of one page.
const CARDS: u64 = 30;
/// The tabs: their value in the address, and whether callers make the instances.
const TABS: [(&str, &str, Option<bool>); 3] = [
    ("", "All", None),
    ("people", "Started by people", Some(true)),
    ("system", "System", Some(false)),
];

/// `GET /ui/templates?by=&project=&after=`.
pub(crate) async fn show_templates(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    page.require(Action::TemplatesRead)?;
    let context = &page.context;
    let after = context.parameter("after").and_then(read_cursor);
    let by = context.parameter("by").unwrap_or_default();
    let filter = Filter {
        project: context.number("project")?.filter(|id| *id > 0),
        user_triggered: TABS.iter().find(|(value, ..)| *value == by).and_then(|(.., by)| *by),
        ..Filter::default()
    };
    let order = ListPage { limit: CARDS, after, ..ListPage::default() };
    let listed: Listed<Template> =
        page.ui.app.list_templates(&page.actor, filter.clone(), order, Gather::new(CARDS)).await?;
    let ids = listed.records.iter().map(|one| one.id).collect();
    let instances = page.ui.app.live_instances(&page.actor, ids).await?;
    let projects = page.projects().await?;
    let is_filtered = filter != Filter::default();
    let cards = html! {
        @if listed.records.is_empty() { div.card { (nothing(&page, is_filtered)) } }
        @else { div.cards { @for one in &listed.records { (card(&page, one, &instances, &projects)) } } }
    };
    let on = "template_changed job_created job_deleted job_terminated executions";
    let cards = live("cards", on, cards);
    if let Some(part) = page.asked_part(&headers, &[("cards", &cards)]) {
        return Ok(part);
    }
    let first = after.map(|_| context.address_with(&[("after", None)]));
    let next = listed.next.map(cursor);
    let next = next.map(|next| context.address_with(&[("after", Some(&next))]));
    let body = html! {
        div.page-head {
            h1 { "Templates" }
            span.muted.num { (counted(listed.total.count, "template")) }
            span.grow {}
            (new(&page))
        }
        nav.tabs aria-label="Started by" {
            @for (value, name, _) in TABS {
                @let to = context.address_with(&[("by", Some(value).filter(|value| !value.is_empty())), ("after", None)]);
                (tab(&to, name, None, value == by))
            }
        }
        (of_project(&page, filter.project, &projects))
        (cards)
        @if first.is_some() || next.is_some() {
            div.card { (pager(listed.records.len(), first.as_deref(), next.as_deref())) }
        }
    };
    Ok(page.document(Place::Templates, "Templates", body))
}

fn new(page: &Page) -> Markup {
    html! {
        @if page.may(Action::TemplatesWrite) {
            a.button href="/ui/templates/import" { "Import…" } " "
            a.button.primary href="/ui/templates/new" { (icon("plus")) "New template" }
        }
    }
}

fn nothing(page: &Page, is_filtered: bool) -> Markup {
    if is_filtered {
        let all = html! { a.button href="/ui/templates" { "Show all templates" } };
        return empty("No template matches", "None is started so, in this project.", all);
    }
    empty(
        "No templates yet",
        "A template says what a kind of job needs: people start it by a form, or it keeps itself going.",
        new(page),
    )
}

/// The project that the list is narrowed to, as a term to be removed.
fn of_project(page: &Page, project: Option<u64>, projects: &Projects) -> Markup {
    html! {
        @if let Some(project) = project {
            p.terms {
                a.term title="Remove" href=(page.context.address_with(&[("project", None), ("after", None)])) {
                    "project " (projects.name(project)) (icon("x"))
                }
            }
        }
    }
}

/// The name of a template for people.
pub(super) fn name(template: &Template) -> &str {
    if template.label.is_empty() { &template.kind } else { &template.label }
}

/// Whether jobs are made of a template, and by whom.
pub(super) fn state(template: &Template) -> Markup {
    html! {
        @if template.active { (chip("active", "active")) } @else { (chip("paused", "inactive")) }
        @if !template.user_triggered { (chip("completed", "system")) }
    }
}

fn card(
    page: &Page,
    template: &Template,
    instances: &HashMap<u64, LiveInstances>,
    projects: &Projects,
) -> Markup {
    let place = format!("/ui/templates/{}", template.id);
    let is_named = !template.label.is_empty();
    html! {
        section.card {
            div.t-what {
                h2 { a href=(place) { (cut(name(template), 60)) } }
                span.grow {}
                (state(template))
            }
            p.muted {
                @if is_named { code.break { (cut(&template.kind, 48)) } " " }
                a.plain href=(page.context.address_with(&[("project", Some(&template.project.to_string())), ("after", None)])) { (projects.name(template.project)) }
            }
            @if !template.description.is_empty() { p { (cut(&template.description, 160)) } }
            @if let Some(live) = instances.get(&template.id) { p.muted { (live_words(page, template, live)) } }
            div.actions {
                @if template.user_triggered && template.active && page.may(Action::TemplatesRun) {
                    a.button.primary href={ (place) "/run" } { (icon("play")) "Run…" }
                }
                a.button href=(place) { "Open" }
            }
        }
    }
}

/// What is live of a template, in words.
fn live_words(page: &Page, template: &Template, live: &LiveInstances) -> Markup {
    html! {
        @match &live.first {
            None if !template.has_target() => "It has no target yet.",
            None => "Nothing of it waits or runs.",
            Some(first) if live.count == 1 => {
                a href={ "/ui/jobs/" (first.job.id) } {
                    "Job " (first.job.id) ", "
                    @match (first.status, first.next) {
                        (JobStatus::Active, Some(next)) => (page.context.relative_time(first.next_due.unwrap_or(next))),
                        (JobStatus::Active, None) => "under way",
                        (JobStatus::Inactive, _) => "paused",
                        _ => "stopped",
                    }
                }
            },
            Some(_) if live.count > MOST_LIVE => {
                "More than " (counted(MOST_LIVE, "live job"))
            },
            Some(_) => (counted(live.count, "live job")),
        }
    }
}
