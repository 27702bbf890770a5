//! `GET /ui/jobs/{id}`: one job. What it does, when it fires next, how the last attempts went, and
//! what can be done with it.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::history::{ExecutionFilter, ExecutionRecord};
use crate::app::jobs::{JobRecord, Upcoming};
use crate::app::page::Page as ListPage;
use crate::app::{Action, Error};
use crate::model::delivery::Overlap;
use crate::model::job::{JobStatus, Timing};
use crate::schedule::{Mark, show_duration, warnings};
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::history::activity::{HEAD_OF_JOB, rows_of_job};
use crate::ui::icons::icon;
use crate::ui::inputs::idempotency_key;
use crate::ui::jobs::describe::{self, kind_words};
use crate::ui::jobs::instance::{Origin, terminate_menu};
use crate::ui::jobs::search::quoted;
use crate::ui::lists::{Gather, Listed};
use crate::ui::mask::masked;
use crate::ui::parts::{banner, card, empty, fact, job_chip, live, menu, table, ticks};
use crate::ui::shell::Place;
use crate::ui::words;

/// The coming instants that are shown.
const COMING: usize = 5;
/// The attempts that are shown.
const ATTEMPTS: u64 = 20;

/// `GET /ui/jobs/{id}`.
pub(crate) async fn show_job(
    page: Page,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("job"))?;
    let record = page.ui.app.get_job(&page.actor, id).await?;
    let coming = if page.wants("ahead") {
        page.ui.app.next_runs(&page.actor, id, COMING).await?
    } else {
        Vec::new()
    };
    let attempts = attempts(&page, id).await?;
    let history = live(
        "history",
        "executions execution run_accepted dead_letter",
        html! { (history(&page, &record, &attempts)) },
    );
    let ahead = live(
        "ahead",
        "job_updated execution executions project_changed",
        ahead(&page, &record, &coming),
    );
    let origin = Origin::of(&page, &record).await?;
    let head = live("head", "job_updated job_terminated", head(&page, &record, &origin));
    let parts = [("history", &history), ("ahead", &ahead), ("head", &head)];
    if let Some(part) = page.asked_part(&headers, &parts) {
        return Ok(part);
    }
    let project = page.project_name(record.job.definition.project).await?;
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/jobs" { "Jobs" } (icon("right"))
            a href=(address("/ui/jobs", [("q", format!("project:{}", record.job.definition.project).as_str())])) {
                (project)
            }
        }
        (head)
        @for sentence in warnings(&record.job.definition.spec) { (banner("info", sentence)) }
        div.split {
            div.wide-column { (history) }
            div.side-column { (ahead) (origin.card(&page, &record)) (settings(&page, &record, &project)) (data(&record)) }
        }
    };
    Ok(page.document(Place::Jobs, &describe::name(&record), body))
}

async fn attempts(page: &Page, id: u64) -> Result<Listed<ExecutionRecord>, Error> {
    if !page.wants("history") || !page.may(Action::HistoryRead) {
        return Ok(Gather::new(ATTEMPTS).listed());
    }
    let filter = ExecutionFilter { job: Some(id), ..ExecutionFilter::default() };
    let order = ListPage { limit: ATTEMPTS, descending: true, ..ListPage::default() };
    page.ui.app.list_executions(&page.actor, filter, order, Gather::new(ATTEMPTS)).await
}

fn head(page: &Page, record: &JobRecord, origin: &Origin) -> Markup {
    let (kind, place) = describe::target(record);
    html! {
        div.page-head {
            h1 { (describe::name(record)) }
            @if describe::own_name(record).is_some() { span.muted.num { "#" (record.job.id) } }
            (job_chip(record.status))
            span.grow {}
            (buttons(page, record, origin))
        }
        p.lead-line {
            strong { (describe::schedule(record)) }
            @if record.job.definition.timing == Timing::Spec { code { (record.job.definition.spec) } }
            span.target { span.method { (kind) } @if !place.is_empty() { code.break { (place) } } }
        }
        @if record.status == JobStatus::Disabled {
            (banner("bad", "Nothing is sent any more: the target answered 410 Gone, which says that it is gone for good. Once the target is there again, or the job has another one, enable it."))
        }
    }
}

fn buttons(page: &Page, record: &JobRecord, origin: &Origin) -> Markup {
    let id = record.job.id;
    let action = |name: &str| format!("/ui/jobs/{id}/{name}");
    let is_paused = matches!(record.status, JobStatus::Inactive | JobStatus::Disabled);
    let name = describe::name(record);
    html! {
        div.actions {
            @if page.may(Action::JobsRun) && record.status != JobStatus::Completed {
                form method="post" action=(action("run")) {
                    input type="hidden" name="key" value=(idempotency_key());
                    button.button { (icon("play")) "Run now" }
                }
            }
            @if page.may(Action::JobsWrite) {
                @if record.job.definition.is_one_off() && record.status != JobStatus::Completed {
                    (terminate_menu("right", record, origin.is_followed(), &format!("/ui/jobs/{id}")))
                }
                @if is_paused {
                    form method="post" action=(action("resume")) {
                        button.button.primary { (icon("play")) @if record.status == JobStatus::Disabled { "Enable" } @else { "Resume" } }
                    }
                } @else if record.status == JobStatus::Active {
                    (menu("right", html! { (icon("pause")) "Pause" }, html! {
                        form.stack method="post" action=(action("pause")) {
                            p.menu-title { "Pause " (name) }
                            label { span { "Until (empty: until it is resumed)" }
                                input name="until" placeholder="2026-12-24T18:00" spellcheck="false"; }
                            p.hint { "A local time is one of " (record.job.definition.timezone) ". What falls due meanwhile is skipped." }
                            button.button.primary { "Pause the job" }
                        }
                    }))
                }
                a.button href=(action("edit")) { (icon("edit")) "Edit" }
                a.button href=(address("/ui/jobs/new", [("from", id.to_string().as_str())])) { (icon("copy")) "Duplicate" }
                (menu("right quiet", html! { span.hidden { "Delete" } (icon("trash")) }, html! {
                    form.stack method="post" action=(action("delete")) {
                        p.menu-title { "Delete " (name) "?" }
                        p.hint { "It fires no more. Its history stays as long as other history does." }
                        input type="hidden" name="version" value=(record.job.version);
                        button.button.danger { "Delete the job" }
                    }
                }))
            }
        }
    }
}

fn ahead(page: &Page, record: &JobRecord, coming: &[Upcoming]) -> Markup {
    let zone = record.job.definition.timezone.as_str();
    let body = html! {
        @if coming.is_empty() {
            p.muted.pad {
                @match record.status {
                    JobStatus::Inactive => "Paused: nothing is due until it is resumed.",
                    JobStatus::Disabled => "Nothing is due until the job is enabled.",
                    _ => "Nothing is left to run.",
                }
            }
        } @else {
            ol.coming {
                @for one in coming {
                    li {
                        span { (page.context.instant(one.preview.utc, Some(zone))) }
                        (page.context.relative_time(one.due_at.unwrap_or(one.preview.utc)))
                        @if let Some(mark) = one.preview.dst { span.dst { (icon("warn")) (mark_words(mark)) } }
                    }
                }
            }
        }
    };
    card(
        "Next",
        html! { @if let Some(until) = record.paused_until { span.muted { "paused until " (page.context.brief(until, Some(zone))) } } },
        body,
    )
}

/// The effect of a change of the clock on an instant.
pub(crate) fn mark_words(mark: Mark) -> &'static str {
    match mark {
        Mark::Moved => "the clock skips this time: it runs right after",
        Mark::First => "the clock shows this time twice: it runs the first time",
        Mark::Second => "the clock shows this time twice: this is the second",
        Mark::Skipped => "an occurrence before it falls into a skipped hour",
    }
}

fn history(page: &Page, record: &JobRecord, attempts: &Listed<ExecutionRecord>) -> Markup {
    let all = address("/ui/activity", [("job", record.job.id.to_string().as_str())]);
    let more = html! {
        (ticks(attempts.records.iter().take(16).rev().map(|one| one.execution.verdict)))
        span.grow {}
        a href=(all) { "All" }
    };
    let body = if attempts.records.is_empty() {
        empty(
            "It has not run yet",
            "Each attempt shows up here: when, what came back, how long it took.",
            html! {},
        )
    } else {
        table(
            "Attempts of this job",
            HEAD_OF_JOB,
            rows_of_job(page, &attempts.records, &record.job.definition.timezone),
        )
    };
    card("History", more, body)
}

fn settings(page: &Page, record: &JobRecord, project: &str) -> Markup {
    let (job, definition) = (&record.job, &record.job.definition);
    let delivery = &definition.delivery;
    let body = html! {
        dl.facts {
            (fact("Project", project))
            @if let Some(kind) = &record.kind { (fact("Target", kind_words(kind))) }
            (fact("Zone", &*definition.timezone))
            (fact("Retries", html! {
                (record.retry_max)
                @if let Some(delay) = delivery.retry_delay { ", first after " (show_duration(delay)) }
            }))
            @if let Some(timeout) = delivery.timeout { (fact("Timeout", show_duration(timeout))) }
            @if definition.overlap != Overlap::Allow { (fact("Overlap", definition.overlap.name())) }
            @if definition.jitter > 0 { (fact("Jitter", format!("up to {}", show_duration(definition.jitter)))) }
            @if let Some(start) = definition.start { (fact("Not before", page.context.instant(start, Some(&definition.timezone)))) }
            @if let Some(end) = definition.end { (fact("Not after", page.context.instant(end, Some(&definition.timezone)))) }
            @if !definition.labels.is_empty() {
                (fact("Labels", html! {
                    @for (key, value) in &definition.labels {
                        a.term href=(address("/ui/jobs", [("q", format!("label:{key}={}", quoted(value)).as_str())])) { (key) "=" (value) }
                    }
                }))
            }
            (fact("Created", html! {
                (page.context.instant(job.created / 1_000 * 1_000, None))
                @if let Some(by) = &definition.created_by { " by " (by) }
            }))
            @if let Some(modified) = job.modified {
                (fact("Changed", html! {
                    (page.context.instant(modified / 1_000 * 1_000, None))
                    @if let Some(by) = &job.modified_by { " by " (by) }
                }))
            }
            (fact("Version", job.version.to_string()))
        }
    };
    card("Settings", html! {}, body)
}

fn data(record: &JobRecord) -> Markup {
    let data = &record.job.data;
    html! {
        @if !data.is_empty() {
            details.card.folded {
                summary { "Data" span.muted { (words::bytes(data.len())) } }
                pre { (words::cut(&masked(data), 8_000)) }
            }
        }
    }
}
