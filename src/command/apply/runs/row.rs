//! Runs as values: when one is lost, and how one is made of a pending row.

use crate::model::delivery::Retry;
use crate::model::job::Pending;
use crate::model::run::{Occurrence, Phase, Run};
use crate::model::{JobId, Millis};

/// The time that a silent sender has beyond its attempt, in milliseconds: a journal is recorded
/// later than it is written.
pub(super) const SENDER_PATIENCE: Millis = 30_000;

/// The retry policy of a run whose policy is not known.
pub(super) const NO_RETRY: Retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };

/// The instant at which an accepted run is lost. For one that a worker has been handed: at which
/// it is to be cancelled, or, once it is, at which nobody waits for a confirmation any more.
pub(in crate::command::apply) fn deadline(run: &Run) -> Millis {
    if let Some(kept) = run.worker.as_deref() {
        return match kept.phase {
            Phase::Pending => {
                let start = kept.terms.start_timeout;
                start.map_or(Millis::MAX, |long| kept.since.saturating_add(long))
            }
            Phase::Running => run.ends.unwrap_or(Millis::MAX),
            Phase::Cancelling => run.deadline,
        };
    }
    let silent = run.heartbeat_timeout.map(|long| run.heard.saturating_add(long));
    silent.into_iter().chain(run.ends).min().unwrap_or(Millis::MAX)
}

/// The occurrence of a row as a run that has not begun.
pub(in crate::command::apply) fn run_of(row: &Pending, job: JobId, stamp: Millis) -> Run {
    Run {
        occurrence: Occurrence { job, scheduled: row.scheduled, run: row.run },
        project: row.project,
        shard: row.shard,
        due: row.due,
        attempt: row.attempt,
        base: row.base,
        node: 0,
        epoch: 0,
        accepted: false,
        started: stamp,
        heard: stamp,
        deadline: Millis::MAX,
        heartbeat_timeout: None,
        ends: None,
        retry: NO_RETRY,
        forced: row.forced,
        worker: None,
    }
}
