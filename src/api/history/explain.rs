//! Explanations of a job at an instant, and the ledger of its planned occurrences. `store` finds
//! the facts, and `explain_words` puts them into sentences.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::history::explain_view::ExplainView;
use crate::api::http::action_router::{ActionRouter, get};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::page::MAX_LIMIT;
use crate::api::http::respond;
use crate::api::jobs::get::missing_job;
use crate::api::state::App;
use crate::app::Action;
use crate::model::Millis;
use crate::model::attempt::execution_id;
use crate::model::time::rfc3339;
use crate::store::{explain, ledger, meta};

/// The length of the ledger unless the query names a begin, in milliseconds.
const DEFAULT_SPAN: Millis = 3_600_000;
/// The number of occurrences unless the query names a limit.
const DEFAULT_LIMIT: u64 = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ledger {
    occurrences: Vec<OccurrenceView>,
    from: String,
    until: String,
    /// The `from` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_from: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OccurrenceView {
    execution_id: String,
    scheduled_at: String,
    due_at: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/jobs/{id}/explain", get(Action::HistoryRead, explain_job))
        .route("/jobs/{id}/occurrences", get(Action::HistoryRead, occurrences))
}

async fn explain_job(
    State(app): App,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let needed = "at is missing: name the instant, as in ?at=2026-11-20T20:18:07Z";
    let at = context.instant("at")?.ok_or_else(|| Error::invalid("at", needed))?;
    context.apply_consistency(&app.app).await?;
    let (now, casing) = (app.time.now(), context.casing());
    let body = app.read(move |conn| {
        let found = explain::explain(conn, id, at, now)?;
        Ok(found.map(|found| respond::envelope(&ExplainView::new(&found, at), casing)))
    });
    Ok(respond::json(StatusCode::OK, body.await?.ok_or_else(missing_job)?))
}

async fn occurrences(
    State(app): App,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let now = app.time.now();
    let (from, until) = context.interval()?;
    let from = from.unwrap_or(until.unwrap_or(now) - DEFAULT_SPAN);
    let until = until.unwrap_or(now);
    if until < from {
        return Err(Error::invalid("until", "until must not be before from"));
    }
    let limit = context.number("limit")?.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    if limit == 0 {
        return Err(Error::invalid("limit", "limit must be 1 or more"));
    }
    context.apply_consistency(&app.app).await?;
    let casing = context.casing();
    let body = app.read(move |conn| {
        // One occurrence beyond the limit shows that there are more.
        let found = ledger::ledger(conn, id, now, (from, until), limit as usize + 1)?;
        let Some(mut found) = found else { return Ok(None) };
        let limit = limit as usize;
        let more = found.len() > limit;
        // A page ends before an instant, so that occurrences which are due together are never
        // split.
        let end = found.get(limit - 1).map_or(Millis::MAX, |last| last.due);
        let next =
            found.iter().map(|one| one.due).find(|due| *due > end).unwrap_or(end.saturating_add(1));
        let next_from = more.then(|| rfc3339(next));
        found.truncate(found.partition_point(|one| one.due <= end));
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        let view = |one: &ledger::Entry| OccurrenceView {
            execution_id: execution_id(cluster, id, one.scheduled),
            scheduled_at: rfc3339(one.scheduled),
            due_at: rfc3339(one.due),
            state: one.state.name(),
            reason: one.state.reason().map(crate::model::attempt::SkipReason::name),
        };
        let answer = Ledger {
            occurrences: found.iter().map(view).collect(),
            from: rfc3339(from),
            until: rfc3339(until),
            next_from,
        };
        Ok(Some(respond::envelope(&answer, casing)))
    });
    Ok(respond::json(StatusCode::OK, body.await?.ok_or_else(missing_job)?))
}
