//! Reports on runs that workers perform, in each phase.

use super::offers::{offer, taken, terms};
use super::record::JournalFixture;
use super::runs::{CANCELLED, begin, planned, told};
use super::*;
use crate::command::Reported;
use crate::model::delivery::Overlap;
use crate::model::offer::Offer;
use crate::model::run::{Begun, Occurrence, Phase, Report};
use crate::model::run_report::{RunReport, RunState, Said};
use crate::model::run_terms::{RetryOn, RunTerms};
use crate::store::attempts;

const DONE: Said = Said::Done { result: None };
pub(super) const CANCEL: Said = Said::Cancel { by: None };
const LOST: Said = Said::Lost { node: 1, epoch: 1 };

pub(super) fn failed(retry: bool) -> Said {
    Said::Failed { error: Some("no disk".into()), retry }
}

pub(super) fn started() -> Said {
    Said::Started { terms: Box::new(terms()) }
}

/// A claimed run of job 1 under some terms.
pub(super) fn claimed(change: impl FnOnce(&mut RunTerms)) -> (JournalFixture, Occurrence) {
    let mut fixture = JournalFixture::new();
    let mut terms = terms();
    change(&mut terms);
    fixture.take(1, taken(Offer { terms, ..offer(planned(1, 0)) }, "w"));
    fixture.state.now = START + 70_000;
    (fixture, planned(1, 0))
}

pub(super) fn refused(reported: Reported) -> (Option<RunState>, RejectionKind) {
    match reported {
        Reported::Refused { state, why } => (state, why.kind),
        counted @ Reported::Counted(_) => panic!("{counted:?}"),
    }
}

const GONE: RejectionKind = RejectionKind::NotFound;
pub(super) const OVER: RejectionKind = RejectionKind::Conflict;

#[test]
fn a_worker_completes_a_run_and_says_so_twice() {
    let (mut fixture, of) = claimed(|_| ());
    let result = Some("é".repeat(700));
    assert_eq!(fixture.counts(of, Said::Done { result }), RunState::Completed);
    let record = fixture.records().pop().unwrap().record;
    assert_eq!((record.verdict, record.origin), (Verdict::Delivered, ResultOrigin::Reported));
    assert_eq!((record.response.unwrap().len(), record.duration), (1_024, 9_990));
    assert_eq!((fixture.run(of), fixture.pending()), (None, vec![]));
    let before = fixture.state.hash();
    assert_eq!(fixture.counts(of, DONE), RunState::Completed);
    for said in [failed(true), CANCEL, Said::Cancelled, started(), Said::Released, LOST] {
        assert_eq!(refused(fixture.say(of, 0, "", said)), (Some(RunState::Completed), OVER));
    }
    assert_eq!(fixture.state.hash(), before);
    let told = fixture.state.read(|c| attempts::reported(c, (Millis::MAX, u64::MAX), 9));
    assert_eq!(told, fixture.records(), "it is found among the runs that are over");
    let other = planned(2, 5);
    assert_eq!(refused(fixture.say(other, 0, "", DONE)), (None, GONE));
}

#[test]
fn a_failure_is_tried_again_if_the_terms_and_the_worker_say_so() {
    let (mut fixture, of) = claimed(|_| ());
    assert_eq!(fixture.counts(of, failed(true)), RunState::Pending);
    let at = fixture.state.now + 5_000;
    assert_eq!(fixture.last(), (Verdict::Retry { at }, ResultOrigin::Reported, 1));
    assert_eq!(fixture.waiting(), [(2, 0, at, vec![1])]);
    let held = fixture.run(of).unwrap();
    assert!(!held.accepted && held.worker.is_none(), "it keeps its place, and nobody has it");
    for (retry, on) in [(false, true), (true, false)] {
        let (mut fixture, of) = claimed(|terms| terms.retry_on.failed = on);
        assert_eq!(fixture.counts(of, failed(retry)), RunState::Failed);
        assert_eq!((fixture.last().0, fixture.dead()), (Verdict::Dead, vec![vec![1]]));
        assert_eq!(fixture.counts(of, failed(retry)), RunState::Failed, "a repetition");
        // It was done after all.
        let done = Said::Done { result: Some("42 mails".into()) };
        assert_eq!(fixture.say(of, 1, "w", done), Reported::Counted(RunState::Completed));
        assert_eq!((fixture.last().0, fixture.dead().len()), (Verdict::Delivered, 0));
        let record = fixture.records().pop().unwrap().record;
        assert_eq!(record.response.as_deref(), Some("42 mails"), "its result is kept");
    }
}

#[test]
fn a_report_of_another_attempt_or_worker_changes_nothing_unless_it_is_done() {
    let (mut fixture, of) = claimed(|_| ());
    fixture.state.done(Command::Checksum); // so that log time is this stamp already
    let before = fixture.state.hash();
    for (attempt, worker) in [(2, "w"), (1, "other"), (7, "")] {
        for said in [failed(true), CANCEL, Said::Cancelled, Said::Released, LOST, started()] {
            let told = fixture.say(of, attempt, worker, said);
            assert_eq!(refused(told), (Some(RunState::Running), OVER));
        }
    }
    assert_eq!(fixture.state.hash(), before);
    // Of a first attempt that was lost, while the second one waits and while it runs.
    fixture.say(of, 1, "w", LOST);
    for said in [failed(true), Said::Cancelled, Said::Released, started()] {
        assert_eq!(refused(fixture.say(of, 1, "w", said)), (Some(RunState::Pending), OVER));
    }
    let row = Some(fixture.rows()[0].0);
    fixture.take(1, taken(Offer { attempt: 2, pending: row, ..offer(of) }, "v"));
    assert_eq!(refused(fixture.say(of, 1, "w", failed(true))), (Some(RunState::Running), OVER));
    assert_eq!(fixture.say(of, 1, "w", DONE), Reported::Counted(RunState::Completed));
    assert_eq!(fixture.last(), (Verdict::Delivered, ResultOrigin::Reported, 1));
    assert_eq!(fixture.run(of), None);
}

#[test]
fn a_lost_run_is_offered_again_at_once_and_only_its_keeper_can_say_so() {
    let (mut fixture, of) = claimed(|_| ());
    fixture.state.done(Command::Checksum);
    let before = fixture.state.hash();
    for (attempt, said) in [
        (0, LOST),
        (1, Said::Lost { node: 2, epoch: 1 }),
        (1, Said::Lost { node: 1, epoch: 0 }),
        (1, Said::Lost { node: 1, epoch: 2 }),
    ] {
        assert_eq!(refused(fixture.say(of, attempt, "", said)), (Some(RunState::Running), OVER));
    }
    assert_eq!(fixture.state.hash(), before);
    assert_eq!(fixture.say(of, 1, "w", LOST), Reported::Counted(RunState::Pending));
    let now = fixture.state.now;
    assert_eq!(fixture.last(), (Verdict::Retry { at: now }, ResultOrigin::Lost, 1));
    let error = fixture.records().pop().unwrap().record.error.unwrap();
    assert_eq!(error, "nothing was heard of worker w within its heartbeat timeout");
    assert_eq!(fixture.waiting(), [(2, 0, now, vec![1])]);
    // Up to its last attempt.
    for attempt in 2..=3 {
        let row = Some(fixture.rows()[0].0);
        fixture.take(1, taken(Offer { attempt, pending: row, ..offer(of) }, "w"));
        fixture.say(of, attempt, "w", LOST);
    }
    assert_eq!(fixture.last(), (Verdict::Dead, ResultOrigin::Lost, 3));
    let (mut fixture, of) = claimed(|terms| terms.retry_on = RetryOn::default());
    assert_eq!(fixture.say(of, 1, "w", LOST), Reported::Counted(RunState::Failed));
}

#[test]
fn a_run_that_is_given_back_uses_up_no_retry() {
    let (mut fixture, of) = claimed(|_| ());
    let mut attempt = 1;
    for n in 1..=5 {
        let told = fixture.say(of, attempt, "w", Said::Released);
        assert_eq!(told, Reported::Counted(RunState::Pending));
        attempt += 1;
        assert_eq!(fixture.waiting(), [(attempt, n, fixture.state.now + 1_000, vec![1])]);
        let row = Some(fixture.rows()[0].0);
        fixture.take(1, taken(Offer { attempt, pending: row, ..offer(of) }, "w"));
    }
    assert_eq!(fixture.records(), [], "no attempt was made");
    assert_eq!(fixture.counts(of, failed(true)), RunState::Pending);
    assert_eq!(fixture.waiting()[0].0, 7);
}

#[test]
fn a_clients_cancel_waits_for_the_worker_and_stands_above_a_timeout() {
    let (mut fixture, of) = claimed(|terms| terms.run_timeout = Some(30_000));
    let cancel = || Said::Cancel { by: Some("me".into()) };
    assert_eq!(fixture.counts(of, cancel()), RunState::Cancelling);
    let run = fixture.run(of).unwrap();
    assert_eq!(run.deadline, fixture.state.now + 60_000);
    fixture.state.now += 1_000;
    assert_eq!(fixture.counts(of, cancel()), RunState::Cancelling, "it is asked twice");
    assert_eq!(fixture.run(of), Some(run), "and has no more time");
    assert_eq!(fixture.counts(of, started()), RunState::Cancelling);
    let lost = fixture.say(of, 1, "w", LOST);
    assert_eq!(refused(lost), (Some(RunState::Cancelling), OVER));
    assert_eq!(fixture.say(of, 1, "w", Said::Cancelled), Reported::Counted(RunState::Cancelled));
    assert_eq!(fixture.last(), (CANCELLED, ResultOrigin::Cancelled, 1));
    assert_eq!(fixture.counts(of, cancel()), RunState::Cancelled, "and asked again");
    // Nobody confirms.
    let (mut fixture, of) = claimed(|terms| terms.retry_on.timeout = true);
    fixture.counts(of, CANCEL);
    assert_eq!(fixture.expire(60_000), Outcome::Changed(0));
    assert_eq!(fixture.expire(1), Outcome::Changed(1));
    assert_eq!(fixture.last(), (CANCELLED, ResultOrigin::Cancelled, 1));
    let error = fixture.records().pop().unwrap().record.error.unwrap();
    assert_eq!(error, "its worker did not confirm the cancel");
}

#[test]
fn what_ends_while_it_is_cancelled_has_the_end_that_its_worker_says() {
    for (said, state, verdict) in [
        (DONE, RunState::Completed, Verdict::Delivered),
        (failed(true), RunState::Failed, Verdict::Dead),
        (Said::Released, RunState::Cancelled, CANCELLED),
    ] {
        let (mut fixture, of) = claimed(|_| ());
        fixture.counts(of, CANCEL);
        assert_eq!(fixture.say(of, 1, "w", said), Reported::Counted(state));
        assert_eq!((fixture.last().0, fixture.pending()), (verdict, vec![]));
    }
}

#[test]
fn of_an_offer_its_end_and_the_begin_of_an_unconfirmed_publish_can_be_said() {
    let mut fixture = JournalFixture::new();
    let of = |minute| planned(1, minute);
    for minute in 0..3 {
        fixture.offer(offer(of(minute)));
    }
    for said in [failed(true), Said::Cancelled, Said::Released, LOST] {
        let told = fixture.say(of(0), 1, "w", said);
        assert_eq!(refused(told), (Some(RunState::Pending), GONE), "its claim is on its way");
    }
    assert_eq!(fixture.counts(of(0), CANCEL), RunState::Cancelled);
    assert_eq!(fixture.last(), (CANCELLED, ResultOrigin::Cancelled, 1));
    assert_eq!(fixture.counts(of(1), DONE), RunState::Completed);
    assert_eq!(fixture.last(), (Verdict::Delivered, ResultOrigin::Reported, 1));
    assert_eq!(fixture.say(of(2), 0, "w", started()), Reported::Counted(RunState::Running));
    assert_eq!(fixture.handed(of(2)), Some((1, Phase::Running, "w".to_owned())));
    assert_eq!(fixture.pending(), []);
    // One that was put off, of several in its row.
    let put_off = Verdict::Postponed { at: START + 900_000 };
    let members = Members::from_sorted([4, 5]);
    let error = Some("its broker did not confirm it".to_owned());
    fixture.tell(1, AttemptRecord { members, error, ..told(planned(4, 0), put_off) });
    assert_eq!(fixture.counts(planned(4, 0), started()), RunState::Running);
    assert_eq!(fixture.waiting(), [(1, 0, START + 900_000, vec![5])]);
}

#[test]
fn of_a_run_that_only_began_its_record_is_on_its_way() {
    let mut fixture = JournalFixture::new();
    let of = |job| planned(job, 0);
    for job in 1..=3 {
        assert_eq!(fixture.begin(begin(of(job), Overlap::Skip)), Begun::Go);
    }
    assert_eq!(refused(fixture.say(of(1), 1, "w", failed(true))), (Some(RunState::Pending), GONE));
    assert_eq!(fixture.counts(of(1), DONE), RunState::Completed);
    assert_eq!(fixture.counts(of(2), CANCEL), RunState::Cancelled);
    assert_eq!(fixture.counts(of(3), started()), RunState::Running);
    assert_eq!(fixture.state.count("runs"), 1);
    // The record of its claim comes later.
    fixture.take(1, taken(offer(of(3)), "w"));
    assert_eq!(fixture.handed(of(3)), Some((1, Phase::Running, "w".to_owned())));
    fixture.take(1, taken(offer(of(2)), "w"));
    assert_eq!(fixture.run(of(2)), None);
}

#[test]
fn what_begins_without_a_place_waits_where_the_job_allows_one_run() {
    for overlap in [Overlap::Allow, Overlap::Skip] {
        let mut fixture = JournalFixture::new();
        let job = fixture.state.jobs(JobDefinition { overlap, ..every_minute() }, 1);
        let shard = shard_of(job);
        fixture.take(1, taken(Offer { shard, ..offer(planned(job, 0)) }, "w"));
        fixture.offer(Offer { shard, ..offer(planned(job, 1)) });
        let told = fixture.say(planned(job, 1), 0, "v", started());
        match overlap {
            Overlap::Allow => assert_eq!(told, Reported::Counted(RunState::Running)),
            _ => assert_eq!(refused(told), (Some(RunState::Pending), OVER)),
        }
    }
}

#[test]
fn the_older_reports_mean_the_same_for_runs_of_workers() {
    let (mut fixture, of) = claimed(|terms| terms.retry_on.failed = false);
    let before = fixture.run(of);
    fixture.report(of, Report::Heartbeat);
    assert_eq!(fixture.run(of), before, "heartbeats are the supervisor's");
    fixture.report(of, Report::Cancel);
    assert_eq!(fixture.handed(of).unwrap().1, Phase::Cancelling);
    fixture.report(of, Report::Complete);
    assert_eq!((fixture.last().0, fixture.run(of)), (Verdict::Delivered, None));
    let (mut fixture, of) = claimed(|terms| terms.retry_on.failed = false);
    fixture.report(of, Report::Fail { error: None, retry: true });
    assert_eq!(fixture.last().0, Verdict::Dead);
    // Of an offer.
    let mut fixture = JournalFixture::new();
    fixture.offer(offer(of));
    let (kind, why) = fixture.refused(of, Report::Fail { error: None, retry: true });
    assert!(kind == RejectionKind::NotFound && why.contains("no worker"), "{why}");
    fixture.report(of, Report::Complete);
    assert_eq!((fixture.last().0, fixture.pending()), (Verdict::Delivered, vec![]));
}

#[test]
fn reports_are_carried_out_one_by_one_and_are_not_too_many() {
    let mut fixture = JournalFixture::new();
    fixture.take(1, taken(offer(planned(1, 0)), "w"));
    let report = |job, said| {
        let (occurrence, attempt, worker) = (planned(job, 0), 0, String::new());
        RunReport { occurrence, attempt, worker, said }
    };
    let reports = vec![report(2, DONE), report(1, CANCEL), report(1, DONE), report(1, CANCEL)];
    let Outcome::Reports(told) = fixture.state.done(Command::ReportRuns { reports }) else {
        panic!("no answers")
    };
    let counted = |told: &Reported| match told {
        Reported::Counted(state) => Some(*state),
        Reported::Refused { .. } => None,
    };
    let states: Vec<_> = told.iter().map(counted).collect();
    assert_eq!(states, [None, Some(RunState::Cancelling), Some(RunState::Completed), None]);
    assert_eq!(refused(told[3].clone()), (Some(RunState::Completed), OVER));
    let reports = vec![report(1, DONE); 1_001];
    let (kind, why) = fixture.state.refused(&Command::ReportRuns { reports });
    assert!(kind == RejectionKind::Invalid && why.contains("at most 1000"), "{why}");
}

#[test]
fn a_job_that_goes_ends_what_workers_have_and_leaves_its_offers_to_the_supervisor() {
    let (mut fixture, of) = claimed(|_| ());
    fixture.offer(offer(planned(1, 1)));
    fixture.state.done(Command::DeleteJob { id: 1, expect: None });
    assert_eq!(fixture.state.change.edited, [1]);
    let ended = Verdict::Skipped(crate::model::attempt::SkipReason::Ended);
    assert_eq!(fixture.last(), (ended, ResultOrigin::Cancelled, 1));
    assert_eq!(refused(fixture.say(of, 1, "w", failed(true))), (Some(RunState::Cancelled), OVER));
    let row = fixture.rows()[0].0;
    fixture.tell(1, AttemptRecord { pending: Some(row), ..told(planned(1, 1), ended) });
    assert_eq!(fixture.pending(), []);
}

#[test]
#[ignore = "a measurement"]
fn so_many_runs_are_offered_taken_and_completed_in_a_second() {
    const MINUTES: i64 = 400;
    let mut fixture = JournalFixture::new();
    let members = Members::from_sorted(1..=50);
    let of_all = |minute| Offer { members: members.clone(), ..offer(planned(1, minute)) };
    let measured = |what: &str, began: std::time::Instant| {
        let took = began.elapsed();
        let runs = 50 * MINUTES as u32;
        println!(
            "{what}: {:.0} us a run, {runs} in {took:?}",
            took.as_micros() as f64 / f64::from(runs)
        );
    };
    let began = std::time::Instant::now();
    for minute in 0..MINUTES {
        fixture.offer(of_all(minute));
    }
    measured("offered", began);
    let rows: Vec<u64> = fixture.rows().iter().map(|row| row.0).collect();
    let began = std::time::Instant::now();
    for (minute, row) in (0..MINUTES).zip(rows) {
        fixture.take(1, taken(Offer { pending: Some(row), ..of_all(minute) }, "w"));
    }
    measured("taken", began);
    let began = std::time::Instant::now();
    for minute in 0..MINUTES {
        let report = |job| RunReport {
            occurrence: planned(job, minute),
            attempt: 1,
            worker: "w".into(),
            said: Said::Done { result: Some("fine".into()) },
        };
        let reports = (1..=50).map(report).collect();
        fixture.state.done(Command::ReportRuns { reports });
    }
    measured("completed", began);
    assert_eq!(fixture.state.count("runs"), 0);
    assert_eq!(fixture.state.count("blocks"), 50 * MINUTES as u64);
}
