//! `GET /ui/jobs/preview`: what a schedule means, in words and in instants, while it is entered.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use chrono_tz::Tz;
use maud::{Markup, html};

use crate::app::jobs::preview::{PreviewInput, ScheduleInput};
use crate::model::Millis;
use crate::model::job::Job;
use crate::schedule::{DstRule, parse_at, parse_zone};
use crate::ui::context::Page;
use crate::ui::error::{PageError, sentence};
use crate::ui::form::Form;
use crate::ui::icons::icon;
use crate::ui::jobs::fields::DST;
use crate::ui::jobs::show::mark_words;
use crate::ui::time::{city, local};

/// The instants that are shown.
const SHOWN: usize = 5;

/// `GET /ui/jobs/preview?when=&spec=&at=&after=&timezone=&dst=&start=&end=&jitter=`: a part of a
/// page.
pub(crate) async fn show_preview(page: Page) -> Response {
    part(&page, None).await
}

/// `GET /ui/jobs/{id}/preview?...`: the same for a job that is there, by its own number and start.
pub(crate) async fn show_preview_of(
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::no_record("job"))?;
    let record = page.ui.app.get_job(&page.actor, id).await?;
    Ok(part(&page, Some(&record.job)).await)
}

async fn part(page: &Page, job: Option<&Job>) -> Response {
    let form = Form::of(page.context.query.clone());
    Html(of_form(page, &form, job).await.into_string()).into_response()
}

/// The preview of what a form has so far, for a job that is there or a new one.
pub(crate) async fn of_form(page: &Page, form: &Form, job: Option<&Job>) -> Markup {
    let text = |name: &str| form.text(name).map(str::to_owned);
    let schedule = match form.text("when") {
        Some("at") => text("at").map(ScheduleInput::At),
        Some("after") => text("after").map(ScheduleInput::After),
        _ => text("spec").map(ScheduleInput::Spec),
    };
    let Some(schedule) = schedule else {
        return html! { p.muted.pad { "Enter a schedule to see when it fires." } };
    };
    let zone = match parse_zone(form.text("timezone").unwrap_or("UTC")) {
        Ok(zone) => zone,
        Err(error) => return wrong(&error.to_string()),
    };
    let dst = form.text(DST).and_then(|dst| serde_json::from_str(dst).ok()).unwrap_or_default();
    let now = page.ui.app.now();
    // What is no date yet has its error when the form is sent.
    let bound = |name| parse_at(form.text(name)?, zone, DstRule::default()).ok();
    let (start, end) = (bound("start"), bound("end").unwrap_or(Millis::MAX));
    let from = start.map_or(now, |start| now.max(start.saturating_sub(1)));
    let jitter = form.text("jitter").filter(|_| form.text("when") != Some("at"));
    let input = PreviewInput { schedule, zone, dst, from, count: SHOWN, job: job.map(Into::into) };
    let notes = input.warnings();
    match page.ui.app.preview_schedule(&page.actor, input).await {
        Err(error) => wrong(error.detail()),
        Ok(mut shown) => {
            shown.occurrences.retain(|one| one.utc <= end);
            let own = page.context.own_zone.filter(|own| *own != zone);
            html! {
                p.pad.preview-words { (shown.description) }
                @for note in &notes { p.pad.note { (icon("warn")) (sentence(note)) } }
                @if let Some(jitter) = jitter { p.pad.note { (icon("clock")) "Each run is delayed by up to " (jitter) "." } }
                @if shown.occurrences.is_empty() {
                    p.muted.pad {
                        @if end < Millis::MAX { "It does not fire before its end." }
                        @else { "It does not fire any more: the instant has passed." }
                    }
                } @else {
                    table.instants {
                        caption.hidden { "The next instants" }
                        thead { tr { th scope="col" { (city(zone.name())) } @if let Some(own) = own { th scope="col" { "Yours, " (city(own.name())) } } th scope="col" { "From now" } } }
                        tbody {
                            @for one in &shown.occurrences {
                                tr {
                                    td.num { (in_zone(one.utc, zone)) }
                                    @if let Some(own) = own { td.num.muted { (in_zone(one.utc, own)) } }
                                    td.muted { (page.context.relative_time(one.utc)) }
                                }
                                @if let Some(mark) = one.dst { tr { td.dst colspan="3" { (icon("warn")) (mark_words(mark)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn in_zone(at: i64, zone: Tz) -> String {
    local(at, zone).map(|local| local.format("%a %-d %b %H:%M:%S").to_string()).unwrap_or_default()
}

fn wrong(problem: &str) -> Markup {
    html! { p.pad.note.bad { (icon("warn")) (sentence(problem)) } }
}
