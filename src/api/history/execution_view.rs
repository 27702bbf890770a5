//! One attempt as answers show it.

use serde::Serialize;

use crate::app::history::{Execution, ExecutionRecord};
use crate::model::attempt::Verdict;
use crate::model::postponement::parts;
use crate::model::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutionView {
    id: u64,
    /// The execution id, which all attempts of an occurrence share.
    unique_id: String,
    execution_id: String,
    /// The original's number: 0 scheduled (and not sent), 1 success, 2 failed.
    state: u8,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The origin of the result: the response, a report, silence.
    how: &'static str,
    node_id: u64,
    job_id: u64,
    project_id: u64,
    /// The number of a manual run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    scheduled_at: String,
    due_at: String,
    /// The begin of a skipped range.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    attempt: u32,
    http_code: u16,
    /// The answer in words, such as `AMQP 312`, where its code is no HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    duration_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    /// The time by which the attempt was deferred although it was due, and the reason.
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

/// The view of an attempt.
pub(crate) fn view(record: ExecutionRecord) -> ExecutionView {
    let ExecutionRecord { execution, execution_id: id, next, .. } = record;
    let Execution { run, .. } = execution;
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
        http_code: execution.result.http_code(),
        answer: execution.result.answer(),
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
