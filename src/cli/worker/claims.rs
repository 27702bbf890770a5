//! Claims: as many runs as there are free places, and a task for each run that comes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::assignment::Assignment;
use super::nodes::NoAnswer;
use super::perform::perform;
use super::retry_pause::RetryPause;
use super::state::{QueuedReport, WorkerState};
use super::stops::{LifeStage, reached};
use crate::cli::Failure;
use crate::cli::client::NodeReply;

/// The wait of a claim at the node. It is shorter than the time in which the first heartbeat is
/// due, so that a command can begin without waiting for the answer to one.
const WAIT: Duration = Duration::from_secs(10);
/// The longest wait where the node decides.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The longest time to an answer beyond the wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which a claim is repeated under its key. The owners remember it for a minute.
const KEY_LIFE: u64 = 45_000;
/// The longest pause after commands that could not be started.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One claim, which is repeated under its key until it is answered.
struct RepeatedClaim {
    key: String,
    most: usize,
    /// The instant of the first try, from which deadlines count.
    sent: u64,
}

/// Claims until the worker stops.
///
/// # Errors
///
/// The node refuses the claims: a queue that does not exist, credentials that are not valid.
pub(super) async fn claim_all(
    state: &Arc<WorkerState>,
    mut life: watch::Receiver<LifeStage>,
) -> Result<(), Failure> {
    let mut pause = RetryPause::new(state.nodes.count());
    let mut claim: Option<RepeatedClaim> = None;
    loop {
        let held = tokio::select! {
            held = state.held.at_most(state.settings.concurrency - 1) => held,
            () = reached(&mut life, LifeStage::Stopping) => return Ok(()),
        };
        let now = state.clock.boot();
        let under_way = claim.take().filter(|claim| now < claim.sent + KEY_LIFE);
        let tried = under_way.unwrap_or_else(|| RepeatedClaim {
            key: format!("{:032x}", rand::random::<u128>()),
            most: state.settings.concurrency - held,
            sent: now,
        });
        let rest = async {
            let failed = state.failed_starts.load(Ordering::Relaxed);
            if failed > 0 {
                let pause = Duration::from_secs(1 << (failed - 1).min(5)).min(LONGEST_PAUSE);
                tokio::time::sleep(pause).await;
            }
            ask(state, &tried, state.claim_wait()).await
        };
        let answered = tokio::select! {
            answered = rest => answered,
            () = reached(&mut life, LifeStage::Stopping) => {
                return give_back_the_last(state, &tried).await;
            }
        };
        match answered {
            Ok(reply) if matches!(reply.status, 200 | 204) => {
                pause.answered();
                begin_all(state, &reply.envelope, tried.sent);
            }
            Ok(reply) if state.note_refused_wait(&reply) => {}
            Ok(reply) => {
                let message = reply.message();
                return Err(Failure::Refused { status: reply.status, message });
            }
            Err(NoAnswer { retry_after }) => {
                claim = Some(tried);
                let pause = pause.failed(retry_after);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = reached(&mut life, LifeStage::Stopping) => {}
                }
            }
        }
    }
}

async fn ask(
    state: &WorkerState,
    claim: &RepeatedClaim,
    wait: Option<Duration>,
) -> Result<NodeReply, NoAnswer> {
    let settings = &state.settings;
    let mut body = json!({
        "workerId": settings.worker,
        "queues": settings.queues,
        "max": claim.most,
        "order": settings.order,
        "key": claim.key,
    });
    if let Some(wait) = wait {
        body["wait"] = format!("{}ms", wait.as_millis()).into();
    }
    let timeout = wait.unwrap_or(LONGEST_WAIT) + ANSWER_TIMEOUT;
    state.nodes.post("/workers/claim", &body, timeout).await
}

/// Begins the runs of an answer.
fn begin_all(state: &Arc<WorkerState>, envelope: &Value, sent: u64) {
    for run in Assignment::read_all(envelope) {
        match state.held.take(&run, sent, Some(state.clock.boot())) {
            Some(directive) => drop(tokio::spawn(perform(Arc::clone(state), run, directive))),
            None => give_back(state, &run),
        }
    }
}

/// Gives a run back whose earlier attempt has not ended here.
fn give_back(state: &WorkerState, run: &Assignment) {
    state.lines.say(&format!("{} is given back: its last attempt has not ended here", run.run_id));
    let body = json!({"id": run.id, "attempt": run.attempt, "state": "released"});
    // The receiver ends with the process only.
    let report = QueuedReport { id: run.id.clone(), attempt: run.attempt, body };
    let _ = state.reports.send(report);
}

/// Asks once more, without a wait, for what the claim that was given up may have been answered, and
/// gives it back.
async fn give_back_the_last(
    state: &Arc<WorkerState>,
    claim: &RepeatedClaim,
) -> Result<(), Failure> {
    let Ok(reply) = ask(state, claim, Some(Duration::ZERO)).await else { return Ok(()) };
    for run in Assignment::read_all(&reply.envelope) {
        let Some(directive) = state.held.take(&run, claim.sent, None) else { continue };
        tokio::spawn(perform(Arc::clone(state), run, directive));
    }
    state.held.give_back_unbegun();
    Ok(())
}

impl WorkerState {
    /// The wait of a claim; `None` leaves it to the node.
    fn claim_wait(&self) -> Option<Duration> {
        (!self.waits_refused.load(Ordering::Relaxed)).then_some(WAIT)
    }
}
