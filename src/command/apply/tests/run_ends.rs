//! What is said of runs that workers performed after they have ended, between two attempts, or by
//! an owner that hands its shard over.

use super::offers::{offer, published, taken, terms};
use super::record::JournalFixture;
use super::run_reports::{CANCEL, OVER, claimed, failed, refused, started};
use super::runs::{CANCELLED, begin, planned};
use super::*;
use crate::command::{Reported, RestorePolicy, reopen};
use crate::model::delivery::Overlap;
use crate::model::job::PARKED;
use crate::model::offer::{MAX_NAME, Offer};
use crate::model::run::{BeginRun, Begun, CancelCause, Occurrence, Phase, Report};
use crate::model::run_report::{RunState, Said};
use crate::store::{ends, pending, runs};

const DONE: Said = Said::Done { result: None };

#[test]
fn an_end_is_known_however_long_jitter_delayed_the_run_and_after_its_job_is_gone() {
    for (said, state) in [
        (DONE, RunState::Completed),
        (failed(false), RunState::Failed),
        (Said::Cancelled, RunState::Cancelled),
    ] {
        for spec in ["@every 20m", "0 * * * *"] {
            let mut fixture = JournalFixture::new();
            let period = spec.starts_with('@').then_some(1_200_000);
            let definition =
                JobDefinition { spec: spec.into(), period, jitter: 600_000, ..every_minute() };
            let job = fixture.state.jobs(definition, 1);
            // One that is delayed by minutes.
            let delayed = |minute| {
                let of = planned(job, minute);
                (of, crate::schedule::delayed(job, of.scheduled, 600_000))
            };
            let late = (0..10_000).map(delayed).find(|(of, due)| due - of.scheduled > 300_000);
            let (of, due) = late.unwrap();
            let shard = shard_of(job);
            fixture.take(1, taken(Offer { shard, due, ..offer(of) }, "w"));
            assert_eq!(fixture.counts(of, said.clone()), state);
            assert_eq!(fixture.counts(of, said.clone()), state, "said once more");
            let found = fixture.state.read(|c| ends::within(c, of, 60_000));
            let found = found.and_then(|(verdict, _)| RunState::of_end(verdict));
            assert_eq!(found, Some(state), "whoever reads finds it, too");
            if state != RunState::Failed {
                fixture.state.now += 1_000;
                fixture.state.done(Command::DeleteJob { id: job, expect: None });
                assert_eq!(fixture.counts(of, said.clone()), state, "and of a job that is gone");
            }
            let told = fixture.say(of, 0, "", started());
            assert_eq!(refused(told), (Some(state), OVER));
        }
    }
}

/// A state in which job 1 has an occurrence between two attempts.
fn between_attempts(said: Said) -> (JournalFixture, Occurrence) {
    let (mut fixture, of) = claimed(|_| ());
    assert_eq!(fixture.say(of, 1, "w", said), Reported::Counted(RunState::Pending));
    (fixture, of)
}

const LOST: Said = Said::Lost { node: 1, epoch: 1 };

#[test]
fn a_begin_that_is_told_once_more_takes_no_row_that_waits_for_its_retry() {
    for said in [failed(true), Said::Released] {
        let (mut fixture, of) = between_attempts(said);
        let before = fixture.pending();
        let told = fixture.say(of, 0, "w", started());
        assert_eq!(refused(told), (Some(RunState::Pending), OVER));
        assert_eq!(fixture.pending(), before);
        // Once its next attempt is due it may have been published, and not been confirmed.
        fixture.state.now += 5_000;
        assert_eq!(fixture.counts(of, started()), RunState::Running);
        assert_eq!(fixture.handed(of).map(|run| run.0), Some(2));
    }
}

#[test]
fn the_older_reports_do_no_harm_to_what_no_worker_has() {
    let fail = || Report::Fail { error: None, retry: true };
    let offered = || {
        let mut fixture = JournalFixture::new();
        fixture.offer(offer(planned(1, 0)));
        (fixture, planned(1, 0))
    };
    for (what, (mut fixture, of)) in [
        ("offered", offered()),
        ("lost", between_attempts(LOST)),
        ("failed", between_attempts(failed(true))),
        ("released", between_attempts(Said::Released)),
    ] {
        let before = fixture.pending();
        for report in [fail(), Report::Fail { error: None, retry: false }, Report::Heartbeat] {
            fixture.refused(of, report);
        }
        assert_eq!(fixture.pending(), before, "{what}");
        fixture.report(of, Report::Complete);
        assert_eq!((fixture.last().0, fixture.pending()), (Verdict::Delivered, vec![]), "{what}");
    }
    for (_, (mut fixture, of)) in [("offered", offered()), ("lost", between_attempts(LOST))] {
        fixture.report(of, Report::Cancel);
        assert_eq!((fixture.last().0, fixture.pending()), (CANCELLED, vec![]));
    }
    // What waits for its turn has not been sent, and what got it has not been sent yet.
    let mut fixture = JournalFixture::new();
    let overlap = Overlap::Queue { most: 9 };
    let job = fixture.state.jobs(JobDefinition { overlap, ..every_minute() }, 1);
    assert_eq!(fixture.begin(begin(planned(job, 0), overlap)), Begun::Go);
    assert_eq!(fixture.begin(begin(planned(job, 1), overlap)), Begun::Queued);
    for released in [false, true] {
        if released {
            fixture.counts(planned(job, 0), DONE);
            assert!(fixture.pending().iter().all(|row| row.next_at != PARKED));
        }
        for report in [Report::Complete, fail(), Report::Heartbeat] {
            let (kind, why) = fixture.refused(planned(job, 1), report);
            assert!(kind == OVER && why.contains("not been sent yet"), "{why}");
        }
    }
    fixture.report(planned(job, 1), Report::Cancel);
    assert_eq!((fixture.state.count("runs"), fixture.pending()), (0, vec![]));
}

#[test]
fn while_a_shard_is_handed_over_its_new_owner_keeps_the_runs_and_the_old_one_hands_in_its_claims() {
    let (mut fixture, of) = claimed(|_| ());
    let until = START + 600_000;
    let moved = Move { shard: 0, to: 2, expects: 1, kind: MoveKind::HandOver { until } };
    fixture.state.done(Command::Assign(vec![moved]));
    // Of the closing epoch: an offer and a claim count, a judgement does not.
    fixture.offer(offer(planned(2, 0)));
    assert_eq!(fixture.pending().len(), 1);
    fixture.take(1, taken(offer(planned(3, 0)), "v"));
    assert_eq!(fixture.handed(planned(3, 0)), Some((1, Phase::Running, "v".to_owned())));
    let told = fixture.say(of, 1, "w", LOST);
    assert_eq!(refused(told), (Some(RunState::Running), OVER));
    let lost = Said::Lost { node: 2, epoch: 2 };
    assert_eq!(fixture.say(of, 1, "w", lost), Reported::Counted(RunState::Pending));
}

#[test]
fn a_deleted_project_leaves_nothing_parked_and_nothing_with_workers() {
    let mut fixture = JournalFixture::new();
    let overlap = Overlap::Queue { most: 9 };
    let job = fixture.state.jobs(JobDefinition { overlap, ..every_minute() }, 1);
    fixture.begin(begin(planned(job, 0), overlap));
    fixture.take(1, taken(offer(planned(job, 0)), "w"));
    for minute in 1..4 {
        fixture.begin(begin(planned(job, minute), overlap));
    }
    fixture.state.done(Command::DeleteProject { id: 1, cascade: true, expect: None });
    assert_eq!(fixture.state.count("runs"), 0);
    let rows = fixture.pending();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.next_at != PARKED), "their sender ends them");
}

#[test]
fn a_cancel_that_was_under_way_goes_on_after_a_restore() {
    let (mut fixture, of) = claimed(|_| ());
    fixture.counts(of, CANCEL);
    let now = fixture.state.now + 3_600_000;
    let reopened =
        fixture.state.writer.transaction(|tx| reopen(tx, now, RestorePolicy::Fire)).unwrap();
    assert_eq!(reopened.skipped, 0);
    assert_eq!(fixture.handed(of), Some((1, Phase::Cancelling, "w".to_owned())));
    fixture.state.now = now;
    assert_eq!(fixture.expire(1), Outcome::Changed(1));
    assert_eq!(fixture.last().0, CANCELLED);
}

#[test]
fn long_names_are_cut_and_the_queue_of_an_occurrence_stays_known() {
    let mut fixture = JournalFixture::new();
    let (of, long) = (planned(1, 0), "ü".repeat(300));
    fixture.take(1, taken(offer(of), &long));
    assert!(fixture.handed(of).unwrap().2.len() < MAX_NAME);
    fixture.counts(of, Said::Cancel { by: Some(long.clone()) });
    let why = fixture.run(of).unwrap().worker.unwrap().why;
    assert!(matches!(why, Some(CancelCause::Client { by: Some(by) }) if by.len() < MAX_NAME));
    let other = planned(2, 0);
    fixture.take(1, published(offer(other)));
    fixture.say(other, 0, &long, started());
    assert!(fixture.handed(other).unwrap().2.len() < MAX_NAME);
    assert_eq!(fixture.say(other, 1, "", LOST), Reported::Counted(RunState::Pending));
    let row = fixture.pending().remove(0);
    assert_eq!((row.queue, row.on_offer), (Some(terms().executor), None));
    // Also while it waits behind another run.
    let ask = BeginRun { pending: Some(row.id), attempt: 2, ..begin(other, Overlap::Allow) };
    assert_eq!(fixture.begin(ask), Begun::Go);
    let kept = fixture.state.read(|c| pending::get(c, row.id)).unwrap();
    assert_eq!(kept.queue, Some(terms().executor));
    assert_eq!(fixture.state.read(|c| runs::kept(c, 0)).len(), 1);
}
