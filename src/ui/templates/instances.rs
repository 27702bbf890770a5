//! The jobs that a template made, with how far each is. `show` calls it.

use std::collections::HashMap;

use maud::{Markup, html};

use crate::app::history::Execution;
use crate::app::jobs::JobRecord;
use crate::app::page::Page as ListPage;
use crate::app::runs::RunRecord;
use crate::app::templates::InstanceFilter;
use crate::app::{Action, Error};
use crate::model::JobId;
use crate::model::job::JobStatus;
use crate::model::template::Template;
use crate::ui::context::Page;
use crate::ui::jobs::describe;
use crate::ui::jobs::instance::terminate_menu;
use crate::ui::jobs::list::{next, recent};
use crate::ui::lists::{Gather, Listed, cursor, read_cursor};
use crate::ui::parts::{
    card, chip, clipped, empty, job_chip, pager, run_chip, table, verdict_chip,
};
use crate::ui::words::count;

/// The instances of a page.
const ROWS: u64 = 20;
/// The states that the list can be narrowed to: the value in the address, the words, and whether
/// the instances are live.
const STATES: [(&str, &str, Option<bool>); 3] =
    [("", "All", None), ("live", "Live", Some(true)), ("over", "Over", Some(false))];
const HEAD: &[&str] = &["Job", "State", "Progress", "Due", "Version", ""];

/// The instances of a page, with what is known of each.
struct Instances {
    listed: Listed<JobRecord>,
    recent: HashMap<JobId, Vec<Execution>>,
    runs: HashMap<JobId, RunRecord>,
}

/// The card of the instances, newest first. `state` and `after` in the address choose them.
pub(super) async fn instance_card(page: &Page, template: &Template) -> Result<Markup, Error> {
    let context = &page.context;
    let state = context.parameter("state").unwrap_or_default();
    let live = STATES.iter().find(|(value, ..)| *value == state).and_then(|(.., live)| *live);
    let after = context.parameter("after").and_then(read_cursor);
    let all = read(page, InstanceFilter { template: template.id, live }, after).await?;
    let to = |changes: &[(&str, Option<&str>)]| context.address_with(changes);
    let first = after.map(|_| to(&[("after", None)]));
    let next = all.listed.next.map(cursor);
    let next = next.map(|next| to(&[("after", Some(&next))]));
    let more = html! {
        span.muted.num { (count(all.listed.total.count)) }
        span.grow {}
        nav.segments aria-label="State" {
            @for (value, name, _) in STATES {
                @let value = Some(value).filter(|value| !value.is_empty());
                a href=(to(&[("state", value), ("after", None)])) aria-current=[(value.unwrap_or_default() == state).then_some("true")] { (name) }
            }
        }
    };
    let body = html! {
        @if all.listed.records.is_empty() { (nothing(template, live)) } @else {
            (table("Instances", HEAD, html! {
                @for record in &all.listed.records { (row(page, template, record, &all)) }
            }))
            @if first.is_some() || next.is_some() {
                (pager(all.listed.records.len(), first.as_deref(), next.as_deref()))
            }
        }
    };
    Ok(card("Jobs of it", more, body))
}

async fn read(
    page: &Page,
    filter: InstanceFilter,
    after: Option<crate::app::page::After>,
) -> Result<Instances, Error> {
    let order = ListPage { limit: ROWS, descending: true, after, ..ListPage::default() };
    let listed = page.ui.app.list_instances(&page.actor, filter, order, Gather::new(ROWS)).await?;
    let recent = recent(page, &listed.records).await?;
    let under_way =
        listed.records.iter().filter(|one: &&JobRecord| one.status == JobStatus::Active);
    let under_way: Vec<_> = under_way.map(|record| record.job.id).collect();
    let runs = if page.may(Action::RunsRead) && !under_way.is_empty() {
        page.ui.app.open_runs_of(&page.actor, under_way).await?
    } else {
        Vec::new()
    };
    let runs = runs.into_iter().map(|run| (run.occurrence.job, run)).collect();
    Ok(Instances { listed, recent, runs })
}

fn nothing(template: &Template, live: Option<bool>) -> Markup {
    let (title, text) = match live {
        Some(true) => ("Nothing waits or runs", "What is made of it shows up here."),
        Some(false) => ("None is over yet", "Jobs that have ended stay here, as many as it keeps."),
        None if template.user_triggered => {
            ("No jobs yet", "Each job that is made of this template shows up here.")
        }
        None => ("No job yet", "It makes the first one by itself when it is active."),
    };
    empty(title, text, html! {})
}

fn row(page: &Page, template: &Template, record: &JobRecord, all: &Instances) -> Markup {
    let id = record.job.id;
    let place = format!("/ui/jobs/{id}");
    let is_live = record.status != JobStatus::Completed;
    let run = all.runs.get(&id);
    let last = all.recent.get(&id).and_then(|found| found.first());
    let made_by = record.job.definition.template.map_or(0, |made| made.version);
    html! {
        tr data-href=(place) {
            td.lead data-label="Job" { a href=(place) { (clipped(&describe::name(record), 36)) } }
            td data-label="State" { (state(record, run, last)) }
            td data-label="Progress" { (progress(run)) }
            td data-label="Due" {
                @if is_live && record.next.is_some() { (next(page, record)) }
                @else { (page.context.brief(record.job.anchor, None)) }
            }
            td.num data-label="Version" {
                (made_by) @if made_by != template.version { span.muted { ", now " (template.version) } }
            }
            td.end {
                @if is_live && page.may(Action::JobsWrite) {
                    (terminate_menu("right small", record, template.reschedule, &page.context.address()))
                }
            }
        }
    }
}

/// The state of an instance: of its run while that is under way, of its end when it is over.
fn state(record: &JobRecord, run: Option<&RunRecord>, last: Option<&Execution>) -> Markup {
    match (record.status, run, last) {
        (JobStatus::Active, Some(run), _) => run_chip(run.state),
        (JobStatus::Active, None, None) => chip("pending", "scheduled"),
        (JobStatus::Active | JobStatus::Completed, _, Some(last)) => verdict_chip(last.verdict),
        (status, ..) => job_chip(status),
    }
}

fn progress(run: Option<&RunRecord>) -> Markup {
    let percent = run.and_then(|run| run.progress);
    let message = run.and_then(|run| run.message.as_deref());
    html! {
        @if let Some(percent) = percent {
            progress max="100" value=(percent) { (percent) " %" } " " span.num { (percent) " %" }
        }
        @if let Some(message) = message { " " span.muted { (clipped(message, 40)) } }
        @if percent.is_none() && message.is_none() { span.muted { "–" } }
    }
}
