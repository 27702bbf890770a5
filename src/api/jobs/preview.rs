//! The meaning of a schedule: previews of a schedule in a request, and the next occurrences of a
//! job.
//!
//! Both use the functions that fire jobs, and answer in the form of [`crate::schedule::Preview`].
//! Nothing here writes: previews are answered while a node refuses writes.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono_tz::Tz;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::{body, respond};
use crate::api::jobs::get::missing_job;
use crate::api::state::App;
use crate::app::Action;
use crate::app::jobs::next_runs::{ScheduleCache, Upcoming};
use crate::model::Millis;
use crate::schedule::{
    DstRule, Field, LAST, Mark, Preview, Schedule, asked_anchor, describe, describe_after,
    describe_at, fields, parse_at, parse_at_marked, parse_duration, parse_zone, preview_in,
    warnings,
};
use crate::store::jobs;

/// The number of occurrences unless the request names one.
const DEFAULT_COUNT: u64 = 10;
/// The most occurrences of one answer.
const MAX_COUNT: u64 = 1_000;

const LONGEST_SPEC: usize = 512;
const LONGEST_ZONE: usize = 64;
/// The longest `at`, `after` and `from`, in bytes.
const LONGEST_TIME: usize = 200;

/// A schedule in words and in instants.
#[derive(Debug, Serialize)]
struct PreviewView {
    description: String,
    fields: Vec<Field>,
    occurrences: Vec<Preview>,
}

#[derive(Serialize)]
struct NextRunsView {
    occurrences: Vec<Upcoming>,
}

/// A request for a preview.
#[derive(Debug)]
struct PreviewRequest {
    plan: ScheduleInput,
    zone: Tz,
    dst: DstRule,
    from: Millis,
    count: usize,
}

/// The one form in which the request gives the schedule.
#[derive(Debug)]
enum ScheduleInput {
    Spec(String),
    At(String),
    After(String),
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/schedules/preview", post(Action::JobsRead, preview))
        .route("/jobs/{id}/next", get(Action::JobsRead, next))
}

async fn preview(
    State(app): App,
    context: RequestContext,
    request: Request,
) -> Result<Response, Error> {
    let (body, _hold) = body::read(&app, request, body::SMALL).await?;
    let mut fields = Fields::parse(&body)?;
    let question =
        PreviewRequest::read(&mut fields, app.time.now()).map_err(Error::into_unprocessable)?;
    let said = question.warnings();
    // A thousand rare dates take a while to compute.
    let shown = app.compute(move || question.answer()).await?;
    let shown = shown.map_err(Error::into_unprocessable)?;
    let mut warnings = fields.warnings();
    for sentence in &said {
        warnings.say(sentence);
    }
    Ok(respond::warn(respond::ok(&shown, context.casing()), &warnings))
}

async fn next(State(app): App, context: RequestContext, Id(id): Id) -> Result<Response, Error> {
    let count = bounded(context.number("count")?)?;
    context.apply_consistency(&app.app).await?;
    let (now, casing) = (app.time.now(), context.casing());
    let retry_max = app.config.job_execution_retry_max;
    let body = app.read(move |conn| {
        let Some(job) = jobs::get(conn, id)? else { return Ok(None) };
        let occurrences = ScheduleCache::new(conn, now, retry_max).upcoming(&job, count)?;
        Ok(Some(respond::envelope(&NextRunsView { occurrences }, casing)))
    });
    Ok(respond::json(StatusCode::OK, body.await?.ok_or_else(missing_job)?))
}

fn bounded(count: Option<u64>) -> Result<usize, Error> {
    match count.unwrap_or(DEFAULT_COUNT) {
        count if count > MAX_COUNT => {
            Err(Error::invalid("count", format!("count must be at most {MAX_COUNT}")))
        }
        count => Ok(count as usize),
    }
}

impl PreviewRequest {
    /// Reads the fields of a request. `now` is the start unless the request names one.
    fn read(fields: &mut Fields, now: Millis) -> Result<Self, Error> {
        let given = [
            ("spec", fields.text("spec", LONGEST_SPEC)?.map(ScheduleInput::Spec)),
            ("at", fields.text("at", LONGEST_TIME)?.map(ScheduleInput::At)),
            ("after", fields.text("after", LONGEST_TIME)?.map(ScheduleInput::After)),
        ];
        let mut given: Vec<_> =
            given.into_iter().filter_map(|(name, plan)| Some((name, plan?))).collect();
        if given.len() > 1 {
            let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
            let found = names.join(" and ");
            let message = format!("give one of spec, at and after, not several: found {found}");
            return Err(Error::invalid(names[1], message));
        }
        let none = || Error::invalid("spec", "give one of spec, at and after: found none of them");
        let (_, plan) = given.pop().ok_or_else(none)?;
        let zone = match fields.text("timezone", LONGEST_ZONE)? {
            Some(name) => {
                parse_zone(&name).map_err(|e| Error::invalid("timezone", e.to_string()))?
            }
            None => Tz::UTC,
        };
        let dst = fields.dst()?.unwrap_or_default();
        let from = match fields.text("from", LONGEST_TIME)? {
            Some(text) => parse_at(&text, zone, dst).map_err(|e| not_valid("from", e))?,
            None => now,
        };
        let count = bounded(fields.number("count")?)?;
        Ok(Self { plan, zone, dst, from, count })
    }

    /// Warnings about a schedule that is valid and probably not meant.
    fn warnings(&self) -> Vec<String> {
        match &self.plan {
            ScheduleInput::Spec(spec) => {
                warnings(spec).iter().map(|sentence| format!("spec: {sentence}")).collect()
            }
            ScheduleInput::At(_) | ScheduleInput::After(_) => Vec::new(),
        }
    }

    fn answer(self) -> Result<PreviewView, Error> {
        match &self.plan {
            ScheduleInput::Spec(spec) => self.spec(spec),
            ScheduleInput::At(text) => {
                let (at, mark) =
                    parse_at_marked(text, self.zone, self.dst).map_err(|e| not_valid("at", e))?;
                Ok(self.once("at", text, describe_at(at, self.zone), (at, mark), self.from))
            }
            ScheduleInput::After(text) => {
                let delay = parse_duration(text).map_err(|e| not_valid("after", e))?;
                let at = begin(self.from, delay).checked_add(delay).filter(|at| *at <= LAST);
                let at = at.ok_or_else(|| {
                    let meant = describe_after(delay);
                    let message = format!("understood as {meant:?}, which is beyond the year 9999");
                    not_valid("after", message)
                })?;
                // A delay of nothing is due at `from` itself, so the preview begins just before.
                Ok(self.once("after", text, describe_after(delay), (at, None), at - 1))
            }
        }
    }

    fn spec(&self, spec: &str) -> Result<PreviewView, Error> {
        let schedule =
            Schedule::parse(spec, self.zone, self.dst, 0).map_err(|e| not_valid("spec", e))?;
        let mut description = describe(spec);
        if Schedule::is_seed_dependent(spec) {
            description.push_str(" (the instants shown are those of job 0)");
        }
        let anchor = asked_anchor(self.from);
        Ok(PreviewView {
            description,
            fields: fields(spec).map_err(|e| not_valid("spec", e))?,
            occurrences: preview_in(self.zone, &schedule, anchor, self.from, self.count),
        })
    }

    /// The answer about a one-off: `at`, with the effect of a clock change on it, if it lies after
    /// `after`.
    fn once(
        &self,
        name: &'static str,
        text: &str,
        description: String,
        (at, mark): (Millis, Option<Mark>),
        after: Millis,
    ) -> PreviewView {
        let mut occurrences = preview_in(self.zone, &Schedule::at(at), at, after, self.count);
        for occurrence in &mut occurrences {
            occurrence.dst = mark;
        }
        let meaning = description.replacen("Once", "once", 1);
        let fields = vec![Field { name, text: text.to_owned(), meaning }];
        PreviewView { description, fields, occurrences }
    }
}

/// The instant from which a delay counts: a whole second, as for jobs, unless the delay is shorter.
fn begin(from: Millis, delay: Millis) -> Millis {
    if delay < 1_000 { from } else { from + (-from).rem_euclid(1_000) }
}

fn not_valid(field: &'static str, problem: impl std::fmt::Display) -> Error {
    Error::invalid(field, format!("{field} is not valid: {problem}"))
}

#[cfg(test)]
#[path = "preview_tests.rs"]
mod tests;
