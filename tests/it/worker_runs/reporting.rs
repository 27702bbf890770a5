//! Runs as the workers of these tests perform them: they take a while, and end by a report that is
//! repeated at other nodes until it is answered, or in silence.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::faulty_workers::Worker;
use super::fixture::Handed;
use super::verdict::Ending;
use crate::harness::PATIENCE;

impl Worker {
    /// Performs a run.
    pub(super) async fn perform(self: Arc<Self>, run: Handed, place: usize) {
        let habits = self.shared.habits;
        let (what, ending) = if rand::random_bool(habits.strays) {
            match rand::random_range(0..3) {
                0 => ("", Ending::Silent),
                1 => ("fail", Ending::Failed),
                _ => ("release", Ending::Released),
            }
        } else {
            ("complete", Ending::Completed)
        };
        let takes = rand::random_range(1..=habits.longest);
        // Most are short.
        let takes = if rand::random_bool(0.9) { takes / 10 } else { takes };
        tokio::time::sleep(Duration::from_millis(takes)).await;
        if !self.is_done(&run, place) {
            return;
        }
        let now = self.shared.now();
        self.shared.note(place, |one| one.until = now);
        let ending = if what.is_empty() {
            ending
        } else {
            self.report_until_answered(&run, what, ending).await
        };
        self.shared.note(place, |one| one.ending = ending);
        self.forget(&run, place);
        if ending == Ending::Completed {
            self.shared.completed.send_modify(|count| *count += 1);
        }
    }

    /// Reports on a run, at one node after the other; returns how it ended.
    async fn report_until_answered(&self, run: &Handed, what: &str, ending: Ending) -> Ending {
        let path = format!("/runs/{}/{what}", run.id);
        let body = json!({"attempt": run.attempt, "workerId": self.name});
        let deadline = Instant::now() + PATIENCE;
        let mut may_count = false;
        loop {
            let (answer, arrived) = self.shared.post(&path, &body).await;
            match answer {
                Some((200, _)) => return ending,
                // A leader that died may have committed it before.
                Some((503, body)) => {
                    may_count = true;
                    assert!(Instant::now() < deadline, "{what} {run:?}: {body}");
                }
                // The report that got no answer, or none that says it, counted.
                Some((409, _)) if may_count && ending != Ending::Completed => return ending,
                Some((status @ (404 | 409), _)) => return Ending::Refused(status),
                Some((status, body)) => panic!("{what} of {run:?} is answered {status}: {body}"),
                None => {
                    may_count |= arrived;
                    assert!(Instant::now() < deadline, "{what} of {run:?} gets no answer");
                }
            }
            self.fence();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
