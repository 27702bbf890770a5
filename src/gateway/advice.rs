//! What the store says of a run that a worker has: go on, stop, or it is somebody else's. A worker
//! is told so only if this node's copy proves it; a copy that is behind knows nothing yet of the
//! claim, and then the worker goes on.

use rusqlite::Connection;

use super::replica::Advice;
use crate::model::members::Members;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_id::RunName;
use crate::model::shard::shard_of;
use crate::store::{ends, open_runs, pending, runs};

/// The advice to a worker on an attempt of a run.
pub(super) fn advise(
    conn: &Connection,
    worker: &str,
    (of, attempt): (Occurrence, u32),
) -> rusqlite::Result<Advice> {
    let run = runs::get(conn, of)?;
    if let Some(run) = &run {
        if run.attempt > attempt {
            return Ok(Advice::Gone);
        }
        if run.attempt < attempt {
            return Ok(Advice::GoOn);
        }
        if run.accepted && !run.fits(attempt, worker) {
            return Ok(Advice::Gone);
        }
        let phase = run.worker.as_deref().map(|kept| kept.phase);
        let is_cancelled = phase == Some(Phase::Cancelling);
        return Ok(if is_cancelled { Advice::Cancel } else { Advice::GoOn });
    }
    let members = Members::from_sorted([of.job]);
    let rows = pending::at_occurrence(conn, shard_of(of.job), of.scheduled, of.run, &members)?;
    let row = rows.into_iter().find(|row| row.members.contains(of.job));
    if let Some(row) = row {
        // The row names the attempt that comes next.
        return Ok(if row.attempt > attempt { Advice::Gone } else { Advice::GoOn });
    }
    let is_over = ends::of_occurrence(conn, of)?.is_some();
    Ok(if is_over { Advice::Gone } else { Advice::GoOn })
}

/// The occurrence that the name of a run means; `None` for a manual run of which the store has
/// nothing.
pub(super) fn occurrence(conn: &Connection, name: RunName) -> rusqlite::Result<Option<Occurrence>> {
    match name {
        RunName::Planned { job, scheduled } => Ok(Some(Occurrence { job, scheduled, run: 0 })),
        RunName::Manual { job, run } => open_runs::manual(conn, job, run),
    }
}

#[cfg(test)]
mod tests {
    use Advice::{Cancel, GoOn, Gone};

    use super::*;
    use crate::model::attempt::{AttemptRecord, Occurrences, Verdict};
    use crate::model::delivery::Retry;
    use crate::model::job::Pending;
    use crate::model::run::{CancelCause, Run, WorkerRun};
    use crate::model::run_terms::{BusKind, RunTerms};
    use crate::store::{Store, Tx, Writer, attempts};

    const RETRY: Retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };

    fn of(job: u64) -> Occurrence {
        Occurrence { job, scheduled: 50, run: 0 }
    }

    /// The second attempt of a run that a worker has.
    fn run(job: u64, phase: Phase) -> Run {
        let worker = WorkerRun {
            phase,
            since: 60,
            why: (phase == Phase::Cancelling).then_some(CancelCause::TimedOut),
            worker: "w".into(),
            progress: None,
            message: None,
            terms: RunTerms::new(BusKind::Embedded, 7, RETRY),
        };
        Run {
            occurrence: of(job),
            project: 1,
            shard: shard_of(job),
            due: 50,
            attempt: 2,
            base: 0,
            node: 1,
            epoch: 1,
            accepted: true,
            started: 60,
            heard: 60,
            deadline: i64::MAX,
            heartbeat_timeout: None,
            ends: None,
            retry: RETRY,
            forced: false,
            worker: Some(Box::new(worker)),
        }
    }

    fn within<T>(writer: &mut Writer, f: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T>) -> T {
        writer.transaction(f).unwrap_or_else(|e: rusqlite::Error| panic!("{e}"))
    }

    #[test]
    fn a_worker_stops_only_what_the_store_proves_to_be_no_longer_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = Store::open(dir.path()).unwrap();
        within(&mut writer, |tx| {
            runs::put(tx, &run(1, Phase::Running))?;
            runs::put(tx, &run(2, Phase::Cancelling))?;
            // Begun by a sender, and not yet recorded as taken.
            runs::put(tx, &Run { accepted: false, worker: None, ..run(3, Phase::Running) })?;
            let waits = Pending::new(1, 0, 50, Members::from_sorted([4, 5]));
            pending::insert(tx, &Pending { id: 9, attempt: 2, ..waits })?;
            let members = Members::from_sorted([7]);
            let (project, shard, epoch) = (1, shard_of(7), 1);
            let over = Occurrences { project, shard, epoch, due: 50, scheduled: 50, members };
            attempts::insert(tx, 1, 1, false, 70, &AttemptRecord::attempt(over, Verdict::Delivered))
        });
        let advice = |worker: &str, job, attempt| {
            store.read(|conn| advise(conn, worker, (of(job), attempt))).unwrap()
        };
        for (worker, job, attempt, wanted) in [
            ("w", 1, 2, GoOn),
            ("w", 1, 1, Gone),
            ("w", 1, 3, GoOn),
            ("other", 1, 2, Gone),
            ("other", 1, 3, GoOn),
            ("w", 2, 2, Cancel),
            ("other", 2, 2, Gone),
            ("w", 2, 3, GoOn),
            ("w", 3, 2, GoOn),
            ("w", 3, 1, Gone),
            // A row names the attempt that comes next: the claim of it may be on its way.
            ("w", 4, 2, GoOn),
            ("w", 5, 1, Gone),
            ("w", 7, 2, Gone),
            // Nothing is known yet.
            ("w", 6, 1, GoOn),
        ] {
            assert_eq!(advice(worker, job, attempt), wanted, "{worker} {job} {attempt}");
        }
    }

    #[test]
    fn a_manual_run_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = Store::open(dir.path()).unwrap();
        let manual = Occurrence { run: 26, ..of(1) };
        let known = Run { occurrence: manual, ..run(1, Phase::Running) };
        within(&mut writer, |tx| runs::put(tx, &known));
        let found = |name| store.read(|conn| occurrence(conn, name)).unwrap();
        assert_eq!(found(RunName::Manual { job: 1, run: 26 }), Some(manual));
        // Between two attempts, and after the end: it is not unknown, but somebody else's or over.
        let advice = |name, attempt| {
            let of = found(name).unwrap();
            store.read(|conn| advise(conn, "w", (of, attempt))).unwrap()
        };
        let (waits, over) =
            (RunName::Manual { job: 2, run: 30 }, RunName::Manual { job: 3, run: 31 });
        within(&mut writer, |tx| {
            let row = Pending::new(1, shard_of(2), 50, Members::from_sorted([2]));
            pending::insert(tx, &Pending { id: 9, attempt: 2, run: 30, ..row })?;
            let members = Members::from_sorted([3]);
            let (project, shard, epoch) = (1, shard_of(3), 1);
            let of = Occurrences { project, shard, epoch, due: 50, scheduled: 50, members };
            let record =
                AttemptRecord { run: 31, ..AttemptRecord::attempt(of, Verdict::Delivered) };
            attempts::insert(tx, 1, 1, false, 70, &record)
        });
        assert_eq!((advice(waits, 1), advice(waits, 2)), (Advice::Gone, Advice::GoOn));
        assert_eq!(advice(over, 1), Advice::Gone);
        assert_eq!(found(RunName::Manual { job: 1, run: 27 }), None);
        assert_eq!(found(RunName::Planned { job: 1, scheduled: 50 }), Some(of(1)));
    }
}
