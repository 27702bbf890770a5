//! `GET /ui/api`: all operations by noun.

use axum::response::Response;
use maud::{Markup, html};

use crate::api::openapi::{Operation, document};
use crate::ui::api::schema::words;
use crate::ui::context::Page;
use crate::ui::parts::{card, table};
use crate::ui::shell::Place;

/// `GET /ui/api`.
pub(crate) async fn show_api(page: Page) -> Response {
    let document = document();
    let tags = document.json["tags"].as_array().into_iter().flatten();
    let body = html! {
        div.page-head {
            h1 { "API" }
            span.grow {}
            a.button href="/openapi.json" { "openapi.json" }
        }
        p.lead-line {
            span.muted {
                "Every route is there under " code { "/api/v1" } " with names in camelCase, as here, and \
                 under no prefix in snake_case. Each page has a request that can be tried."
            }
        }
        @for tag in tags {
            @let name = tag["name"].as_str().unwrap_or_default();
            @let about = tag["description"].as_str().unwrap_or_default();
            (card(name, html! { span.muted { (about) } }, operations(name)))
        }
    };
    page.document(Place::Elsewhere, "API", body)
}

fn operations(tag: &str) -> Markup {
    let of_tag = document().operations.iter().filter(|one| one.tag == tag);
    table(
        "Operations",
        &["Operation", "Method", "Path"],
        html! { @for one in of_tag { (row(one)) } },
    )
}

fn row(one: &Operation) -> Markup {
    let place = format!("/ui/api/{}", one.id);
    html! {
        tr data-href=(place) {
            td.lead data-label="Operation" { a href=(place) { (words(&one.summary)) } }
            td data-label="Method" { span.method { (one.method) } }
            td data-label="Path" { code.break { (one.path) } }
        }
    }
}
