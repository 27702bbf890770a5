//! The versions of a template that are kept, each with what it changed. `show` calls it.

use maud::{Markup, html};

use crate::model::template::Template;
use crate::ui::context::Page;
use crate::ui::parts::card;
use crate::ui::templates::difference::difference;

/// The versions that are shown.
const MOST: usize = 20;

/// The card of the versions, the newest first.
pub(super) fn version_card(page: &Page, versions: &[Template]) -> Markup {
    let body = html! {
        ul.lines {
            @for (at, one) in versions.iter().take(MOST).enumerate() {
                li.pad {
                    @match versions.get(at + 1) {
                        Some(before) => details {
                            summary { (head(page, one)) }
                            (difference(page, before, one))
                        },
                        None => (head(page, one)),
                    }
                }
            }
        }
    };
    let more =
        html! { span.grow {} @if versions.len() > MOST { span.muted { "the newest " (MOST) } } };
    card("Versions", more, body)
}

fn head(page: &Page, one: &Template) -> Markup {
    html! {
        strong { "Version " (one.version) } " "
        span.muted {
            (page.context.brief(one.modified.unwrap_or(one.created), None))
            @if let Some(by) = one.modified_by.as_ref().or(one.created_by.as_ref()) { " by " (by) }
        }
    }
}
