//! `GET /ui/jobs`: jobs found by a search, newest first, with their next instant and how they did.

use std::collections::HashMap;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::app::history::Execution;
use crate::app::jobs::{Filter, JobRecord, MAX_COUNTED, Order};
use crate::app::page::Page as ListPage;
use crate::app::{Action, Error};
use crate::model::job::JobStatus;
use crate::model::{JobId, Millis};
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::jobs::describe;
use crate::ui::jobs::search::{Direct, Search, direct, status_named};
use crate::ui::lists::{Gather, Listed, Projects, ROWS, cursor, read_cursor};
use crate::ui::parts::{
    banner, clipped, empty, job_chip, live, pager, tab, table, ticks, verdict_chip,
};
use crate::ui::shell::Place;
use crate::ui::words;

/// The most jobs of a cluster whose states are counted for the tabs of a search for more than a
/// project: each count looks at all that are found.
const MOST_COUNTED: u64 = 20_000;
/// The outcomes that a row shows.
const TICKS: u64 = 8;
/// The span in which outcomes are looked for where a job's own rhythm is not known.
const SPAN: Millis = 3_600_000;

const TABS: [(&str, &str); 5] = [
    ("", "All"),
    ("active", "Active"),
    ("paused", "Paused"),
    ("completed", "Completed"),
    ("disabled", "Disabled"),
];

/// `GET /ui/jobs?q=&status=&after=`.
pub(crate) async fn show_jobs(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    let context = &page.context;
    let asked = context.parameter("q").unwrap_or_default();
    match direct(asked) {
        Some(Direct::Job(id)) => return Ok(Redirect::to(&format!("/ui/jobs/{id}")).into_response()),
        Some(Direct::Execution(id)) => {
            return Ok(Redirect::to(&format!("/ui/activity/{id}")).into_response());
        }
        None => {}
    }
    let projects = page.projects_of_search(asked).await?;
    let mut search = Search::read(asked, &projects, context.now);
    let status = context.parameter("status").and_then(status_named);
    if let Some(status) = status {
        search.choose_status(status, context.now);
    }
    let after = context.parameter("after").and_then(read_cursor);
    let order = ListPage { limit: ROWS, descending: true, after, ..ListPage::default() };
    let listed: Listed<JobRecord> = match &search.problem {
        Some(_) => Gather::new(ROWS).listed(),
        None => list(&page, search.filter.clone(), order).await?,
    };
    let recent = recent(&page, &listed.records).await?;
    let rows = html! {
        @if listed.records.is_empty() { (nothing(&page, asked, status)) } @else {
            (table("Jobs", &["Job", "Schedule", "Next", "Last", "Last 8", "Project", "State"], html! {
                @for record in &listed.records {
                    (row(&page, record, recent.get(&record.job.id), &projects))
                }
            }))
        }
    };
    let rows = live("jobs", "job_created job_deleted job_updated job_terminated executions", rows);
    if let Some(part) = page.asked_part(&headers, &[("jobs", &rows)]) {
        return Ok(part);
    }
    let tabs = tabs(&page, &search).await?;
    let first = after.map(|_| context.address_with(&[("after", None)]));
    let next = listed.next.map(cursor);
    let next = next.map(|next| context.address_with(&[("after", Some(&next))]));
    let status = context.parameter("status").unwrap_or_default();
    let many = [("q", asked), ("status", status)].into_iter().filter(|(_, text)| !text.is_empty());
    let body = html! {
        div.page-head {
            h1 { "Jobs" }
            span.muted.num { (total(&listed)) }
            span.grow {}
            @if page.may(Action::JobsWrite) {
                @if listed.total.count > 0 {
                    a.button href=(address("/ui/jobs/bulk", many)) { "Change " (total(&listed)) "…" }
                }
                a.button.primary href="/ui/jobs/new" { (icon("plus")) "New job" }
            }
        }
        form.filter action="/ui/jobs" method="get" {
            @if let Some(status) = context.parameter("status") {
                input type="hidden" name="status" value=(status);
            }
            label.grow { span.hidden { "Filter" }
                input name="q" value=(asked) spellcheck="false" autocomplete="off"
                    placeholder="name, number, or label:team=shop project:billing status:paused"; }
            button.button { "Find" }
        }
        @if let Some(problem) = &search.problem { (banner("bad", format!("{problem}."))) }
        @if !search.terms.is_empty() {
            p.terms {
                @for term in &search.terms {
                    a.term title="Remove" href=(address("/ui/jobs", [("q", search.without(term).as_str())])) {
                        (term.meaning) (icon("x"))
                    }
                }
            }
        }
        (tabs)
        div.card.flush { (rows) (pager(listed.records.len(), first.as_deref(), next.as_deref())) }
        @if page.may(Action::JobsWrite) { (ticked()) }
    };
    Ok(page.document(Place::Jobs, "Jobs", body))
}

/// What can be done with the jobs that are ticked. It shows while some are.
fn ticked() -> Markup {
    html! {
        form.bulk #bulk method="get" action="/ui/jobs/bulk" {
            span { "With the jobs that are ticked:" }
            @for (action, verb) in [("pause", "Pause…"), ("resume", "Resume…"), ("edit", "Edit…"), ("delete", "Delete…")] {
                button.button name="action" value=(action) { (verb) }
            }
        }
    }
}

/// Reads a page of jobs.
pub(crate) async fn list(
    page: &Page,
    filter: Filter,
    order: ListPage<Order>,
) -> Result<Listed<JobRecord>, Error> {
    page.ui.app.list_jobs(&page.actor, filter, order, Gather::new(order.limit)).await
}

/// The newest outcomes of some jobs. Each is looked for within as many of the job's own periods.
pub(crate) async fn recent(
    page: &Page,
    jobs: &[JobRecord],
) -> Result<HashMap<JobId, Vec<Execution>>, Error> {
    if !page.may(Action::HistoryRead) {
        return Ok(HashMap::new());
    }
    let from = |record: &JobRecord| {
        let last = record.last?;
        let period = record.next.map_or(SPAN, |next| (next - last).max(0));
        Some((record.job.id, last.saturating_sub(period.saturating_mul(TICKS as Millis))))
    };
    // A job without a planned instant that has passed may have been run by hand.
    let from =
        |record: &JobRecord| from(record).unwrap_or((record.job.id, page.context.now - SPAN));
    let wanted = jobs.iter().map(from).collect();
    page.ui.app.recent_executions(&page.actor, wanted, TICKS).await
}

async fn tabs(page: &Page, search: &Search) -> Result<Markup, PageError> {
    let (filter, text) = (&search.filter, search.without_status());
    // A tab takes the place of a status in the text.
    let text = (search.problem.is_none() && filter.status.is_some()).then_some(text.as_str());
    let counted = |filter: Filter| page.ui.app.count_jobs(&page.actor, filter);
    let all = Filter { status: None, ..filter.clone() };
    let is_kept = all == Filter { project: all.project, ..Filter::default() };
    let is_shown = is_kept || counted(Filter::default()).await?.count <= MOST_COUNTED;
    let chosen = filter.status.and_then(|(status, _)| {
        TABS.into_iter().find(|(word, _)| status_named(word) == Some(status))
    });
    let current = chosen.map_or("", |(word, _)| word);
    let mut shown = Vec::new();
    for (value, name) in TABS {
        let number = if is_shown {
            let status = status_named(value).map(|status| (status, page.context.now));
            let total = counted(Filter { status, ..all.clone() }).await?;
            let about = if total.estimated { "~" } else { "" };
            Some(format!("{about}{}", words::count(total.count)))
        } else {
            None
        };
        let value = Some(value).filter(|value| !value.is_empty());
        let mut changes = vec![("status", value), ("after", None)];
        changes.extend(text.map(|text| ("q", Some(text).filter(|text| !text.is_empty()))));
        let href = page.context.address_with(&changes);
        shown.push(tab(&href, name, number, value.unwrap_or_default() == current));
    }
    Ok(html! { nav.tabs aria-label="State" { @for tab in &shown { (tab) } } })
}

fn total(listed: &Listed<JobRecord>) -> String {
    let (count, estimated) = (listed.total.count, listed.total.estimated);
    if estimated && count == MAX_COUNTED {
        return format!("{}+ jobs", words::count(count));
    }
    let about = if estimated { "about " } else { "" };
    format!("{about}{}", words::counted(count, "job"))
}

fn row(
    page: &Page,
    record: &JobRecord,
    recent: Option<&Vec<Execution>>,
    projects: &Projects,
) -> Markup {
    let context = &page.context;
    let (id, definition) = (record.job.id, &record.job.definition);
    let newest = recent.and_then(|found| found.first());
    html! {
        tr data-href={ "/ui/jobs/" (id) } {
            td.lead data-label="Job" {
                @if page.may(Action::JobsWrite) {
                    input.pick type="checkbox" name="id" value=(id) form="bulk" aria-label={ "Tick job " (id) };
                }
                a href={ "/ui/jobs/" (id) } {
                    @match describe::own_name(record) {
                        Some(name) => (clipped(name, 36)),
                        None => { "Job " (id) },
                    }
                }
                @if describe::own_name(record).is_some() { " " span.muted.num { "#" (id) } }
            }
            td data-label="Schedule" { (describe::schedule_cell(context, record)) }
            td data-label="Next" { (next(page, record)) }
            td data-label="Last" {
                @match newest {
                    Some(last) => {
                        (verdict_chip(last.verdict)) " "
                        (context.brief(last.due, Some(&definition.timezone)))
                    },
                    None => span.muted { "–" },
                }
            }
            td data-label="Last 8" { (ticks(recent.into_iter().flatten().rev().map(|one| one.verdict))) }
            td data-label="Project" {
                a.plain href=(address("/ui/jobs", [("q", format!("project:{}", definition.project).as_str())])) {
                    (projects.name(definition.project))
                }
            }
            td data-label="State" { (job_chip(record.status)) }
        }
    }
}

/// When a job fires next, or why it does not.
pub(crate) fn next(page: &Page, record: &JobRecord) -> Markup {
    let zone = Some(record.job.definition.timezone.as_str());
    match (record.status, record.next) {
        (JobStatus::Inactive, _) => html! {
            span.muted {
                "paused"
                @if let Some(until) = record.paused_until { " until " (page.context.brief(until, zone)) }
            }
        },
        (JobStatus::Disabled, _) => html! {
            span.warned title="The target answered 410 Gone, so nothing is sent any more. Resume the job to try again." {
                "stopped by 410 Gone"
            }
            @if page.may(Action::JobsWrite) {
                " " a href={ "/ui/jobs/" (record.job.id) } { "Enable" }
            }
        },
        (_, Some(next)) => html! {
            (page.context.relative_time(record.next_due.unwrap_or(next)))
        },
        (JobStatus::Active, None) => html! { span.muted { "no further instant" } },
        (_, None) => html! { span.muted { "it is over" } },
    }
}

fn nothing(page: &Page, asked: &str, status: Option<JobStatus>) -> Markup {
    if asked.is_empty() && status.is_none() {
        let action = html! {
            @if page.may(Action::JobsWrite) {
                a.button.primary href="/ui/jobs/new" { (icon("plus")) "Create the first job" }
            }
        };
        return empty(
            "No jobs yet",
            "Jobs show up here with their next run and how the last ones went.",
            action,
        );
    }
    let all = html! { a.button href="/ui/jobs" { "Show all jobs" } };
    empty(
        "No job matches",
        "Names are matched whole. Labels, projects and states can be combined.",
        all,
    )
}
