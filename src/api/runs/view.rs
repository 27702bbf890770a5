//! The forms of runs in answers.

use serde::Serialize;

use crate::api::history::execution_view::{ExecutionView, view as attempt};
use crate::app::runs::{RunDetails, RunRecord};
use crate::model::attempt::occurrence_id;
use crate::model::run_id::run_id;
use crate::model::run_terms::BusKind;
use crate::model::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunView {
    id: String,
    run_id: String,
    job_id: u64,
    project_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// `embedded`, `rabbitmq` or `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    bus: Option<BusKind>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_by: Option<String>,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    scheduled_at: String,
    /// The instant at which it was due.
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    /// `false` where its owner did not say in time how it is at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<ExecutionView>>,
}

/// The view of a run in a list.
pub(crate) fn view(run: RunRecord) -> RunView {
    RunView {
        id: occurrence_id(run.cluster, run.occurrence),
        run_id: run_id(run.cluster, run.occurrence),
        job_id: run.occurrence.job,
        project_id: run.project,
        job_name: run.job_name,
        queue: run.queue,
        bus: run.bus,
        state: run.state.name(),
        reason: run.reason,
        cancelled_by: run.cancelled_by,
        attempt: run.attempt,
        worker: run.worker,
        scheduled_at: rfc3339(run.occurrence.scheduled),
        created_at: rfc3339(run.due),
        started_at: run.started.map(rfc3339),
        ended_at: run.ended.map(rfc3339),
        heartbeat_at: run.heard.map(rfc3339),
        progress: run.progress,
        message: run.message,
        result: run.result,
        error: run.error,
        next_attempt_at: run.next_attempt_at.map(rfc3339),
        deadline: run.deadline.map(rfc3339),
        live: run.live,
        attempts: None,
    }
}

/// The view of a run with its attempts.
pub(crate) fn details(found: RunDetails) -> RunView {
    let attempts = found.attempts.into_iter().map(attempt).collect();
    RunView { attempts: Some(attempts), ..view(found.run) }
}
