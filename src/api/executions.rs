//! Executions: what came of each attempt, job by job, and sums of it; one occurrence with all that is
//! known of it; and what receivers say of runs that they accepted.

mod analytics;
mod cleanup;
mod one;
mod reports;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use rusqlite::Connection;
use serde::Serialize;

use super::App;
use super::ask::Ask;
use super::error::Error;
use super::jobs::Views;
use super::page::{ListWriter, Orders};
use super::reply;
use super::state::AppState;
use crate::model::attempt::{Verdict, occurrence_id};
use crate::model::job::Job;
use crate::model::postponement::parts;
use crate::model::run::Occurrence;
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};
use crate::store::counters::{self, OutcomeKind};
use crate::store::executions::{self, Execution, Filter};
use crate::store::{jobs, meta};

const ORDERS: &Orders<()> =
    &[("dateCreated", ()), ("scheduledAt", ()), ("lastExecutionDatetime", ()), ("id", ())];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionView {
    id: u64,
    /// The execution id: one per occurrence, the same for all its attempts.
    unique_id: String,
    execution_id: String,
    /// The original's: 0 scheduled (and not sent), 1 success, 2 failed.
    state: u8,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// By what it was decided: the answer, a report, silence.
    how: &'static str,
    node_id: u64,
    job_id: u64,
    project_id: u64,
    /// The number of a manual run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    scheduled_at: String,
    due_at: String,
    /// For a skipped range: where it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    attempt: u32,
    http_code: u16,
    duration_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    /// How long the attempt was held back although it was due, and by what.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
    shard: u16,
    epoch: u64,
    last_execution_datetime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_execution_datetime: Option<String>,
    job_queue_version: u64,
    execution_version: u32,
    date_created: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    account_id: u64,
    scheduled: u64,
    success: u64,
    failed: u64,
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/executions", get(list))
        .route("/executions/{id}", get(one::one))
        .route("/executions/{id}/complete", post(reports::complete))
        .route("/executions/{id}/fail", post(reports::fail))
        .route("/executions/{id}/heartbeat", post(reports::heartbeat))
        .route("/executions/{id}/cancel", post(reports::cancel))
        .route("/executions/totals", get(totals))
        .route("/executions/analytics", get(analytics::analytics))
        .route("/executions/cleanup-old-logs", post(cleanup::cleanup))
}

async fn list(State(app): App, ask: Ask) -> Result<Response, Error> {
    let page = ask.page(ORDERS)?;
    let (from, until) = ask.stretch()?;
    let filter = Filter {
        project: ask.number("projectId")?.filter(|id| *id > 0),
        job: ask.number("jobId")?.filter(|id| *id > 0),
        kinds: kinds(&ask)?,
        from,
        until,
        after: ask.text("after").map(cursor).transpose()?,
    };
    // Newest first, unless asked otherwise.
    let descending = page.descending || !ask.has_direction();
    ask.settle(&app).await?;
    let (now, casing) = (app.time.now(), ask.casing());
    let body = app.read(move |conn| {
        let (limit, offset) = (page.limit, page.offset);
        let (total, found) = executions::list(conn, &filter, limit, offset, descending)?;
        let total = (total.count, !total.exact);
        let mut list = ListWriter::new("executions", &page, total, casing);
        let ends: Vec<_> = found.iter().map(|one| (one.due, one.id)).collect();
        for (view, (due, id)) in views(conn, found, now)?.iter().zip(ends) {
            if !list.push(view, || Some(format!("{due:x}-{id:x}"))) {
                break;
            }
        }
        Ok(list.end())
    });
    Ok(reply::json(StatusCode::OK, body.await?))
}

/// Where a page ended: the `next` of its answer.
fn cursor(text: &str) -> Result<(Millis, u64), Error> {
    let read = || {
        let (due, id) = text.split_once('-')?;
        Some((Millis::from_str_radix(due, 16).ok()?, u64::from_str_radix(id, 16).ok()?))
    };
    let wrong = || Error::invalid("after", "after must be the next of an earlier page");
    // Numbers that the books cannot hold are no page's end.
    read().filter(|(_, id)| *id < i64::MAX as u64).ok_or_else(wrong)
}

/// `state` and `status` are one parameter under two names. Beside the names that answers show, the
/// published clients' numbers and words are understood.
fn kinds(ask: &Ask) -> Result<Vec<OutcomeKind>, Error> {
    let (field, given) = match (ask.text("state"), ask.text("status")) {
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

fn views(
    conn: &Connection,
    found: Vec<Execution>,
    now: Millis,
) -> rusqlite::Result<Vec<ExecutionView>> {
    let cluster = meta::cluster_id(conn)?.unwrap_or_default();
    let mut plans = Views::new(conn, now, 0)?;
    let mut known: HashMap<JobId, Option<Job>> = HashMap::new();
    let mut shown = Vec::with_capacity(found.len());
    for execution in found {
        let job = match known.get(&execution.job) {
            Some(job) => job,
            None => known.entry(execution.job).or_insert(jobs::get(conn, execution.job)?),
        };
        let next =
            job.as_ref().map_or(Ok(None), |job| plans.next(job, execution.due))?.map(|next| next.0);
        shown.push(view(execution, cluster, next));
    }
    Ok(shown)
}

fn view(execution: Execution, cluster: u128, next: Option<Millis>) -> ExecutionView {
    let Execution { job, scheduled, run, .. } = execution;
    let id = occurrence_id(cluster, Occurrence { job, scheduled, run });
    let sent = !matches!(execution.verdict, Verdict::Skipped(_));
    let (waited, error) = parts(execution.error.as_deref());
    ExecutionView {
        id: execution.id,
        unique_id: id.clone(),
        execution_id: id,
        state: match execution.verdict {
            Verdict::Delivered => 1,
            Verdict::Retry { .. } | Verdict::Dead => 2,
            Verdict::Skipped(_) | Verdict::Postponed { .. } | Verdict::Running => 0,
        },
        status: execution.verdict.name(),
        reason: match execution.verdict {
            Verdict::Skipped(reason) => Some(reason.name()),
            _ => None,
        },
        how: execution.origin.name(),
        node_id: execution.node,
        job_id: execution.job,
        project_id: execution.project,
        run: (run > 0).then_some(run),
        scheduled_at: rfc3339(execution.scheduled),
        due_at: rfc3339(execution.due),
        skipped_since: execution.since.map(rfc3339),
        started_at: sent.then(|| rfc3339(execution.started)),
        attempt: execution.attempt,
        http_code: execution.http_code,
        duration_ms: execution.duration,
        next_attempt_at: match execution.verdict {
            Verdict::Retry { at } if at > 0 => Some(rfc3339(at)),
            _ => None,
        },
        waited: waited.map(str::to_owned),
        error: error.map(str::to_owned),
        response: execution.response,
        shard: execution.shard,
        epoch: execution.epoch,
        last_execution_datetime: rfc3339(execution.scheduled),
        next_execution_datetime: next.map(rfc3339),
        job_queue_version: execution.epoch,
        execution_version: execution.attempt,
        date_created: rfc3339(execution.created),
    }
}

/// Sums over all that is kept: `success` were delivered, `failed` are attempts that failed and those
/// given up, `scheduled` are all of them and what was skipped.
async fn totals(State(app): App, ask: Ask) -> Result<Response, Error> {
    let project = ask.number("projectId")?.filter(|id| *id > 0);
    ask.settle(&app).await?;
    let sums = app.read(move |conn| {
        Ok(Totals {
            account_id: 0,
            scheduled: counters::total(conn, project, &OutcomeKind::ALL)?,
            success: counters::total(conn, project, &[OutcomeKind::Delivered])?,
            failed: counters::total(conn, project, &[OutcomeKind::Failed, OutcomeKind::Dead])?,
        })
    });
    Ok(reply::ok(&sums.await?, ask.casing()))
}
