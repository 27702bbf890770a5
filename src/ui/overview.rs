//! `GET /ui`: whether all is well, what happened in the last hours, and what runs next.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::cluster_admin::LagByMinute;
use crate::app::cluster_admin::status::Status;
use crate::app::history::{
    Analytics, ExecutionFilter, ExecutionRecord, OutcomeKind, RateReport, TimeRange,
};
use crate::app::jobs::Filter;
use crate::app::page::Page as ListPage;
use crate::app::{Action, Error};
use crate::model::Millis;
use crate::ui::context::Page;
use crate::ui::error::{PageError, sentence};
use crate::ui::figures::{Counted, figures};
use crate::ui::forecast::coming::firing_line;
use crate::ui::history::activity::{answer, job_name};
use crate::ui::icons::icon;
use crate::ui::jobs::list::list;
use crate::ui::lag;
use crate::ui::lists::{Gather, Listed};
use crate::ui::parts::{banner, card, chip, empty, late, live, verdict_chip};
use crate::ui::rates;
use crate::ui::shell::Place;
use crate::ui::state::{Ui, UiState};
use crate::ui::words::counted;

const DAY: Millis = 86_400_000;
/// The rows of the small lists.
const FEW: usize = 6;
/// `GET /ui`.
pub(crate) async fn show_overview(
    State(ui): Ui,
    page: Page,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let jobs = jobs(&page).await;
    if page.context.part().is_none() && matches!(jobs, Some(Ok(0))) {
        return Ok(page.document(Place::Overview, "Overview", first_steps(&page)));
    }
    // Each part has its own reads, and one that fails takes no other with it.
    let recent = recent(&page).await;
    let next = late("next", "executions job_created job_deleted job_updated", next(&page).await);
    let status = status(&ui, &page).await;
    let figures = figures(&Counted {
        jobs: jobs.and_then(Result::ok),
        minute: recent.as_ref().and_then(|found| rates::last_minute(found.as_ref().ok()?)),
        day: day(&page).await.and_then(Result::ok),
        letters: letters(&page).await.and_then(Result::ok),
        status: status.as_ref().ok(),
    });
    let on = "executions dead_letter dead_letters_changed job_created job_deleted beat";
    let figures = live("figures", on, figures);
    let title = "Attempts by the minute";
    let chart = part(recent.as_ref(), title, |recent| rates::chart(&page, recent, None));
    let chart = live("chart", "executions", chart);
    let delays = match delays(&ui, &page).await {
        None => html! {},
        Some(Ok(known)) => lag::chart(&page, &known),
        Some(Err(error)) => failed(lag::TITLE, html! {}, &error),
    };
    let delays = live("delays", "executions beat", delays);
    let failed = part(failures(&page).await.as_ref(), "Failed lately", |all| failing(&page, all));
    let failing = live("failing", "executions dead_letter", failed);
    let cluster = live(
        "cluster",
        "leader_changed node_changed members_changed beat",
        cluster(status.as_ref().map_err(Option::as_ref)),
    );
    let parts = [
        ("figures", &figures),
        ("chart", &chart),
        ("delays", &delays),
        ("failing", &failing),
        ("next", &next),
        ("cluster", &cluster),
    ];
    if let Some(part) = page.asked_part(&headers, &parts) {
        return Ok(part);
    }
    let body = html! {
        h1.hidden { "Overview" }
        @if let Ok(status) = &status { @for warning in &status.warnings { (banner("bad", sentence(warning))) } }
        (figures)
        div.split { div.wide-column { (chart) (delays) (failing) } div.side-column { (next) (cluster) } }
    };
    Ok(page.document(Place::Overview, "Overview", body))
}

/// A read for a part of the page: `None` where the part is not wanted.
type Found<T> = Option<Result<T, Error>>;

/// A part by what was read for it: nothing where it is not wanted, and the error where it failed.
fn part<T>(
    found: Option<&Result<T, Error>>,
    title: &str,
    show: impl FnOnce(&T) -> Markup,
) -> Markup {
    match found {
        None => html! {},
        Some(Ok(found)) => show(found),
        Some(Err(error)) => failed(title, html! {}, error),
    }
}

/// A card that says why its part is not there.
fn failed(title: &str, more: Markup, error: &Error) -> Markup {
    card(title, more, html! { p.pad.note.bad { (icon("warn")) (sentence(error.detail())) } })
}

async fn jobs(page: &Page) -> Found<u64> {
    if !page.wants("figures") {
        return None;
    }
    let one = ListPage { limit: 1, ..ListPage::default() };
    Some(list(page, Filter::default(), one).await.map(|listed| listed.total.count))
}

async fn recent(page: &Page) -> Found<RateReport> {
    if !page.wants("figures") && !page.wants("chart") {
        return None;
    }
    Some(rates::read(page, None).await)
}

/// The last day, and a bit: more than a day is counted by the hour, from counters that are kept.
async fn day(page: &Page) -> Found<Analytics> {
    if !page.wants("figures") {
        return None;
    }
    let now = page.context.now;
    let day = match TimeRange::new((Some(now - DAY - 3_600_000), None), now, DAY) {
        Ok(range) => page.ui.app.get_analytics(&page.actor, None, range).await,
        Err(error) => Err(error),
    };
    Some(day)
}

async fn letters(page: &Page) -> Found<u64> {
    if !page.wants("figures") {
        return None;
    }
    Some(page.letters().await)
}

async fn failures(page: &Page) -> Found<Listed<ExecutionRecord>> {
    if !page.wants("failing") {
        return None;
    }
    let kinds = vec![OutcomeKind::Failed, OutcomeKind::Dead];
    let from = Some(page.context.now - DAY);
    let filter = ExecutionFilter { kinds, from, ..ExecutionFilter::default() };
    let few = ListPage { limit: FEW as u64, descending: true, ..ListPage::default() };
    let gather = Gather::new(FEW as u64);
    Some(page.ui.app.list_executions(&page.actor, filter, few, gather).await)
}

/// The status of the cluster, for who may see it and where a part shows it.
async fn status(ui: &UiState, page: &Page) -> Result<Arc<Status>, Option<Error>> {
    let is_wanted = page.wants("figures") || page.wants("cluster");
    if !is_wanted || !page.may(Action::ClusterRead) {
        return Err(None);
    }
    ui.status(&page.actor).await.map_err(Some)
}

/// The delays of firings, for who may see them and where a part shows them.
async fn delays(ui: &UiState, page: &Page) -> Found<Arc<LagByMinute>> {
    if !page.wants("delays") || !page.may(Action::ClusterRead) {
        return None;
    }
    Some(ui.lag(&page.actor).await)
}

fn failing(page: &Page, failing: &Listed<ExecutionRecord>) -> Markup {
    let more = html! { span.grow {} @if !failing.records.is_empty() { a href="/ui/activity?state=failed&span=24h" { "All" } } };
    let body = html! {
        @if failing.records.is_empty() {
            (empty("Nothing failed in 24 h", "Failed attempts show up here, newest first, with what came back.", html! {}))
        } @else {
            ul.lines {
                @for record in &failing.records {
                    @let one = &record.execution;
                    li {
                        a.line href={ "/ui/activity/" (record.execution_id) } {
                            (verdict_chip(one.verdict))
                            span.line-name { (job_name(record)) }
                            span.line-text { (answer(one)) }
                            span.muted.num { (page.context.relative_time(one.due)) }
                        }
                    }
                }
            }
        }
    };
    card("Failed lately", more, body)
}

/// What runs next; `None` where it is still being reckoned.
async fn next(page: &Page) -> Option<Markup> {
    let coming = page.upcoming("next", None, FEW + 2).await?;
    let more = html! { span.grow {} a href="/ui/forecast" { "Forecast" } };
    let coming = match coming {
        Ok(coming) => coming,
        Err(error) => return Some(failed("Next", more, &error)),
    };
    let labels = match page.labels(coming.firings.iter().map(|one| one.first)).await {
        Ok(labels) => labels,
        Err(error) => return Some(failed("Next", more, &error)),
    };
    let body = html! {
        @if coming.firings.is_empty() {
            p.muted.pad { "Nothing is due: all jobs are paused or over." }
        } @else {
            ul.lines { @for one in &coming.firings { li { (firing_line(page, one, &labels)) } } }
        }
        @if coming.left_out > 0 {
            p.muted.pad.hint { "Without " (counted(coming.left_out, "job")) " whose runs are spread." }
        }
    };
    Some(card("Next", more, body))
}

fn cluster(status: Result<&Arc<Status>, Option<&Error>>) -> Markup {
    let status = match status {
        Ok(status) => status,
        Err(None) => return html! {},
        Err(Some(error)) => return failed("Cluster", html! {}, error),
    };
    let body = html! {
        ul.lines {
            @for node in &status.nodes {
                li {
                    a.line href={ "/ui/nodes/" (node.id) } {
                        @match node.state.as_str() {
                            "leader" => (chip("active", "leader")),
                            "unreachable" => (chip("dead", "unreachable")),
                            other => (chip("completed-role", other)),
                        }
                        span.line-name { "Node " (node.id) }
                        span.line-text.muted { (counted(node.shards.into(), "shard")) }
                        @if let Some(lag) = node.lag_ms { span.muted.num { (lag.p99) " ms" } }
                    }
                }
            }
        }
    };
    card("Cluster", html! {}, body)
}

fn first_steps(page: &Page) -> Markup {
    let url = page.ui.app.config().public_url.as_ref().map_or_else(
        || page.ui.app.config().local_url(),
        |url| url.to_string().trim_end_matches('/').to_owned(),
    );
    let command = format!(
        "curl {url}/api/v1/jobs -H 'content-type: application/json' \\\n  -H 'x-api-key: …' -H 'x-secret-key: …' \\\n  -d '[{{\"projectId\": 1, \"spec\": \"*/5 * * * *\", \"timezone\": \"UTC\",\n        \"callbackUrl\": \"https://example.com/callback\"}}]'"
    );
    html! {
        div.welcome {
            h1 { "Nothing is scheduled yet" }
            p.muted { "Three steps to the first job that fires." }
            ol.first-steps {
                li.card {
                    h2 { "Create a job" }
                    p { "A schedule, and a URL that is called. The form shows what the schedule means while you type." }
                    @if page.may(Action::JobsWrite) { a.button.primary href="/ui/jobs/new" { (icon("plus")) "New job" } }
                }
                li.card {
                    h2 { "Or call the API" }
                    p { "Jobs can be created by the thousand in one request." }
                    pre data-copy { (command) }
                }
                li.card {
                    h2 { "Watch it run" }
                    p { "Each attempt shows up in the activity within a second or two. The page is live." }
                    a.button href="/ui/activity" { "Activity" }
                }
            }
        }
    }
}
