//! Reports: repeated until each is answered, many in one call. A run is let go when its report is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::nodes::{NoAnswer, is_passing};
use super::retry_pause::RetryPause;
use super::state::{QueuedReport, WorkerState};
use crate::model::run_report::MAX_REPORTS;

/// The longest time to an answer. A node waits for runs that it does not know yet.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends reports, for as long as the process runs.
pub(super) async fn send_all(
    state: Arc<WorkerState>,
    mut reports: UnboundedReceiver<QueuedReport>,
) {
    let mut pause = RetryPause::new(state.nodes.count());
    let mut waiting: Vec<QueuedReport> = Vec::new();
    loop {
        if waiting.is_empty() && reports.recv_many(&mut waiting, MAX_REPORTS).await == 0 {
            return;
        }
        while waiting.len() < MAX_REPORTS
            && let Ok(report) = reports.try_recv()
        {
            waiting.push(report);
        }
        match call(&state, &mut waiting).await {
            Ok(()) => pause.answered(),
            Err(NoAnswer { retry_after }) => {
                tokio::time::sleep(pause.failed(retry_after)).await;
            }
        }
    }
}

/// One call. What was answered is let go; the error says that something was not.
async fn call(state: &WorkerState, waiting: &mut Vec<QueuedReport>) -> Result<(), NoAnswer> {
    let bodies: Vec<_> = waiting.iter().map(|report| &report.body).collect();
    let body = json!({ "reports": bodies });
    let reply = state.nodes.post(&state.worker_path("report"), &body, ANSWER_TIMEOUT).await?;
    if reply.status != 200 {
        for report in waiting.drain(..) {
            give_up(state, &report, reply.status, &reply.message());
        }
        return Ok(());
    }
    let answers = reply.envelope["data"]["reports"].as_array();
    let answers = answers.map_or(&[][..], Vec::as_slice);
    let mut answers = answers.iter();
    waiting.retain(|report| !is_answered(state, report, answers.next()));
    if waiting.is_empty() { Ok(()) } else { Err(NoAnswer { retry_after: reply.retry_after }) }
}

/// Takes in the answer to one report. Returns whether it needs no repetition.
fn is_answered(state: &WorkerState, report: &QueuedReport, answer: Option<&Value>) -> bool {
    let status = answer.and_then(|answer| answer["status"].as_u64());
    let Some(status) = status.and_then(|status| u16::try_from(status).ok()) else { return false };
    if is_passing(status) {
        return false;
    }
    if (200..300).contains(&status) {
        state.held.let_go(&report.id, report.attempt);
        return true;
    }
    let message = answer.and_then(|answer| answer["error"]["message"].as_str());
    give_up(state, report, status, message.unwrap_or("no reason given"));
    true
}

fn give_up(state: &WorkerState, report: &QueuedReport, status: u16, message: &str) {
    let said = report.body["state"].as_str().unwrap_or_default();
    let id = &report.id;
    state.lines.say(&format!("the report {said} of {id} was refused: {message} (HTTP {status})"));
    state.held.let_go(id, report.attempt);
}
