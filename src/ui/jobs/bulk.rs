//! `/ui/jobs/bulk`: one change of many jobs, those that were ticked or those that a search finds.
//! What it would change is counted and shown first; nothing is changed by a `GET`.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::jobs::{BulkInput, BulkResult, Filter, JobRecord, bulk_filter, bulk_pause_end};
use crate::app::page::Page as ListPage;
use crate::app::{Action, Error};
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, done, refused_status};
use crate::ui::icons::icon;
use crate::ui::inputs::Inputs;
use crate::ui::jobs::list::{list, next};
use crate::ui::jobs::selection::Selection;
use crate::ui::jobs::{LARGE, bulk_edit, describe};
use crate::ui::lists::Listed;
use crate::ui::parts::{banner, card, clipped, empty, job_chip, table};
use crate::ui::shell::Place;
use crate::ui::words::{count, counted};

/// The jobs that are shown of those that are found.
const SAMPLES: u64 = 10;

/// The changes: name, verb, and the word for what was done.
const ACTIONS: [(&str, &str, &str); 4] = [
    ("pause", "Pause", "paused"),
    ("resume", "Resume", "resumed"),
    ("edit", "Edit", "edited"),
    ("delete", "Delete", "deleted"),
];

/// `GET /ui/jobs/bulk?q=&status=&id=&all=&action=`.
pub(crate) async fn show_bulk(page: Page) -> Result<Response, PageError> {
    page.require(Action::JobsWrite)?;
    let form = Form::of(page.context.query.clone());
    let projects = page.projects_of_search(form.text("q").unwrap_or_default()).await?;
    let selection = Selection::read(&form, &projects, page.context.now);
    shown(&page, &form, &selection, None).await
}

/// `POST /ui/jobs/bulk`.
pub(crate) async fn change_jobs(page: Page, form: Form) -> Result<Response, PageError> {
    page.require(Action::JobsWrite)?;
    let projects = page.projects_of_search(form.text("q").unwrap_or_default()).await?;
    let selection = Selection::read(&form, &projects, page.context.now);
    match change(&page, &form, &selection).await {
        Ok(told) => {
            let is_edited = action_of(&form).0 == "edit";
            Ok(done(&selection.list(is_edited), &told))
        }
        Err(error) => {
            let status = refused_status(&error)?;
            let mut response = shown(&page, &form, &selection, Some(error)).await?;
            *response.status_mut() = status;
            Ok(response)
        }
    }
}

/// Makes the change. Returns what is told of it.
async fn change(page: &Page, form: &Form, selection: &Selection) -> Result<String, Error> {
    if let Some(problem) = &selection.problem {
        return Err(Error::invalid("filter", problem.clone()));
    }
    let (app, actor) = (&page.ui.app, &page.actor);
    let filter = bulk_filter(selection.filter.clone(), selection.all)?;
    let (action, _, done_word) = action_of(form);
    if matches!(action, "delete" | "edit") {
        let now = found(page, filter.clone(), 1).await?.total.count;
        agreed(form, action, now)?;
    }
    let until = match form.text("until").filter(|_| action == "pause") {
        None => None,
        Some(text) => {
            let until = page.context.read_instant(text, None);
            let until = until.map_err(|problem| Error::invalid("until", problem))?;
            Some(bulk_pause_end(until, page.context.now)?)
        }
    };
    let body = format!("{action} {until:?} {:?}", selection.parameters());
    let key = page.key(form, "ui bulk", &body);
    let input = BulkInput { filter: filter.clone(), dry_run: false, by: page.by() };
    let (matched, changed) = match action {
        "edit" => {
            let carried = selection.parameters();
            let (made, _) = bulk_edit::edit(page, form, filter, false, &carried).await?;
            (made.result.matched, made.result.changed)
        }
        "resume" => numbers(app.resume_jobs(actor, key, input).await?),
        "delete" => numbers(app.delete_jobs(actor, key, input).await?),
        _ => numbers(app.pause_jobs(actor, key, input, until).await?),
    };
    Ok(format!("{} matched, {} {done_word}.", counted(matched, "job"), count(changed)))
}

fn numbers(result: BulkResult) -> (u64, u64) {
    (result.matched, result.changed)
}

/// Checks that who deletes or edits many jobs knows how many.
fn agreed(form: &Form, verb: &str, now: u64) -> Result<(), Error> {
    let shown = form.text("count").and_then(|text| text.parse().ok());
    // The same form again finds none of them any more, and is answered as before.
    if now > 0 && shown != Some(now) {
        let message = format!("it matches {} now: look at them again", counted(now, "job"));
        return Err(Error::conflict(message));
    }
    let typed = form.text("typed").map(|text| text.replace(',', ""));
    if now > LARGE && typed != Some(now.to_string()) {
        let message = format!("type {now} to {verb} so many jobs");
        return Err(Error::invalid("typed", message));
    }
    Ok(())
}

fn action_of(form: &Form) -> (&'static str, &'static str, &'static str) {
    let asked = form.text("action").unwrap_or_default();
    ACTIONS.into_iter().find(|(name, ..)| *name == asked).unwrap_or(ACTIONS[0])
}

async fn found(page: &Page, filter: Filter, limit: u64) -> Result<Listed<JobRecord>, Error> {
    let order = ListPage { limit, descending: true, ..ListPage::default() };
    list(page, filter, order).await
}

async fn shown(
    page: &Page,
    form: &Form,
    selection: &Selection,
    problem: Option<Error>,
) -> Result<Response, PageError> {
    let (action, verb, _) = action_of(form);
    let listed = match &selection.problem {
        Some(_) => None,
        None => Some(found(page, selection.filter.clone(), SAMPLES).await?),
    };
    let number = listed.as_ref().map_or(0, |listed| listed.total.count);
    let is_edit = action == "edit" && number > 0 && !selection.is_open();
    let mut status = StatusCode::OK;
    let (mut preview, mut problem) = (None, problem);
    if is_edit && bulk_edit::is_entered(form) {
        let (filter, carried) = (selection.filter.clone(), selection.parameters());
        let found = bulk_edit::edit(page, form, filter, true, &carried).await;
        match found.and_then(|found| bulk_edit::wrong_input(&found.0).map_or(Ok(found), Err)) {
            Ok(found) => preview = Some(found),
            Err(error) => {
                status = refused_status(&error)?;
                problem.get_or_insert(error);
            }
        }
    }
    let inputs = Inputs::new(form, problem.as_ref(), |field| match field {
        "until" => "until",
        "typed" => "typed",
        other if is_edit => bulk_edit::input_of(other),
        _ => "",
    });
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/jobs" { "Jobs" } (icon("right")) span { "Many at once" } }
        div.page-head {
            h1 { (verb) " " @if selection.all { "all " } (counted(number, "job")) }
        }
        nav.tabs aria-label="Change" {
            @for (name, verb, _) in ACTIONS {
                a.tab href=(selection.address("/ui/jobs/bulk", &[("action", name)])) aria-current=[(name == action).then_some("page")] { (verb) }
            }
        }
        (inputs.loose_problem())
        @match (&selection.problem, &listed) {
            (Some(problem), _) => (banner("bad", format!("{problem}."))),
            (None, Some(_)) if number == 0 => {
                div.card { (empty("No job matches", "Nothing would be changed.", html! { a.button href="/ui/jobs" { "To the jobs" } })) }
            },
            (None, Some(_)) if selection.is_open() => (open(selection, action, number)),
            (None, Some(listed)) if is_edit => {
                (bulk_edit::entry(page, &inputs, selection))
                @match &preview {
                    Some(found) => (bulk_edit::preview(page, &inputs, (selection, number), found)),
                    None => (samples(page, listed)),
                }
            },
            (None, Some(listed)) => { (confirm(page, &inputs, selection, action, number)) (samples(page, listed)) },
            (None, None) => {},
        }
    };
    let mut response = page.document(Place::Jobs, "Many jobs at once", body);
    *response.status_mut() =
        if selection.problem.is_some() { StatusCode::BAD_REQUEST } else { status };
    Ok(response)
}

/// What is asked where nothing narrows the jobs.
fn open(selection: &Selection, action: &str, number: u64) -> Markup {
    card(
        "No filter",
        html! {},
        html! {
            div.pad.stack {
                p { "Nothing narrows the jobs: this is about every one of them. Find some first, or say that all are meant." }
                div.actions {
                    a.button href="/ui/jobs" { "Find some" }
                    a.button.danger href=(selection.address("/ui/jobs/bulk", &[("action", action), ("all", "yes")])) { "All " (counted(number, "job")) }
                }
            }
        },
    )
}

fn confirm(
    page: &Page,
    inputs: &Inputs<'_>,
    selection: &Selection,
    action: &str,
    number: u64,
) -> Markup {
    let zone = page.context.zone_for(None).name();
    let hint = format!("Empty: until they are resumed. A local time is one of {zone}.");
    let verb = ACTIONS.iter().find(|(name, ..)| *name == action).map_or("", |(_, verb, _)| *verb);
    html! {
        form.card.pad.stack method="post" action="/ui/jobs/bulk" {
            (inputs.hidden())
            input type="hidden" name="action" value=(action);
            input type="hidden" name="count" value=(number);
            @for (name, value) in selection.parameters() { input type="hidden" name=(name) value=(value); }
            @if !selection.terms.is_empty() {
                p.terms { @for term in &selection.terms { span.term { (term) } } }
            }
            @match action {
                "delete" => {
                    p { "They fire no more. Their history stays as long as other history does." }
                    @if number > LARGE {
                        (inputs.text("typed", &format!("Type {number} to delete them"), "", Some("So that nobody deletes many jobs by a slip.")))
                    }
                    button.button.danger { "Delete " (counted(number, "job")) }
                },
                "resume" => {
                    p { "They fire again, from now on. Jobs that are active stay as they are." }
                    button.button.primary { "Resume " (counted(number, "job")) }
                },
                _ => {
                    (inputs.text("until", "Until", "2026-12-24T18:00", Some(&hint)))
                    p { "What falls due meanwhile is skipped. Jobs that are over stay as they are." }
                    button.button.primary { (verb) " " (counted(number, "job")) }
                },
            }
        }
    }
}

fn samples(page: &Page, listed: &Listed<JobRecord>) -> Markup {
    let more = html! {
        span.grow {}
        @if listed.total.count > SAMPLES { span.muted { "the newest " (SAMPLES) " of " (count(listed.total.count)) } }
    };
    card(
        "These jobs",
        more,
        table(
            "Jobs that would be changed",
            &["Job", "Schedule", "Next", "State"],
            html! {
                @for record in &listed.records {
                    tr {
                        td.lead data-label="Job" { a href={ "/ui/jobs/" (record.job.id) } { (clipped(&describe::name(record), 40)) } " " span.muted.num { "#" (record.job.id) } }
                        td data-label="Schedule" { (describe::schedule_cell(&page.context, record)) }
                        td data-label="Next" { (next(page, record)) }
                        td data-label="State" { (job_chip(record.status)) }
                    }
                }
            },
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_jobs_are_deleted_only_by_who_knows_how_many() {
        let form = |count: &str, typed: &str| {
            Form::of(vec![("count".into(), count.into()), ("typed".into(), typed.into())])
        };
        assert!(agreed(&form("5", ""), "delete", 5).is_ok());
        assert!(agreed(&form("4", ""), "delete", 5).is_err(), "more match than were shown");
        assert_eq!(
            agreed(&form("500", "5"), "delete", 500).unwrap_err().field_name(),
            Some("typed")
        );
        assert!(agreed(&form("1500", "1,500"), "delete", 1_500).is_ok());
        assert!(agreed(&form("500", "500"), "delete", 0).is_ok(), "the same form again");
    }
}
