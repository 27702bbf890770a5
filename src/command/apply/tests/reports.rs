//! Reports on runs: what a receiver or a client may say, and what silence leads to.

use super::record::JournalFixture;
use super::runs::{CANCELLED, RETRY, accepted, begin, fail, planned};
use super::*;
use crate::model::delivery::Overlap;
use crate::model::run::{Begun, Report};

#[test]
fn a_receiver_completes_fails_or_gives_up() {
    let mut fixture = JournalFixture::new();
    let of = |minute| planned(1, minute);
    for minute in 0..3 {
        fixture.tell(1, accepted(of(minute), None, None));
    }
    fixture.state.now = START + 90_000;
    fixture.report(of(0), Report::Complete);
    assert_eq!(fixture.last(), (Verdict::Delivered, ResultOrigin::Reported, 1));
    fixture.report(of(1), fail(false));
    assert_eq!(fixture.last(), (Verdict::Dead, ResultOrigin::Reported, 1));
    assert_eq!(fixture.dead(), [[1]]);
    fixture.report(of(2), fail(true));
    assert_eq!(fixture.last(), (Verdict::Retry { at: START + 95_000 }, ResultOrigin::Reported, 1));
    assert_eq!(fixture.waiting(), [(2, 0, START + 95_000, vec![1])]);
    assert_eq!(fixture.records()[5].record.error.as_deref(), Some("no disk"));
    // The second attempt is its last.
    let row = fixture.rows()[0].0;
    let second = AttemptRecord { attempt: 2, pending: Some(row), ..accepted(of(2), None, None) };
    fixture.tell(1, second);
    fixture.report(of(2), fail(true));
    assert_eq!(
        (fixture.last(), fixture.dead().len()),
        ((Verdict::Dead, ResultOrigin::Reported, 2), 2)
    );
    assert_eq!(fixture.state.count("runs"), 0);
}

#[test]
fn reports_that_come_late_or_twice_or_for_nothing_are_answered_plainly() {
    let mut fixture = JournalFixture::new();
    let (of, other) = (planned(1, 0), planned(1, 1));
    let (kind, why) = fixture.refused(of, Report::Complete);
    assert_eq!(kind, RejectionKind::NotFound);
    assert!(why.contains("no run of this id"), "{why}");
    fixture.tell(1, accepted(of, None, None));
    fixture.report(of, Report::Complete);
    let before = fixture.state.count("blocks");
    fixture.report(of, Report::Complete);
    assert_eq!(fixture.state.count("blocks"), before, "told twice");
    for (report, word) in [(Report::Heartbeat, "delivered"), (fail(true), "delivered")] {
        let (kind, why) = fixture.refused(of, report);
        assert_eq!(kind, RejectionKind::Conflict);
        assert!(why.contains(word), "{why}");
    }
    // Dead-lettered, and done after all.
    fixture.tell(1, accepted(other, None, None));
    fixture.report(other, fail(false));
    assert!(fixture.refused(other, fail(true)).1.contains("given up"));
    fixture.report(other, Report::Complete);
    assert_eq!((fixture.last().0, fixture.dead().len()), (Verdict::Delivered, 0));
    // Taken for lost, and done before the next attempt.
    let lost = planned(1, 2);
    fixture.tell(1, accepted(lost, None, Some(1_000)));
    assert_eq!(fixture.expire(3_600_000), Outcome::Changed(1));
    assert!(fixture.refused(planned(9, 2), Report::Heartbeat).1.contains("no run"));
    fixture.report(lost, Report::Complete);
    assert_eq!(
        (fixture.last().0, fixture.rows(), fixture.run(lost)),
        (Verdict::Delivered, vec![], None)
    );
    // Its place is free, and what waits can be cancelled but not completed.
    assert_eq!(fixture.begin(begin(planned(1, 3), Overlap::QueueOne)), Begun::Go);
    let parked = planned(1, 4);
    assert_eq!(fixture.begin(begin(parked, Overlap::QueueOne)), Begun::Queued);
    assert!(fixture.refused(parked, Report::Complete).1.contains("not been sent"));
    fixture.report(parked, Report::Cancel);
    assert_eq!((fixture.last().0, fixture.rows()), (CANCELLED, vec![]));
}

#[test]
fn a_report_may_overtake_the_record_of_its_answer() {
    let mut fixture = JournalFixture::new();
    let (done, failed) = (planned(1, 0), planned(2, 0));
    assert_eq!(fixture.begin(begin(done, Overlap::Skip)), Begun::Go);
    assert_eq!(fixture.begin(begin(failed, Overlap::Skip)), Begun::Go);
    fixture.report(done, Report::Complete);
    fixture.report(failed, fail(true));
    fixture.tell(1, accepted(done, None, None));
    fixture.tell(1, accepted(failed, None, None));
    assert_eq!(fixture.run(done), None);
    assert_eq!(fixture.run(failed).map(|run| run.accepted), Some(false));
    assert_eq!(fixture.waiting().len(), 1, "its failure stands");
}

#[test]
fn silence_ends_a_run_and_a_heartbeat_puts_it_off() {
    let mut fixture = JournalFixture::new();
    let (beats, long) = (planned(1, 0), planned(2, 0));
    fixture.state.now = START + 61_000;
    fixture.tell(1, accepted(beats, Some(60_000), Some(10_000)));
    fixture.tell(1, accepted(long, Some(15_000), None));
    let deadline = |fixture: &JournalFixture, of| fixture.run(of).map(|run| run.deadline);
    let answered = START + 60_001 + 12;
    assert_eq!(deadline(&fixture, beats), Some(START + 71_000), "heard of when it was recorded");
    assert_eq!(deadline(&fixture, long), Some(answered + 15_000));
    assert_eq!(fixture.expire(9_000), Outcome::Changed(0));
    fixture.report(beats, Report::Heartbeat);
    assert_eq!(deadline(&fixture, beats), Some(START + 80_000));
    assert_eq!(fixture.expire(6_000), Outcome::Changed(1));
    assert_eq!(fixture.last().1, ResultOrigin::TimedOut);
    assert_eq!(fixture.expire(10_000), Outcome::Changed(1));
    let at = fixture.state.now + RETRY.delay;
    assert_eq!(fixture.last(), (Verdict::Retry { at }, ResultOrigin::Lost, 1));
    assert_eq!(fixture.waiting().len(), 2);
    assert_eq!(fixture.expire(3_600_000), Outcome::Changed(0), "the rows see to them");
}
