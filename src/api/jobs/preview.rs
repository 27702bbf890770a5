//! The meaning of a schedule: previews of a schedule in a request, and the next occurrences of a
//! job, both in the form of [`crate::schedule::Preview`].

use axum::extract::{Request, State};
use axum::response::Response;
use chrono_tz::Tz;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::{body, respond};
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::jobs::Upcoming;
use crate::app::jobs::preview::{
    PreviewInput, ScheduleInput, SchedulePreview, not_valid, occurrence_count,
};
use crate::model::Millis;
use crate::model::time::rfc3339;
use crate::schedule::{Field, Preview, parse_at, parse_zone};

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

impl PreviewView {
    fn of(preview: SchedulePreview) -> Self {
        let SchedulePreview { description, fields, occurrences } = preview;
        Self { description, fields, occurrences }
    }
}

#[derive(Serialize)]
struct NextRunsView {
    occurrences: Vec<UpcomingView>,
}

/// An occurrence that is yet to come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpcomingView {
    #[serde(flatten)]
    preview: Preview,
    /// The instant at which it is due, where jitter makes that another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
}

impl UpcomingView {
    /// The view of an occurrence.
    pub(crate) fn of(upcoming: Upcoming) -> Self {
        Self { preview: upcoming.preview, due_at: upcoming.due_at.map(rfc3339) }
    }
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/schedules/preview", post(Action::JobsRead, preview))
        .route("/jobs/{id}/next", get(Action::JobsRead, next))
}

async fn preview(
    State(state): ApiState,
    context: RequestContext,
    request: Request,
) -> Result<Response, Error> {
    let (body, _hold) = body::read(&state.bodies, request, body::SMALL).await?;
    let mut fields = Fields::parse(&body)?;
    let input = read_preview(&mut fields, state.app.now()).map_err(Error::into_unprocessable)?;
    let said = input.warnings();
    let shown = PreviewView::of(state.app.preview_schedule(&context.actor, input).await?);
    let mut warnings = fields.warnings();
    for sentence in &said {
        warnings.say(sentence);
    }
    Ok(respond::warn(respond::ok(&shown, context.casing()), &warnings))
}

async fn next(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let count = occurrence_count(context.number("count")?)?;
    context.apply_consistency(&state.app).await?;
    let runs = state.app.next_runs(&context.actor, id, count).await?;
    let occurrences = runs.into_iter().map(UpcomingView::of).collect();
    Ok(respond::ok(&NextRunsView { occurrences }, context.casing()))
}

/// Reads the fields of a request for a preview. `now` is the start unless the request names one.
fn read_preview(fields: &mut Fields, now: Millis) -> Result<PreviewInput, Error> {
    let given = [
        ("spec", fields.text("spec", LONGEST_SPEC)?.map(ScheduleInput::Spec)),
        ("at", fields.text("at", LONGEST_TIME)?.map(ScheduleInput::At)),
        ("after", fields.text("after", LONGEST_TIME)?.map(ScheduleInput::After)),
    ];
    let mut given: Vec<_> =
        given.into_iter().filter_map(|(name, schedule)| Some((name, schedule?))).collect();
    if given.len() > 1 {
        let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
        let found = names.join(" and ");
        let message = format!("give one of spec, at and after, not several: found {found}");
        return Err(Error::invalid(names[1], message));
    }
    let none = || Error::invalid("spec", "give one of spec, at and after: found none of them");
    let (_, schedule) = given.pop().ok_or_else(none)?;
    let zone = match fields.text("timezone", LONGEST_ZONE)? {
        Some(name) => parse_zone(&name).map_err(|e| Error::invalid("timezone", e.to_string()))?,
        None => Tz::UTC,
    };
    let dst = fields.dst()?.unwrap_or_default();
    let from = match fields.text("from", LONGEST_TIME)? {
        Some(text) => parse_at(&text, zone, dst).map_err(|e| not_valid("from", e))?,
        None => now,
    };
    let count = occurrence_count(fields.number("count")?)?;
    Ok(PreviewInput { schedule, zone, dst, from, count, job: None })
}

#[cfg(test)]
#[path = "preview_tests.rs"]
mod tests;
