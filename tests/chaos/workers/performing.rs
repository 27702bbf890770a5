//! Runs as the workers perform them that claim: they take a while, and end by a report that is
//! repeated at other nodes until it is answered, or in silence. `worker` starts a task for each.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::held::Handed;
use super::record::Ending;
use super::worker::Worker;
use super::{UNCONFIRMED, is_refused_for_now};
use crate::hosts::now;

/// The share of runs that end otherwise than by a report that they are done: in silence, by a
/// failure or by a release, as often each.
pub(super) const STRAYS: f64 = 0.08;
/// The longest time that a run takes, in milliseconds. Most take a tenth of it at most.
const LONGEST: u64 = 6_000;
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The time that a run takes.
pub(super) fn some_time() -> Duration {
    let takes = rand::random_range(1..=LONGEST);
    Duration::from_millis(if rand::random_bool(0.9) { takes / 10 } else { takes })
}

impl Worker {
    /// Performs a run.
    pub(super) async fn perform(self: Arc<Self>, run: Handed) {
        let (what, ending) = if rand::random_bool(STRAYS) {
            match rand::random_range(0..3) {
                0 => ("", Ending::Silent),
                1 => ("fail", Ending::Failed),
                _ => ("release", Ending::Released),
            }
        } else {
            ("complete", Ending::Completed)
        };
        tokio::select! {
            () = tokio::time::sleep(some_time()) => {}
            () = run.stop.notified() => return self.stop(&run).await,
        }
        self.thawed().await;
        if !self.held.is_done(&run) {
            return;
        }
        let done = now();
        self.shared.note(run.place, |one| {
            one.until = done;
            one.said_done = ending == Ending::Completed;
        });
        let ending = if what.is_empty() { ending } else { self.report(&run, what, ending).await };
        let answered = now();
        self.shared.note(run.place, |one| (one.ending, one.answered) = (ending, answered));
        self.held.forget(&run);
    }

    /// Says of a run that it has stopped, if that is what it was told to, or says nothing.
    async fn stop(&self, run: &Handed) {
        let is_cancelled = {
            let record = self.shared.record.lock().unwrap();
            record.hand_outs[run.place].ending == Ending::Cancelled
        };
        if !is_cancelled || rand::random_bool(UNCONFIRMED) {
            return;
        }
        if self.report(run, "cancelled", Ending::Stopped).await == Ending::Stopped {
            let answered = now();
            self.shared.note(run.place, |one| {
                (one.ending, one.answered) = (Ending::Stopped, answered);
            });
        }
    }

    /// Reports on a run, at one node after the other, until it is answered; returns how it ended.
    async fn report(&self, run: &Handed, what: &str, ending: Ending) -> Ending {
        let path = format!("/runs/{}/{what}", run.id);
        let body = json!({"attempt": run.attempt, "workerId": self.name});
        let mut may_count = false;
        loop {
            match self.post(&path, &body).await {
                (Some((200, _)), _) => return ending,
                // The report that got no answer counted.
                (Some((409, _)), _) if may_count && ending != Ending::Completed => return ending,
                (Some((status @ (404 | 409), _)), _) => return Ending::Refused(status),
                (Some((status, _)), _) if is_refused_for_now(status) => {
                    // What a node proposed before it lost its leader may be committed later.
                    may_count = true;
                }
                (Some((status, body)), _) => {
                    self.shared.wrong(&format!("{what} of {run:?}"), status, &body);
                    return Ending::Refused(status);
                }
                (None, arrived) => may_count |= arrived,
            }
            self.held.fence();
            tokio::time::sleep(PAUSE).await;
        }
    }
}
