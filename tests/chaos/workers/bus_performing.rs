//! Runs as the workers over the broker perform them: they say that they begin, take a while, and
//! say how they end, some of it twice, or nothing. What the broker did not confirm is said again.
//! `bus_worker` starts a task for each.

use std::sync::Arc;
use std::time::Duration;

use lapin::Acker;
use serde_json::json;

use super::UNCONFIRMED;
use super::bus_worker::{BusWorker, ack};
use super::held::Handed;
use super::performing::{STRAYS, some_time};
use super::record::Ending;
use crate::hosts::now;

/// The share of statuses that a worker says twice.
const TWICE: f64 = 0.1;
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// The tries to say that a run has stopped.
const STOPPED_TRIES: usize = 20;

impl BusWorker {
    /// Performs a run; `acker` acknowledges its message at the end.
    pub(super) async fn perform(self: Arc<Self>, run: Handed, acker: Option<Acker>) {
        let (status, ending) = if rand::random_bool(STRAYS) {
            if rand::random_bool(0.5) { ("", Ending::Silent) } else { ("failed", Ending::Failed) }
        } else if self.is_kept {
            ("completed", Ending::Completed)
        } else {
            ("completed", Ending::Said)
        };
        self.say(&run, "running").await;
        tokio::select! {
            () = tokio::time::sleep(some_time()) => {}
            () = run.stop.notified() => self.stop(&run).await,
        }
        self.thawed().await;
        if self.held.is_done(&run) {
            let done = now();
            self.shared.note(run.place, |one| {
                one.until = done;
                one.said_done = status == "completed";
            });
            if !status.is_empty() {
                self.say(&run, status).await;
            }
            let answered = now();
            self.shared.note(run.place, |one| (one.ending, one.answered) = (ending, answered));
            self.held.forget(&run);
        }
        if let Some(acker) = acker {
            // The broker hands out again what this does not reach.
            let _ = ack(&acker).await;
        }
    }

    /// Says of a run that was cancelled that it has stopped, or says nothing.
    async fn stop(&self, run: &Handed) {
        let is_cancelled = {
            let record = self.shared.record.lock().unwrap();
            record.hand_outs[run.place].ending == Ending::Cancelled
        };
        if !is_cancelled || rand::random_bool(UNCONFIRMED) {
            return;
        }
        let body = json!({"jobName": self.job, "runId": run.id, "status": "cancelled"});
        for _ in 0..STOPPED_TRIES {
            if self.publish("status", &body, self.is_kept).await.is_ok() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Says a status of a run until the broker confirms it, as long as the worker has the run.
    async fn say(&self, run: &Handed, status: &str) {
        let body = json!({"jobName": self.job, "runId": run.id, "status": status});
        while self.held.has(run) {
            let said = self.publish("status", &body, self.is_kept);
            let is_confirmed = if rand::random_bool(TWICE) {
                // At once: a word on one attempt that comes late counts for the next one.
                let again = self.publish("status", &body, self.is_kept);
                let (first, second) = tokio::join!(said, again);
                first.is_ok() && second.is_ok()
            } else {
                said.await.is_ok()
            };
            if is_confirmed {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
