//! `GET /ui/projects/{id}`: one project. How its jobs do, what they share, and what can be done
//! with all of them.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::history::{Analytics, LetterFilter, TimeRange};
use crate::app::page::Page as ListPage;
use crate::app::projects::{PauseState, ProjectRecord};
use crate::app::signing::previous_until;
use crate::app::{Action, Error};
use crate::model::Millis;
use crate::schedule::show_duration;
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::inputs::idempotency_key;
use crate::ui::lists::Gather;
use crate::ui::parts::{banner, card, fact, figure, live, menu};
use crate::ui::projects::list::{jobs_of, state};
use crate::ui::rates;
use crate::ui::shell::Place;
use crate::ui::words::{count, counted, percent};

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;

/// `GET /ui/projects/{id}`.
pub(crate) async fn show_project(
    page: Page,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("project"))?;
    let record = page.ui.app.get_project(&page.actor, id).await?;
    let figures = live(
        "figures",
        "executions job_created job_deleted dead_letter dead_letters_changed",
        figures(&page, id).await?,
    );
    let whole = live("project", "project_changed", whole(&page, &record));
    let chart = live("chart", "executions", chart(&page, id).await?);
    let parts = [("figures", &figures), ("chart", &chart), ("project", &whole)];
    if let Some(part) = page.asked_part(&headers, &parts) {
        return Ok(part);
    }
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/projects" { "Projects" } (icon("right")) span { (record.project.name) } }
        (whole)
        (figures)
        (chart)
    };
    Ok(page.document(Place::Projects, &record.project.name, body))
}

/// The chart of its attempts, for who may see them.
async fn chart(page: &Page, id: u64) -> Result<Markup, Error> {
    if !page.wants("chart") || !page.may(Action::HistoryRead) {
        return Ok(html! {});
    }
    Ok(rates::chart(page, &rates::read(page, Some(id)).await?, Some(id)))
}

async fn figures(page: &Page, id: u64) -> Result<Markup, Error> {
    if !page.wants("figures") {
        return Ok(html! {});
    }
    let (app, actor, now) = (&page.ui.app, &page.actor, page.context.now);
    let jobs = app.count_project_jobs(actor, vec![id]).await?;
    let jobs = jobs.get(&id).copied().unwrap_or(0);
    let (mut good, mut bad) = (0, 0);
    if page.may(Action::HistoryRead) {
        // More than a day is counted by the hour, from counters that are kept.
        let range = TimeRange::new((Some(now - DAY - HOUR), None), now, DAY)?;
        let Analytics { points, .. } = app.get_analytics(actor, Some(id), range).await?;
        for point in &points[points.len().saturating_sub(24)..] {
            good += point.totals.success;
            bad += point.totals.failed;
        }
    }
    let letters = if page.may(Action::DeadLettersRead) {
        let one = ListPage { limit: 1, ..ListPage::default() };
        let filter = LetterFilter { project: Some(id), ..LetterFilter::default() };
        app.list_dead_letters(actor, filter, one, Gather::new(1)).await?.total.count
    } else {
        0
    };
    let own = id.to_string();
    let of = |path: &str, more: &[(&str, &str)]| {
        address(path, [("project", own.as_str())].into_iter().chain(more.iter().copied()))
    };
    Ok(html! {
        div.figures {
            (figure("Jobs", &jobs_of(id), html! { (count(jobs)) }, html! { "of all states" }, ""))
            (figure("Delivered, 24 h", &of("/ui/activity", &[("span", "24h")]), html! { (percent(good, good + bad)) },
                html! { @if bad == 0 { "no failed attempt" } @else { (counted(bad, "failed attempt")) } }, if bad > good { "alarm" } else { "" }))
            (figure("Dead letters", &of("/ui/dead-letters", &[]), html! { (count(letters)) },
                html! { @if letters == 0 { "nothing was given up" } @else { "wait to be replayed" } }, if letters > 0 { "alarm" } else { "" }))
            (figure("Next 24 hours", &of("/ui/forecast", &[]), html! { (icon("calendar")) }, html! { "what is planned" }, ""))
        }
    })
}

fn whole(page: &Page, record: &ProjectRecord) -> Markup {
    let project = &record.project;
    html! {
        div.page-head {
            h1 { (project.name) }
            span.muted.num { "#" (project.id) }
            (state(page, record))
            span.grow {}
            @if page.may(Action::ProjectsWrite) { (buttons(page, record)) }
        }
        @if let PauseState::Paused(until) = record.pause {
            (banner("info", html! {
                "None of its jobs fires"
                @if let Some(until) = until { " until " (page.context.instant_from_now(until, None)) }
                ". What falls due meanwhile is skipped."
            }))
        }
        div.halves {
            (settings(page, record))
            (signing(page, record))
        }
    }
}

fn settings(page: &Page, record: &ProjectRecord) -> Markup {
    let project = &record.project;
    let delivery = &project.settings.delivery;
    let length = |given: Option<Millis>| {
        html! {
            @if let Some(length) = given { (show_duration(length)) }
            @else { span.muted { "as configured" } }
        }
    };
    let body = html! {
        dl.facts {
            (fact("Description", project.description.as_str()))
            (fact("Retries", html! { @match delivery.retry_max { Some(most) => (most), None => span.muted { "as configured" } } }))
            (fact("First retry after", length(delivery.retry_delay)))
            (fact("Longer each time", html! { @match delivery.retry_factor { Some(factor) => { "× " (f64::from(factor) / 1_000.0) }, None => span.muted { "as configured" } } }))
            (fact("Longest wait", length(delivery.retry_max_delay)))
            (fact("Timeout", length(delivery.timeout)))
            @if !project.settings.allowed_targets.is_empty() {
                (fact("May call", html! { @for target in &project.settings.allowed_targets { div { code { (target.to_string()) } } } }))
            }
            (fact("Created", html! { (page.context.instant(project.created / 1_000 * 1_000, None)) @if let Some(by) = &project.created_by { " by " (by) } }))
            @if let Some(modified) = project.modified {
                (fact("Changed", html! { (page.context.instant(modified / 1_000 * 1_000, None)) @if let Some(by) = &project.modified_by { " by " (by) } }))
            }
            (fact("Version", project.version.to_string()))
        }
    };
    card("What its jobs share", html! {}, body)
}

fn signing(page: &Page, record: &ProjectRecord) -> Markup {
    let project = &record.project;
    let signing = &project.settings.signing;
    let body = html! {
        div.pad.stack {
            @if signing.is_empty() {
                p.muted { "Its calls are not signed. With a secret, receivers can tell that a call is from here: each has a signature by Standard Webhooks." }
            } @else {
                p { "Its calls are signed. The secret cannot be shown again." }
                @if let Some(until) = previous_until(signing, page.context.now) {
                    p.muted { "The secret before it signs too, until " (page.context.instant_from_now(until, None)) "." }
                }
            }
            @if page.may(Action::ProjectsWrite) {
                form.stack method="post" action={ "/ui/projects/" (project.id) "/rotate" } {
                    input type="hidden" name="key" value=(idempotency_key());
                    @if !signing.is_empty() {
                        label { span { "The one in use signs too for" } input name="overlap" value="24h" spellcheck="false"; }
                    }
                    div { button.button { (icon("retry")) @if signing.is_empty() { "Make a secret" } @else { "Replace the secret" } } }
                }
            }
        }
    };
    card("Signatures", html! {}, body)
}

fn buttons(page: &Page, record: &ProjectRecord) -> Markup {
    let project = &record.project;
    let action = |name: &str| format!("/ui/projects/{}/{name}", project.id);
    html! {
        div.actions {
            @if record.pause == PauseState::Active {
                (menu("right", html! { (icon("pause")) "Pause" }, html! {
                    form.stack method="post" action=(action("pause")) {
                        p.menu-title { "Pause all jobs of " (project.name) }
                        label { span { "Until (empty: until it is resumed)" } input name="until" placeholder="2026-12-24T18:00" spellcheck="false"; }
                        p.hint { "A local time is one of " (page.context.zone_for(None).name()) ". What falls due meanwhile is skipped." }
                        button.button.primary { "Pause the project" }
                    }
                }))
            } @else {
                form method="post" action=(action("resume")) { button.button.primary { (icon("play")) "Resume" } }
            }
            a.button href=(action("edit")) { (icon("edit")) "Edit" }
            @if page.may(Action::JobsWrite) {
                a.button href=(address("/ui/jobs/new", [("project", project.id.to_string().as_str())])) { (icon("plus")) "New job" }
            }
            (menu("right quiet", html! { span.hidden { "Delete" } (icon("trash")) }, html! {
                form.stack method="post" action=(action("delete")) {
                    p.menu-title { "Delete " (project.name) "?" }
                    input type="hidden" name="version" value=(project.version);
                    p.hint { "A project with jobs is deleted together with them, if you type its name. Their history stays as long as other history does." }
                    label { span { "Its name, to delete its jobs too" } input name="confirm" autocomplete="off" spellcheck="false"; }
                    button.button.danger { "Delete the project" }
                }
            }))
        }
    }
}
