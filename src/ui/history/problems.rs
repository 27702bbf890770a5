//! `GET /ui/problems`: which jobs fail, in groups, and what is known of it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::cluster_admin::status::{NodeStatus, Status};
use crate::app::history::{MOST_ATTEMPTS, MOST_LETTERS, Problem, Problems};
use crate::app::jobs::{Filter, JobRecord};
use crate::app::page::Page as ListPage;
use crate::model::job::JobStatus;
use crate::model::time::parse_rfc3339;
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::history::activity::why;
use crate::ui::icons::icon;
use crate::ui::jobs::describe;
use crate::ui::jobs::list::list;
use crate::ui::lists::{Listed, Projects};
use crate::ui::parts::{card, clipped, empty, live, table};
use crate::ui::shell::Place;
use crate::ui::state::Ui;
use crate::ui::words::{count, counted};

/// The stopped jobs that are listed.
const MOST_STOPPED: u64 = 20;

/// `GET /ui/problems`.
pub(crate) async fn show_problems(
    State(ui): Ui,
    page: Page,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    page.require(Action::HistoryRead)?;
    page.require(Action::DeadLettersRead)?;
    let (app, actor) = (Arc::clone(&page.ui.app), page.actor.clone());
    let found =
        ui.problems.get(page.actor.reach(), async move { app.list_problems(&actor).await }).await?;
    let filter =
        Filter { status: Some((JobStatus::Disabled, page.context.now)), ..Filter::default() };
    let order = ListPage { limit: MOST_STOPPED, descending: true, ..ListPage::default() };
    let stopped = list(&page, filter, order).await?;
    let projects = page.projects().await?;
    let status =
        if page.may(Action::ClusterRead) { ui.status(&page.actor).await.ok() } else { None };
    let whole = live(
        "problems",
        "executions dead_letter dead_letters_changed job_updated beat",
        whole(&page, &found, &stopped, status.as_deref(), &projects),
    );
    if let Some(part) = page.asked_part(&headers, &[("problems", &whole)]) {
        return Ok(part);
    }
    let body = html! { div.page-head { h1 { "Problems" } } (whole) };
    Ok(page.document(Place::Problems, "Problems", body))
}

fn whole(
    page: &Page,
    found: &Problems,
    stopped: &Listed<JobRecord>,
    status: Option<&Status>,
    projects: &Projects,
) -> Markup {
    let has_breakers =
        status.is_some_and(|status| status.nodes.iter().any(|node| !node.failing.is_empty()));
    let is_well = found.dead.is_empty()
        && found.failing.is_empty()
        && stopped.records.is_empty()
        && !has_breakers;
    html! {
        @if is_well {
            div.card {
                (empty("Nothing fails", "No attempt failed within the last hour, nothing was given up within a day, and no target said that it is gone.", html! {
                    p.muted { "Looked at " (page.context.brief(page.context.now, None)) "." }
                }))
            }
        }
        @if !found.failing.is_empty() { (failing(page, found, projects)) }
        @if let Some(status) = status { (breakers_of(page, &status.nodes)) }
        @if !found.dead.is_empty() { (dead(page, found, projects)) }
        @if !stopped.records.is_empty() { (gone(page, stopped, projects)) }
    }
}

/// What a group is about: its target, and the job of the newest failure.
fn lead(one: &Problem) -> Markup {
    html! {
        a href={ "/ui/activity/" (one.execution_id) } {
            @match (one.target.as_str(), &one.name) {
                ("", _) => { "Jobs that are gone" },
                (target, _) => (clipped(target, 48)),
            }
        }
        div.muted.hint {
            @if one.jobs > 1 { (counted(one.jobs, "job")) ", such as " }
            @match &one.name { Some(name) => (clipped(name, 32)), None => { "job " (one.job) } }
        }
    }
}

fn answered(one: &Problem) -> Markup {
    html! {
        span.code { (one.result) }
        @if let Some(error) = one.error.as_ref().filter(|error| **error != one.result.to_string()) {
            " " span.muted { (clipped(error, 60)) }
        }
    }
}

fn project(one: &Problem, projects: &Projects) -> Markup {
    html! { a.plain href={ "/ui/projects/" (one.project) } { (projects.name(one.project)) } }
}

fn failing(page: &Page, found: &Problems, projects: &Projects) -> Markup {
    let more = html! {
        span.grow {}
        @if found.more_failing { span.muted { "of the newest " (count(MOST_ATTEMPTS)) " failed attempts" } }
        a href="/ui/activity?state=failed&span=1h" { "All attempts" }
    };
    let head = &["Target", "Failed", "Tried again", "Last answer", "Since", "Project", ""];
    card(
        "Failed within the last hour",
        more,
        table(
            "Failed attempts by target",
            head,
            html! {
                @for one in &found.failing {
                    tr data-href={ "/ui/activity/" (one.execution_id) } {
                        td.lead data-label="Target" { (lead(one)) }
                        td.num data-label="Failed" { (counted(one.count, "attempt")) }
                        td.num data-label="Tried again" { @if one.retrying > 0 { (count(one.retrying)) } @else { span.muted { "–" } } }
                        td data-label="Last answer" { (answered(one)) }
                        td data-label="Since" { (page.context.relative_time(one.since)) }
                        td data-label="Project" { (project(one, projects)) }
                        td.end { a.plain href=(why(one.job, one.scheduled)) { "Why" } }
                    }
                }
            },
        ),
    )
}

fn dead(page: &Page, found: &Problems, projects: &Projects) -> Markup {
    let more = html! {
        span.grow {}
        @if found.more_dead { span.muted { "of the newest " (count(MOST_LETTERS)) " letters" } }
        a href="/ui/dead-letters" { "All dead letters" }
    };
    let head = &["Target", "Given up", "Last answer", "Since", "Last", "Project", ""];
    card(
        "Given up within a day",
        more,
        table(
            "Given up, by target",
            head,
            html! {
                @for one in &found.dead {
                    tr data-href={ "/ui/activity/" (one.execution_id) } {
                        td.lead data-label="Target" { (lead(one)) }
                        td.num data-label="Given up" { (counted(one.count, "occurrence")) }
                        td data-label="Last answer" { (answered(one)) }
                        td data-label="Since" { (page.context.relative_time(one.since)) }
                        td data-label="Last" { (page.context.relative_time(one.last)) }
                        td data-label="Project" { (project(one, projects)) }
                        td.end {
                            div.actions {
                                a.plain href=(why(one.job, one.scheduled)) { "Why" }
                                a.button.small href=(letters(one)) { (icon("retry")) "Replay…" }
                            }
                        }
                    }
                }
            },
        ),
    )
}

/// The address of the dead letters of a group: those of its project that went to its target. Where
/// the jobs are gone, none has a target any more: then those of its job, or of its project.
fn letters(one: &Problem) -> String {
    let project = one.project.to_string();
    if !one.target.is_empty() {
        let narrow = [("project", project.as_str()), ("target", one.target.as_str())];
        return address("/ui/dead-letters", narrow);
    }
    let (name, id) = if one.jobs == 1 { ("job", one.job) } else { ("project", one.project) };
    address("/ui/dead-letters", [(name, id.to_string().as_str())])
}

/// The destinations that nodes send probes only to; nothing where there are none.
pub(crate) fn breakers_of(page: &Page, nodes: &[NodeStatus]) -> Markup {
    if nodes.iter().all(|node| node.failing.is_empty()) {
        return html! {};
    }
    let when = |text: &str| parse_rfc3339(text).map(|at| page.context.relative_time(at));
    let head = &["Destination", "Seen by", "Since", "Failures", "Next probe"];
    card(
        "Destinations that get probes only",
        html! {},
        table(
            "Open breakers",
            head,
            html! {
                @for node in nodes {
                    @for one in &node.failing {
                        tr {
                            td.lead data-label="Destination" { code.break { (one.destination) } }
                            td data-label="Seen by" { a.plain href={ "/ui/nodes/" (node.id) } { "node " (node.id) } }
                            td data-label="Since" { @if let Some(at) = when(&one.since) { (at) } }
                            td.num data-label="Failures" { (one.failures) }
                            td data-label="Next probe" { @if let Some(at) = when(&one.next_probe) { (at) } }
                        }
                    }
                }
            },
        ),
    )
}

fn gone(page: &Page, stopped: &Listed<JobRecord>, projects: &Projects) -> Markup {
    let more = html! { span.grow {} a href="/ui/jobs?status=disabled" { "All of them" } };
    let body = html! {
        p.pad.muted { "Their target answered 410 Gone. Nothing is sent until they are enabled." }
        (table("Jobs that were stopped", &["Job", "Target", "Project", ""], html! {
            @for record in &stopped.records {
                @let place = format!("/ui/jobs/{}", record.job.id);
                tr data-href=(place) {
                    td.lead data-label="Job" { a href=(place) { (clipped(&describe::name(record), 36)) } }
                    td data-label="Target" { (clipped(&describe::target(record).1, 48)) }
                    td data-label="Project" { (projects.name(record.job.definition.project)) }
                    td.end {
                        @if page.may(Action::JobsWrite) {
                            form method="post" action={ (place) "/resume" } { button.button.small { (icon("play")) "Enable" } }
                        }
                    }
                }
            }
        }))
    };
    card("Stopped by their target", more, body)
}
