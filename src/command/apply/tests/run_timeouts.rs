//! Timeouts of runs that workers perform: not begun in time, too long, not confirmed.

use super::offers::{NOT_STARTED, offer, published, taken, terms};
use super::record::JournalFixture;
use super::run_reports::{CANCEL, OVER, claimed, failed, refused, started};
use super::runs::{CANCELLED, planned};
use super::*;
use crate::command::Reported;
use crate::model::attempt::SkipReason;
use crate::model::offer::Offer;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_report::{RunState, Said};
use crate::model::run_terms::{BusKind, RetryOn, RunTerms};

#[test]
fn a_run_that_takes_too_long_is_cancelled_first_and_then_tried_again_if_its_terms_say_so() {
    for (again, confirmed) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut fixture, of) = claimed(|terms| {
            (terms.run_timeout, terms.retry_on.timeout) = (Some(30_000), again);
        });
        fixture.state.now = START + 60_000;
        assert_eq!(fixture.expire(30_010), Outcome::Changed(0));
        assert_eq!(fixture.expire(1), Outcome::Changed(1));
        assert_eq!(fixture.handed(of).unwrap().1, Phase::Cancelling);
        if confirmed {
            fixture.say(of, 1, "w", Said::Cancelled);
        } else {
            fixture.expire(60_001);
        }
        let at = fixture.state.now + 5_000;
        let verdict = if again { Verdict::Retry { at } } else { CANCELLED };
        assert_eq!(fixture.last(), (verdict, ResultOrigin::TimedOut, 1));
        let error = fixture.records().pop().unwrap().record.error.unwrap();
        assert_eq!(error.contains("did not confirm"), !confirmed, "{error}");
        assert!(error.contains("run timeout"), "{error}");
        assert_eq!(fixture.pending().len(), usize::from(again));
    }
    // A client that cancels it meanwhile wants no other attempt.
    let (mut fixture, of) = claimed(|terms| terms.run_timeout = Some(1_000));
    fixture.expire(1);
    let deadline = fixture.run(of).unwrap().deadline;
    fixture.state.now += 10_000;
    fixture.counts(of, CANCEL);
    assert_eq!(fixture.run(of).unwrap().deadline, deadline);
    fixture.expire(60_000);
    assert_eq!((fixture.last().0, fixture.pending()), (CANCELLED, vec![]));
}

#[test]
fn a_publish_that_nobody_begins_is_cancelled_and_a_late_begin_is_only_noted() {
    let published_with = |start| {
        let mut fixture = JournalFixture::new();
        let terms = RunTerms { start_timeout: start, run_timeout: Some(20_000), ..terms() };
        fixture.take(1, published(Offer { terms, ..offer(planned(1, 0)) }));
        fixture.state.now = START + 60_010;
        (fixture, planned(1, 0))
    };
    let (mut fixture, of) = published_with(Some(5_000));
    assert_eq!(fixture.expire(5_000), Outcome::Changed(0));
    assert_eq!(fixture.expire(1), Outcome::Changed(1));
    let before = fixture.run(of).unwrap();
    fixture.state.now += 7;
    assert_eq!(fixture.say(of, 0, "w", started()), Reported::Counted(RunState::Cancelling));
    let run = fixture.run(of).unwrap();
    assert_eq!((run.started, run.deadline), (fixture.state.now, before.deadline));
    assert_eq!(fixture.handed(of).unwrap().1, Phase::Cancelling);
    fixture.expire(60_001);
    assert_eq!(fixture.last(), (NOT_STARTED, ResultOrigin::TimedOut, 1));
    // In time.
    let (mut fixture, of) = published_with(Some(5_000));
    fixture.state.now += 400;
    assert_eq!(fixture.say(of, 1, "w", started()), Reported::Counted(RunState::Running));
    let run = fixture.run(of).unwrap();
    assert_eq!((run.started, run.deadline), (fixture.state.now, fixture.state.now + 20_000));
    assert_eq!(fixture.say(of, 1, "w", started()), Reported::Counted(RunState::Running));
    assert_eq!(fixture.run(of), Some(run), "said twice");
    let other = fixture.say(of, 1, "v", started());
    assert_eq!(refused(other), (Some(RunState::Running), OVER));
    // Without a bound it waits for ever.
    let (mut fixture, of) = published_with(None);
    assert_eq!(fixture.expire(86_400_000), Outcome::Changed(0));
    assert_eq!(fixture.counts(of, failed(true)), RunState::Pending);
}

#[test]
fn a_one_off_that_is_deleted_at_its_end_takes_a_run_by_hand_along_which_ends_once() {
    let mut fixture = JournalFixture::new();
    let definition = JobDefinition { delete_after_run: true, ..after(0) };
    let job = fixture.state.jobs(definition, 1);
    let now = fixture.state.now;
    let by_hand = match fixture.state.done(Command::RunJob { id: job, forced: false }) {
        Outcome::Run(of) => of,
        outcome => panic!("{outcome}"),
    };
    let of = Occurrence { job, scheduled: now, run: 0 };
    for row in fixture.pending() {
        let of = Occurrence { job, scheduled: row.scheduled, run: row.run };
        let retry_on = RetryOn::default();
        let terms = RunTerms { run_timeout: Some(1_000), retry_on, ..terms() };
        fixture.take(1, taken(Offer { pending: Some(row.id), terms, ..offer(of) }, "w"));
    }
    assert!(fixture.handed(of).is_some() && fixture.handed(by_hand).is_some());
    assert_eq!(fixture.expire(2_000), Outcome::Changed(2), "both are to be cancelled");
    assert_eq!(fixture.expire(60_001), Outcome::Changed(2));
    let ends: Vec<_> =
        fixture.records().iter().map(|one| (one.record.run, one.record.verdict)).collect();
    let ended = Verdict::Skipped(SkipReason::Ended);
    assert_eq!(ends, [(0, CANCELLED), (by_hand.run, ended)]);
    assert_eq!((fixture.state.count("runs"), fixture.pending()), (0, vec![]));
    assert!(fixture.state.read(|c| crate::store::jobs::get(c, job)).is_none());
}

#[test]
fn of_a_large_offer_so_many_end_at_a_time() {
    let mut fixture = JournalFixture::new();
    let terms = RunTerms { start_timeout: Some(1_000), ..terms() };
    let offered = |minute, jobs: std::ops::RangeInclusive<u64>| Offer {
        members: Members::from_sorted(jobs),
        terms: terms.clone(),
        ..offer(planned(1, minute))
    };
    fixture.offer(offered(0, 1..=25));
    fixture.offer(offered(1, 1..=3));
    assert_eq!(fixture.expire(3_001), Outcome::Changed(10));
    let left = |fixture: &JournalFixture| -> Vec<usize> {
        fixture.rows().into_iter().map(|row| row.2.len()).collect()
    };
    assert_eq!(left(&fixture), [15, 3]);
    assert_eq!(fixture.expire(0), Outcome::Changed(10));
    assert_eq!(fixture.expire(0), Outcome::Changed(8));
    assert_eq!((left(&fixture), fixture.expire(0)), (vec![], Outcome::Changed(0)));
    let ended: u64 = fixture.records().iter().map(|one| one.record.members.len()).sum();
    assert_eq!(ended, 28);
}

#[test]
fn a_begin_that_proves_a_publish_is_not_moved_by_a_later_one() {
    let mut fixture = JournalFixture::new();
    let of = planned(1, 0);
    let terms = Box::new(RunTerms { bus: BusKind::Rabbitmq, ..terms() });
    let begun = || Said::Started { terms: terms.clone() };
    fixture.offer(offer(of));
    assert_eq!(fixture.counts(of, begun()), RunState::Running);
    let started = fixture.run(of).unwrap().started;
    fixture.counts(of, CANCEL);
    fixture.state.now += 5_000;
    assert_eq!(fixture.counts(of, begun()), RunState::Cancelling);
    assert_eq!(fixture.run(of).unwrap().started, started);
}

#[test]
fn a_one_off_that_nobody_takes_is_over_and_goes_if_it_is_to_be_deleted() {
    for delete_after_run in [true, false] {
        let mut fixture = JournalFixture::new();
        let definition = JobDefinition { delete_after_run, ..after(0) };
        let job = fixture.state.jobs(definition, 1);
        let of = Occurrence { job, scheduled: fixture.state.now, run: 0 };
        let row = fixture.pending().remove(0).id;
        let terms = RunTerms { start_timeout: Some(1_000), ..terms() };
        fixture.offer(Offer { pending: Some(row), terms, ..offer(of) });
        assert_eq!(fixture.expire(3_001), Outcome::Changed(1));
        assert_eq!(fixture.last().0, NOT_STARTED);
        let left = fixture.state.read(|c| crate::store::jobs::get(c, job));
        let left = left.map(|job| job.status);
        assert_eq!(left, (!delete_after_run).then_some(JobStatus::Completed));
    }
}
