//! Runs: which occurrence waits for which, and how a run ends with its occurrence.

use super::record::JournalFixture;
use super::*;
use crate::model::attempt::SkipReason;
use crate::model::delivery::{Overlap, Retry};
use crate::model::job::{PARKED, Timing};
use crate::model::run::{Accepted, BeginRun, Begun, Occurrence, Report, Run};
use crate::store::{attempts, jobs, pending, runs};

pub(super) const RETRY: Retry = Retry { max: 1, delay: 5_000, factor: 2_000, max_delay: 60_000 };
pub(super) const OVERLAP: Verdict = Verdict::Skipped(SkipReason::Overlap);
pub(super) const CANCELLED: Verdict = Verdict::Skipped(SkipReason::Cancelled);

/// The planned occurrence of a job, so many minutes after the first.
pub(super) fn planned(job: u64, minute: i64) -> Occurrence {
    Occurrence { job, scheduled: START + 60_000 + minute * 60_000, run: 0 }
}

pub(super) fn begin(of: Occurrence, overlap: Overlap) -> BeginRun {
    BeginRun {
        occurrence: of,
        project: 1,
        shard: 0,
        node: 1,
        epoch: 1,
        due: of.scheduled,
        attempt: 1,
        pending: None,
        overlap,
        timeout: 10_000,
        retry: RETRY,
    }
}

/// A record of a single occurrence.
pub(super) fn told(of: Occurrence, verdict: Verdict) -> AttemptRecord {
    let Occurrence { job, scheduled, run } = of;
    AttemptRecord { due: scheduled, scheduled, run, ..record([job], verdict) }
}

pub(super) fn accepted(
    of: Occurrence,
    run_timeout: Option<Millis>,
    heartbeat: Option<Millis>,
) -> AttemptRecord {
    let promise = Accepted { run_timeout, heartbeat_timeout: heartbeat, retry: RETRY };
    AttemptRecord { accepted: Some(Box::new(promise)), ..told(of, Verdict::Running) }
}

pub(super) fn fail(retry: bool) -> Report {
    Report::Fail { error: Some("no disk".into()), retry }
}

impl JournalFixture {
    pub(super) fn begin(&mut self, asked: BeginRun) -> Begun {
        match self.state.done(Command::BeginRun(asked)) {
            Outcome::Begun(begun) => begun,
            outcome => panic!("{outcome}"),
        }
    }

    pub(super) fn report(&mut self, occurrence: Occurrence, report: Report) {
        self.state.done(Command::ReportRun { occurrence, report });
    }

    pub(super) fn refused(
        &mut self,
        occurrence: Occurrence,
        report: Report,
    ) -> (RejectionKind, String) {
        self.state.refused(&Command::ReportRun { occurrence, report })
    }

    pub(super) fn expire(&mut self, after: Millis) -> Outcome {
        self.state.now += after;
        self.state.done(Command::Expire { limit: 10 })
    }

    pub(super) fn run(&self, of: Occurrence) -> Option<Run> {
        self.state.read(|c| runs::get(c, of))
    }

    /// (attempt, base, next attempt, jobs) of each row.
    pub(super) fn waiting(&self) -> Vec<(u32, u32, Millis, Vec<u64>)> {
        let rows = self.state.read(|c| pending::for_shard(c, 0));
        let row = |r: crate::model::job::Pending| {
            (r.attempt, r.base, r.next_at, r.members.iter().collect())
        };
        rows.into_iter().map(row).collect()
    }

    /// The newest record of the history.
    pub(super) fn last(&self) -> (Verdict, ResultOrigin, u32) {
        let record = self.records().pop().unwrap().record;
        (record.verdict, record.origin, record.attempt)
    }
}

#[test]
fn a_run_keeps_its_place_through_its_retries_and_gives_it_back_at_the_end() {
    let mut fixture = JournalFixture::new();
    assert_eq!(fixture.begin(begin(planned(1, 0), Overlap::Skip)), Begun::Go);
    fixture.tell(1, told(planned(1, 0), Verdict::Retry { at: START + 99_000 }));
    let row = fixture.rows()[0].0;
    assert_eq!(fixture.run(planned(1, 0)).unwrap().deadline, Millis::MAX, "its row sees to it");
    assert_eq!(fixture.begin(begin(planned(1, 1), Overlap::Skip)), Begun::Skipped);
    assert_eq!(fixture.last(), (OVERLAP, ResultOrigin::Answer, 1));
    assert_eq!(fixture.begin(begin(planned(1, 1), Overlap::Skip)), Begun::NotYours, "it is over");
    assert_eq!(fixture.begin(begin(planned(2, 1), Overlap::Skip)), Begun::Go, "another job");
    let again = BeginRun { pending: Some(row), attempt: 2, ..begin(planned(1, 0), Overlap::Skip) };
    assert_eq!(fixture.begin(again), Begun::Go, "the same occurrence");
    fixture
        .tell(1, AttemptRecord { pending: Some(row), ..told(planned(1, 0), Verdict::Delivered) });
    assert_eq!((fixture.run(planned(1, 0)), fixture.rows()), (None, vec![]));
    assert_eq!(fixture.begin(begin(planned(1, 2), Overlap::Skip)), Begun::Go);
}

#[test]
fn no_run_begins_that_is_over_or_in_a_row_or_accepted_or_another_owners() {
    let mut fixture = JournalFixture::new();
    let not_yours = |fixture: &mut JournalFixture, begin: BeginRun| {
        assert_eq!(fixture.begin(begin.clone()), Begun::NotYours, "{begin:?}");
        assert!(fixture.run(begin.occurrence).is_none_or(|run| run.accepted));
    };
    let ask = |minute| begin(planned(1, minute), Overlap::Skip);
    fixture.tell(1, told(planned(1, 0), Verdict::Delivered));
    not_yours(&mut fixture, ask(0));
    fixture.tell(1, told(planned(1, 1), Verdict::Retry { at: START }));
    not_yours(&mut fixture, ask(1));
    not_yours(&mut fixture, BeginRun { pending: Some(77), ..ask(1) });
    fixture.tell(1, AttemptRecord { since: Some(START + 150_000), ..told(planned(1, 2), OVERLAP) });
    not_yours(&mut fixture, ask(2));
    fixture.tell(1, accepted(planned(1, 3), None, None));
    not_yours(&mut fixture, ask(3));
    not_yours(&mut fixture, BeginRun { epoch: 2, ..ask(4) });
    not_yours(&mut fixture, BeginRun { node: 2, ..ask(4) });
    not_yours(&mut fixture, BeginRun { shard: 99, ..ask(4) });
    not_yours(&mut fixture, BeginRun { shard: 1, ..ask(4) });
}

#[test]
fn one_waits_and_gives_way_to_the_next() {
    let mut fixture = JournalFixture::new();
    let ask = |minute| begin(planned(1, minute), Overlap::QueueOne);
    assert_eq!(fixture.begin(ask(0)), Begun::Go);
    assert_eq!(fixture.begin(ask(1)), Begun::Queued);
    assert_eq!(fixture.waiting(), [(1, 0, PARKED, vec![1])]);
    assert_eq!(fixture.begin(ask(2)), Begun::Queued);
    assert_eq!(fixture.last(), (OVERLAP, ResultOrigin::Answer, 1));
    assert_eq!(fixture.waiting().len(), 1, "the first one gave way");
    fixture.tell(1, told(planned(1, 0), Verdict::Delivered));
    let row = fixture.rows()[0].0;
    assert_eq!(fixture.waiting(), [(1, 0, fixture.state.now, vec![1])]);
    assert_eq!(fixture.state.change.pending, [0], "the change names the row");
    let next = BeginRun { pending: Some(row), ..ask(2) };
    assert_eq!(fixture.begin(next.clone()), Begun::Go);
    assert_eq!(fixture.begin(ask(3)), Begun::Queued);
    // What waits behind a run and asks once more waits on.
    let waiting = fixture.rows().into_iter().map(|r| r.0).find(|id| *id != row).unwrap();
    let once_more = BeginRun { pending: Some(waiting), ..ask(3) };
    assert_eq!(fixture.begin(once_more), Begun::Queued);
    assert_eq!(fixture.begin(next), Begun::Go, "and the run itself goes on");
    assert_eq!(fixture.waiting().iter().filter(|w| w.2 == PARKED).count(), 1);
}

#[test]
fn the_next_one_takes_the_place_of_a_run_that_is_cancelled() {
    let mut fixture = JournalFixture::new();
    let ask = |minute| begin(planned(1, minute), Overlap::CancelPrevious);
    assert_eq!(fixture.begin(ask(0)), Begun::Go);
    fixture.tell(1, accepted(planned(1, 0), None, None));
    assert_eq!(fixture.begin(ask(1)), Begun::Go);
    assert_eq!(fixture.last(), (CANCELLED, ResultOrigin::Cancelled, 1));
    assert_eq!(fixture.run(planned(1, 0)), None);
    let (kind, why) = fixture.refused(planned(1, 0), Report::Heartbeat);
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(why.contains("was cancelled"), "{why}");
    // One between two attempts loses its row too.
    fixture.tell(1, told(planned(1, 1), Verdict::Retry { at: START + 99_000 }));
    assert_eq!(fixture.begin(ask(2)), Begun::Go);
    assert_eq!(fixture.rows(), []);
    // Its late failure is history, its late success stands.
    fixture.tell(1, told(planned(1, 1), Verdict::Retry { at: START + 99_000 }));
    fixture.tell(1, accepted(planned(1, 1), None, None));
    assert_eq!((fixture.rows(), fixture.run(planned(1, 1))), (vec![], None));
}

#[test]
fn an_accepted_run_is_neither_pending_nor_over() {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, told(planned(1, 0), Verdict::Retry { at: START }));
    let row = fixture.rows()[0].0;
    let again =
        AttemptRecord { attempt: 2, pending: Some(row), ..accepted(planned(1, 0), None, None) };
    fixture.tell(1, again);
    let run = fixture.run(planned(1, 0)).unwrap();
    assert_eq!((run.accepted, run.attempt, run.deadline), (true, 2, Millis::MAX));
    assert_eq!((fixture.rows(), fixture.last().0), (vec![], Verdict::Running));
    let taken = |fixture: &JournalFixture, after| fixture.state.read(|c| runs::after(c, 0, after));
    assert_eq!(taken(&fixture, START), [(START + 60_000, planned(1, 0))]);
    assert_eq!(taken(&fixture, START + 60_000), []);
    // Another owner sends it again and fails: the receiver answers for it.
    fixture.taken_over();
    for verdict in [Verdict::Retry { at: START }, Verdict::Dead, OVERLAP] {
        fixture.tell(2, AttemptRecord { epoch: 2, ..told(planned(1, 0), verdict) });
        assert_eq!((fixture.rows(), fixture.dead()), (vec![], Vec::<Vec<u64>>::new()));
    }
    let postponed = Verdict::Postponed { at: START };
    fixture.tell(2, AttemptRecord { epoch: 2, ..told(planned(1, 0), postponed) });
    assert_eq!(fixture.rows(), []);
    assert!(fixture.run(planned(1, 0)).is_some());
    assert!(!fixture.records().iter().any(attempts::StoredAttempt::is_end));
    // But delivered is delivered.
    fixture.tell(2, AttemptRecord { epoch: 2, ..told(planned(1, 0), Verdict::Delivered) });
    assert_eq!(fixture.run(planned(1, 0)), None);
    fixture.tell(1, accepted(planned(1, 0), None, None));
    assert_eq!(fixture.run(planned(1, 0)), None, "a late record of what is over");
}

#[test]
fn a_run_whose_sender_died_is_neither_lost_nor_doubled() {
    let mut fixture = JournalFixture::new();
    let (plan, row, paused) = (planned(1, 0), planned(2, 0), planned(3, 0));
    fixture.tell(1, told(row, Verdict::Retry { at: START }));
    let id = fixture.rows()[0].0;
    assert_eq!(fixture.begin(begin(plan, Overlap::Skip)), Begun::Go);
    assert_eq!(fixture.begin(begin(paused, Overlap::Skip)), Begun::Go);
    let retry = BeginRun { pending: Some(id), attempt: 2, ..begin(row, Overlap::Skip) };
    assert_eq!(fixture.begin(retry), Begun::Go);
    assert_eq!(fixture.expire(39_000), Outcome::Changed(0));
    // The watermark is before it: the next owner will fire it, so it keeps its place.
    assert_eq!(fixture.expire(2_000), Outcome::Changed(2));
    assert_eq!((fixture.state.count("runs"), fixture.rows().len()), (3, 1));
    fixture.taken_over();
    let second = BeginRun { node: 2, epoch: 2, ..begin(plan, Overlap::Skip) };
    assert_eq!(fixture.begin(second), Begun::Go);
    fixture.tell(2, AttemptRecord { epoch: 2, ..told(plan, Verdict::Delivered) });
    // The watermark has passed it: no owner fires it from the plan.
    let w = Command::Record(JournalBatch {
        node: 2,
        incarnation: 2,
        first: 2,
        entries: vec![mark(0, 2, START + 60_000)],
    });
    fixture.state.done(w);
    assert_eq!(fixture.expire(60_000), Outcome::Changed(1));
    let waiting: Vec<_> = fixture.waiting().into_iter().map(|w| (w.0, w.3)).collect();
    assert_eq!(waiting, [(2, vec![2]), (1, vec![3])]);
    assert_eq!(fixture.run(paused).map(|run| run.deadline), Some(Millis::MAX));
}

#[test]
fn a_range_ends_a_run_whose_sender_was_silent_and_spares_an_accepted_one() {
    let mut fixture = JournalFixture::new();
    assert_eq!(fixture.begin(begin(planned(1, 0), Overlap::Skip)), Begun::Go);
    assert_eq!(fixture.begin(begin(planned(2, 0), Overlap::Skip)), Begun::Go);
    fixture.tell(1, accepted(planned(2, 0), None, None));
    let range = told(planned(1, 1), Verdict::Skipped(SkipReason::Misfire));
    let members = Members::from_sorted([1, 2]);
    fixture.tell(1, AttemptRecord { since: Some(START), members, ..range });
    assert_eq!(fixture.run(planned(1, 0)), None);
    assert!(fixture.run(planned(2, 0)).is_some());
    fixture.report(planned(2, 0), Report::Complete);
    assert_eq!(fixture.last().0, Verdict::Delivered);
}

#[test]
fn a_manual_run_is_an_occurrence_of_its_own() {
    let mut fixture = JournalFixture::new();
    fixture.state.now = START + 60_000;
    let run = |fixture: &mut JournalFixture| match fixture
        .state
        .done(Command::RunJob { id: 1, forced: false })
    {
        Outcome::Run(of) => of,
        outcome => panic!("{outcome}"),
    };
    let (first, second) = (run(&mut fixture), run(&mut fixture));
    assert_eq!((first.scheduled, first.run == second.run), (second.scheduled, false));
    let ids: Vec<_> = fixture.rows().iter().map(|row| row.0).collect();
    let ask = |of, row| BeginRun { pending: Some(row), ..begin(of, Overlap::Skip) };
    assert_eq!(fixture.begin(ask(first, ids[0])), Begun::Go);
    assert_eq!(fixture.begin(ask(second, ids[1])), Begun::Skipped);
    assert_eq!(fixture.rows().len(), 1);
    // The planned occurrence of the same instant is another one.
    fixture.tell(1, told(planned(1, 0), Verdict::Delivered));
    assert!(fixture.run(first).is_some());
    let dead = AttemptRecord { pending: Some(ids[0]), ..told(first, Verdict::Dead) };
    fixture.tell(1, dead);
    assert_eq!((fixture.rows(), fixture.dead(), fixture.run(first)), (vec![], vec![vec![1]], None));
    assert_eq!(fixture.state.read(|c| runs::after(c, 0, 0)), []);
}

#[test]
fn a_job_that_goes_takes_its_runs_with_it() {
    let mut fixture = JournalFixture::new();
    for job in [1, 2] {
        assert_eq!(fixture.begin(begin(planned(job, 0), Overlap::QueueOne)), Begun::Go);
        assert_eq!(fixture.begin(begin(planned(job, 1), Overlap::QueueOne)), Begun::Queued);
    }
    fixture.tell(1, accepted(planned(1, 0), None, None));
    fixture.state.done(Command::DeleteJob { id: 1, expect: None });
    assert_eq!(fixture.last(), (Verdict::Skipped(SkipReason::Ended), ResultOrigin::Cancelled, 1));
    let why = fixture.refused(planned(1, 0), Report::Heartbeat).1;
    assert!(why.contains("its job was deleted"), "{why}");
    fixture.state.done(Command::DeleteProject { id: 1, cascade: true, expect: None });
    assert_eq!(fixture.state.count("runs"), 0);
    assert!(fixture.waiting().iter().all(|row| row.2 < PARKED), "they end at sending");
}

#[test]
fn a_one_off_is_completed_by_the_end_of_its_run() {
    let mut fixture = JournalFixture::new();
    let definition =
        JobDefinition { timing: Timing::After(0), spec: String::new(), ..every_minute() };
    let job = fixture.state.jobs(definition, 1);
    let row = fixture.rows()[0].0;
    let of = Occurrence { job, scheduled: fixture.state.now, run: 0 };
    let ask = BeginRun { pending: Some(row), ..begin(of, Overlap::Skip) };
    assert_eq!(fixture.begin(ask), Begun::Go);
    let record = AttemptRecord { pending: Some(row), once: true, ..accepted(of, None, None) };
    fixture.tell(1, record);
    let status =
        |fixture: &JournalFixture| fixture.state.read(|c| jobs::get(c, job)).unwrap().status;
    assert_eq!(status(&fixture), JobStatus::Active);
    fixture.report(of, Report::Complete);
    assert_eq!(status(&fixture), JobStatus::Completed);
}

#[test]
fn what_is_paused_before_it_is_due_ends_no_run_and_waits_behind_none() {
    let mut fixture = JournalFixture::new();
    assert_eq!(fixture.begin(begin(planned(1, 0), Overlap::Skip)), Begun::Go);
    let action = crate::command::JobAction::Pause { until: None };
    fixture.state.done(Command::ChangeJobs { jobs: vec![(1, 1)], action, by: None });
    for overlap in [Overlap::CancelPrevious, Overlap::QueueOne, Overlap::Skip] {
        let asked = begin(planned(1, 5), overlap);
        assert!(asked.due > fixture.state.now);
        assert_eq!(fixture.begin(asked), Begun::NotYours, "{overlap:?}");
    }
    assert!(fixture.run(planned(1, 0)).is_some() && fixture.waiting().is_empty());
    let run = fixture.state.now;
    assert_eq!(
        fixture.begin(begin(Occurrence { scheduled: run - 1, ..planned(1, 0) }, Overlap::Skip)),
        Begun::Skipped,
        "due before the pause, it stands"
    );
}
