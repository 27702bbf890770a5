//! `GET /ui/activity/{id}`: one occurrence with its attempts as a time line, and what is to come of
//! it.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::history::{Execution, OccurrenceRecord};
use crate::model::attempt::Verdict;
use crate::model::postponement::parts as parts_of_error;
use crate::model::run::Report;
use crate::model::time::rfc3339;
use crate::schedule::show_duration;
use crate::ui::context::Page;
use crate::ui::error::{PageError, sentence};
use crate::ui::form::{Form, done};
use crate::ui::history::activity::{lag, took, why};
use crate::ui::icons::icon;
use crate::ui::jobs::describe;
use crate::ui::lists::is_hidden;
use crate::ui::mask::masked;
use crate::ui::parts::{card, fact, live, menu, state_chip, verdict_chip};
use crate::ui::shell::Place;
use crate::ui::words::counted;

/// `GET /ui/activity/{id}`.
pub(crate) async fn show_execution(
    page: Page,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    page.require(Action::HistoryRead)?;
    let found = page.ui.app.get_execution(&page.actor, id.clone()).await?;
    let job = match page.ui.app.get_job(&page.actor, found.account.occurrence.job).await {
        Ok(job) => Some(job),
        Err(error) if is_hidden(&error) => None,
        Err(error) => return Err(error.into()),
    };
    let zone = job.as_ref().map(|record| record.job.definition.timezone.clone());
    let occurrence = live(
        "occurrence",
        "executions execution run_accepted run_lost run_cancelled job_progress dead_letter",
        occurrence(&page, &found, &id, zone.as_deref()),
    );
    if let Some(part) = page.asked_part(&headers, &[("occurrence", &occurrence)]) {
        return Ok(part);
    }
    let of = found.account.occurrence;
    let name = job.as_ref().map_or_else(|| format!("Job {} (deleted)", of.job), describe::name);
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/jobs" { "Jobs" } (icon("right"))
            a href={ "/ui/jobs/" (of.job) } { (name) } (icon("right"))
            span { @if of.run > 0 { "Run by hand" } @else { "Occurrence" } }
        }
        (occurrence)
    };
    Ok(page.document(Place::Activity, &format!("{name}, {}", rfc3339(of.scheduled)), body))
}

fn occurrence(page: &Page, found: &OccurrenceRecord, id: &str, zone: Option<&str>) -> Markup {
    let (account, context) = (&found.account, &page.context);
    let of = account.occurrence;
    let is_open = account.run.is_some() || account.pending.is_some();
    html! {
        div.page-head {
            h1 { (context.instant(of.scheduled, zone)) }
            (state_chip(found.state()))
            span.grow {}
            div.actions {
                a.button href=(why(of.job, of.scheduled)) { (icon("question")) "Why" }
                @if let Some(letter) = account.letter.as_ref().filter(|_| page.may(Action::DeadLettersWrite)) {
                    form method="post" action={ "/ui/dead-letters/" (letter.id) "/replay" } {
                        button.button.primary { (icon("retry")) "Replay" }
                    }
                }
                @if is_open && page.may(Action::RunsReport) {
                    (menu("right", html! { (icon("x")) "Cancel" }, html! {
                        form.stack method="post" action={ "/ui/activity/" (id) "/cancel" } {
                            p.menu-title { "Cancel this run?" }
                            p.hint { "It is not tried again. A worker or receiver that works on it is told to stop." }
                            button.button.danger { "Cancel the run" }
                        }
                    }))
                }
            }
        }
        div.split {
            div.wide-column { (timeline(page, found, zone)) }
            div.side-column { (facts(page, found, zone)) }
        }
    }
}

fn facts(page: &Page, found: &OccurrenceRecord, zone: Option<&str>) -> Markup {
    let (account, of) = (&found.account, found.account.occurrence);
    let first = found.attempts.first().map(|record| &record.execution);
    let id = crate::model::attempt::occurrence_id(found.cluster, of);
    card(
        "Facts",
        html! {},
        html! {
            dl.facts {
                (fact("Job", html! { a href={ "/ui/jobs/" (of.job) } { "Job " (of.job) } }))
                (fact("Scheduled", page.context.instant(of.scheduled, zone)))
                @if account.due != of.scheduled { (fact("Due", page.context.instant(account.due, zone))) }
                (fact("Tries", found.attempts.len().to_string()))
                @if let Some(first) = first {
                    (fact("Shard", format!("{}, epoch {}", first.shard, first.epoch)))
                }
                @if let Some(run) = &account.run {
                    (fact("Under way since", page.context.instant(run.started, zone)))
                    (fact("Last heard", page.context.relative_time(run.heard)))
                    @if let Some(worker) = run.worker.as_ref() { (fact("Worker", worker.worker.as_str())) }
                    @if let Some(limit) = run.heartbeat_timeout { (fact("Lost after", format!("{} of silence", show_duration(limit)))) }
                }
                (fact("Execution id", html! { code.break data-copy { (id) } }))
            }
        },
    )
}

fn timeline(page: &Page, found: &OccurrenceRecord, zone: Option<&str>) -> Markup {
    let account = &found.account;
    let body = html! {
        ol.timeline {
            li.t-due {
                div.t-what { strong { "Due" } }
                div.muted { (page.context.instant(account.due, zone)) }
            }
            @for record in &found.attempts { (attempt(page, &record.execution, zone)) }
            @if let Some(row) = &account.pending {
                li.t-next {
                    div.t-what {
                        strong { "Try " (row.attempt) }
                        @match row.attempt_at() {
                            Some(at) => span.muted { (page.context.relative_time(at)) },
                            None => span.muted { "waits" },
                        }
                    }
                    div.muted {
                        @if let Some(queue) = &account.queue { "Waits for a worker of queue " (queue) "." }
                        @else if let Some(why) = row.postponement() { (sentence(&why.waits_for())) }
                        @else if !account.behind.is_empty() { "Waits behind " (counted(account.behind.len() as u64, "other run")) "." }
                        @else if let Some(at) = row.attempt_at() { (page.context.instant(at, zone)) }
                    }
                }
            }
            @if let Some(run) = account.run.as_ref().filter(|_| account.pending.is_none()) {
                li.t-run {
                    div.t-what { strong { "Try " (run.attempt) " is under way" } }
                    div.muted { "Last heard " (page.context.relative_time(run.heard)) "." }
                }
            }
            @if found.attempts.is_empty() && account.pending.is_none() && account.run.is_none() {
                li.t-next {
                    div.t-what { strong { "Nothing is recorded yet" } }
                    div.muted { "Results are collected about once a second. This page follows." }
                }
            }
        }
    };
    card("What happened", html! {}, body)
}

fn attempt(page: &Page, one: &Execution, zone: Option<&str>) -> Markup {
    let (waited, error) = parts_of_error(one.error.as_deref());
    let class = match one.verdict {
        Verdict::Delivered => "t-ok",
        Verdict::Dead => "t-dead",
        Verdict::Retry { .. } => "t-retry",
        _ => "t-other",
    };
    let is_sent = !matches!(one.verdict, Verdict::Skipped(_));
    html! {
        li class=(class) {
            div.t-what {
                @if is_sent { strong { "Try " (one.attempt) } }
                (verdict_chip(one.verdict))
                @if is_sent { span.code { (one.result) } }
                span.grow {}
                @if is_sent { span.muted.num { "node " (one.node) } }
            }
            @if is_sent {
                div.muted {
                    (page.context.instant(one.started, zone))
                    " · took " (took(one))
                    @if one.attempt == 1 { " · late by " (lag(one)) }
                }
            }
            @if let Some(waited) = waited { p.note { (icon("clock")) (sentence(waited)) } }
            @if let Some(error) = error { p.note.bad { (icon("warn")) (error) } }
            @if let Some(response) = &one.response {
                details { summary { "Answer" } pre { (masked(response)) } }
            }
            @if let Verdict::Retry { at } = one.verdict {
                @if at > 0 { div.muted { "Next try " (page.context.instant(at, zone)) } }
            }
        }
    }
}

/// `POST /ui/activity/{id}/cancel`.
pub(crate) async fn cancel(
    page: Page,
    Path(id): Path<String>,
    _: Form,
) -> Result<Response, PageError> {
    let told = page.ui.app.report_run(&page.actor, id, Report::Cancel).await?;
    Ok(done(&format!("/ui/activity/{}", told.execution_id), "The run is cancelled."))
}
