//! `GET /executions/analytics`: the number of executions in each minute of a range of up to a day,
//! or in each hour of a longer one, for the charts of the published clients.
//!
//! Hours are counted as results are recorded (`store::counters`). Minutes are summed up from the
//! recorded requests when a client asks, so that recording has no more work. Where a range holds
//! too many requests, its points are hours too, and `interval` says so.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::App;
use crate::model::Millis;
use crate::model::time::rfc3339;
use crate::store::counters::{self, HOUR, MINUTE, OutcomeKind};

const DAY: Millis = 24 * HOUR;
/// The most points of an answer by the hour.
const MOST_HOURS: i64 = 31 * 24;
/// The most recorded requests that are summed up for points by the minute: about half a second of
/// work.
const MOST_REQUESTS: u64 = 400_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Analytics {
    account_id: u64,
    timezone: &'static str,
    interval: &'static str,
    start_date: String,
    start_time: String,
    end_date: String,
    end_time: String,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    date: String,
    time: String,
    scheduled: u64,
    success: u64,
    failed: u64,
}

/// The sums from `from` (or `startDate` and `startTime`) to `until` (or `endDate` and `endTime`),
/// in UTC; the last day unless the query names a range. `success` counts deliveries, `failed`
/// counts failed and dead-lettered attempts, and `scheduled` counts all of them and skipped ones.
pub(crate) async fn analytics(State(app): App, context: RequestContext) -> Result<Response, Error> {
    let project = context.number("projectId")?.filter(|id| *id > 0);
    let now = app.time.now();
    let (from, until) = context.interval()?;
    let until = at_time(&context, "endTime", until)?.unwrap_or(now);
    let from = at_time(&context, "startTime", from)?.unwrap_or(until.saturating_sub(DAY));
    if until < from {
        return Err(Error::invalid("until", "until must not be before from"));
    }
    context.apply_consistency(&app.app).await?;
    let found = app.read(move |conn| {
        if until - from <= DAY {
            let (begin, end) = covering(from, until, MINUTE, i64::MAX);
            if let Some(sums) = counters::by_minute(conn, project, (begin, end), MOST_REQUESTS)? {
                return Ok((MINUTE, begin, end, sums));
            }
        }
        let (begin, end) = covering(from, until, HOUR, MOST_HOURS);
        let hours = counters::between(conn, project, begin, end)?.into_iter();
        Ok((HOUR, begin, end, hours.map(|t| (t.hour, t.kind, t.count)).collect()))
    });
    let (step, begin, end, sums) = found.await?;
    Ok(respond::ok(&shown(step, begin, end, sums), context.casing()))
}

/// The whole steps that a range touches, as the begin of the first and the end of the last.
fn covering(from: Millis, until: Millis, step: Millis, most: i64) -> (Millis, Millis) {
    let first = from.div_euclid(step);
    let steps = (until.div_euclid(step) - first).min(most);
    (first * step, (first + steps + 1) * step)
}

fn shown(
    step: Millis,
    begin: Millis,
    end: Millis,
    counted: Vec<(Millis, OutcomeKind, u64)>,
) -> Analytics {
    let mut sums: BTreeMap<Millis, [u64; 3]> = BTreeMap::new();
    for (at, kind, count) in counted {
        let sum = sums.entry(at).or_default();
        sum[0] += count;
        match kind {
            OutcomeKind::Delivered => sum[1] += count,
            OutcomeKind::Failed | OutcomeKind::Dead => sum[2] += count,
            OutcomeKind::Skipped | OutcomeKind::Running => {}
        }
    }
    let point = |at: Millis| {
        let [scheduled, success, failed] = sums.get(&at).copied().unwrap_or_default();
        let (date, time) = date_and_time(at);
        Point { date, time, scheduled, success, failed }
    };
    let ((start_date, start_time), (end_date, end_time)) =
        (date_and_time(begin), date_and_time(end));
    Analytics {
        account_id: 0,
        timezone: "UTC",
        interval: if step == MINUTE { "minute" } else { "hour" },
        start_date,
        start_time,
        end_date,
        end_time,
        points: (begin..end).step_by(step as usize).map(point).collect(),
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
