//! `GET /ui/activity`: attempts of all jobs, newest first.

use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::history::{Execution, ExecutionFilter, ExecutionRecord, OutcomeKind};
use crate::app::page::Page as ListPage;
use crate::model::Millis;
use crate::model::attempt::{ResultOrigin, Verdict};
use crate::model::postponement::parts as parts_of_error;
use crate::model::result_code::ResultCode;
use crate::model::time::parse_rfc3339;
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::lists::{Gather, Projects, ROWS, cursor, read_cursor};
use crate::ui::parts::{clipped, empty, live, pager, tab, table, verdict_chip};
use crate::ui::shell::Place;
use crate::ui::words::{counted, length};

/// The columns of the attempts of one job.
pub(crate) const HEAD_OF_JOB: &[&str] = &["Due", "Result", "Try", "Answer", "Took", "Late by", ""];
const HEAD: &[&str] =
    &["Due", "Job", "Result", "Try", "Answer", "Took", "Late by", "Node", "Project"];

const TABS: [(&str, &str, &[OutcomeKind]); 6] = [
    ("", "All", &[]),
    ("delivered", "Delivered", &[OutcomeKind::Delivered]),
    ("failed", "Failed", &[OutcomeKind::Failed]),
    ("dead", "Dead", &[OutcomeKind::Dead]),
    ("skipped", "Skipped", &[OutcomeKind::Skipped]),
    ("running", "Running", &[OutcomeKind::Running]),
];

const SPANS: [(&str, &str, Millis); 4] = [
    ("15m", "15 min", 900_000),
    ("1h", "1 h", 3_600_000),
    ("24h", "24 h", 86_400_000),
    ("7d", "7 d", 604_800_000),
];

/// `GET /ui/activity?state=&project=&job=&span=&from=&until=&after=`.
pub(crate) async fn show_activity(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    page.require(Action::HistoryRead)?;
    let context = &page.context;
    let state = context.parameter("state").unwrap_or_default();
    let kinds = TABS.iter().find(|(name, ..)| *name == state).map_or(&[][..], |(.., kinds)| kinds);
    let after = context.parameter("after").and_then(read_cursor);
    let (from, until) = range(&page)?;
    let filter = ExecutionFilter {
        project: context.number("project")?.filter(|id| *id > 0),
        job: context.number("job")?.filter(|id| *id > 0),
        kinds: kinds.to_vec(),
        from,
        until,
        after: after.and_then(|after| Some((after.key?, after.id))),
    };
    let job = filter.job;
    let order = ListPage { limit: ROWS, descending: true, ..ListPage::default() };
    let listed = page.ui.app.list_executions(&page.actor, filter, order, Gather::new(ROWS)).await?;
    let projects = page.projects().await?;
    let rows = html! {
        @if listed.records.is_empty() { (nothing(&page, state)) } @else {
            (table("Attempts", HEAD, html! {
                @for record in &listed.records { (row(&page, record, &projects)) }
            }))
        }
    };
    let rows = live("rows", "executions execution run_accepted dead_letter", rows);
    if let Some(part) = page.asked_part(&headers, &[("rows", &rows)]) {
        return Ok(part);
    }
    let first = after.map(|_| context.address_with(&[("after", None)]));
    let next = listed.next.map(cursor);
    let next = next.map(|next| context.address_with(&[("after", Some(&next))]));
    let about = if listed.total.estimated { "about " } else { "" };
    let body = html! {
        div.page-head {
            h1 { "Activity" }
            span.muted.num { (about) (counted(listed.total.count, "attempt")) }
            span.grow {}
            @if let Some(job) = job {
                a.term title="Remove" href=(context.address_with(&[("job", None), ("after", None)])) { "job " (job) (icon("x")) }
            }
            (spans(&page))
        }
        nav.tabs aria-label="Result" {
            @for (value, name, _) in TABS {
                @let chosen = Some(value).filter(|value| !value.is_empty());
                (tab(&context.address_with(&[("state", chosen), ("after", None)]), name, None, value == state))
            }
        }
        div.card.flush { (rows) (pager(listed.records.len(), first.as_deref(), next.as_deref())) }
    };
    Ok(page.document(Place::Activity, "Activity", body))
}

/// The range of time in the address: its ends, or a span up to now.
fn range(page: &Page) -> Result<(Option<Millis>, Option<Millis>), PageError> {
    let instant = |name: &str| match page.context.parameter(name) {
        None => Ok(None),
        Some(text) => {
            // In an address a plus sign means a space.
            let at = parse_rfc3339(&text.replace(' ', "+"));
            at.map(Some).ok_or_else(|| {
                PageError::bad_address(format!(
                    "{name} must be an instant such as 2026-11-20T20:18:07Z."
                ))
            })
        }
    };
    let (from, until) = (instant("from")?, instant("until")?);
    let span = page.context.parameter("span");
    let span = SPANS.iter().find(|(name, ..)| Some(*name) == span).map(|(.., span)| span);
    Ok((from.or_else(|| span.map(|span| page.context.now - span)), until))
}

fn spans(page: &Page) -> Markup {
    let context = &page.context;
    let chosen = context.parameter("span").unwrap_or_default();
    let is_free = context.parameter("from").is_some();
    let to = |span: Option<&str>| {
        context.address_with(&[("span", span), ("from", None), ("until", None), ("after", None)])
    };
    html! {
        nav.segments aria-label="Time" {
            a href=(to(None)) aria-current=[(chosen.is_empty() && !is_free).then_some("true")] { "Any time" }
            @for (value, name, _) in SPANS {
                a href=(to(Some(value))) aria-current=[(chosen == value).then_some("true")] { (name) }
            }
        }
    }
}

fn row(page: &Page, record: &ExecutionRecord, projects: &Projects) -> Markup {
    let one = &record.execution;
    let place = format!("/ui/activity/{}", record.execution_id);
    html! {
        tr data-href=(place) {
            td.lead data-label="Due" { a href=(place) { (page.context.brief(one.due, None)) } }
            td data-label="Job" { a.plain href={ "/ui/jobs/" (one.job) } { (job_name(record)) } }
            td data-label="Result" { (verdict_chip(one.verdict)) }
            td.num data-label="Try" { (one.attempt) }
            td data-label="Answer" { (answer(one)) }
            td.num data-label="Took" { (took(one)) }
            td.num data-label="Late by" { (lag(one)) }
            td.num data-label="Node" { (one.node) }
            td data-label="Project" {
                a.plain href=(address("/ui/activity", [("project", one.project.to_string().as_str())])) { (projects.name(one.project)) }
            }
        }
    }
}

/// The name of the job of an attempt.
pub(crate) fn job_name(record: &ExecutionRecord) -> Markup {
    html! {
        @match &record.job_name {
            Some(name) => (clipped(name, 32)),
            None => { "Job " (record.execution.job) },
        }
    }
}

/// The rows of attempts of one job.
pub(crate) fn rows_of_job(page: &Page, records: &[ExecutionRecord], zone: &str) -> Markup {
    html! {
        @for record in records {
            @let one = &record.execution;
            @let place = format!("/ui/activity/{}", record.execution_id);
            tr data-href=(place) {
                td.lead data-label="Due" { a href=(place) { (page.context.brief(one.due, Some(zone))) } }
                td data-label="Result" {
                    (verdict_chip(one.verdict))
                    @if one.run > 0 { " " span.muted { "by hand" } }
                }
                td.num data-label="Try" { (one.attempt) }
                td data-label="Answer" { (answer(one)) }
                td.num data-label="Took" { (took(one)) }
                td.num data-label="Late by" { (lag(one)) }
                td.end { a.plain href=(why(one.job, one.scheduled)) { "Why" } }
            }
        }
    }
}

/// The address of the page that explains a job at an instant.
pub(crate) fn why(job: u64, at: Millis) -> String {
    let at = crate::model::time::rfc3339(at);
    address(&format!("/ui/jobs/{job}/why"), [("at", at.as_str())])
}

/// What came back, or why nothing did.
pub(crate) fn answer(one: &Execution) -> Markup {
    let (waited, error) = parts_of_error(one.error.as_deref());
    html! {
        @match one.result {
            ResultCode::None => {},
            code => { span.code { (code) } " " },
        }
        @if one.origin != ResultOrigin::Answer { span.muted { (one.origin.name().replace('_', " ")) } " " }
        @if let Some(error) = error {
            // The code says as much already.
            @if *error != one.result.to_string() { span.muted { (clipped(error, 60)) } }
        } @else if let Some(waited) = waited { span.muted { (clipped(waited, 60)) } }
    }
}

fn is_sent(one: &Execution) -> bool {
    !matches!(one.verdict, Verdict::Skipped(_))
}

/// How long an attempt took.
pub(crate) fn took(one: &Execution) -> Markup {
    html! { @if is_sent(one) { (length(one.duration.into())) } @else { span.muted { "–" } } }
}

/// How late a first attempt began.
pub(crate) fn lag(one: &Execution) -> Markup {
    html! {
        @if is_sent(one) && one.attempt == 1 { (length(one.started - one.due)) }
        @else { span.muted { "–" } }
    }
}

fn nothing(page: &Page, state: &str) -> Markup {
    if page.context.query.is_empty() {
        return empty(
            "Nothing has run yet",
            "Each attempt at each job shows up here within a second or two.",
            html! {
                a.button href="/ui/jobs" { "To the jobs" }
            },
        );
    }
    let what = if state.is_empty() { "attempt".to_owned() } else { format!("{state} attempt") };
    empty(
        &format!("No {what} here"),
        "Nothing that is kept matches this state, job and time.",
        html! {
            a.button href="/ui/activity" { "Show all" }
        },
    )
}
