//! `GET /ui/executors/{id}`: one executor. Its settings without secrets, and who uses it.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::executors::MOST_LOOKED_AT;
use crate::app::signing::previous_until;
use crate::app::{Action, Error};
use crate::model::target::{Executor, is_queue};
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::executors::describe;
use crate::ui::icons::icon;
use crate::ui::inputs::idempotency_key;
use crate::ui::mask::masked;
use crate::ui::parts::{card, empty, fact, job_link, live, menu, table};
use crate::ui::shell::Place;
use crate::ui::words::count;

/// The users that are listed.
const MOST_USERS: u64 = 20;

/// `GET /ui/executors/{id}`.
pub(crate) async fn show_executor(
    page: Page,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("executor"))?;
    let executor = page.ui.app.get_executor(&page.actor, id).await?;
    let whole = live("executor", "executor_changed", whole(&page, &executor));
    if let Some(part) = page.asked_part(&headers, &[("executor", &whole)]) {
        return Ok(part);
    }
    let users = users(&page, id).await?;
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/executors" { "Executors" } (icon("right")) span { (executor.name) } }
        (whole)
        (users)
    };
    Ok(page.document(Place::Executors, &executor.name, body))
}

fn whole(page: &Page, executor: &Executor) -> Markup {
    html! {
        div.page-head {
            h1 { (executor.name) }
            span.muted.num { "#" (executor.id) }
            span.grow {}
            @if page.may(Action::ExecutorsWrite) { (buttons(executor)) }
        }
        p.lead-line { strong { (describe::kind(executor)) } code.break { (describe::place(executor)) } }
        div.halves { (facts(page, executor)) (signing(page, executor)) }
        (settings(page, executor))
    }
}

fn facts(page: &Page, executor: &Executor) -> Markup {
    let bound = |most: Option<u32>, words: &str| {
        html! {
            @if let Some(most) = most { (count(most.into())) " " (words) }
            @else { span.muted { "no bound of its own" } }
        }
    };
    let body = html! {
        dl.facts {
            (fact("At a time", bound(executor.max_concurrency, "calls on each node")))
            (fact("A second", bound(executor.rate_per_second, "calls on each node")))
            @if let Some(tls) = &executor.tls {
                (fact("TLS", html! {
                    @if tls.ca.is_empty() { "the authorities of the machine" } @else { "authorities of its own" }
                    @if !tls.client_cert.is_empty() { ", shows a certificate" }
                }))
            }
            (fact("Created", html! { (page.context.instant(executor.created / 1_000 * 1_000, None)) @if let Some(by) = &executor.created_by { " by " (by) } }))
            @if let Some(modified) = executor.modified {
                (fact("Changed", html! { (page.context.instant(modified / 1_000 * 1_000, None)) @if let Some(by) = &executor.modified_by { " by " (by) } }))
            }
            (fact("Version", executor.version.to_string()))
        }
    };
    card("Limits", html! {}, body)
}

fn signing(page: &Page, executor: &Executor) -> Markup {
    let signing = &executor.signing;
    let takes_secrets = !is_queue(&executor.kind);
    let body = html! {
        div.pad.stack {
            @if !takes_secrets {
                p.muted { "A queue signs nothing: its workers have keys of their own." }
                p { a href=(address("/ui/workers", [("queue", executor.name.as_str())])) { "Its workers and runs" } }
            } @else if signing.is_empty() {
                p.muted { "Its calls have the signature of the job’s project, if that has a secret." }
            } @else {
                p { "Its calls are signed with a secret of its own, which cannot be shown again." }
                @if let Some(until) = previous_until(signing, page.context.now) {
                    p.muted { "The secret before it signs too, until " (page.context.instant_from_now(until, None)) "." }
                }
            }
            @if takes_secrets && page.may(Action::ExecutorsWrite) {
                form.stack method="post" action={ "/ui/executors/" (executor.id) "/rotate" } {
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

fn settings(page: &Page, executor: &Executor) -> Markup {
    let Some((name, value)) = describe::settings(page, executor) else { return html! {} };
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    let note = html! { span.muted { "secrets are masked" } };
    card("Settings", note, html! { div.pad { p.muted { (name) } pre { (masked(&text)) } } })
}

async fn users(page: &Page, id: u64) -> Result<Markup, Error> {
    if !page.may(Action::JobsRead) {
        return Ok(html! {});
    }
    let jobs = page.ui.app.executor_users(&page.actor, id, MOST_USERS).await?;
    let labels = page.labels(jobs.iter().copied()).await?;
    let body = html! {
        @if jobs.is_empty() {
            (empty("No job uses it", &format!("None of the newest {} jobs goes there.", count(MOST_LOOKED_AT)), html! {}))
        } @else {
            (table("Jobs that use it", &["Job", "Number"], html! {
                @for job in &jobs {
                    tr data-href={ "/ui/jobs/" (job) } {
                        td.lead data-label="Job" { (job_link(*job, labels.get(job))) }
                        td.num data-label="Number" { "#" (job) }
                    }
                }
            }))
        }
    };
    let more = html! { @if jobs.len() as u64 == MOST_USERS { span.grow {} span.muted { "the newest " (MOST_USERS) } } };
    Ok(card("Jobs that use it", more, body))
}

fn buttons(executor: &Executor) -> Markup {
    let action = |name: &str| format!("/ui/executors/{}/{name}", executor.id);
    html! {
        div.actions {
            a.button href=(action("edit")) { (icon("edit")) "Edit" }
            (menu("right quiet", html! { span.hidden { "Delete" } (icon("trash")) }, html! {
                form.stack method="post" action=(action("delete")) {
                    p.menu-title { "Delete " (executor.name) "?" }
                    input type="hidden" name="version" value=(executor.version);
                    p.hint { "Only an executor that no job uses can be deleted." }
                    button.button.danger { "Delete the executor" }
                }
            }))
        }
    }
}
