//! `GET /ui/workers`: queues, worker processes, and the runs that are not over.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::runs::{RunFilter, RunPage, RunRecord};
use crate::app::workers::{QueuesRecord, WorkersRecord};
use crate::model::NodeId;
use crate::model::attempt::occurrence_id;
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::parts::{banner, card, clipped, empty, live, run_chip, table};
use crate::ui::shell::Place;
use crate::ui::state::Ui;
use crate::ui::words::{count, counted};

/// The most runs that the page shows.
const MOST_RUNS: usize = 50;

/// `GET /ui/workers?queue=&worker=`.
pub(crate) async fn show_workers(
    State(ui): Ui,
    page: Page,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    page.require(Action::WorkersRead)?;
    let queues = if page.wants("queues") { Some(ui.queues(&page.actor).await?) } else { None };
    let workers = if page.wants("workers") { Some(ui.workers(&page.actor).await?) } else { None };
    let filter = RunFilter {
        queue: page.context.parameter("queue").map(str::to_owned),
        worker: page.context.parameter("worker").map(str::to_owned),
        ..RunFilter::default()
    };
    let runs = if page.may(Action::RunsRead) && page.wants("runs") {
        page.ui.app.list_runs(&page.actor, filter.clone(), MOST_RUNS, None).await?
    } else {
        RunPage { runs: Vec::new(), next: None }
    };
    let on = "executions run_accepted beat executor_changed";
    let queue_card = live("queues", on, shown(queues.as_deref(), |all| queue_card(&page, all)));
    let worker_card = shown(workers.as_deref(), |all| worker_card(&page, all));
    let worker_card = live("workers", "beat", worker_card);
    let run_card = live(
        "runs",
        "executions execution run_accepted run_lost run_cancelled job_progress",
        run_card(&page, &runs, &filter),
    );
    let parts = [("queues", &queue_card), ("workers", &worker_card), ("runs", &run_card)];
    if let Some(part) = page.asked_part(&headers, &parts) {
        return Ok(part);
    }
    let body = html! {
        div.page-head { h1 { "Workers" } }
        (shown(queues.as_deref(), |all| unanswered(&all.unanswered)))
        div.halves { (queue_card) (worker_card) }
        (run_card)
    };
    Ok(page.document(Place::Workers, "Workers", body))
}

/// What is shown of a list; nothing where it was not wanted.
fn shown<T>(found: Option<&T>, show: impl FnOnce(&T) -> Markup) -> Markup {
    found.map_or_else(|| html! {}, show)
}

fn unanswered(nodes: &[NodeId]) -> Markup {
    html! {
        @if !nodes.is_empty() {
            (banner("info", html! {
                "What is shown is without "
                @for (at, node) in nodes.iter().enumerate() { @if at > 0 { ", " } "node " (node) }
                ", which did not answer in time."
            }))
        }
    }
}

fn queue_card(page: &Page, queues: &QueuesRecord) -> Markup {
    let rows = html! {
        @for queue in &queues.queues {
            @let totals = queue.totals;
            tr {
                td.lead data-label="Queue" {
                    a href=(address("/ui/workers", [("queue", queue.name.as_str())])) { (clipped(&queue.name, 32)) }
                }
                td.num data-label="Waiting" { (count(totals.map_or(0, |totals| totals.offers))) }
                td.num data-label="Under way" { (count(totals.map_or(0, |totals| totals.taken))) }
                td.num data-label="Idle claims" { (count(totals.map_or(0, |totals| totals.waiting))) }
                td data-label="Oldest" {
                    @match totals.and_then(|totals| totals.oldest) {
                        Some(at) => (page.context.relative_time(at)),
                        None => span.muted { "–" },
                    }
                }
            }
        }
    };
    let body = if queues.queues.is_empty() {
        empty(
            "No queues",
            "An executor of the type worker is a queue: worker processes come for its runs.",
            html! {},
        )
    } else {
        table("Queues", &["Queue", "Waiting", "Under way", "Idle claims", "Oldest"], rows)
    };
    card("Queues", html! { span.muted.num { (count(queues.total)) } }, body)
}

fn worker_card(page: &Page, workers: &WorkersRecord) -> Markup {
    let rows = html! {
        @for worker in &workers.workers {
            tr {
                td.lead data-label="Worker" {
                    a href=(address("/ui/workers", [("worker", worker.worker.as_str())])) { (clipped(&worker.worker, 32)) }
                }
                td data-label="Queues" { (clipped(&worker.queues.join(", "), 32)) }
                td.num data-label="Runs" { @match worker.runs { Some(runs) => (runs), None => "–" } }
                td data-label="Heard" { (page.context.relative_time(worker.seen)) }
                td.num data-label="Node" { (worker.node) }
            }
        }
    };
    let body = if workers.workers.is_empty() {
        empty(
            "No worker is here",
            "Workers show up when they ask for runs, and for a minute after they were last heard.",
            html! {
                p { code { "scheduler0 worker --queue emails -- ./send-mail" } }
            },
        )
    } else {
        table("Workers", &["Worker", "Queues", "Runs", "Heard", "Node"], rows)
    };
    card("Workers", html! { span.muted.num { (count(workers.total)) } }, body)
}

fn run_card(page: &Page, runs: &RunPage, filter: &RunFilter) -> Markup {
    let of = filter.queue.as_deref().map(|queue| ("queue", queue));
    let of = of.or(filter.worker.as_deref().map(|worker| ("worker", worker)));
    let more = html! {
        @if let Some((name, value)) = of {
            a.term title="Remove" href="/ui/workers" { (name) " " (value) (icon("x")) }
        }
        span.grow {}
        @if runs.next.is_some() { span.muted { "the first " (counted(runs.runs.len() as u64, "run")) } }
    };
    let rows = html! { @for run in &runs.runs { (run_row(page, run)) } };
    let body = if runs.runs.is_empty() {
        empty(
            "Nothing waits or is under way",
            "Runs of queues, and runs that a receiver has accepted, show up here until they end.",
            html! {},
        )
    } else {
        table("Runs", &["Run", "State", "Progress", "Queue", "Worker", "Due", "Heard"], rows)
    };
    card("Runs", more, body)
}

fn run_row(page: &Page, run: &RunRecord) -> Markup {
    let place = format!("/ui/activity/{}", occurrence_id(run.cluster, run.occurrence));
    let name = run.job_name.clone().unwrap_or_else(|| format!("Job {}", run.occurrence.job));
    html! {
        tr data-href=(place) {
            td.lead data-label="Run" { a href=(place) { (clipped(&name, 36)) } @if run.attempt > 1 { span.muted { " try " (run.attempt) } } }
            td data-label="State" { (run_chip(run.state)) }
            td data-label="Progress" {
                @if let Some(percent) = run.progress { progress max="100" value=(percent) { (percent) " %" } " " span.num { (percent) " %" } }
                @if let Some(message) = &run.message { " " span.muted { (clipped(message, 40)) } }
            }
            td data-label="Queue" { (run.queue.as_deref().unwrap_or("–")) }
            td data-label="Worker" { (clipped(run.worker.as_deref().unwrap_or("–"), 28)) }
            td data-label="Due" { (page.context.brief(run.due, None)) }
            td data-label="Heard" { @if let Some(heard) = run.heard { (page.context.relative_time(heard)) } @else { span.muted { "–" } } }
        }
    }
}
