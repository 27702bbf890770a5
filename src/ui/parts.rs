//! The parts that pages are made of: chips, cards, tables' helpers, empty states, menus. Each is a
//! function that gives markup. None of them reads anything.

#![expect(
    clippy::needless_pass_by_value,
    reason = "markup is made where it is passed, and becomes a part of other markup"
)]

use maud::{Markup, Render, html};

use crate::app::jobs::JobLabel;
use crate::model::JobId;
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::job::JobStatus;
use crate::model::run_report::RunState;
use crate::ui::icons::icon;
use crate::ui::words::cut;

/// A state as icon, word and colour.
pub(crate) fn chip(kind: &str, word: &str) -> Markup {
    let name = match kind {
        // A list has a hundred of these: the stylesheet draws their icons.
        "active" | "delivered" => return html! { span class={ "chip s-" (kind) } { (word) } },
        "completed-run" => "check",
        "retrying" => "retry",
        "dead" | "disabled" => "dead",
        "running" => "half",
        "pending" => "clock",
        "late" => "late",
        "skipped" => "skip",
        "paused" => "pause",
        "completed" => "flag",
        _ => "dot",
    };
    html! { span class={ "chip s-" (kind) } { (icon(name)) (word) } }
}

/// The state of a job.
pub(crate) fn job_chip(status: JobStatus) -> Markup {
    match status {
        JobStatus::Active => chip("active", "active"),
        JobStatus::Inactive => chip("paused", "paused"),
        JobStatus::Completed => chip("completed", "completed"),
        JobStatus::Disabled => chip("disabled", "disabled"),
    }
}

/// The result of an attempt.
pub(crate) fn verdict_chip(verdict: Verdict) -> Markup {
    match verdict {
        Verdict::Delivered => chip("delivered", "delivered"),
        Verdict::Retry { .. } => chip("retrying", "failed"),
        Verdict::Dead => chip("dead", "dead"),
        Verdict::Skipped(reason) => chip("skipped", &format!("skipped: {}", reason_words(reason))),
        Verdict::Postponed { .. } => chip("pending", "postponed"),
        Verdict::Running => chip("running", "running"),
    }
}

/// The state of an occurrence, by the name that `app` has for it.
pub(crate) fn state_chip(state: &str) -> Markup {
    match state {
        "delivered" => chip("delivered", "delivered"),
        "dead" => chip("dead", "dead"),
        "skipped" => chip("skipped", "skipped"),
        "retrying" => chip("retrying", "retrying"),
        "running" => chip("running", "running"),
        "pending" | "scheduled" => chip("pending", "scheduled"),
        "not_recorded" => chip("pending", "not recorded yet"),
        "future" => chip("pending", "to come"),
        "missing" => chip("late", "missing"),
        other => chip("completed", &other.replace('_', " ")),
    }
}

/// The state of a run.
pub(crate) fn run_chip(state: RunState) -> Markup {
    let word = state.name().replace('_', " ");
    let kind = match state.name() {
        "running" => "running",
        "completed" => "delivered",
        "failed" => "dead",
        "retrying" => "retrying",
        "cancelled" | "skipped" => "skipped",
        _ => "pending",
    };
    chip(kind, &word)
}

/// The reason of a skip, in words.
pub(crate) fn reason_words(reason: SkipReason) -> String {
    reason.name().replace('_', " ")
}

/// The most marks of one element: the stylesheet has no wider ones.
const MOST_MARKS: usize = 8;

/// Marks of the last outcomes, oldest first. Kinds differ by height as well as by colour.
/// Neighbours of one kind are one element, and the words for all of them are said once: a list has
/// hundreds of marks.
pub(crate) fn ticks(outcomes: impl IntoIterator<Item = Verdict>) -> Markup {
    let mut runs: Vec<(&str, &str, usize)> = Vec::new();
    for verdict in outcomes {
        let kind = tick_kind(verdict);
        match runs.last_mut() {
            Some((known, _, many)) if *known == kind && *many < MOST_MARKS => *many += 1,
            _ => runs.push((kind, verdict.name(), 1)),
        }
    }
    let words: Vec<_> = runs.iter().map(|(_, name, many)| format!("{many} {name}")).collect();
    html! {
        span.ticks title=(words.join(", ")) {
            @for (kind, _, many) in runs {
                @if many > 1 { i class={ "t-" (kind) " n" (many) } {} } @else { i class={ "t-" (kind) } {} }
            }
        }
    }
}

fn tick_kind(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "ok",
        Verdict::Retry { .. } => "retry",
        Verdict::Dead => "dead",
        Verdict::Skipped(_) | Verdict::Postponed { .. } => "skip",
        Verdict::Running => "run",
    }
}

/// A card with a heading.
pub(crate) fn card(title: &str, more: Markup, body: Markup) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { (title) } (more) }
            (body)
        }
    }
}

/// A number that leads to what it counts.
pub(crate) fn figure(name: &str, href: &str, value: Markup, more: Markup, class: &str) -> Markup {
    html! {
        a class={ "figure " (class) } href=(href) {
            span.figure-name { (name) } strong.num { (value) } span.muted { (more) }
        }
    }
}

/// What a list says while it is empty: what would be here, and the first step.
pub(crate) fn empty(title: &str, text: &str, action: Markup) -> Markup {
    html! {
        div.empty {
            span.empty-icon { (icon("empty")) }
            p.empty-title { (title) }
            p.muted { (text) }
            (action)
        }
    }
}

/// A part that is fetched again when one of these events happens.
pub(crate) fn live(name: &str, events: &str, body: Markup) -> Markup {
    html! { div.part data-part=(name) data-on=(events) { (body) } }
}

/// A part that may not be there yet. It is asked for again at once then; without the script, when
/// the page is loaded again.
pub(crate) fn late(name: &str, events: &str, body: Option<Markup>) -> Markup {
    if let Some(body) = body {
        return live(name, events, body);
    }
    html! {
        div.part data-part=(name) data-on=(events) data-late {
            section.card.pad.muted { "This is being reckoned. It shows up here in a moment." }
        }
    }
}

/// A sentence above a page that something is wrong or worth knowing.
pub(crate) fn banner(kind: &str, body: impl Render) -> Markup {
    let name = match kind {
        "info" => "info",
        "good" => "check",
        _ => "warn",
    };
    html! { div class={ "banner b-" (kind) } role="status" { (icon(name)) div { (body) } } }
}

/// A menu that opens without a script.
pub(crate) fn menu(class: &str, label: Markup, body: Markup) -> Markup {
    html! {
        details class={ "menu " (class) } {
            summary.button { (label) }
            div.menu-body { (body) }
        }
    }
}

/// The links to the newer and the older part of a list.
pub(crate) fn pager(shown: usize, first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        nav.pager aria-label="Pages" {
            span.muted { (shown) @if shown == 1 { " row" } @else { " rows" } }
            span.grow {}
            @if let Some(first) = first {
                a.button href=(first) { (icon("left")) "Newest" }
            }
            @if let Some(next) = next {
                a.button href=(next) rel="next" { "Older" (icon("right")) }
            }
        }
    }
}

/// A text that may be long: its beginning, and all of it in the title then.
pub(crate) fn clipped(text: &str, most: usize) -> Markup {
    let shown = cut(text, most);
    html! { @if shown == text { (shown) } @else { span title=(text) { (shown) } } }
}

/// A table in a box that a small screen turns into cards.
pub(crate) fn table(caption: &str, head: &[&str], rows: Markup) -> Markup {
    html! {
        div.table-box {
            table.rows {
                caption.hidden { (caption) }
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// The name and the value of a fact.
pub(crate) fn fact(name: &str, value: impl Render) -> Markup {
    html! { div.fact { dt { (name) } dd { (value) } } }
}

/// A link to a job, by its name where it has one.
pub(crate) fn job_link(id: JobId, label: Option<&JobLabel>) -> Markup {
    html! {
        a.plain href={ "/ui/jobs/" (id) } {
            @match label.and_then(|label| label.name.as_deref()) {
                Some(name) => (clipped(name, 36)),
                None => { "Job " (id) },
            }
        }
    }
}

/// A secret that is shown once, with what belongs to it; `back` is where it is from.
pub(crate) fn secret_card(secret: Option<&str>, more: &[(&str, &str)], back: &str) -> Markup {
    html! {
        section.card.secret {
            @match secret {
                Some(secret) => {
                    p { strong { "Keep it now: it cannot be shown again." } " This page shows it once more only if it is loaded again right away." }
                    dl.facts {
                        @for (name, value) in more { (fact(name, html! { code.break data-copy { (value) } })) }
                        (fact("Secret", html! { code.break data-copy { (secret) } }))
                    }
                    div.actions {
                        button.button type="button" data-copy-text=(secret) hidden { (icon("copy")) "Copy the secret" }
                        a.button.primary href=(back) { "It is kept, go on" }
                    }
                },
                None => {
                    p { "Another secret was set since, so this one is not shown. Make a new one if it is missing." }
                    a.button.primary href=(back) { "Go on" }
                },
            }
        }
    }
}

/// A link among tabs.
pub(crate) fn tab(href: &str, name: &str, number: Option<String>, is_current: bool) -> Markup {
    html! {
        a.tab href=(href) aria-current=[is_current.then_some("page")] {
            (name) @if let Some(number) = number { " " span.tab-count { (number) } }
        }
    }
}
