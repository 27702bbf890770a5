//! `GET /ui/jobs/{id}/why?at=`: why a job ran at an instant, or did not. The sentence is that of
//! `app`; the list below it goes through the conditions one by one.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::history::{Account, Explained, Explanation, FiringState};
use crate::model::Millis;
use crate::model::attempt::occurrence_id;
use crate::model::delivery::Overlap;
use crate::model::postponement::parts as parts_of_error;
use crate::model::time::rfc3339;
use crate::schedule::{Check, describe, describe_at, show_duration};
use crate::ui::context::{Page, address};
use crate::ui::error::{PageError, sentence};
use crate::ui::icons::icon;
use crate::ui::jobs::describe as jobs;
use crate::ui::lists::is_hidden;
use crate::ui::parts::{banner, card, state_chip, verdict_chip};
use crate::ui::shell::Place;
use crate::ui::time::{city, local};
use crate::ui::words::{count, length};

/// One condition: whether it was met, its name, and its facts.
struct Step {
    met: Option<bool>,
    name: &'static str,
    facts: Markup,
}

/// `GET /ui/jobs/{id}/why?at=`.
pub(crate) async fn show_why(page: Page, Path(id): Path<String>) -> Result<Response, PageError> {
    page.require(Action::HistoryRead)?;
    let id = id.parse().map_err(|_| PageError::no_record("job"))?;
    let record = match page.ui.app.get_job(&page.actor, id).await {
        Ok(record) => Some(record),
        Err(error) if is_hidden(&error) => None,
        Err(error) => return Err(error.into()),
    };
    let zone = record.as_ref().map(|record| record.job.definition.timezone.clone());
    let (at, problem) = match asked(&page, zone.as_deref()) {
        Ok(at) => (at, None),
        Err(problem) => (None, Some(problem)),
    };
    let last = record.as_ref().and_then(|record| record.last);
    let at = at.or(last).unwrap_or(page.context.now);
    let found = page.ui.app.explain_job(&page.actor, id, at).await?;
    let name = record.as_ref().map_or_else(|| format!("Job {id} (deleted)"), jobs::name);
    let body = html! {
        nav.crumbs aria-label="Path" {
            a href="/ui/jobs" { "Jobs" } (icon("right"))
            a href={ "/ui/jobs/" (id) } { (name) } (icon("right"))
            span { "Why" }
        }
        div.page-head {
            h1 { "Why did it run, or not?" }
            span.grow {}
            (neighbours(id, &found))
        }
        (asking(&page, at, zone.as_deref()))
        @if let Some(problem) = problem { (banner("bad", problem)) }
        section.answer {
            (state_chip(found.state()))
            p.answer-text { (sentence(&found.summary())) }
        }
        @for note in found.notes() { (banner("info", sentence(&note))) }
        (card("Step by step", html! { (copy(&name, at, &found)) }, steps(&page, &found, zone.as_deref())))
        @for run in &found.facts.manual {
            (card("Run by hand", html! { (state_chip(run.state.name())) }, html! {
                p.pad { (sentence(&found.told(run))) " " a href={ "/ui/activity/" (occurrence_id(found.facts.cluster, run.occurrence)) } { "Open" } }
            }))
        }
    };
    Ok(page.document(Place::Jobs, &format!("Why, {name}"), body))
}

/// The instant in the address: RFC 3339, or date and time on the clock of the zone that is shown.
/// That clock may show a time twice: `was` is the instant that the form was made for, and holds as
/// long as the clock showed what the form says.
fn asked(page: &Page, zone: Option<&str>) -> Result<Option<Millis>, String> {
    let Some(text) = page.context.parameter("at") else { return Ok(None) };
    let was = page.context.parameter("was").and_then(|was| was.parse().ok());
    let is_same = |was: &Millis| {
        shown_clock(page, *was, zone).is_some_and(|shown| shown.starts_with(text.trim()))
    };
    if let Some(was) = was.filter(is_same) {
        return Ok(Some(was));
    }
    page.context.read_instant(text, zone).map(Some)
}

/// An instant on the clock that is shown, as the input of the form has it.
fn shown_clock(page: &Page, at: Millis, zone: Option<&str>) -> Option<String> {
    let local = local(at, page.context.zone_for(zone))?;
    Some(local.format("%Y-%m-%dT%H:%M:%S").to_string())
}

fn asking(page: &Page, at: Millis, zone: Option<&str>) -> Markup {
    let shown = page.context.zone_for(zone);
    let value = shown_clock(page, at, zone);
    html! {
        form.filter method="get" {
            label { span.hidden { "Instant" }
                input type="datetime-local" name="at" step="1" value=[value]; }
            input type="hidden" name="was" value=(at);
            span.muted { (city(shown.name())) }
            button.button { "Ask" }
        }
    }
}

fn neighbours(id: u64, found: &Explanation) -> Markup {
    let to = |at: Millis| address(&format!("/ui/jobs/{id}/why"), [("at", rfc3339(at).as_str())]);
    html! {
        div.actions {
            @if let Some(before) = found.facts.previous { a.button href=(to(before.scheduled)) { (icon("left")) "The one before" } }
            @if let Some(after) = found.facts.next { a.button href=(to(after.scheduled)) { "The one after" (icon("right")) } }
        }
    }
}

/// The explanation as a text that can be copied into a message.
fn copy(name: &str, at: Millis, found: &Explanation) -> Markup {
    let mut text = format!("{name} at {}: {}", rfc3339(at), sentence(&found.summary()));
    for note in found.notes() {
        text.push('\n');
        text.push_str(&sentence(&note));
    }
    html! { button.button.small type="button" data-copy-text=(text) hidden { (icon("copy")) "Copy as text" } }
}

fn steps(page: &Page, found: &Explanation, zone: Option<&str>) -> Markup {
    let (facts, at) = (&found.facts, found.at);
    let mut steps = vec![existed(page, facts, at), scheduled(facts)];
    if facts.plan.is_some() {
        steps.push(not_paused(page, facts, zone));
        steps.push(no_policy(facts));
        steps.push(somebody(page, facts, at));
    }
    steps.push(call(page, facts, zone));
    html! {
        ol.steps {
            @for step in &steps {
                li class=[step.met.map(|met| if met { "met" } else { "unmet" })] {
                    span.step-mark { (icon(match step.met { Some(true) => "check", Some(false) => "x", None => "dot" })) }
                    div.step-name { (step.name) }
                    div.step-facts { (step.facts) }
                }
            }
        }
    }
}

fn existed(page: &Page, facts: &Explained, at: Millis) -> Step {
    let (name, job) = ("The job existed", facts.timeline.job.as_ref());
    let met = facts.plan.is_some();
    let markup = html! {
        @match job {
            Some(job) => {
                "Created " (page.context.instant(job.created, None)) ", version " (job.version) " now."
            },
            None => "It was deleted since.",
        }
        @if !met { " Nothing is known of its plan at " (rfc3339(at)) "." }
    };
    Step { met: Some(met), name, facts: markup }
}

fn scheduled(facts: &Explained) -> Step {
    let name = "The schedule has it";
    let Some((plan, reading)) =
        facts.plan.map(|plan| &facts.timeline.plans[plan]).zip(facts.reading.as_ref())
    else {
        return Step { met: None, name, facts: html! { "There is no plan to ask." } };
    };
    let words = if plan.definition.is_one_off() {
        describe_at(plan.anchor, plan.zone)
    } else {
        describe(&plan.definition.spec)
    };
    let markup = html! {
        div { (words) @if !plan.definition.spec.is_empty() { " " code { (plan.definition.spec) } } }
        div.checks { @for check in &reading.checks { (checked(check)) } }
        div.muted { (reading.local) " in " (reading.zone.name()) }
        @if !facts.in_bounds { div { "It lies outside of startDate and endDate." } }
    };
    Step { met: Some(reading.due && facts.in_bounds), name, facts: markup }
}

fn checked(check: &Check) -> Markup {
    html! {
        span.check.unmet[!check.met] title=(check.meaning) {
            (icon(if check.met { "check" } else { "x" }))
            (check.name.replace('-', " ")) " " (check.value)
            @if !check.met { span.muted { ", wants " (check.wants) } }
        }
    }
}

fn not_paused(page: &Page, facts: &Explained, zone: Option<&str>) -> Step {
    let plan = facts.plan.map(|plan| &facts.timeline.plans[plan]);
    let firing = plan.map(|plan| plan.firing);
    let pause = facts.project_pause.as_ref();
    let markup = html! {
        @match firing {
            Some(FiringState::Paused) => "The job was paused.",
            Some(FiringState::Disabled) => "The job was disabled: its target had answered 410 Gone.",
            _ => "The job was active.",
        }
        @match pause {
            Some(pause) => {
                " Its project was paused from " (page.context.instant(pause.from, zone))
                @if let Some(end) = pause.end() { " to " (page.context.instant(end, zone)) } "."
            },
            None => " Its project was active.",
        }
    };
    let met = firing == Some(FiringState::Active) && pause.is_none();
    Step { met: Some(met), name: "Nothing paused it", facts: markup }
}

fn no_policy(facts: &Explained) -> Step {
    let name = "No policy left it out";
    let Some(plan) = facts.plan.map(|plan| &facts.timeline.plans[plan]) else {
        return Step { met: None, name, facts: html! {} };
    };
    let skipped = facts.account.as_ref().and_then(|account| account.state.reason());
    let definition = &plan.definition;
    let markup = html! {
        (overlap(definition.overlap))
        @if definition.jitter > 0 { " Jitter up to " (show_duration(definition.jitter)) "." }
        @if let Some(reason) = skipped { " It was skipped: " strong { (reason.name().replace('_', " ")) } "." }
    };
    Step { met: Some(skipped.is_none()), name, facts: markup }
}

/// An overlap policy in a sentence.
fn overlap(policy: Overlap) -> &'static str {
    match policy {
        Overlap::Allow => "Runs of the job may overlap.",
        Overlap::Skip => "It is skipped while the run before is under way.",
        Overlap::QueueOne => "One may wait for the run before.",
        Overlap::CancelPrevious => "It cancels the run before.",
        Overlap::Queue { .. } => "It waits in line behind the runs before.",
    }
}

fn somebody(page: &Page, facts: &Explained, at: Millis) -> Step {
    let name = "Somebody was there";
    let Some(shard) = &facts.progress.shard else {
        return Step { met: Some(false), name, facts: html! { "The cluster is being founded." } };
    };
    let due = facts.account.as_ref().map_or(at, |account| account.due);
    let watermark = facts.progress.watermark(due);
    let is_recorded = watermark >= due || due > page.context.now;
    let markup = html! {
        "Shard " (shard.id) ": "
        @if shard.owner == 0 { "no node has it." } @else { "node " (shard.owner) ", epoch " (count(shard.epoch)) "." }
        " All up to " (page.context.instant(watermark, None)) " is recorded."
    };
    Step { met: Some(shard.owner != 0 && is_recorded), name, facts: markup }
}

fn call(page: &Page, facts: &Explained, zone: Option<&str>) -> Step {
    let name = "The call";
    let Some(account) = &facts.account else {
        let next = html! {
            "There was none."
            @if let Some(next) = facts.next { " The next one is due " (page.context.instant(next.due, zone)) "." }
        };
        return Step { met: None, name, facts: next };
    };
    let met = match account.state.name() {
        "delivered" => Some(true),
        "dead" | "missing" | "skipped" => Some(false),
        _ => None,
    };
    Step { met, name, facts: tries(page, facts, account, zone) }
}

fn tries(page: &Page, facts: &Explained, account: &Account, zone: Option<&str>) -> Markup {
    let sent =
        account.attempts.iter().filter(|one| one.record.attempt > 0 && one.record.since.is_none());
    html! {
        @for one in sent {
            div.try {
                (verdict_chip(one.record.verdict)) " try " (one.record.attempt)
                ", " span.code { (one.record.result) } " after " (length(one.record.duration.into()))
                span.muted { " · " (page.context.instant(one.record.started, zone)) " · node " (one.node) }
                @if let Some(error) = parts_of_error(one.record.error.as_deref()).1 { div.muted { (error) } }
            }
        }
        @if let Some(row) = &account.pending {
            div { "Try " (row.attempt) @match row.attempt_at() { Some(at) => { " is due " (page.context.instant_from_now(at, zone)) }, None => " waits", } "." }
        }
        a href={ "/ui/activity/" (occurrence_id(facts.cluster, account.occurrence)) } { "Open the occurrence" }
    }
}
