//! The end of one-offs before their time: waiting, due, running, parked, or with a worker.

use super::offers::{offer, terms};
use super::runs::{CANCELLED, accepted, begin, told};
use super::templates::system_template;
use super::*;
use crate::model::delivery::Overlap;
use crate::model::offer::{Offer, Taken};
use crate::model::run::{BeginRun, Occurrence, Phase, Report};
use crate::model::run_report::{RunReport, Said};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::store::{attempts, jobs, runs};

fn terminate(id: u64) -> Command {
    Command::TerminateJob { id, reschedule: None, reason: Some("not needed".into()) }
}

fn planned(state: &ApplyFixture, id: u64) -> Occurrence {
    Occurrence { job: id, scheduled: state.job(id).anchor, run: 0 }
}

fn journal(state: &mut ApplyFixture, seq: &mut u64, entries: Vec<JournalEntry>) {
    let first = *seq;
    *seq += entries.len() as u64;
    state.done(Command::Record(JournalBatch { node: 1, incarnation: 1, first, entries }));
}

/// The end of an occurrence, and what was said of it.
fn end(state: &ApplyFixture, of: Occurrence) -> Option<Verdict> {
    let found = state.read(|c| attempts::end_of(c, of, of.scheduled, of.scheduled));
    found.map(|(verdict, _)| verdict)
}

#[test]
fn a_wait_ends_with_a_record_and_nothing_is_sent_any_more() {
    let mut state = ApplyFixture::new();
    let ahead = state.create_one(after(60_000), one(None));
    let overdue = state.create_one(at(), one(START - 5_000));
    assert_eq!(state.rows().len(), 1);
    for id in [ahead, overdue] {
        let of = planned(&state, id);
        assert_eq!(state.done(terminate(id)), Outcome::Changed(1));
        assert_eq!(state.job(id).status, JobStatus::Completed);
        assert_eq!(end(&state, of), Some(CANCELLED));
        assert_eq!(state.done(terminate(id)), Outcome::Changed(0), "once more changes nothing");
    }
    assert_eq!(state.rows(), []);
    // What was on its way out when the word came is recorded, and is no second end.
    let of = planned(&state, ahead);
    state.now = of.scheduled + 100;
    let mut seq = 1;
    let late = AttemptRecord { once: true, ..told(of, Verdict::Retry { at: state.now + 5_000 }) };
    journal(&mut state, &mut seq, vec![JournalEntry::Attempt(late)]);
    assert_eq!((state.rows(), end(&state, of)), (vec![], Some(CANCELLED)));
}

#[test]
fn a_receiver_that_works_on_it_hears_that_it_is_over() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(after(1_000), one(None));
    let (of, mut seq) = (planned(&state, id), 1);
    state.now = of.scheduled + 100;
    let running = AttemptRecord { once: true, ..accepted(of, None, None) };
    journal(&mut state, &mut seq, vec![JournalEntry::Attempt(running)]);
    assert!(state.read(|c| runs::get(c, of)).is_some_and(|run| run.accepted));
    state.done(terminate(id));
    assert!(state.read(|c| runs::get(c, of)).is_none());
    assert_eq!((state.job(id).status, end(&state, of)), (JobStatus::Completed, Some(CANCELLED)));
    let report = Command::ReportRun { occurrence: of, report: Report::Heartbeat };
    let (kind, why) = state.refused(&report);
    assert!(kind == RejectionKind::Conflict && why.contains("cancelled"), "{why}");
}

#[test]
fn what_is_parked_behind_a_run_ends_with_it() {
    let mut state = ApplyFixture::new();
    let id =
        state.create_one(JobDefinition { overlap: Overlap::QueueOne, ..after(1_000) }, one(None));
    let of = planned(&state, id);
    state.now = of.scheduled + 100;
    let asked = BeginRun { shard: shard_of(id), ..begin(of, Overlap::QueueOne) };
    state.done(Command::BeginRun(asked));
    let Outcome::Run(manual) = state.done(Command::RunJob { id, forced: false }) else { panic!() };
    let row = state.rows()[0].id;
    let parked =
        BeginRun { shard: shard_of(id), pending: Some(row), ..begin(manual, Overlap::QueueOne) };
    state.done(Command::BeginRun(parked));
    state.done(terminate(id));
    assert_eq!(state.rows(), [], "no manual run takes the place");
    assert_eq!(state.count("runs"), 0);
    assert_eq!(state.job(id).status, JobStatus::Completed);
}

#[test]
fn a_worker_on_a_broker_is_asked_first_and_the_chain_waits_for_it() {
    let mut state = ApplyFixture::new();
    let template = state.template(system_template());
    let id = state.live(template)[0];
    let (of, mut seq) = (planned(&state, id), 1);
    state.now = of.scheduled + 100;
    let terms = RunTerms { bus: BusKind::Rabbitmq, cancel_timeout: 5_000, ..terms() };
    let offer = Offer { shard: shard_of(id), terms, ..offer(of) };
    let (started, worker) = (state.now, "w".to_owned());
    let taken = Taken { offer, worker, started, phase: Phase::Running };
    journal(&mut state, &mut seq, vec![JournalEntry::Taken(taken)]);
    state.done(Command::TerminateJob { id, reschedule: Some(false), reason: None });
    let phase = |state: &ApplyFixture| {
        state.read(|c| runs::get(c, of)).and_then(|run| Some(run.worker?.phase))
    };
    assert_eq!(phase(&state), Some(Phase::Cancelling));
    assert_eq!(state.live(template), [id], "it is over when its worker has stopped");
    state.now += 100;
    let report =
        RunReport { occurrence: of, attempt: 1, worker: "w".into(), said: Said::Cancelled };
    state.done(Command::ReportRuns { reports: vec![report] });
    assert_eq!(end(&state, of), Some(CANCELLED));
    assert!(state.live(template).is_empty(), "the wish of the caller is remembered");
}

#[test]
fn a_recurring_job_is_never_over_by_a_word() {
    let mut state = ApplyFixture::new();
    let id = state.jobs(every_minute(), 1);
    let (kind, why) = state.refused(&terminate(id));
    assert!(kind == RejectionKind::Conflict && why.contains("pause or delete"), "{why}");
    assert_eq!(state.refused(&terminate(99)).0, RejectionKind::NotFound);
    let gone =
        state.create_one(JobDefinition { delete_after_run: true, ..after(60_000) }, one(None));
    state.done(terminate(gone));
    assert!(state.read(|c| jobs::get(c, gone)).is_none());
}
