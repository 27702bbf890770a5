//! `GET /ui/executors`: the targets that many jobs share.

use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::page::Page as ListPage;
use crate::model::target::Executor;
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::executors::describe;
use crate::ui::icons::icon;
use crate::ui::lists::{Gather, ROWS, cursor, read_cursor};
use crate::ui::parts::{clipped, empty, live, pager, table};
use crate::ui::shell::Place;
use crate::ui::words::{count, counted};

const HEAD: &[&str] = &["Executor", "Type", "Where", "At a time", "A second", "Changed"];

/// `GET /ui/executors?after=`.
pub(crate) async fn show_executors(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    page.require(Action::ExecutorsRead)?;
    let context = &page.context;
    let after = context.parameter("after").and_then(read_cursor);
    let order = ListPage { limit: ROWS, after, ..ListPage::default() };
    let listed = page.ui.app.list_executors(&page.actor, order, Gather::new(ROWS)).await?;
    let new = html! {
        @if page.may(Action::ExecutorsWrite) {
            a.button.primary href="/ui/executors/new" { (icon("plus")) "New executor" }
        }
    };
    let rows = html! {
        @if listed.records.is_empty() {
            (empty("No executors yet", "An executor is a target that many jobs share: a URL with its secrets and limits, an exchange of a broker, or a queue of workers.", html! { (new) }))
        } @else {
            (table("Executors", HEAD, html! { @for one in &listed.records { (row(&page, one)) } }))
        }
    };
    let rows = live("rows", "executor_changed", rows);
    if let Some(part) = page.asked_part(&headers, &[("rows", &rows)]) {
        return Ok(part);
    }
    let first = after.map(|_| context.address_with(&[("after", None)]));
    let next = listed.next.map(cursor);
    let next = next.map(|next| context.address_with(&[("after", Some(&next))]));
    let body = html! {
        div.page-head {
            h1 { "Executors" }
            span.muted.num { (counted(listed.total.count, "executor")) }
            span.grow {}
            (new)
        }
        div.card.flush { (rows) (pager(listed.records.len(), first.as_deref(), next.as_deref())) }
    };
    Ok(page.document(Place::Executors, "Executors", body))
}

fn row(page: &Page, one: &Executor) -> Markup {
    let place = format!("/ui/executors/{}", one.id);
    let bound = |most: Option<u32>| html! { @match most { Some(most) => (count(most.into())), None => span.muted { "–" } } };
    html! {
        tr data-href=(place) {
            td.lead data-label="Executor" { a href=(place) { (clipped(&one.name, 40)) } " " span.muted.num { "#" (one.id) } }
            td data-label="Type" { (describe::kind(one)) }
            td data-label="Where" { (clipped(&describe::place(one), 56)) }
            td.num data-label="At a time" { (bound(one.max_concurrency)) }
            td.num data-label="A second" { (bound(one.rate_per_second)) }
            td data-label="Changed" { (page.context.brief(one.modified.unwrap_or(one.created), None)) }
        }
    }
}
