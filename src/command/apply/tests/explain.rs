//! The ledger and `store::explain`, read from a state that real commands made: one test for each
//! end state and each state on the way.

use super::offers::{offer, taken, terms};
use super::runs::planned;
use super::*;
use crate::command::{JobAction, ProjectAction};
use crate::model::attempt::SkipReason;
use crate::model::job::{PARKED, Timing};
use crate::model::offer::Offer;
use crate::model::run_terms::RunTerms;
use crate::model::target::Executor;
use crate::store::explain::{self, Explained};
use crate::store::ledger::{self, State};
use crate::store::timeline::FiringState;

const MINUTE: Millis = 60_000;
/// The jobs are of shard 0, their minutes count from here.
const SETTLED: Millis = START + 20 * MINUTE;

/// The instant of the nth minute.
fn nth(n: i64) -> Millis {
    START + n * MINUTE
}

fn due(n: i64, record: AttemptRecord) -> AttemptRecord {
    AttemptRecord { due: nth(n), scheduled: nth(n), started: nth(n) + 3, ..record }
}

/// A state with jobs 1..=60 and a journal of node 1 that records and watermarks are appended to.
struct ExplainFixture {
    state: ApplyFixture,
    next: u64,
}

impl ExplainFixture {
    fn new() -> Self {
        let mut state = ApplyFixture::new();
        state.jobs(every_minute(), 60);
        Self { state, next: 1 }
    }

    fn tell(&mut self, entry: JournalEntry) {
        let batch =
            JournalBatch { node: 1, incarnation: 1, first: self.next, entries: vec![entry] };
        self.next += 1;
        self.state.done(Command::Record(batch));
    }

    fn record(&mut self, record: AttemptRecord) {
        self.tell(JournalEntry::Attempt(record));
    }

    fn settle(&mut self, at: Millis) {
        for shard in 0..SHARDS {
            self.tell(mark(shard, 1, at));
        }
    }

    fn explain(&self, job: u64, at: Millis) -> Explained {
        self.state.read(|c| explain::explain(c, job, at, SETTLED)).unwrap()
    }

    fn state_at(&self, job: u64, at: Millis) -> Option<State> {
        self.explain(job, at).account.map(|account| account.state)
    }

    fn states_between(&self, job: u64, from: Millis, until: Millis) -> Vec<(i64, State)> {
        let read = |c: &rusqlite::Connection| ledger::ledger(c, job, SETTLED, (from, until), 1_000);
        let entries = self.state.read(read).unwrap();
        entries.into_iter().map(|one| ((one.due - START) / MINUTE, one.state)).collect()
    }
}

#[test]
fn every_end_state_is_told_with_its_attempts() {
    let mut fixture = ExplainFixture::new();
    let failed = Verdict::Retry { at: nth(3) };
    let skipped = |reason| record([1], Verdict::Skipped(reason));
    fixture.record(due(1, record(1..=40, Verdict::Delivered)));
    fixture.record(due(2, record([1], failed)));
    fixture.record(AttemptRecord {
        attempt: 2,
        pending: Some(1),
        ..due(2, record([1], Verdict::Dead))
    });
    let reasons = [
        SkipReason::Paused,
        SkipReason::Overlap,
        SkipReason::Misfire,
        SkipReason::Edited,
        SkipReason::Ended,
        SkipReason::Disabled,
        SkipReason::Cancelled,
    ];
    for (n, reason) in (3..).zip(reasons) {
        fixture.record(due(n, skipped(reason)));
    }
    fixture.record(due(10, record([1], failed)));
    let range = AttemptRecord { since: Some(nth(11)), ..due(14, skipped(SkipReason::Misfire)) };
    fixture.record(range);
    fixture.settle(nth(15));

    assert_eq!(fixture.state_at(1, nth(1)), Some(State::Delivered));
    let dead = fixture.explain(1, nth(2)).account.unwrap();
    assert_eq!((dead.state, dead.attempts.len(), dead.planned), (State::Dead, 2, true));
    assert_eq!(dead.letter.unwrap().attempt, 2);
    for (n, reason) in (3..).zip(reasons) {
        assert_eq!(fixture.state_at(1, nth(n)), Some(State::Skipped(reason)));
    }
    let pending = fixture.explain(1, nth(10)).account.unwrap();
    assert_eq!((pending.state, pending.pending.unwrap().attempt), (State::Pending, 2));
    let late = fixture.explain(1, nth(12)).account.unwrap();
    assert_eq!(late.state, State::Skipped(SkipReason::Misfire));
    assert_eq!(late.attempts[0].record.since, Some(nth(11)));
    assert_eq!(
        fixture.state_at(1, nth(15)),
        Some(State::Missing),
        "W is past it, nothing was said"
    );
    assert_eq!(fixture.state_at(1, nth(16)), Some(State::Unrecorded));
    assert_eq!(fixture.state_at(1, nth(21)), Some(State::Future));

    let told = fixture.states_between(1, START, nth(22));
    let numbers: Vec<_> = told.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (1..=22).collect::<Vec<_>>(), "each planned one, once");
    for (n, state) in told {
        assert_eq!(fixture.state_at(1, nth(n)), Some(state), "{n}");
    }
    assert_eq!(fixture.states_between(1, nth(3), nth(4)).len(), 2);
    assert!(fixture.state.read(|c| explain::explain(c, 99, nth(1), SETTLED)).is_none());
}

#[test]
fn a_late_delivery_beats_a_range_and_a_retried_one_is_not_in_it() {
    let mut fixture = ExplainFixture::new();
    let misfire = record([1], Verdict::Skipped(SkipReason::Misfire));
    fixture.record(due(2, record([1], Verdict::Retry { at: nth(9) })));
    fixture.record(AttemptRecord { since: Some(nth(1)), ..due(5, misfire) });
    fixture.record(due(3, record([1], Verdict::Delivered)));
    let skipped = State::Skipped(SkipReason::Misfire);
    let told: Vec<_> =
        fixture.states_between(1, START, nth(5)).into_iter().map(|(_, s)| s).collect();
    assert_eq!(told, [skipped, State::Pending, State::Delivered, skipped, skipped]);
}

#[test]
fn what_is_not_due_says_which_field_and_what_is_near() {
    let fixture = ExplainFixture::new();
    let off = fixture.explain(1, nth(2) + 17_000);
    assert!(off.account.is_none());
    assert_eq!(off.reading.unwrap().checks[0].value, "2 times that, and 17 seconds");
    assert_eq!(off.previous.unwrap().due, nth(2));
    assert_eq!(off.next.unwrap().due, nth(3));
    let within = fixture.explain(1, nth(2) - 500);
    assert!(within.account.is_none(), "given finer than a second, it means itself");
    let before = fixture.explain(1, START - 1_000);
    assert_eq!((before.plan, before.previous), (None, None));
    assert_eq!(before.next.unwrap().due, nth(1));
}

#[test]
fn pauses_edits_and_the_end_are_found_in_the_plans() {
    let mut fixture = ExplainFixture::new();
    fixture.state.now = nth(2) + 1_000;
    let change = |action| Command::ChangeJobs { jobs: vec![(1, 1)], action, by: None };
    fixture.state.done(change(JobAction::Pause { until: Some(nth(4) + 1_000) }));
    fixture.state.now = nth(6) + 1_000;
    fixture.state.done(Command::project_action(
        1,
        ProjectAction::Pause { until: Some(nth(8)) },
        None,
    ));
    fixture.state.now = nth(9) + 1_000;
    fixture.state.done(change(JobAction::Delete));
    for n in [1, 2, 5, 6, 8, 9] {
        fixture.record(due(n, record([1], Verdict::Delivered)));
    }
    // Sent before the deletion was applied there.
    fixture.record(due(10, record([1], Verdict::Delivered)));
    fixture.settle(nth(15));
    let (sent, paused) = (State::Delivered, State::Skipped(SkipReason::Paused));
    let told = fixture.states_between(1, START, SETTLED);
    let states = [sent, sent, paused, paused, sent, sent, paused, sent, sent];
    assert_eq!(told, (1..).zip(states).collect::<Vec<_>>());
    let job = fixture.explain(1, nth(3));
    assert_eq!(job.timeline.plans[job.plan.unwrap()].firing, FiringState::Paused);
    assert!(!job.account.unwrap().planned && job.project_pause.is_none());
    assert_eq!(fixture.explain(1, nth(7)).project_pause.unwrap().end(), Some(nth(8)));
    let late = fixture.explain(1, nth(10));
    let account = late.account.unwrap();
    assert_eq!((late.plan, account.planned, account.state), (None, false, sent));
    assert!(fixture.explain(1, nth(11)).account.is_none());
}

#[test]
fn disabled_is_told_from_paused_without_the_letter_that_disabled() {
    use FiringState::{Active, Disabled, Paused};
    let mut fixture = ExplainFixture::new();
    fixture.state.now = nth(2) + 1_000;
    fixture.state.disable(1);
    fixture.state.now = nth(4) + 1_000;
    let change = |action| Command::ChangeJobs { jobs: vec![(1, 1)], action, by: None };
    fixture.state.done(change(JobAction::Resume));
    fixture.state.done(change(JobAction::Pause { until: Some(nth(6) + 1_000) }));
    fixture.state.now = nth(7) + 1_000;
    fixture.state.disable(1);
    fixture.settle(nth(15));
    let firing = |n| {
        let found = fixture.explain(1, nth(n));
        found.timeline.plans[found.plan.unwrap()].firing
    };
    let told = [2, 3, 4, 5, 6, 7, 8].map(firing);
    assert_eq!(told, [Active, Disabled, Disabled, Paused, Paused, Active, Disabled]);
    let skipped = |reason| State::Skipped(reason);
    let states = fixture.states_between(1, nth(2), nth(5));
    let told: Vec<_> = states.into_iter().map(|(_, state)| state).collect();
    let disabled = skipped(SkipReason::Disabled);
    assert_eq!(told[1..], [disabled, disabled, skipped(SkipReason::Paused)]);
}

#[test]
fn a_one_off_is_planned_once_whatever_was_done_to_it() {
    let mut fixture = ExplainFixture::new();
    let once =
        |timing| JobDefinition { timing, spec: String::new(), period: None, ..every_minute() };
    let overdue = CreateJobs {
        request: 77,
        definitions: vec![once(Timing::At)],
        jobs: vec![NewJob { at: Some(START - 5_000), ..NewJob::default() }],
        staged: false,
    };
    let Outcome::Jobs { jobs, .. } = fixture.state.done(Command::CreateJobs(overdue)) else {
        panic!("no job");
    };
    let job = jobs[0].0;
    let after = fixture.state.jobs(once(Timing::After(90_500)), 1);
    assert_eq!(fixture.state_at(job, START - 5_000), Some(State::Pending));
    assert_eq!(fixture.states_between(job, START - MINUTE, SETTLED).len(), 1);
    let found = fixture.explain(after, START + 90_000).account.unwrap();
    assert_eq!(found.occurrence.scheduled, START + 90_500, "within the second that was asked for");
    assert_eq!(found.state, State::Unrecorded);
}

#[test]
fn a_manual_run_is_told_beside_the_plan() {
    let mut fixture = ExplainFixture::new();
    fixture.state.now = nth(3) + 250;
    let Outcome::Run(run) = fixture.state.done(Command::RunJob { id: 1, forced: false }) else {
        panic!("no run");
    };
    let found = fixture.explain(1, nth(3));
    assert_eq!(found.account.unwrap().state, State::Unrecorded);
    assert_eq!((found.manual.len(), found.manual[0].occurrence), (1, run));
    assert_eq!(found.manual[0].state, State::Pending);
    let delivered = record([1], Verdict::Delivered);
    let sent =
        AttemptRecord { due: run.scheduled, scheduled: run.scheduled, run: run.run, ..delivered };
    fixture.record(sent);
    let found = fixture.explain(1, nth(3));
    assert_eq!(found.account.unwrap().state, State::Unrecorded, "its own occurrence is another");
    assert_eq!(found.manual[0].state, State::Delivered);
    assert!(found.manual[0].pending.as_ref().is_none_or(|row| row.next_at != PARKED));
}

#[test]
fn what_was_dropped_is_forgotten_and_not_missing() {
    let mut fixture = ExplainFixture::new();
    for n in 1..=4 {
        fixture.record(due(n, record([1], Verdict::Delivered)));
    }
    fixture.settle(nth(4));
    fixture.state.done(Command::Retain { before: nth(3), dead_letters: START, limit: 10 });
    let told: Vec<_> =
        fixture.states_between(1, START, nth(4)).into_iter().map(|(_, s)| s).collect();
    let (gone, kept) = (State::Forgotten, State::Delivered);
    assert_eq!(told, [gone, gone, kept, kept]);
}

#[test]
fn jitter_is_told_by_either_instant() {
    let mut fixture = ExplainFixture::new();
    let job = fixture.state.jobs(JobDefinition { jitter: 40_000, ..every_minute() }, 1);
    let found = fixture.explain(job, nth(3)).account.unwrap();
    assert!(found.due > nth(3) && found.due < nth(4));
    assert_eq!(found.occurrence.scheduled, nth(3));
    let second = found.due.div_euclid(1_000) * 1_000;
    assert_eq!(fixture.explain(job, second).account.unwrap().occurrence.scheduled, nth(3));
    let shard = shard_of(job);
    let sent = AttemptRecord { due: found.due, shard, ..due(3, record([job], Verdict::Delivered)) };
    fixture.record(sent);
    assert_eq!(fixture.state_at(job, nth(3)), Some(State::Delivered));
    assert_eq!(fixture.states_between(job, START, nth(4)).len(), 3);
}

#[test]
fn what_waits_for_a_worker_or_is_with_one_is_told_as_it_is() {
    let mut fixture = ExplainFixture::new();
    let executor = Executor { name: "emails".into(), kind: "worker".into(), ..Executor::default() };
    let Outcome::Created(id) = fixture.state.done(Command::CreateExecutor(executor)) else {
        panic!("no executor")
    };
    let offered = |members: [u64; 2], executor| {
        let terms = RunTerms { executor, ..terms() };
        let members = Members::from_sorted(members);
        Offer { due: nth(1), scheduled: nth(1), members, terms, ..offer(planned(1, 0)) }
    };
    fixture.tell(JournalEntry::Offered(offered([1, 2], id)));
    fixture.tell(JournalEntry::Offered(offered([3, 4], 99)));
    let claimed = Offer { pending: Some(1), ..offered([2, 2], id) };
    fixture.tell(JournalEntry::Taken(taken(claimed, "w")));
    fixture.settle(nth(2));
    let account = |job| fixture.explain(job, nth(1)).account.unwrap();
    let offered = account(1);
    assert_eq!((offered.state, offered.queue.as_deref()), (State::Pending, Some("emails")));
    let row = offered.pending.unwrap();
    assert_eq!((row.attempt_at(), row.on_offer.map(|offer| offer.executor)), (None, Some(id)));
    assert_eq!(account(3).queue.as_deref(), Some("99 (deleted)"));
    let claimed = account(2);
    assert_eq!((claimed.state, claimed.pending, claimed.queue), (State::Running, None, None));
    assert_eq!(claimed.run.unwrap().worker.unwrap().worker, "w");
    let states = fixture.states_between(2, nth(1), nth(2));
    assert_eq!(states, [(1, State::Running), (2, State::Missing)]);
}
