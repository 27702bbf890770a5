//! One occurrence with everything that is known of it: its attempts, its next attempt, its run, and
//! its dead letter.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::history::execution_view::{ExecutionView, view as attempt};
use crate::api::history::worker_run_view::WorkerRunView;
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::IdText;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::history::OccurrenceRecord;
use crate::model::attempt::{SkipReason, occurrence_id};
use crate::model::run::Run;
use crate::model::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OccurrenceView {
    execution_id: String,
    job_id: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The number of a manual run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    scheduled_at: String,
    due_at: String,
    attempts: Vec<ExecutionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<NextView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<RunningView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_id: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NextView {
    attempt: u32,
    /// The instant of the attempt; absent while it waits behind other runs, or for a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// The execution ids of the runs that it waits behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    behind: Vec<String>,
    /// The worker or the destination that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunningView {
    attempt: u32,
    node_id: u64,
    /// `true` if the receiver has accepted the run and reports later.
    accepted: bool,
    started_at: String,
    heard_at: String,
    /// The instant at which the run counts as lost without a report; absent where nothing bounds
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    /// The part that a worker performs.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_run: Option<WorkerRunView>,
}

pub(crate) async fn get_execution(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    let app = &state.app;
    context.apply_consistency(app).await?;
    let record = app.get_execution(&context.actor, id).await?;
    Ok(respond::ok(&view(record), context.casing()))
}

fn view(record: OccurrenceRecord) -> OccurrenceView {
    let state = record.state();
    let OccurrenceRecord { cluster, account, attempts } = record;
    let of = account.occurrence;
    let behind = account.behind.iter().map(|other| occurrence_id(cluster, *other));
    let next = account.pending.as_ref().map(|row| NextView {
        attempt: row.attempt,
        at: row.attempt_at().map(rfc3339),
        behind: behind.collect(),
        waits_for: match &account.queue {
            Some(queue) => Some(format!("a worker of queue {queue}")),
            None => row.postponement().map(|postponed| postponed.waits_for()),
        },
    });
    OccurrenceView {
        execution_id: occurrence_id(cluster, of),
        job_id: of.job,
        state,
        reason: account.state.reason().map(SkipReason::name),
        run: (of.run > 0).then_some(of.run),
        scheduled_at: rfc3339(of.scheduled),
        due_at: rfc3339(account.due),
        attempts: attempts.into_iter().map(attempt).collect(),
        next_attempt: next,
        running: account.run.as_ref().map(running),
        dead_letter_id: account.letter.map(|letter| letter.id),
    }
}

fn running(run: &Run) -> RunningView {
    RunningView {
        attempt: run.attempt,
        node_id: run.node,
        accepted: run.accepted,
        started_at: rfc3339(run.started),
        heard_at: rfc3339(run.heard),
        deadline: run.bounded_by().map(rfc3339),
        ends_at: run.ends.map(rfc3339),
        worker_run: WorkerRunView::of(run),
    }
}
