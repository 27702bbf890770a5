//! Pages of one worker and of one job: they join without a gap, and read about what they show.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::model::delivery::Retry;
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::run::{Phase, Run, WorkerRun};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::store::open_runs::{Scope, Walk, each};
use crate::store::{Store, Tx};

const JOBS: u64 = 50;
const INSTANTS: i64 = 200;

fn run(of: Occurrence, worker: &str) -> Run {
    let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
    Run {
        occurrence: of,
        project: 1,
        shard: shard_of(of.job),
        due: of.scheduled,
        attempt: 1,
        base: 0,
        node: 1,
        epoch: 1,
        accepted: true,
        started: 1,
        heard: 1,
        deadline: Millis::MAX,
        heartbeat_timeout: None,
        ends: None,
        retry,
        forced: false,
        worker: Some(Box::new(WorkerRun {
            phase: Phase::Running,
            since: 1,
            why: None,
            worker: worker.to_owned(),
            progress: None,
            message: None,
            terms: RunTerms::new(BusKind::Embedded, 7, retry),
        })),
    }
}

/// A job of the shard with one row, which is older than all others.
const RARE: u64 = 60;

/// Ten thousand runs of worker `w`, as many of `v`, all of jobs of one shard, ten thousand rows of
/// job 1, and as many of others.
fn fill(tx: &mut Tx<'_>) -> rusqlite::Result<()> {
    for scheduled in 1..=INSTANTS {
        for job in 1..=JOBS {
            runs::put(tx, &run(Occurrence { job, scheduled, run: 0 }, "w"))?;
            runs::put(tx, &run(Occurrence { job, scheduled, run: 7 }, "v"))?;
            let id = scheduled as u64 * JOBS + job;
            let members = Members::from_sorted([1]);
            let row = Pending { id, run: id, ..Pending::new(1, shard_of(1), scheduled, members) };
            pending::insert(tx, &row)?;
            let members = Members::from_sorted([job + 1]);
            let row = Pending { id: id + 1_000_000, members, ..row };
            pending::insert(tx, &row)?;
        }
    }
    let members = Members::from_sorted([RARE]);
    pending::insert(tx, &Pending { id: 1, ..Pending::new(1, shard_of(RARE), 0, members) })
}

/// The file of a store that is filled.
fn filled() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut writer) = Store::open(dir.path()).unwrap();
    writer.transaction(fill).unwrap_or_else(|error: rusqlite::Error| panic!("{error}"));
    drop((store, writer));
    let conn = Connection::open(dir.path().join("state.db")).unwrap();
    (dir, conn)
}

/// A page of a walk, and the steps of SQLite's virtual machine that it took.
fn page(conn: &mut Connection, walk: Walk<'_>, most: usize) -> (Vec<Occurrence>, u64) {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    conn.progress_handler(1, Some(count)).unwrap();
    let mut found = Vec::new();
    let walked = each(conn, walk, |open| {
        found.push(open.occurrence);
        Ok(found.len() < most)
    });
    walked.unwrap();
    (found, steps.load(Ordering::Relaxed))
}

fn from(scope: Scope<'_>, after: Option<Occurrence>) -> Walk<'_> {
    Walk { scope, before: Millis::MAX, after }
}

#[test]
fn pages_of_a_worker_and_of_a_job_join_and_read_about_what_they_show() {
    let (_dir, mut conn) = filled();
    let all_of_w = JOBS as usize * INSTANTS as usize;
    let all_of_1 = (JOBS as usize + 2) * INSTANTS as usize;
    for (scope, count) in [
        (Scope::Worker("w", None), all_of_w),
        (Scope::Worker("w", Some(9)), INSTANTS as usize),
        (Scope::Job(1), all_of_1),
        (Scope::Worker("nobody", None), 0),
    ] {
        let (whole, all_steps) = page(&mut conn, from(scope, None), usize::MAX);
        assert_eq!(whole.len(), count, "{scope:?}");
        let mut joined: Vec<Occurrence> = Vec::new();
        let mut most = 0;
        loop {
            let (some, steps) = page(&mut conn, from(scope, joined.last().copied()), 97);
            most = most.max(steps);
            let is_last = some.len() < 97;
            joined.extend(some);
            if is_last {
                break;
            }
        }
        assert_eq!(joined, whole, "{scope:?}");
        if count > 9_000 {
            // A hundredth is shown.
            assert!(most * 25 < all_steps, "{scope:?}: {most} of {all_steps} steps");
        }
    }
}

#[test]
fn rows_of_other_jobs_and_newer_runs_are_not_stepped_over() {
    let (_dir, mut conn) = filled();
    let (found, steps) = page(&mut conn, from(Scope::Job(RARE), None), 9);
    assert_eq!(found.len(), 1);
    assert!(steps < 1_000, "the rows of other jobs are newer: {steps} steps");
    for scope in [Scope::Worker("w", None), Scope::Worker("w", Some(9)), Scope::Job(9)] {
        let (found, steps) = page(&mut conn, Walk { before: 2, ..from(scope, None) }, 9);
        assert!(!found.is_empty() && found.iter().all(|of| of.scheduled < 2), "{found:?}");
        assert!(steps < 5_000, "{scope:?}: all others are newer: {steps} steps");
    }
}

#[test]
fn a_worker_has_its_runs_newest_first_and_backwards_by_job_within_an_instant() {
    let (_dir, mut conn) = filled();
    let (some, _) = page(&mut conn, from(Scope::Worker("w", None), None), JOBS as usize + 1);
    let of = |job, scheduled| Occurrence { job, scheduled, run: 0 };
    assert_eq!((some[0], some[1]), (of(JOBS, INSTANTS), of(JOBS - 1, INSTANTS)));
    assert_eq!(some[JOBS as usize], of(JOBS, INSTANTS - 1));
    let earlier = Walk { before: 3, ..from(Scope::Worker("w", Some(9)), None) };
    assert_eq!(page(&mut conn, earlier, 9).0, [of(9, 2), of(9, 1)]);
    // A place of another job, behind which its own instant is shown, and before which it is not.
    for (place, newest) in [(of(10, 5), 5), (of(8, 5), 4)] {
        let (found, _) = page(&mut conn, from(Scope::Worker("w", Some(9)), Some(place)), 1_000);
        assert_eq!((found[0], found.len()), (of(9, newest), newest as usize), "behind {place:?}");
    }
}
