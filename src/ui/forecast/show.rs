//! `GET /ui/forecast`: the next 24 hours, minute by minute, and the next occurrences.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use chrono::Timelike;
use maud::{Markup, html};

use crate::app::forecast::{Forecast, Freshness, Peak, Span, UpcomingFirings};
use crate::app::jobs::JobLabel;
use crate::app::{Action, Error};
use crate::model::{JobId, Millis, ProjectId};
use crate::ui::context::{Page, address};
use crate::ui::error::{PageError, sentence};
use crate::ui::forecast::coming::{schedule, who};
use crate::ui::forecast::heat::{MINUTES, Row, heat};
use crate::ui::forecast::spread::address_of;
use crate::ui::icons::icon;
use crate::ui::inputs::project_choice;
use crate::ui::jobs::describe::recurring;
use crate::ui::lists::Projects;
use crate::ui::parts::{card, empty, late, table};
use crate::ui::shell::Place;
use crate::ui::time::local;
use crate::ui::words::{count, counted, percent};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const HOURS: usize = 24;
/// The next occurrences that are listed.
const COMING: usize = 100;
/// The events after which what is planned may be another thing.
const CHANGES: &str = "job_created job_deleted job_updated project_changed";

/// `GET /ui/forecast?project=`.
pub(crate) async fn show_forecast(page: Page, headers: HeaderMap) -> Result<Response, PageError> {
    page.require(Action::JobsRead)?;
    let project = page.context.number("project")?.filter(|id| *id > 0);
    let projects = page.projects_with(project).await?;
    let map = late("map", CHANGES, map(&page, project).await);
    let coming = coming(&page, project, &projects).await?;
    let coming = late("coming", "executions job_created job_deleted job_updated", coming);
    if let Some(part) = page.asked_part(&headers, &[("map", &map), ("coming", &coming)]) {
        return Ok(part);
    }
    let body = html! {
        div.page-head {
            h1 { "Forecast" }
            span.muted { "the next 24 hours" }
            span.grow {}
            (chooser(&projects, project))
        }
        (map)
        (coming)
    };
    Ok(page.document(Place::Forecast, "Forecast", body))
}

fn chooser(projects: &Projects, chosen: Option<ProjectId>) -> Markup {
    let chosen = chosen.map(|id| id.to_string()).unwrap_or_default();
    html! {
        form.filter method="get" action="/ui/forecast" {
            label { span.hidden { "Project" }
                (project_choice(projects, &chosen, Some("All projects")))
            }
            button.button { "Show" }
        }
    }
}

/// The map with its peaks; `None` where it is still being reckoned.
async fn map(page: &Page, project: Option<ProjectId>) -> Option<Markup> {
    // A row is an hour of the clock that is shown, and the first one is under way.
    let now = page.context.now;
    let zone = page.context.zone_for(None);
    let into =
        local(now, zone).map_or(0, |at| i64::from(at.minute()) * MINUTE + now.rem_euclid(MINUTE));
    let begin = now - into;
    let from = now - now.rem_euclid(MINUTE) + MINUTE;
    let until = begin + HOURS as Millis * HOUR;
    let buckets = usize::try_from((until - from) / MINUTE).unwrap_or(1).max(1);
    let span = Span { from, until, buckets };
    let (app, actor) = (Arc::clone(&page.ui.app), page.actor.clone());
    let work = async move { app.forecast(&actor, project, span, Freshness::Kept).await };
    Some(match page.within("map", work).await? {
        Ok(found) => drawn(page, &found, begin),
        Err(error) => failed("By the minute", &error),
    })
}

fn failed(title: &str, error: &Error) -> Markup {
    card(title, html! {}, html! { p.pad.note.bad { (icon("warn")) (sentence(error.detail())) } })
}

fn drawn(page: &Page, found: &Forecast, begin: Millis) -> Markup {
    let zone = page.context.zone_for(None);
    let clock =
        |at: Millis| local(at, zone).map(|at| at.format("%H:%M").to_string()).unwrap_or_default();
    let at = |minute: usize| begin + minute as Millis * MINUTE;
    let skipped = usize::try_from((found.span.from - begin) / MINUTE).unwrap_or(0);
    let count_at = |minute: usize| {
        minute.checked_sub(skipped).map(|place| found.counts.get(place).copied().unwrap_or(0))
    };
    let rows: Vec<_> = (0..HOURS)
        .map(|hour| {
            let minutes: Vec<_> =
                (0..MINUTES).map(|minute| count_at(hour * MINUTES + minute)).collect();
            let sum: u64 = minutes.iter().flatten().sum();
            let begin = clock(at(hour * MINUTES));
            let title = format!("from {begin}: {}", counted(sum, "occurrence"));
            Row { clock: begin, title, minutes }
        })
        .collect();
    let total: u64 = found.counts.iter().sum();
    let more = html! {
        span.grow {}
        span.muted.num { (counted(total, "occurrence")) }
    };
    let body = html! {
        @if total == 0 {
            (empty("Nothing is planned", "No active job has an occurrence within the next 24 hours.", html! {}))
        } @else {
            (heat(&format!("{} in 24 hours, by the minute", counted(total, "occurrence")), &rows))
            details.as-table {
                summary { "As a table" }
                table.instants {
                    caption.hidden { "Occurrences by the hour" }
                    thead { tr { th scope="col" { "From" } th scope="col" { "Occurrences" } th scope="col" { "Most in a minute" } } }
                    tbody {
                        @for row in &rows {
                            tr {
                                td.num { (row.clock) }
                                td.num { (count(row.minutes.iter().flatten().sum())) }
                                td.num { (count(row.minutes.iter().flatten().copied().max().unwrap_or(0))) }
                            }
                        }
                    }
                }
            }
        }
        @if found.left_out > 0 {
            p.muted.pad.hint { "Without " (counted(found.left_out, "job")) ": to reckon all would take too long." }
        }
    };
    html! {
        (card("By the minute", more, body))
        @if !found.peaks.is_empty() { (peaks(page, &found.peaks)) }
    }
}

fn peaks(page: &Page, peaks: &[Peak]) -> Markup {
    let body = html! {
        ul.lines {
            @for peak in peaks {
                li {
                    div.line {
                        span.line-when { (page.context.brief(peak.at, None)) }
                        span.line-name.num { (counted(peak.count, "occurrence")) }
                        span.line-text.muted {
                            (percent(peak.of_largest, peak.count)) " of one schedule: "
                            @if peak.spec.is_empty() { "one-offs" } @else { (recurring(&peak.spec, &peak.timezone)) " " code { (peak.spec) } }
                        }
                        a href=(address("/ui/jobs", [("q", format!("project:{}", peak.project).as_str())])) { "Its project" }
                        @if let Some(spread) = spread_of(page, peak) {
                            a.button href=(spread) aria-label={ "Spread the jobs of " (peak.spec) } { "Spread" }
                        }
                    }
                }
            }
        }
        p.muted.pad.hint { "A jitter, or an H in place of the minute, spreads jobs that need not start together." }
    };
    card("Peaks", html! {}, body)
}

/// The page that spreads the jobs of a peak, for who may change them.
fn spread_of(page: &Page, peak: &Peak) -> Option<String> {
    let address = address_of(peak.project, &peak.spec, &peak.timezone);
    address.filter(|_| page.may(Action::JobsWrite))
}

/// What comes next; `None` where it is still being reckoned.
async fn coming(
    page: &Page,
    project: Option<ProjectId>,
    projects: &Projects,
) -> Result<Option<Markup>, Error> {
    let found = match page.upcoming("coming", project, COMING).await {
        None => return Ok(None),
        Some(Err(error)) => return Ok(Some(failed("Next", &error))),
        Some(Ok(found)) => found,
    };
    let labels = page.labels(found.firings.iter().map(|one| one.first)).await?;
    let more = html! { span.grow {} span.muted { "retries and runs by hand are not in it" } };
    let body = if found.firings.is_empty() {
        empty("Nothing is due", "All jobs are paused or over.", html! {})
    } else {
        rows(page, &found, &labels, projects)
    };
    let left_out = html! {
        @if found.left_out > 0 {
            p.muted.pad.hint { "Without " (counted(found.left_out, "job")) " whose runs are spread." }
        }
    };
    Ok(Some(card("Next", more, html! { (body) (left_out) })))
}

fn rows(
    page: &Page,
    found: &UpcomingFirings,
    labels: &HashMap<JobId, JobLabel>,
    projects: &Projects,
) -> Markup {
    table(
        "Next occurrences",
        &["Due", "Jobs", "Schedule", "From now", "Project"],
        html! {
            @for one in &found.firings {
                tr data-href={ "/ui/jobs/" (one.first) } {
                    td.lead data-label="Due" { a href={ "/ui/jobs/" (one.first) } { (page.context.brief(one.due, None)) } }
                    td data-label="Jobs" { (who(one, labels)) @if one.jobs > 1 { span.muted { ", the first is " (one.first) } } }
                    td data-label="Schedule" { (schedule(one)) }
                    td data-label="From now" { (page.context.relative_time(one.due)) }
                    td data-label="Project" { (projects.name(one.project)) }
                }
            }
        },
    )
}
