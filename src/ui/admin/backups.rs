//! `/ui/backups`: what is saved on this node. For operators, since a backup holds everybody's jobs.

use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::backups::{BackupProgress, BackupState, InspectedBackup, ListedBackup};
use crate::ui::context::Page;
use crate::ui::error::{PageError, sentence};
use crate::ui::form::{Form, done};
use crate::ui::icons::icon;
use crate::ui::parts::{banner, card, chip, empty, fact, live, table};
use crate::ui::shell::Place;
use crate::ui::words::{bytes, count, counted};

/// `GET /ui/backups`.
pub(crate) async fn show_backups(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    page.require(Action::ClusterBackup)?;
    let whole = live("backups", "beat", whole(&page).await?);
    if let Some(part) = page.asked_part(&headers, &[("backups", &whole)]) {
        return Ok(part);
    }
    Ok(document(&page, &whole, None))
}

fn document(
    page: &Page,
    whole: &Markup,
    found: Option<Result<&InspectedBackup, &str>>,
) -> Response {
    let node = page.ui.app.config().node_id;
    let body = html! {
        div.page-head {
            h1 { "Backups" }
            span.muted { "of node " (node) }
            span.grow {}
            div.actions {
                a.button href="/api/v1/cluster/backup" download { "Download one" }
                form method="post" action="/ui/backups" { button.button.primary { (icon("plus")) "Back up now" } }
            }
        }
        @match found {
            Some(Ok(found)) => (inspected(page, found)),
            Some(Err(problem)) => (banner("bad", sentence(problem))),
            None => {},
        }
        (whole)
        (card("To restore one", html! {}, html! {
            div.pad.stack {
                p { "A cluster is not restored while it runs. Stop its nodes, give this one an empty " code { "DataDir" } ", and run on it:" }
                pre data-copy { "scheduler0 restore FILE" }
                p.muted { "Then start it, and add the others to it with empty folders." }
            }
        }))
    };
    page.document(Place::Backups, "Backups", body)
}

async fn whole(page: &Page) -> Result<Markup, PageError> {
    let app = &page.ui.app;
    let progress = app.backup_progress(&page.actor)?;
    let files = app.list_backups(&page.actor).await?;
    let more = html! { span.grow {} span.muted.break { (app.config().backup_dir.display()) } };
    Ok(html! {
        (last(page, &progress))
        (card("In the folder", more, listed(page, &files)))
    })
}

fn last(page: &Page, progress: &BackupProgress) -> Markup {
    let state = match progress.state {
        BackupState::Idle => return html! {},
        BackupState::UnderWay => chip("running", "under way"),
        BackupState::Completed => chip("delivered", "completed"),
        BackupState::Failed => chip("dead", "failed"),
    };
    card(
        "The last one",
        html! { (state) },
        html! {
            dl.facts.row {
                @if let Some(at) = progress.started { (fact("Begun", page.context.instant_from_now(at / 1_000 * 1_000, None))) }
                @if progress.state == BackupState::UnderWay {
                    (fact("Written", html! { progress max="100" value=(progress.percent) {} " " (progress.percent) " %" }))
                }
                (fact("Result", sentence(&progress.message)))
                @if !progress.path.is_empty() { (fact("File", html! { code.break { (progress.path) } })) }
            }
        },
    )
}

fn listed(page: &Page, files: &[ListedBackup]) -> Markup {
    if files.is_empty() {
        return empty(
            "No backups here",
            "A backup is one file with all jobs, their history and their secrets, sealed. It can be made while the cluster runs.",
            html! {},
        );
    }
    table(
        "Backups in the folder",
        &["File", "Made", "Size", ""],
        html! {
            @for one in files {
                tr {
                    td.lead data-label="File" { code.break { (one.name) } }
                    td data-label="Made" { (page.context.instant(one.modified / 1_000 * 1_000, None)) }
                    td.num data-label="Size" { (bytes(usize::try_from(one.length).unwrap_or(usize::MAX))) }
                    td.end {
                        form method="post" action="/ui/backups/inspect" {
                            input type="hidden" name="file" value=(one.name);
                            button.button.small { "Check it" }
                        }
                    }
                }
            }
        },
    )
}

fn inspected(page: &Page, found: &InspectedBackup) -> Markup {
    let facts = &found.facts;
    let kind = if facts.hashed { "b-good" } else { "" };
    html! {
        div class={ "banner " (kind) } role="status" {
            (icon("check"))
            div {
                strong.break { (found.path.file_name().unwrap_or_default().to_string_lossy()) }
                @if facts.hashed { " is whole and sound" } @else { " can be read, but has no hash to check" }
                ": " (counted(facts.jobs, "job")) ", log index " (count(facts.index)) ", of "
                (page.context.instant(facts.stamp / 1_000 * 1_000, None)) ", made by version " (facts.version) "."
            }
        }
    }
}

/// `POST /ui/backups`.
pub(crate) async fn create_backup(page: Page, _: Form) -> Result<Response, PageError> {
    page.require(Action::ClusterBackup)?;
    page.ui.app.linearize().await?;
    let stored = page.ui.app.store_backup(&page.actor).await?;
    Ok(done("/ui/backups", &format!("The backup is made: {}.", stored.summary())))
}

/// `POST /ui/backups/inspect`: reads a backup as a whole, and says what is in it.
pub(crate) async fn inspect_backup(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::ClusterBackup)?;
    let file = form.text("file").unwrap_or_default().to_owned();
    let found = page.ui.app.inspect_backup(&page.actor, file).await;
    let whole = whole(&page).await?;
    let shown = found.as_ref().map_err(crate::app::Error::detail);
    let mut response = document(&page, &whole, Some(shown));
    if let Err(error) = &found {
        *response.status_mut() = PageError::from(error.clone()).status;
    }
    Ok(response)
}
