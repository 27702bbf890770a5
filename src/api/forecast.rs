//! The routes of the forecast: counts of planned occurrences for a stretch ahead, and the next
//! occurrences among all jobs.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, get};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::forecast::{Forecast, Freshness, MOST_BUCKETS, NextFiring, Span, UpcomingFirings};
use crate::model::Millis;
use crate::model::time::rfc3339;

/// The stretch without `until`, in milliseconds.
const DAY: Millis = 24 * 3_600_000;
/// The parts without `buckets`: the hours of a day.
const BUCKETS: u64 = 24;
/// The next occurrences without `limit`, and the most.
const LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 1_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ForecastView {
    from: String,
    until: String,
    bucket_ms: Millis,
    counts: Vec<u64>,
    total: u64,
    left_out_jobs: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpcomingView {
    upcoming: Vec<FiringView>,
    left_out_jobs: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FiringView {
    due_at: String,
    jobs: u64,
    job_id: u64,
    project_id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    spec: String,
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/forecast", get(Action::JobsRead, get_forecast))
        .route("/upcoming", get(Action::JobsRead, get_upcoming))
}

async fn get_forecast(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let app = &state.app;
    let project = context.number("projectId")?;
    let from = context.instant("from")?.unwrap_or_else(|| app.now());
    let until = context.instant("until")?.unwrap_or(from.saturating_add(DAY));
    let buckets = context.number("buckets")?.unwrap_or(BUCKETS);
    if buckets == 0 || buckets > MOST_BUCKETS as u64 {
        let message = format!("buckets must be 1 to {MOST_BUCKETS}");
        return Err(Error::invalid("buckets", message));
    }
    context.apply_consistency(app).await?;
    let span = Span { from, until, buckets: buckets as usize };
    let found = app.forecast(&context.actor, project, span, freshness(&context)).await?;
    Ok(respond::ok(&ForecastView::from(found), context.casing()))
}

async fn get_upcoming(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let app = &state.app;
    let project = context.number("projectId")?;
    let limit = context.number("limit")?.unwrap_or(LIMIT).min(MAX_LIMIT);
    context.apply_consistency(app).await?;
    let found =
        app.upcoming_firings(&context.actor, project, limit as usize, freshness(&context)).await?;
    Ok(respond::ok(&UpcomingView::from(found), context.casing()))
}

/// A caller who waits for all that was committed does not get what was read before.
fn freshness(context: &RequestContext) -> Freshness {
    if context.is_linearizable() { Freshness::Now } else { Freshness::Kept }
}

impl From<Forecast> for ForecastView {
    fn from(found: Forecast) -> Self {
        Self {
            from: rfc3339(found.span.from),
            until: rfc3339(found.span.until),
            bucket_ms: found.width,
            total: found.counts.iter().sum(),
            counts: found.counts,
            left_out_jobs: found.left_out,
        }
    }
}

impl From<UpcomingFirings> for UpcomingView {
    fn from(found: UpcomingFirings) -> Self {
        let view = |firing: NextFiring| FiringView {
            due_at: rfc3339(firing.due),
            jobs: firing.jobs,
            job_id: firing.first,
            project_id: firing.project,
            spec: firing.spec,
        };
        let upcoming = found.firings.into_iter().map(view).collect();
        Self { upcoming, left_out_jobs: found.left_out }
    }
}
