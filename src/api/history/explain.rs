//! Explanations of a job at an instant, and the ledger of its planned occurrences.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::history::explain_view::ExplainView;
use crate::api::http::action_router::{ActionRouter, get};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::page::MAX_LIMIT;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::history::{Entry, TimeRange};
use crate::model::attempt::{SkipReason, execution_id};
use crate::model::time::rfc3339;

/// The number of occurrences unless the query names a limit.
const DEFAULT_LIMIT: u64 = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LedgerView {
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
        .route("/jobs/{id}/occurrences", get(Action::HistoryRead, list_occurrences))
}

async fn explain_job(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let needed = "at is missing: name the instant, as in ?at=2026-11-20T20:18:07Z";
    let at = context.instant("at")?.ok_or_else(|| Error::invalid("at", needed))?;
    context.apply_consistency(&state.app).await?;
    let found = state.app.explain_job(&context.actor, id, at).await?;
    Ok(respond::ok(&ExplainView::new(&found), context.casing()))
}

async fn list_occurrences(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let app = &state.app;
    let range = TimeRange::of_ledger(context.interval()?, app.now())?;
    let limit = context.number("limit")?.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    if limit == 0 {
        return Err(Error::invalid("limit", "limit must be 1 or more"));
    }
    context.apply_consistency(app).await?;
    let page = app.list_occurrences(&context.actor, id, range, limit as usize).await?;
    let view = |one: &Entry| OccurrenceView {
        execution_id: execution_id(page.cluster, id, one.scheduled),
        scheduled_at: rfc3339(one.scheduled),
        due_at: rfc3339(one.due),
        state: one.state.name(),
        reason: one.state.reason().map(SkipReason::name),
    };
    let ledger = LedgerView {
        occurrences: page.entries.iter().map(view).collect(),
        from: rfc3339(range.begin()),
        until: rfc3339(range.end()),
        next_from: page.next_from.map(rfc3339),
    };
    Ok(respond::ok(&ledger, context.casing()))
}
