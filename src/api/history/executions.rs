//! Executions: the attempts of all jobs as a list, and sums of them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::history::execution_view::view;
use crate::api::history::{analytics, cleanup, execution, reports};
use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::history::{ExecutionFilter, OutcomeKind};
use crate::app::page::After;
use crate::model::Millis;

const ORDERS: &Orders<()> =
    &[("dateCreated", ()), ("scheduledAt", ()), ("lastExecutionDatetime", ()), ("id", ())];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TotalsView {
    account_id: u64,
    scheduled: u64,
    success: u64,
    failed: u64,
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/executions", get(Action::HistoryRead, list_executions))
        .route("/executions/{id}", get(Action::HistoryRead, execution::get_execution))
        .route("/executions/{id}/complete", post(Action::RunsReport, reports::complete))
        .route("/executions/{id}/fail", post(Action::RunsReport, reports::fail))
        .route("/executions/{id}/heartbeat", post(Action::RunsReport, reports::heartbeat))
        .route("/executions/{id}/cancel", post(Action::RunsReport, reports::cancel))
        .route("/executions/totals", get(Action::HistoryRead, get_totals))
        .route("/executions/analytics", get(Action::HistoryRead, analytics::get_analytics))
        .route("/executions/cleanup-old-logs", post(Action::HistoryDrop, cleanup::cleanup))
}

async fn list_executions(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let mut page = context.page(ORDERS)?;
    let (from, until) = context.interval()?;
    let filter = ExecutionFilter {
        project: context.number("projectId")?.filter(|id| *id > 0),
        job: context.number("jobId")?.filter(|id| *id > 0),
        kinds: kinds(&context)?,
        from,
        until,
        after: context.text("after").map(read_cursor).transpose()?,
    };
    // The newest come first unless the query names a direction.
    page.descending |= !context.has_direction();
    context.apply_consistency(app).await?;
    let list = ListPage::with_cursor("executions", page, context.casing(), cursor, view);
    let body = app.list_executions(&context.actor, filter, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

/// The end of a page as text: due instant and id.
fn cursor((): (), after: After) -> Option<String> {
    after.key.map(|due| format!("{due:x}-{:x}", after.id))
}

/// The end of a page, from the `next` of its answer.
fn read_cursor(text: &str) -> Result<(Millis, u64), Error> {
    let read = || {
        let (due, id) = text.split_once('-')?;
        Some((Millis::from_str_radix(due, 16).ok()?, u64::from_str_radix(id, 16).ok()?))
    };
    let wrong = || Error::invalid("after", "after must be the next of an earlier page");
    // Ids beyond the store's range end no page.
    read().filter(|(_, id)| *id < i64::MAX as u64).ok_or_else(wrong)
}

/// `state` and `status` are one parameter under two names. Beside the names that answers show, the
/// numbers and words of the published clients are accepted.
fn kinds(context: &RequestContext) -> Result<Vec<OutcomeKind>, Error> {
    let (field, given) = match (context.text("state"), context.text("status")) {
        (None, None) => return Ok(Vec::new()),
        (Some(_), Some(_)) => {
            let message = "state and status say the same: give one of them";
            return Err(Error::invalid("status", message));
        }
        (Some(state), None) => ("state", state),
        (None, Some(status)) => ("status", status),
    };
    Ok(match given {
        "0" | "scheduled" => vec![OutcomeKind::Skipped, OutcomeKind::Running],
        "2" => vec![OutcomeKind::Failed, OutcomeKind::Dead],
        "1" | "success" | "delivered" | "completed" => vec![OutcomeKind::Delivered],
        "failed" | "retrying" => vec![OutcomeKind::Failed],
        "dead" => vec![OutcomeKind::Dead],
        "skipped" => vec![OutcomeKind::Skipped],
        "running" => vec![OutcomeKind::Running],
        _ => {
            let message = format!(
                "{field} must be delivered, failed, dead, skipped or running, or, as in older \
                 clients, 0 or scheduled (not sent), 1 or success, 2 (failed or dead)"
            );
            return Err(Error::invalid(field, message));
        }
    })
}

/// Sums over the whole history.
async fn get_totals(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let app = &state.app;
    let project = context.number("projectId")?.filter(|id| *id > 0);
    context.apply_consistency(app).await?;
    let sums = app.get_totals(&context.actor, project).await?;
    let (scheduled, success, failed) = (sums.scheduled, sums.success, sums.failed);
    let view = TotalsView { account_id: 0, scheduled, success, failed };
    Ok(respond::ok(&view, context.casing()))
}
