//! `GET /ui/projects`: the projects with the numbers of their jobs.

use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::page::Page as ListPage;
use crate::app::projects::{PauseState, ProjectRecord};
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::lists::{Gather, ROWS, cursor, read_cursor};
use crate::ui::parts::{chip, clipped, empty, live, pager, table};
use crate::ui::shell::Place;
use crate::ui::words::{count, counted};

const HEAD: &[&str] = &["Project", "State", "Jobs", "Description", "Changed"];

/// `GET /ui/projects?after=`.
pub(crate) async fn show_projects(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    page.require(Action::ProjectsRead)?;
    let context = &page.context;
    let after = context.parameter("after").and_then(read_cursor);
    let order = ListPage { limit: ROWS, after, ..ListPage::default() };
    let app = &page.ui.app;
    let listed = app.list_projects(&page.actor, order, Gather::new(ROWS)).await?;
    let ids = listed.records.iter().map(|one: &ProjectRecord| one.project.id).collect();
    let jobs = if page.may(Action::JobsRead) {
        Some(app.count_project_jobs(&page.actor, ids).await?)
    } else {
        None
    };
    let new = html! {
        @if page.may(Action::ProjectsWrite) {
            a.button.primary href="/ui/projects/new" { (icon("plus")) "New project" }
        }
    };
    let rows = html! {
        @if listed.records.is_empty() {
            (empty("No projects yet", "A project is a folder of jobs: what they share is set once, and all of them can be paused together.", html! { (new) }))
        } @else {
            (table("Projects", HEAD, html! {
                @for one in &listed.records {
                    @let jobs = jobs.as_ref().map(|jobs| jobs.get(&one.project.id).copied().unwrap_or(0));
                    (row(&page, one, jobs))
                }
            }))
        }
    };
    let rows = live("rows", "project_changed job_created job_deleted", rows);
    if let Some(part) = page.asked_part(&headers, &[("rows", &rows)]) {
        return Ok(part);
    }
    let first = after.map(|_| context.address_with(&[("after", None)]));
    let next = listed.next.map(cursor);
    let next = next.map(|next| context.address_with(&[("after", Some(&next))]));
    let body = html! {
        div.page-head {
            h1 { "Projects" }
            span.muted.num { (counted(listed.total.count, "project")) }
            span.grow {}
            (new)
        }
        div.card.flush { (rows) (pager(listed.records.len(), first.as_deref(), next.as_deref())) }
    };
    Ok(page.document(Place::Projects, "Projects", body))
}

/// A row of the list. Who may not read jobs is not told how many there are.
fn row(page: &Page, one: &ProjectRecord, jobs: Option<u64>) -> Markup {
    let project = &one.project;
    let place = format!("/ui/projects/{}", project.id);
    html! {
        tr data-href=(place) {
            td.lead data-label="Project" { a href=(place) { (clipped(&project.name, 48)) } " " span.muted.num { "#" (project.id) } }
            td data-label="State" { (state(page, one)) }
            td.num data-label="Jobs" { @match jobs { Some(jobs) => a.plain href=(jobs_of(project.id)) { (count(jobs)) }, None => "–" } }
            td data-label="Description" { span.muted { (clipped(&project.description, 72)) } }
            td data-label="Changed" { (page.context.brief(project.modified.unwrap_or(project.created), None)) }
        }
    }
}

/// The address of the jobs of a project.
pub(super) fn jobs_of(id: u64) -> String {
    address("/ui/jobs", [("q", format!("project:{id}").as_str())])
}

/// Whether a project is paused, and until when.
pub(super) fn state(page: &Page, one: &ProjectRecord) -> Markup {
    match one.pause {
        PauseState::Active => chip("active", "active"),
        PauseState::Paused(until) => html! {
            (chip("paused", "paused"))
            @if let Some(until) = until { " " span.muted { "until " (page.context.brief(until, None)) } }
        },
    }
}
