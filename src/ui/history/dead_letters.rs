//! `/ui/dead-letters`: what was given up, and how to try it again or drop it.

use std::collections::HashMap;

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::history::{LetterFilter, LetterRecord, LetterSelection, replay_rate};
use crate::app::jobs::JobLabel;
use crate::app::page::Page as ListPage;
use crate::app::{Action, Error};
use crate::model::JobId;
use crate::model::attempt::occurrence_id;
use crate::model::run::Occurrence;
use crate::ui::context::{Page, address};
use crate::ui::error::PageError;
use crate::ui::form::{Form, done};
use crate::ui::icons::icon;
use crate::ui::inputs::idempotency_key;
use crate::ui::lists::{Gather, Listed, Projects, ROWS, cursor, read_cursor};
use crate::ui::parts::{clipped, empty, job_link, live, menu, pager, table};
use crate::ui::shell::Place;
use crate::ui::words::{count, counted};

const HEAD: &[&str] = &["Given up", "Jobs", "Tries", "Last answer", "Due", "Project", ""];
/// The number of letters from which on dropping them wants it typed.
const LARGE: u64 = 100;
/// The jobs of a letter that are named.
const NAMED: usize = 3;

/// `GET /ui/dead-letters?project=&job=&target=&after=`.
pub(crate) async fn show_letters(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    page.require(Action::DeadLettersRead)?;
    let context = &page.context;
    let after = context.parameter("after").and_then(read_cursor);
    let filter = LetterFilter {
        project: context.number("project")?.filter(|id| *id > 0),
        job: context.number("job")?.filter(|id| *id > 0),
        target: context.parameter("target").map(str::to_owned),
        after: after.map(|after| after.id),
        ..LetterFilter::default()
    };
    let order = ListPage { limit: ROWS, descending: true, ..ListPage::default() };
    let gather = Gather::new(ROWS);
    // Read first: what is counted and not among these is left alone by the forms.
    let last = page.ui.app.last_dead_letter(&page.actor).await?;
    let listed: Listed<LetterRecord> =
        page.ui.app.list_dead_letters(&page.actor, filter.clone(), order, gather).await?;
    let projects = page.projects().await?;
    let named = listed.records.iter().flat_map(|one| one.letter.members.iter().take(NAMED));
    let labels = page.labels(named).await?;
    let rows = html! {
        @if listed.records.is_empty() {
            (empty("Nothing was given up", "An occurrence whose tries are used up waits here until it is replayed or dropped.", html! {}))
        } @else {
            (table("Dead letters", HEAD, html! {
                @for record in &listed.records { (row(&page, record, &projects, &labels)) }
            }))
        }
    };
    let rows = live("rows", "dead_letter dead_letters_changed executions", rows);
    if let Some(part) = page.asked_part(&headers, &[("rows", &rows)]) {
        return Ok(part);
    }
    let first = after.map(|_| context.address_with(&[("after", None)]));
    let next = listed.next.map(cursor);
    let next = next.map(|next| context.address_with(&[("after", Some(&next))]));
    let body = html! {
        div.page-head {
            h1 { "Dead letters" }
            span.muted.num { (counted(listed.total.count, "letter")) }
            @for (name, number) in [("project", filter.project), ("job", filter.job)] {
                @if let Some(number) = number {
                    a.term title="Remove" href=(context.address_with(&[(name, None), ("after", None)])) { (name) " " (number) (icon("x")) }
                }
            }
            @if let Some(target) = &filter.target {
                a.term title="Remove" href=(context.address_with(&[("target", None), ("after", None)])) { "to " (clipped(target, 40)) (icon("x")) }
            }
            span.grow {}
            @if page.may(Action::DeadLettersWrite) && listed.total.count > 0 { (all(&filter, (listed.total.count, last))) }
        }
        div.card.flush { (rows) (pager(listed.records.len(), first.as_deref(), next.as_deref())) }
    };
    Ok(page.document(Place::DeadLetters, "Dead letters", body))
}

/// The menus that replay or drop everything that the filter finds, up to the letter that is the
/// last one now.
fn all(filter: &LetterFilter, (total, last): (u64, u64)) -> Markup {
    let what = counted(total, "letter");
    let hidden = html! {
        input type="hidden" name="key" value=(idempotency_key());
        input type="hidden" name="last" value=(last);
        @if let Some(project) = filter.project { input type="hidden" name="project" value=(project); }
        @if let Some(job) = filter.job { input type="hidden" name="job" value=(job); }
        @if let Some(target) = &filter.target { input type="hidden" name="target" value=(target); }
    };
    html! {
        div.actions {
            (menu("right", html! { (icon("retry")) "Replay all " (count(total)) }, html! {
                form.stack method="post" action="/ui/dead-letters/replay" {
                    p.menu-title { "Replay " (what) "?" }
                    (hidden)
                    label { span { "Occurrences a second" } input name="rate" value="10" inputmode="numeric"; }
                    p.hint { "Oldest first. What fails again comes back as a new letter." }
                    button.button.primary { "Replay " (what) }
                }
            }))
            (menu("right quiet", html! { span.hidden { "Drop" } (icon("trash")) }, html! {
                form.stack method="post" action="/ui/dead-letters/purge" {
                    p.menu-title { "Drop " (what) " for good?" }
                    (hidden)
                    p.hint { "They cannot be replayed after that. The history of their tries stays. Letters that come meanwhile stay, too." }
                    @if total > LARGE {
                        input type="hidden" name="count" value=(total);
                        label { span { "Type " (total) " to drop them" }
                            input name="typed" inputmode="numeric" autocomplete="off" required; }
                    }
                    button.button.danger { "Drop " (what) }
                }
            }))
        }
    }
}

fn row(
    page: &Page,
    record: &LetterRecord,
    projects: &Projects,
    labels: &HashMap<JobId, JobLabel>,
) -> Markup {
    let letter = &record.letter;
    let jobs: Vec<u64> = letter.members.iter().take(NAMED).collect();
    let more = letter.members.len() - jobs.len() as u64;
    let first = jobs.first().map(|job| {
        let occurrence = Occurrence { job: *job, scheduled: letter.scheduled, run: letter.run };
        format!("/ui/activity/{}", occurrence_id(record.cluster, occurrence))
    });
    html! {
        tr {
            td.lead data-label="Given up" {
                @match &first {
                    Some(place) => a href=(place) { (page.context.brief(letter.created, None)) },
                    None => (page.context.brief(letter.created, None)),
                }
            }
            td data-label="Jobs" {
                @for (at, job) in jobs.iter().enumerate() {
                    @if at > 0 { ", " }
                    (job_link(*job, labels.get(job)))
                }
                @if more > 0 { span.muted { " and " (count(more)) " more" } }
                @if let Some(target) = jobs.first().and_then(|job| labels.get(job)).map(|label| &label.target) {
                    div.hint { a.plain href=(address("/ui/dead-letters", [("target", target.as_str())])) { (clipped(target, 48)) } }
                }
            }
            td.num data-label="Tries" { (letter.attempt) }
            td data-label="Last answer" {
                span.code { (letter.result) }
                @if let Some(error) = &letter.error {
                    @if *error != letter.result.to_string() { " " span.muted { (clipped(error, 60)) } }
                }
            }
            td data-label="Due" { (page.context.brief(letter.due, None)) }
            td data-label="Project" {
                a.plain href=(address("/ui/dead-letters", [("project", letter.project.to_string().as_str())])) { (projects.name(letter.project)) }
            }
            td.end {
                @if page.may(Action::DeadLettersWrite) {
                    div.actions {
                        form method="post" action={ "/ui/dead-letters/" (letter.id) "/replay" } {
                            button.button.small { (icon("retry")) "Replay" }
                        }
                        (menu("right quiet small", html! { span.hidden { "Drop" } (icon("trash")) }, html! {
                            form.stack method="post" action={ "/ui/dead-letters/" (letter.id) "/purge" } {
                                p.menu-title { "Drop this letter for good?" }
                                button.button.danger { "Drop the letter" }
                            }
                        }))
                    }
                }
            }
        }
    }
}

fn number(id: &str) -> Result<u64, PageError> {
    id.parse().map_err(|_| PageError::no_record("dead letter"))
}

/// `POST /ui/dead-letters/{id}/replay`.
pub(crate) async fn replay(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    let done_for = page.ui.app.replay_dead_letter(&page.actor, number(&id)?).await?;
    let told = format!("{} tried again now.", counted(done_for.occurrences, "occurrence"));
    Ok(done("/ui/dead-letters", &told))
}

/// `POST /ui/dead-letters/{id}/purge`.
pub(crate) async fn purge(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.ui.app.purge_dead_letter(&page.actor, number(&id)?).await?;
    Ok(done("/ui/dead-letters", "The letter is dropped."))
}

/// The letters that a form is about: those of its filter, or all, up to the last one that there was
/// when the form was made. What cannot be read is refused, and never widens the selection.
fn selection(verb: &'static str, form: &Form) -> Result<LetterSelection, Error> {
    let number = |name: &'static str| {
        let wrong = |_| Error::invalid(name, format!("{name} must be a whole number"));
        form.text(name).map(|text| text.parse::<u64>().map_err(wrong)).transpose()
    };
    let filter = LetterFilter {
        project: number("project")?,
        job: number("job")?,
        target: form.text("target").map(str::to_owned),
        ..LetterFilter::default()
    };
    let all = filter == LetterFilter::default();
    let last = number("last")?.ok_or_else(|| {
        Error::invalid("last", "the form does not say which letters it was made for: load the page")
    })?;
    Ok(LetterSelection::new(verb, filter, all)?.up_to(last))
}

/// Checks that who drops many letters knows how many.
fn agreed(form: &Form, now: u64) -> Result<(), Error> {
    let typed = form.text("typed").map(|text| text.replace(',', ""));
    if now > LARGE && (typed.is_none() || typed.as_deref() != form.text("count")) {
        let message = format!("type the number of letters that the page showed: it is {now} now");
        return Err(Error::invalid("typed", message));
    }
    Ok(())
}

/// `POST /ui/dead-letters/replay`.
pub(crate) async fn replay_all(page: Page, form: Form) -> Result<Response, PageError> {
    let rate = form.text("rate").map(|text| text.parse().unwrap_or(0));
    let rate = rate.map(replay_rate).transpose()?;
    let chosen = selection("replay", &form)?;
    let key = page.key(&form, "ui replay", &format!("{chosen:?} {rate:?}"));
    let result = page.ui.app.replay_dead_letters(&page.actor, key, chosen, rate, false).await?;
    let told = format!(
        "{} with {} replayed.",
        counted(result.letters, "letter"),
        counted(result.occurrences, "occurrence")
    );
    Ok(done("/ui/dead-letters", &told))
}

/// `POST /ui/dead-letters/purge`.
pub(crate) async fn purge_all(page: Page, form: Form) -> Result<Response, PageError> {
    let chosen = selection("purge", &form)?;
    let key = page.key(&form, "ui purge", &format!("{chosen:?}"));
    let found = page.ui.app.purge_dead_letters(&page.actor, None, chosen.clone(), true).await?;
    agreed(&form, found.letters)?;
    let result = page.ui.app.purge_dead_letters(&page.actor, key, chosen, false).await?;
    Ok(done("/ui/dead-letters", &format!("{} dropped.", counted(result.letters, "letter"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::of(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn what_cannot_be_read_never_widens_a_selection() {
        assert!(selection("purge", &form(&[("last", "7")])).is_ok());
        assert!(selection("purge", &form(&[("last", "7"), ("job", "3")])).is_ok());
        for bad in [
            &[("job", "3")][..],
            &[("last", "x")],
            &[("last", "7"), ("job", "3x")],
            &[("last", "7"), ("project", "-1")],
        ] {
            assert!(selection("purge", &form(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn many_letters_are_dropped_only_by_who_knows_how_many() {
        assert!(agreed(&form(&[]), LARGE).is_ok());
        assert!(agreed(&form(&[]), LARGE + 1).is_err());
        assert!(agreed(&form(&[("count", "1500"), ("typed", "15")]), 1_400).is_err());
        assert!(agreed(&form(&[("count", "1500"), ("typed", "1,500")]), 1_400).is_ok());
    }
}
