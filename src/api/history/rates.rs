//! `GET /rates`: results by the minute over the last three hours, for dashboards that look often.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, get};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::history::{KindCounts, OutcomeKind, RateReport};
use crate::model::time::rfc3339;
use crate::model::{Millis, ProjectId};

/// The length of a minute in milliseconds.
const MINUTE: Millis = 60_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RatesView {
    from: String,
    until: String,
    points: Vec<RatePointView>,
    /// The busiest projects; only where the report is of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<Vec<ProjectRateView>>,
    /// The rest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<RateCountsView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RatePointView {
    at: String,
    /// `null` for a minute that this node does not know.
    results: Option<RateCountsView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProjectRateView {
    project_id: ProjectId,
    #[serde(flatten)]
    results: RateCountsView,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RateCountsView {
    delivered: u64,
    failed: u64,
    dead: u64,
    running: u64,
    skipped: u64,
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new().route("/rates", get(Action::HistoryRead, get_rates))
}

async fn get_rates(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let app = &state.app;
    let project = context.number("projectId")?.filter(|id| *id > 0);
    let ends = context.interval()?;
    context.apply_consistency(app).await?;
    let found = app.get_rates(&context.actor, project, ends).await?;
    Ok(respond::ok(&RatesView::from(found), context.casing()))
}

impl From<RateReport> for RatesView {
    fn from(found: RateReport) -> Self {
        let points = found.points().map(|(at, counts)| RatePointView {
            at: rfc3339(at),
            results: counts.map(RateCountsView::from),
        });
        let points = points.collect::<Vec<_>>();
        let length = points.len() as Millis * MINUTE;
        let project = |(project_id, counts): &(ProjectId, KindCounts)| ProjectRateView {
            project_id: *project_id,
            results: counts.into(),
        };
        Self {
            from: rfc3339(found.begin),
            until: rfc3339(found.begin + length),
            points,
            projects: found.projects.as_ref().map(|all| all.iter().map(project).collect()),
            others: found.others.as_ref().map(RateCountsView::from),
        }
    }
}

impl From<&KindCounts> for RateCountsView {
    fn from(counts: &KindCounts) -> Self {
        Self {
            delivered: counts.of(OutcomeKind::Delivered),
            failed: counts.of(OutcomeKind::Failed),
            dead: counts.of(OutcomeKind::Dead),
            running: counts.of(OutcomeKind::Running),
            skipped: counts.of(OutcomeKind::Skipped),
        }
    }
}
