//! Heartbeats: one call for all runs of the worker. A call waits at the node, so that a cancelled
//! run is known at once. A new run, or progress, ends the wait after a second; the next call does
//! not wait, so that its answer extends the deadlines, and the one after it waits again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::held::{HeartbeatAnswer, HeartbeatEntry, HeartbeatNews};
use super::nodes::NoAnswer;
use super::retry_pause::RetryPause;
use super::state::WorkerState;

/// The longest wait of a call, where no run has a shorter timeout.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The part of the shortest timeout after which the next call is due.
const PART: u32 = 3;
/// The longest time to an answer beyond the wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The least time that a call may wait in peace, but for a command that waits for its answer.
const NEWS_INTERVAL: Duration = Duration::from_secs(1);
/// The time between two calls for a command that waits.
const AWAITED_INTERVAL: Duration = Duration::from_millis(200);

/// Sends heartbeats, for as long as the process runs.
pub(super) async fn send_all(state: Arc<WorkerState>) {
    let mut pause = RetryPause::new(state.nodes.count());
    let mut refusal = None;
    // The call before was answered, so that the deadlines can bear a wait.
    let mut is_answered = false;
    loop {
        state.held.named().await;
        let due = interval(&state);
        let is_quiet = is_answered && state.held.has_news() < Some(HeartbeatNews::Awaited);
        let may_wait = !state.waits_refused.load(Ordering::Relaxed);
        let wait = if is_quiet && may_wait { due } else { Duration::ZERO };
        let begun = Instant::now();
        let call = call(&state, wait, due, &mut refusal);
        let answer = if wait.is_zero() {
            Some(call.await)
        } else {
            tokio::select! {
                answer = call => Some(answer),
                () = interrupted(&state) => None,
            }
        };
        is_answered = matches!(answer, Some(Ok(())));
        match answer {
            Some(Ok(())) => {
                pause.answered();
                if !may_wait {
                    // The time passes here instead of at the node.
                    let _ = tokio::time::timeout(due, interrupted(&state)).await;
                } else if !wait.is_zero() {
                    // While a run is to stop, calls are answered at once.
                    let rest = NEWS_INTERVAL.min(due).saturating_sub(begun.elapsed());
                    let _ =
                        tokio::time::timeout(rest, state.held.news(HeartbeatNews::Awaited)).await;
                }
            }
            Some(Err(NoAnswer { retry_after })) => {
                tokio::time::sleep(pause.failed(retry_after).min(due)).await;
            }
            None => {}
        }
        if state.held.has_news() == Some(HeartbeatNews::Awaited) && is_answered {
            // The owner has no word of the claim yet.
            tokio::time::sleep(AWAITED_INTERVAL.min(due)).await;
        }
    }
}

/// Waits until a call that waits is to be given up.
async fn interrupted(state: &WorkerState) {
    let other = async {
        tokio::time::sleep(NEWS_INTERVAL).await;
        state.held.news(HeartbeatNews::Progress).await;
    };
    tokio::select! {
        () = other => {}
        () = state.held.news(HeartbeatNews::Awaited) => {}
    }
}

/// The time between two calls.
fn interval(state: &WorkerState) -> Duration {
    let shortest = state.held.shortest_timeout().map(Duration::from_millis);
    shortest.map_or(LONGEST_WAIT, |timeout| (timeout / PART).min(LONGEST_WAIT))
}

/// One call, and what follows from its answer.
async fn call(
    state: &WorkerState,
    wait: Duration,
    due: Duration,
    refusal: &mut Option<String>,
) -> Result<(), NoAnswer> {
    let runs = state.held.for_heartbeat();
    let body = body(&runs, wait);
    let sent = state.clock.boot();
    // With short timeouts there must be time to ask another node.
    let timeout = wait + (due / 2).clamp(Duration::from_millis(200), ANSWER_TIMEOUT);
    let reply = state.nodes.post(&state.worker_path("heartbeat"), &body, timeout).await?;
    if reply.status == 200 {
        *refusal = None;
        state.held.take_answer(&runs, sent, &read(&reply.envelope));
        return Ok(());
    }
    if !state.note_refused_wait(&reply) {
        let (message, status) = (reply.message(), reply.status);
        let message = format!("the heartbeat was refused: {message} (HTTP {status})");
        if refusal.as_ref() != Some(&message) {
            state.lines.say(&message);
            *refusal = Some(message);
        }
    }
    Err(NoAnswer { retry_after: reply.retry_after })
}

fn body(runs: &[HeartbeatEntry], wait: Duration) -> Value {
    let entry = |run: &HeartbeatEntry| {
        let mut entry = Map::new();
        entry.insert("id".to_owned(), run.id.as_str().into());
        entry.insert("attempt".to_owned(), run.attempt.into());
        if let Some(progress) = &run.progress {
            entry.insert("progress".to_owned(), progress.percent.into());
            if let Some(message) = &progress.message {
                entry.insert("message".to_owned(), message.as_str().into());
            }
        }
        Value::Object(entry)
    };
    let mut body = json!({"runs": runs.iter().map(entry).collect::<Vec<_>>()});
    if !wait.is_zero() {
        body["wait"] = format!("{}ms", wait.as_millis()).into();
    }
    body
}

fn read(envelope: &Value) -> HeartbeatAnswer {
    let ids = |name: &str| -> HashSet<String> {
        let ids = envelope["data"][name].as_array().map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    HeartbeatAnswer { cancel: ids("cancel"), gone: ids("gone"), unknown: ids("unknown") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::worker::progress_line::RunProgress;

    #[test]
    fn a_heartbeat_names_each_run_and_its_progress() {
        let progress = RunProgress { percent: 40, message: Some("copying".to_owned()) };
        let entry = |id: &str, progress| HeartbeatEntry { id: id.to_owned(), attempt: 2, progress };
        let said =
            body(&[entry("a", Some(progress)), entry("b", None)], Duration::from_millis(333));
        let runs = json!([
            {"id": "a", "attempt": 2, "progress": 40, "message": "copying"},
            {"id": "b", "attempt": 2},
        ]);
        assert_eq!(said, json!({"runs": runs, "wait": "333ms"}));
        assert_eq!(body(&[], Duration::ZERO), json!({"runs": []}));
    }

    #[test]
    fn an_answer_is_read() {
        let told = read(&json!({"data": {"cancel": ["a"], "gone": ["b", 7], "unknown": []}}));
        assert!(told.cancel.contains("a") && told.gone.contains("b") && told.gone.len() == 1);
        assert_eq!(read(&Value::Null), HeartbeatAnswer::default());
    }
}
