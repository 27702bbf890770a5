//! Occurrences that wait behind the runs of their job in their order: `overlap: queue`.

use super::record::JournalFixture;
use super::runs::{OVERLAP, begin, planned, told};
use super::*;
use crate::model::attempt::SkipReason;
use crate::model::delivery::Overlap;
use crate::model::job::PARKED;
use crate::model::run::{BeginRun, Begun, Occurrence};
use crate::store::runs;

const FULL: Verdict = Verdict::Skipped(SkipReason::QueueFull);

/// A state with one job that queues up to two, and its number.
fn queueing() -> (JournalFixture, u64) {
    let mut fixture = JournalFixture::new();
    let overlap = Overlap::Queue { most: 2 };
    let job = fixture.state.jobs(JobDefinition { overlap, ..every_minute() }, 1);
    assert_eq!(shard_of(job), 0);
    (fixture, job)
}

fn ask(job: u64, minute: i64) -> BeginRun {
    begin(planned(job, minute), Overlap::Queue { most: 2 })
}

/// The scheduled minutes of the rows that are parked, and of those that are not.
fn rows(fixture: &JournalFixture) -> (Vec<i64>, Vec<i64>) {
    let minute = |scheduled: Millis| (scheduled - START) / 60_000 - 1;
    let (parked, released): (Vec<_>, Vec<_>) =
        fixture.pending().into_iter().partition(|row| row.next_at == PARKED);
    let minutes = |rows: Vec<crate::model::job::Pending>| {
        rows.into_iter().map(|row| minute(row.scheduled)).collect()
    };
    (minutes(parked), minutes(released))
}

fn places(fixture: &JournalFixture, job: u64) -> Vec<Occurrence> {
    let runs = fixture.state.read(|c| runs::of_job(c, job));
    runs.into_iter().map(|run| run.occurrence).collect()
}

#[test]
fn so_many_wait_in_their_order_and_what_comes_beyond_is_skipped() {
    let (mut fixture, job) = queueing();
    assert_eq!(fixture.begin(ask(job, 0)), Begun::Go);
    assert_eq!(fixture.begin(ask(job, 1)), Begun::Queued);
    assert_eq!(fixture.begin(ask(job, 2)), Begun::Queued);
    assert_eq!(fixture.begin(ask(job, 3)), Begun::Skipped);
    assert_eq!(fixture.last(), (FULL, ResultOrigin::Answer, 1));
    // One that waits and asks once more waits on, also when there is no room.
    let waiting = fixture.pending().remove(0);
    let again = BeginRun { pending: Some(waiting.id), ..ask(job, 1) };
    assert_eq!(fixture.begin(again.clone()), Begun::Queued);
    assert_eq!(rows(&fixture), (vec![1, 2], vec![]));
    // The end of a run releases the first only, which has its place at once.
    fixture.tell(1, told(planned(job, 0), Verdict::Delivered));
    assert_eq!(rows(&fixture), (vec![2], vec![1]));
    assert_eq!(fixture.state.change.pending, [0]);
    assert_eq!(places(&fixture, job), [planned(job, 1)]);
    // What comes now does not go before it.
    assert_eq!(fixture.begin(ask(job, 4)), Begun::Queued);
    assert_eq!(fixture.begin(again), Begun::Go);
    let row = Some(waiting.id);
    fixture.tell(1, AttemptRecord { pending: row, ..told(planned(job, 1), Verdict::Delivered) });
    assert_eq!(rows(&fixture), (vec![4], vec![2]));
}

#[test]
fn what_was_released_and_ends_unsent_releases_the_next() {
    let (mut fixture, job) = queueing();
    for minute in 0..3 {
        fixture.begin(ask(job, minute));
    }
    fixture.tell(1, told(planned(job, 0), Verdict::Delivered));
    let row = fixture.pending().into_iter().find(|row| row.next_at != PARKED).unwrap().id;
    let paused = Verdict::Skipped(SkipReason::Paused);
    fixture.tell(1, AttemptRecord { pending: Some(row), ..told(planned(job, 1), paused) });
    assert_eq!(rows(&fixture), (vec![], vec![2]));
    assert_eq!(places(&fixture, job), [planned(job, 2)]);
    // Put off, it keeps its place.
    let row = fixture.pending()[0].id;
    let put_off = Verdict::Postponed { at: START + 900_000 };
    fixture.tell(1, AttemptRecord { pending: Some(row), ..told(planned(job, 2), put_off) });
    assert_eq!(fixture.begin(ask(job, 5)), Begun::Queued);
    assert_eq!(rows(&fixture), (vec![5], vec![2]));
}

#[test]
fn an_edit_decides_how_those_that_wait_are_released() {
    let (mut fixture, job) = queueing();
    for minute in 0..3 {
        fixture.begin(ask(job, minute));
    }
    fixture.state.edit(job, |edit| edit.definition.overlap = Overlap::Allow);
    fixture.tell(1, told(planned(job, 0), Verdict::Delivered));
    assert_eq!(rows(&fixture), (vec![], vec![1, 2]));
    assert_eq!(places(&fixture, job), []);
    // By the policy that skips, the first goes, and the second does not.
    let ids: Vec<_> = fixture.rows().iter().map(|row| row.0).collect();
    let ask =
        |minute, row| BeginRun { pending: Some(row), ..begin(planned(job, minute), Overlap::Skip) };
    assert_eq!(fixture.begin(ask(1, ids[0])), Begun::Go);
    assert_eq!(fixture.begin(ask(2, ids[1])), Begun::Skipped);
    assert_eq!(fixture.last().0, OVERLAP);
}

#[test]
fn a_deleted_job_releases_all_that_wait() {
    let (mut fixture, job) = queueing();
    for minute in 0..3 {
        fixture.begin(ask(job, minute));
    }
    fixture.state.done(Command::DeleteJob { id: job, expect: None });
    assert_eq!(rows(&fixture), (vec![], vec![1, 2]));
    assert_eq!(places(&fixture, job), []);
}

#[test]
fn with_no_room_at_all_a_queue_skips() {
    let (mut fixture, job) = queueing();
    let ask = |minute| begin(planned(job, minute), Overlap::Queue { most: 0 });
    assert_eq!(fixture.begin(ask(0)), Begun::Go);
    assert_eq!(fixture.begin(ask(1)), Begun::Skipped);
    assert_eq!((fixture.last().0, fixture.pending()), (FULL, vec![]));
}
