//! Jitter moves an occurrence, never its accounting: what the plans say of an occurrence that is
//! scheduled before a change and due after it.

use super::*;
use crate::command::{JobAction, JobEdit, ProjectAction};
use crate::model::attempt::SkipReason;
use crate::model::delivery::{Misfire, MisfirePolicy};
use crate::store::ledger::{self, State};
use crate::store::timeline::Timeline;
use crate::store::{explain, plans};

const MINUTE: Millis = 60_000;
/// Nothing is judged earlier.
const LATER: Millis = START + 20 * MINUTE;

/// The instant of the nth minute.
fn nth(n: i64) -> Millis {
    START + n * MINUTE
}

/// A change of a job.
type Edit = fn(&mut JobEdit);

/// A state with a job that is due some seconds after each minute.
struct JitterFixture {
    state: ApplyFixture,
    job: u64,
    /// The due instant of the occurrence of the third minute.
    due: Millis,
}

impl JitterFixture {
    /// At an instant between the third minute and when it is due.
    fn new() -> Self {
        Self::of(|_| {})
    }

    fn of(change: impl FnOnce(&mut JobDefinition)) -> Self {
        let mut state = ApplyFixture::new();
        let other = NewProject { name: "other".into(), ..NewProject::default() };
        state.done(Command::CreateProject(other));
        let mut definition = JobDefinition { jitter: 50_000, ..every_minute() };
        change(&mut definition);
        let mut fixture = Self { state, job: 0, due: 0 };
        while fixture.due < nth(3) + 10_000 {
            fixture.job = fixture.state.create_one(definition.clone(), NewJob::default());
            fixture.due = fixture.of_minute(3).unwrap().due;
        }
        fixture.state.now = nth(3) + 5_000;
        fixture
    }

    fn ledger(&self, from: Millis, until: Millis, limit: usize) -> Vec<ledger::Entry> {
        let read =
            |c: &rusqlite::Connection| ledger::ledger(c, self.job, LATER, (from, until), limit);
        self.state.read(read).unwrap()
    }

    /// The entry of a minute in the ledger; `explain` must say the same.
    fn of_minute(&self, n: i64) -> Option<ledger::Entry> {
        let all = self.ledger(START, nth(10), 100);
        let found: Vec<_> = all.into_iter().filter(|one| one.scheduled == nth(n)).collect();
        assert!(found.len() < 2, "once: {found:?}");
        let told = self.state.read(|c| explain::explain(c, self.job, nth(n), LATER)).unwrap();
        let told = told.account.filter(|account| account.occurrence.scheduled == nth(n));
        let entry = told.map(|one| (one.due, one.state));
        assert_eq!(entry, found.first().map(|one| (one.due, one.state)));
        found.into_iter().next()
    }

    fn at(&mut self, now: Millis, command: Command) {
        self.state.now = now;
        self.state.done(command);
    }

    fn act(&self, action: JobAction) -> Command {
        Command::ChangeJobs { jobs: vec![(self.job, 1)], action, by: None }
    }

    fn third(&self) -> (Millis, State) {
        let found = self.of_minute(3).expect("it is accounted for");
        (found.due, found.state)
    }
}

#[test]
fn an_edit_of_the_plan_leaves_what_it_found_planned_where_it_was() {
    let edits: [(&str, Edit); 10] = [
        ("end", |edit| edit.definition.end = Some(START + 900_000)),
        ("an end that has passed", |edit| edit.definition.end = Some(nth(1))),
        ("start", |edit| edit.definition.start = Some(START - 900_000)),
        ("dst", |edit| edit.definition.dst.gap = crate::schedule::Gap::Skip),
        ("misfire", |edit| {
            edit.definition.misfire = Misfire { policy: MisfirePolicy::All, ..Misfire::default() };
        }),
        ("another jitter", |edit| edit.definition.jitter = 8_000),
        ("no jitter", |edit| edit.definition.jitter = 0),
        ("another spec", |edit| {
            (edit.definition.spec, edit.definition.period) = ("@every 7m".into(), Some(420_000));
        }),
        ("another project", |edit| edit.definition.project = 2),
        ("a one-off", |edit| {
            (edit.definition, edit.at) = (at(), Some(LATER));
        }),
    ];
    for (what, change) in edits {
        let mut fixture = JitterFixture::new();
        let due = fixture.due;
        fixture.state.edit(fixture.job, change);
        assert_eq!(fixture.third(), (due, State::Unrecorded), "{what}");
        // Nor does an edit after the edit take it away.
        fixture.state.now += 1_000;
        fixture.state.edit(fixture.job, |edit| edit.definition.end = Some(START + 800_000));
        fixture.state.edit(fixture.job, |edit| edit.definition.jitter = 3_000);
        assert_eq!(fixture.third(), (due, State::Unrecorded), "{what}, and more");
        assert_eq!(super::consistency::definition_references(&fixture.state), []);
    }
}

#[test]
fn first_and_last_date_judge_the_scheduled_instant() {
    let fixture = JitterFixture::of(|definition| {
        (definition.start, definition.end) = (Some(nth(3)), Some(nth(3)));
    });
    assert_eq!(
        fixture.third(),
        (fixture.due, State::Unrecorded),
        "one run, due after the last date"
    );
    assert_eq!(fixture.ledger(START, LATER, 100).len(), 1);
}

#[test]
fn a_pause_judges_the_due_instant() {
    let fixture = JitterFixture::new();
    let (due, before, within) = (fixture.due, nth(3) - 9_000, nth(3) + 5_000);
    let (skipped, fires) = (State::Skipped(SkipReason::Paused), State::Unrecorded);
    // From when to when; with an end that is known, or by a resume.
    for (from, until, state) in [
        (within, None, skipped),
        (before, None, skipped),
        (within, Some(within + 1_000), fires),
        (before, Some(within), fires),
        (before, Some(due), fires),
        (within, Some(due), fires),
        (within, Some(due + 1), skipped),
        (before, Some(due + 1), skipped),
        (due, None, fires),
    ] {
        for of_project in [false, true] {
            for by_itself in [true, false] {
                let mut fixture = JitterFixture::new();
                let turn = |action| Command::project_action(1, action, None);
                let end = until.filter(|_| by_itself);
                let (pause, resume) = if of_project {
                    let pause = ProjectAction::Pause { until: end };
                    (turn(pause), turn(ProjectAction::Resume))
                } else {
                    (fixture.act(JobAction::Pause { until: end }), fixture.act(JobAction::Resume))
                };
                fixture.at(from, pause);
                if let Some(until) = until.filter(|_| !by_itself) {
                    // The stamp of a change still belongs to what was before it.
                    fixture.at(until - 1, resume);
                }
                let what = format!("{from} to {until:?}, {of_project}, {by_itself}, due {due}");
                assert_eq!(fixture.third(), (due, state), "{what}");
            }
        }
    }
    // 410, and back in time.
    let mut fixture = JitterFixture::new();
    fixture.state.disable(fixture.job);
    assert_eq!(fixture.third(), (due, State::Skipped(SkipReason::Disabled)));
    fixture.at(due - 1, fixture.act(JobAction::Resume));
    assert_eq!(fixture.third(), (due, fires));
}

#[test]
fn what_is_not_sent_when_its_job_goes_has_ended() {
    let mut fixture = JitterFixture::new();
    fixture.at(nth(3) + 5_000, fixture.act(JobAction::Delete));
    assert_eq!(fixture.third(), (fixture.due, State::Skipped(SkipReason::Ended)));
    let mut fixture = JitterFixture::new();
    let cascade = Command::DeleteProject { id: 1, cascade: true, expect: None };
    fixture.at(nth(3) + 5_000, cascade);
    assert_eq!(fixture.third(), (fixture.due, State::Skipped(SkipReason::Ended)));
}

#[test]
fn occurrences_that_cross_are_told_in_the_order_they_are_due() {
    let mut fixture = JitterFixture::new();
    // Two more before it, and one at the same instant.
    let due = fixture.due;
    let second = nth(3) + 6_000;
    fixture.state.edit(fixture.job, |edit| {
        (edit.definition.spec, edit.definition.period) = ("@every 1s".into(), Some(1_000));
        edit.definition.jitter = 0;
    });
    let all = fixture.ledger(START, due + 1_000, 1_000);
    let told: Vec<_> = all.iter().map(|one| (one.due, one.scheduled)).collect();
    let mut sorted = told.clone();
    sorted.sort_unstable();
    assert_eq!(told, sorted);
    let at_once: Vec<_> = told.iter().filter(|one| one.0 == due).collect();
    assert_eq!(at_once, [&(due, nth(3)), &(due, due)]);
    assert!(told.contains(&(second, second)));
    for limit in 1..told.len() {
        let some = fixture.ledger(START, due + 1_000, limit);
        let more = some.len() - limit;
        assert_eq!(some[..], all[..limit + more], "the first ones");
        assert!(more == 0 || some[limit - 1].due == some[limit].due, "what is due at once, too");
    }
    // A record of the one is not one of the other.
    let shard = shard_of(fixture.job);
    let sent = record([fixture.job], Verdict::Delivered);
    let sent = AttemptRecord { due, scheduled: due, shard, ..sent };
    let dead = record([fixture.job], Verdict::Dead);
    let dead = AttemptRecord { due, scheduled: nth(3), shard, ..dead };
    let range = record([fixture.job], Verdict::Skipped(SkipReason::Misfire));
    let range = AttemptRecord { since: Some(nth(3)), due, scheduled: nth(3), shard, ..range };
    fixture.state.done(journal_batch(1, 1, 1, vec![sent, dead, range]));
    assert_eq!(fixture.third(), (due, State::Dead));
    let all = fixture.ledger(due, due, 9);
    let states: Vec<_> = all.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Dead, State::Delivered]);
    let next = fixture.ledger(second, second, 9);
    assert_eq!(next[0].state, State::Unrecorded, "a range takes in what its own plan has");
}

#[test]
fn a_closed_plan_is_kept_until_what_is_left_of_it_is_settled() {
    // Where a transaction ends does not matter: a definition may have no row yet.
    for at_once in [true, false] {
        let mut fixture = JitterFixture::new();
        let due = fixture.due;
        let mut edit = same(&fixture.state.job(fixture.job), fixture.state.now);
        edit.expect = None;
        let marks = |at| (0..SHARDS).map(move |shard| mark(shard, 1, at)).collect();
        let settle = |first: u64, at| {
            Command::Record(JournalBatch { node: 1, incarnation: 1, first, entries: marks(at) })
        };
        let retain = |before| Command::Retain { before, dead_letters: START, limit: 100 };
        let mut commands = Vec::new();
        for jitter in [7_000, 50_000, 9_000] {
            edit.definition.jitter = jitter;
            commands.push(Command::UpdateJob(Box::new(edit.clone())));
        }
        let reach = nth(3) + 5_000 + 50_000;
        commands.extend([settle(1, due - 1), retain(LATER)]);
        let mut story_of = |commands: &[Command], now| {
            fixture.state.now = now;
            if at_once {
                fixture.state.apply_all(commands);
            } else {
                for command in commands {
                    fixture.state.done(command.clone());
                }
            }
            fixture.state.read(|c| plans::of_job(c, fixture.job)).len()
        };
        // Plans of no length were not kept.
        assert_eq!(story_of(&commands, nth(3) + 5_000), 1, "its last occurrence is open");
        assert_eq!(story_of(&[settle(65, reach), retain(LATER)], reach), 1);
        assert_eq!(story_of(&[settle(129, reach + 1), retain(LATER)], reach + 1), 0);
        assert_eq!(super::consistency::definition_references(&fixture.state), []);
    }
}

#[test]
fn a_one_off_that_rests_is_over_when_it_would_have_been_due() {
    // In a pause its jitter is taken away: it is due when it was, and is over then, not before.
    let definition = JobDefinition { jitter: 3_600_000, ..at() };
    for resume in [false, true] {
        let mut state = ApplyFixture::new();
        let id = state.create_one(definition.clone(), one(nth(1)));
        let due = crate::command::apply::plan_intervals::due(id, &definition, nth(1));
        assert!(due > nth(1) + 10_000, "this job's hash is unlucky: take another");
        let act = |action| Command::ChangeJobs { jobs: vec![(id, 1)], action, by: None };
        state.now = START + 10;
        state.done(act(JobAction::Pause { until: None }));
        state.now = nth(1) + 5_000;
        state.edit(id, |edit| edit.definition.jitter = 0);
        assert_eq!((state.job(id).status, state.rows()), (JobStatus::Inactive, vec![]));
        if resume {
            state.now = due - 1;
            state.done(act(JobAction::Resume));
        }
        state.now = due;
        let over = u32::from(!resume);
        assert_eq!(state.done(Command::Expire { limit: 9 }), Outcome::Changed(over));
        let entries = state.read(|c| ledger::ledger(c, id, due, (START, LATER), 9)).unwrap();
        let expected = if resume { State::Unrecorded } else { State::Skipped(SkipReason::Paused) };
        assert_eq!(entries, [ledger::Entry { scheduled: nth(1), due, state: expected }]);
        let status = if resume { JobStatus::Active } else { JobStatus::Completed };
        assert_eq!(state.job(id).status, status);
    }
}

#[test]
fn a_long_pause_of_a_busy_job_is_passed_over_at_once() {
    // A walk through every second of these years would not end within this test.
    let busy = JobDefinition {
        spec: "* * * * * *".into(),
        period: None,
        jitter: 50_000,
        ..every_minute()
    };
    let to_fire = |state: &ApplyFixture, job, count| -> Vec<Millis> {
        let timeline = state.read(|c| Timeline::of_job(c, job)).unwrap();
        timeline.to_fire(state.now, count).iter().map(|one| one.due).collect()
    };
    let years = START + 10 * 365 * 1_440 * MINUTE;
    let end_of_time = crate::schedule::LAST - MINUTE;
    for of_project in [false, true] {
        for until in [Some(years), Some(end_of_time), None] {
            let mut state = ApplyFixture::new();
            let job = state.create_one(busy.clone(), NewJob::default());
            state.now = nth(3);
            state.done(if of_project {
                Command::project_action(1, ProjectAction::Pause { until }, None)
            } else {
                let action = JobAction::Pause { until };
                Command::ChangeJobs { jobs: vec![(job, 1)], action, by: None }
            });
            let found = to_fire(&state, job, 3);
            assert_eq!(found.len(), if until.is_some() { 3 } else { 0 }, "{until:?}");
            let until = until.unwrap_or_default();
            assert!(found.iter().all(|due| (until..until + 5_000).contains(due)), "{found:?}");
            assert!(found.is_sorted());
        }
    }
    // The pause of a project that the job has left bars nothing but what is left of its plan there.
    let mut fixture = JitterFixture::new();
    let pause = ProjectAction::Pause { until: Some(years) };
    fixture.at(fixture.state.now, Command::project_action(1, pause, None));
    fixture.state.now += 1;
    fixture.state.edit(fixture.job, |edit| edit.definition.project = 2);
    let found = to_fire(&fixture.state, fixture.job, 2);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|due| (nth(4)..nth(6)).contains(due)), "{found:?}");
}

#[test]
fn of_plans_that_ended_only_those_with_jitter_are_read() {
    let mut state = ApplyFixture::new();
    let plain = state.create_one(every_minute(), NewJob::default());
    let late = JobDefinition { jitter: 3_600_000, ..every_minute() };
    let late = state.create_one(late, NewJob::default());
    let (definition, shard) = (state.job(plain).definition_id, shard_of(plain));
    assert_eq!(shard, shard_of(late));
    state.now = nth(1);
    for id in [plain, late] {
        state.edit(id, |edit| edit.definition.end = Some(nth(90)));
    }
    // A definition that cannot be read shows who reads it.
    let spoil = |tx: &mut crate::store::Tx<'_>| {
        tx.execute("UPDATE shapes SET body = '{}' WHERE id = ?1", [definition as i64])
    };
    assert_eq!(state.writer.transaction(spoil).unwrap(), 1);
    let found = |after| state.store.read(|c| plans::of_shard(c, shard, after));
    let jobs: Vec<_> = found(nth(2)).unwrap().iter().map(|plan| plan.job).collect();
    assert_eq!(jobs, [late]);
    assert_eq!(found(nth(1) + 3_600_000).unwrap(), [], "what jitter may hold back has come");
    assert!(found(START).is_err(), "here it is read");
}

#[test]
fn looking_for_plans_to_drop_is_bounded() {
    let mut state = ApplyFixture::new();
    let late = JobDefinition { jitter: 3_600_000, ..every_minute() };
    let first = state.jobs(late, 5);
    let plain = state.create_one(every_minute(), NewJob::default());
    for (id, now) in (first..first + 5).map(|id| (id, nth(1))).chain([(plain, nth(2))]) {
        state.now = now;
        state.edit(id, |edit| edit.definition.end = Some(nth(900)));
    }
    let mut drop_by = |first: u64, before, limit| {
        state.now = before;
        let marks = (0..SHARDS).map(|shard| mark(shard, 1, before)).collect();
        state.done(Command::Record(JournalBatch {
            node: 1,
            incarnation: 1,
            first,
            entries: marks,
        }));
        state.done(Command::Retain { before, dead_letters: START, limit });
        state.count("closed_plans")
    };
    assert_eq!(drop_by(1, nth(3), 2), 6, "it stands behind five that are kept");
    assert_eq!(drop_by(65, nth(4), 3), 5);
    assert_eq!(drop_by(129, nth(62), 4), 1);
    assert_eq!(drop_by(193, nth(63), 4), 0);
}
