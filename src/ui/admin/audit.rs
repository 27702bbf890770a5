//! `/ui/audit`: who did what, newest first. Each word of a row leads to the rows that share it.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::app::Action;
use crate::app::audit::{AuditPage, AuditRow, Filter};
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::icons::icon;
use crate::ui::lists::{Projects, ROWS};
use crate::ui::parts::{clipped, empty, menu, pager, tab, table};
use crate::ui::shell::Place;

const HEAD: &[&str] = &["When", "Who", "Did", "What", "What changed", "From", "Project"];

/// The kinds of record that rows are about, as tabs.
const TABS: [(&str, &str); 8] = [
    ("", "All"),
    ("job", "Jobs"),
    ("project", "Projects"),
    ("executor", "Executors"),
    ("template", "Templates"),
    ("credential", "Keys"),
    ("node", "Nodes"),
    ("backup", "Backups"),
];

/// The filters of the address besides the kind of record, each with the words before its value.
const TERMS: [(&str, &str); 4] =
    [("actor", "by "), ("action", ""), ("object", "id "), ("project", "project ")];

/// The most changes of a row that are shown at once.
const SHOWN: usize = 3;

/// `GET /ui/audit?noun=&actor=&action=&object=&project=&after=`.
pub(crate) async fn show_audit(page: Page) -> Result<Response, PageError> {
    page.require(Action::AuditRead)?;
    let context = &page.context;
    let text = |name: &str| context.parameter(name).map(str::to_owned);
    let noun = text("noun").filter(|noun| !noun.is_empty());
    let filter = Filter {
        noun: noun.clone(),
        object: text("object"),
        actor: text("actor"),
        project: context.number("project")?.filter(|id| *id > 0),
        action: text("action"),
        ..Filter::default()
    };
    let after = context.number("after")?;
    let found = page.ui.app.list_audit(&page.actor, filter, after, ROWS as usize).await?;
    let projects = page.projects().await?;
    let first = after.map(|_| context.address_with(&[("after", None)]));
    let next = found.next.map(|next| next.to_string());
    let next = next.map(|next| context.address_with(&[("after", Some(&next))]));
    let noun = noun.unwrap_or_default();
    let body = html! {
        div.page-head {
            h1 { "Audit" }
            @for (name, words) in TERMS {
                @if let Some(value) = context.parameter(name) {
                    a.term title="Remove" href=(context.address_with(&[(name, None), ("after", None)])) { (words) (clipped(value, 40)) (icon("x")) }
                }
            }
            span.grow {}
            (search(&page, &noun))
            a.button href="/api/v1/audit/export" download { "Export" }
        }
        nav.tabs aria-label="Kind of record" {
            @for (value, name) in TABS {
                @let chosen = Some(value).filter(|value| !value.is_empty());
                (tab(&context.address_with(&[("noun", chosen), ("after", None)]), name, None, value == noun))
            }
        }
        div.card.flush {
            (rows(&page, &found, &projects))
            (pager(found.rows.len(), first.as_deref(), next.as_deref()))
        }
    };
    Ok(page.document(Place::Audit, "Audit", body))
}

/// The form that finds rows by actor, action and id.
fn search(page: &Page, noun: &str) -> Markup {
    let value = |name: &str| page.context.parameter(name).unwrap_or_default().to_owned();
    menu(
        "right",
        html! { (icon("search")) "Find" },
        html! {
            form.stack method="get" action="/ui/audit" {
                p.menu-title { "Find rows" }
                @if !noun.is_empty() { input type="hidden" name="noun" value=(noun); }
                label { span { "By whom" } input name="actor" value=(value("actor")) placeholder="operator, key:7, a name" autocomplete="off"; }
                label { span { "What was done" } input name="action" value=(value("action")) placeholder="delete" autocomplete="off"; }
                label { span { "Id of the record" } input name="object" value=(value("object")) placeholder="7" autocomplete="off"; }
                button.button.primary { "Find" }
            }
        },
    )
}

fn rows(page: &Page, found: &AuditPage, projects: &Projects) -> Markup {
    let is_filtered = page.context.parameter("noun").is_some()
        || TERMS.iter().any(|(name, _)| page.context.parameter(name).is_some());
    html! {
        @if !found.rows.is_empty() {
            (table("Audit", HEAD, html! { @for one in &found.rows { (row(page, one, projects)) } }))
        } @else if found.next.is_some() {
            (empty("Nothing among these rows", "Older rows were not looked at yet.", html! {}))
        } @else if is_filtered {
            (empty("Nothing found", "No row of the audit is like that.", html! { a.button href="/ui/audit" { "All rows" } }))
        } @else {
            (empty("Nothing was done yet", "Every change that somebody makes has a row here: who, what, when, and from where.", html! {}))
        }
    }
}

fn row(page: &Page, one: &AuditRow, projects: &Projects) -> Markup {
    let to = |name: &str, value: &str| {
        page.context.address_with(&[(name, Some(value)), ("after", None)])
    };
    let id = one.actor.id.as_deref();
    let actor = match (&*one.actor.kind, id) {
        ("key", Some(id)) => format!("key:{id}"),
        (_, Some(id)) => id.to_owned(),
        (kind, None) => kind.to_owned(),
    };
    let name = one.actor.name.as_deref().unwrap_or(&actor);
    html! {
        tr {
            td.lead data-label="When" { (page.context.brief(one.at, None)) }
            td data-label="Who" {
                a.plain href=(to("actor", &actor)) { (clipped(name, 32)) }
                @if one.actor.name.is_some() { " " span.muted { (clipped(&actor, 32)) } }
            }
            td data-label="Did" { a.plain href=(to("action", &one.action)) { (one.action) } }
            td data-label="What" { (what(one)) }
            td data-label="What changed" { (changes(&one.detail)) }
            td data-label="From" {
                @match &one.address { Some(address) => span.code { (address) }, None => "–" }
                " " span.muted { "node " (one.node) }
            }
            td data-label="Project" {
                @match one.project {
                    Some(id) => a.plain href=(to("project", &id.to_string())) { (clipped(&projects.name(id), 28)) },
                    None => "–",
                }
            }
        }
    }
}

/// The records of a row; one record leads to its page where it has one.
fn what(one: &AuditRow) -> Markup {
    let words = one.noun.replace('_', " ");
    let Some(object) = one.object.as_deref() else { return html! { (words) } };
    let is_one = object.bytes().all(|c| c.is_ascii_digit());
    let place = match &*one.noun {
        "job" if is_one => Some(format!("/ui/jobs/{object}")),
        "project" if is_one => Some(format!("/ui/projects/{object}")),
        "executor" if is_one => Some(format!("/ui/executors/{object}")),
        "template" if is_one => Some(format!("/ui/templates/{object}")),
        "node" if is_one => Some(format!("/ui/nodes/{object}")),
        _ => None,
    };
    let was_deleted = one.action == "delete";
    html! {
        @match place.filter(|_| !was_deleted) {
            Some(place) => a.plain href=(place) { (words) " " (object) },
            None => { (words) " " (clipped(object, 32)) },
        }
        " " a.muted title="All rows of it" href=(address("/ui/audit", [("noun", &*one.noun), ("object", object)])) { (icon("clock")) span.hidden { "All rows of it" } }
    }
}

/// The fields that changed, and the facts. The first ones are shown, the others fold out.
fn changes(detail: &str) -> Markup {
    // Apply has written JSON.
    let detail: Map<String, Value> = serde_json::from_str(detail).unwrap_or_default();
    let changes = detail.get("changes").and_then(Value::as_object);
    let facts = detail.iter().filter(|(name, _)| *name != "changes");
    let all: Vec<_> = facts.chain(changes.into_iter().flatten()).collect();
    html! {
        @if all.is_empty() { "–" }
        @for one in all.iter().take(SHOWN) { (change(one)) }
        @if all.len() > SHOWN {
            details {
                summary.hint { (all.len() - SHOWN) " more" }
                @for one in all.iter().skip(SHOWN) { (change(one)) }
            }
        }
    }
}

fn change((name, value): &(&String, &Value)) -> Markup {
    let shown = |value: Option<&Value>| value.map(words);
    html! {
        div.hint {
            span.code { (name) } " "
            @match (shown(value.get("old")), shown(value.get("new"))) {
                (Some(old), Some(new)) => { (clipped(&old, 48)) " → " (clipped(&new, 48)) },
                (None, Some(new)) => (clipped(&new, 64)),
                (Some(old), None) => { "was " (clipped(&old, 64)) },
                (None, None) => (clipped(&words(value), 64)),
            }
        }
    }
}

/// A value of a row as people read it.
fn words(value: &Value) -> String {
    match (value.get("bytes"), value.get("sha256").and_then(Value::as_str)) {
        (Some(bytes), Some(digest)) => format!("{bytes} bytes ({digest})"),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}
