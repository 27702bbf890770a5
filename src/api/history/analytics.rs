//! `GET /executions/analytics`: the number of executions in each minute of a range of up to a day,
//! or in each hour of a longer one, for the charts of the published clients.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::history::{Analytics, Grain, TimeRange};
use crate::model::Millis;
use crate::model::time::rfc3339;

/// The length of a day in milliseconds.
const DAY: Millis = 86_400_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnalyticsView {
    account_id: u64,
    timezone: &'static str,
    interval: &'static str,
    start_date: String,
    start_time: String,
    end_date: String,
    end_time: String,
    points: Vec<PointView>,
}

#[derive(Serialize)]
struct PointView {
    date: String,
    time: String,
    scheduled: u64,
    success: u64,
    failed: u64,
}

/// The sums from `from` (or `startDate` and `startTime`) to `until` (or `endDate` and `endTime`),
/// in UTC; the last day unless the query names a range.
pub(crate) async fn get_analytics(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let project = context.number("projectId")?.filter(|id| *id > 0);
    let now = app.now();
    let (from, until) = context.interval()?;
    let until = at_time(&context, "endTime", until)?;
    let from = at_time(&context, "startTime", from)?;
    let range = TimeRange::of_analytics((from, until), now)?;
    context.apply_consistency(app).await?;
    let found = app.get_analytics(&context.actor, project, range).await?;
    Ok(respond::ok(&view(&found), context.casing()))
}

fn view(found: &Analytics) -> AnalyticsView {
    let ((start_date, start_time), (end_date, end_time)) =
        (date_and_time(found.begin), date_and_time(found.end));
    let points = found.points.iter().map(|point| {
        let (date, time) = date_and_time(point.at);
        let sums = point.totals;
        let (scheduled, success, failed) = (sums.scheduled, sums.success, sums.failed);
        PointView { date, time, scheduled, success, failed }
    });
    AnalyticsView {
        account_id: 0,
        timezone: "UTC",
        interval: match found.grain {
            Grain::Minute => "minute",
            Grain::Hour => "hour",
        },
        start_date,
        start_time,
        end_date,
        end_time,
        points: points.collect(),
    }
}

/// An instant moved to the time of day that the parameter `time` names.
fn at_time(
    context: &RequestContext,
    time: &'static str,
    instant: Option<Millis>,
) -> Result<Option<Millis>, Error> {
    let Some(text) = context.text(time) else { return Ok(instant) };
    let parsed = ["%H:%M:%S", "%H:%M"]
        .iter()
        .find_map(|format| chrono::NaiveTime::parse_from_str(text, format).ok());
    let Some(parsed) = parsed else {
        return Err(Error::invalid(time, format!("{time} must be a time of day such as 14:30:00")));
    };
    let Some(instant) = instant else {
        return Err(Error::invalid(time, format!("{time} needs its date beside it")));
    };
    let since_midnight = parsed.signed_duration_since(chrono::NaiveTime::MIN).num_milliseconds();
    Ok(Some(instant - instant.rem_euclid(DAY) + since_midnight))
}

fn date_and_time(instant: Millis) -> (String, String) {
    let text = rfc3339(instant);
    let (date, time) = text.split_once('T').unwrap_or_default();
    (date.to_owned(), time.get(..8).unwrap_or(time).to_owned())
}
