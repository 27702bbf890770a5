//! Facts for the event stream: which command gives which, and that a refusal gives none.

use super::record::JournalFixture;
use super::runs::{accepted, planned, told};
use super::*;
use crate::command::{JobAction, ProjectAction, ProjectEdit};
use crate::model::attempt::SkipReason;
use crate::model::event::{
    ChangeEvent, Fact, JobChange, JobEnd, JobUpdate, LettersChange, Noun, RecordChange, RunChange,
    ShardMoves, TemplateMark,
};
use crate::model::job_set::JobSet;
use crate::model::run::Report;
use crate::model::target::Executor;

const SOON: Millis = START + 60_000;

impl ApplyFixture {
    /// The facts of the last command, after a look at their places.
    fn facts(&self) -> Vec<Fact> {
        let events = self.change.events.facts();
        for (event, number) in events.iter().zip(1..) {
            let place = (event.index, event.number, event.at);
            assert_eq!(place, (self.index, number, self.change.stamp), "{event:?}");
        }
        events.iter().map(|event: &ChangeEvent| event.fact.clone()).collect()
    }

    fn gives(&mut self, command: Command, facts: &[Fact]) {
        let shown = format!("{command:?}");
        self.done(command);
        assert_eq!(self.facts(), facts, "{shown}");
    }
}

fn jobs(change: JobChange, first: u64, count: u64) -> Fact {
    let jobs = JobSet::range(first, count);
    Fact::Jobs { project: Some(1), template: TemplateMark::NoTemplate, change, jobs }
}

fn updated(update: JobUpdate, first: u64, count: u64) -> Fact {
    jobs(JobChange::Updated(update), first, count)
}

fn record_of(noun: Noun, id: u64, change: RecordChange) -> Fact {
    Fact::Record { noun, id, change }
}

fn project(name: &str) -> Command {
    Command::CreateProject(NewProject { name: name.into(), ..NewProject::default() })
}

#[test]
fn the_birth_and_moves_of_shards_are_facts() {
    let mut state = ApplyFixture::unborn();
    state.gives(Command::Init { cluster: 7 }, &[Fact::Members]);
    state.gives(Command::Init { cluster: 7 }, &[]);
    state.assign_all(1, 0);
    let all = u32::from(SHARDS);
    assert_eq!(state.facts(), [Fact::Shards(vec![ShardMoves { from: 0, to: 1, shards: all }])]);
    let take = |shard, to| Move { shard, to, expects: 1, kind: MoveKind::TakeOver };
    let moves = [take(3, 2), take(4, 2), take(5, 3), Move { expects: 9, ..take(6, 3) }];
    let facts =
        vec![ShardMoves { from: 1, to: 2, shards: 2 }, ShardMoves { from: 1, to: 3, shards: 1 }];
    state.gives(Command::Assign(moves.into()), &[Fact::Shards(facts)]);
    state.gives(Command::Register { node: 4, instance: 9, replace: false }, &[Fact::Members]);
    state.gives(Command::Register { node: 4, instance: 9, replace: false }, &[]);
    state.gives(Command::Drain { node: 4, draining: true }, &[Fact::Members]);
    state.gives(Command::RaiseLevel { level: 4 }, &[Fact::Members]);
    state.gives(Command::Checksum, &[]);
}

#[test]
fn jobs_that_come_change_and_go_are_one_fact_for_each_change() {
    let mut state = ApplyFixture::new();
    state.gives(create(1, every_minute(), 1_000, false), &[jobs(JobChange::Created, 1, 1_000)]);
    state.gives(create(1, every_minute(), 1_000, false), &[]); // the same request once more
    state.gives(create(2, every_minute(), 10, true), &[]);
    let activate = Command::ActivateJobs { request: 2 };
    state.gives(activate.clone(), &[jobs(JobChange::Created, 1_001, 10)]);
    state.gives(activate, &[]);

    let change = |action| Command::ChangeJobs { jobs: vec![(1, 500), (600, 1)], action, by: None };
    let mut named = JobSet::range(1, 500);
    named.add(600, 1);
    let all = |change| Fact::Jobs {
        project: Some(1),
        template: TemplateMark::NoTemplate,
        change,
        jobs: named.clone(),
    };
    let paused = JobChange::Updated(JobUpdate::Paused);
    state.gives(change(JobAction::Pause { until: None }), &[all(paused)]);
    state.gives(change(JobAction::Pause { until: None }), &[]);
    state.gives(change(JobAction::Resume), &[all(JobChange::Updated(JobUpdate::Resumed))]);
    state.gives(change(JobAction::Delete), &[all(JobChange::Deleted)]);
    state.edit(700, |edit| edit.data = "other".into());
    assert_eq!(state.facts(), [updated(JobUpdate::Edited, 700, 1)]);
    state.edit(700, |_| {});
    assert_eq!(state.facts(), []);
    state.disable(700);
    assert_eq!(state.change.events.facts()[0].fact, updated(JobUpdate::Disabled, 700, 1));
}

#[test]
fn a_job_that_changes_its_project_is_a_fact_of_both() {
    let mut state = ApplyFixture::new();
    state.gives(project("other"), &[record_of(Noun::Project, 2, RecordChange::Created)]);
    let id = state.jobs(every_minute(), 1);
    state.edit(id, |edit| edit.definition.project = 2);
    let edited = JobChange::Updated(JobUpdate::Edited);
    let of = |project| Fact::Jobs {
        project: Some(project),
        template: TemplateMark::NoTemplate,
        change: edited,
        jobs: JobSet::range(id, 1),
    };
    assert_eq!(state.facts(), [of(1), of(2)]);

    let of_two = Command::CreateJobs(CreateJobs {
        request: 9,
        definitions: vec![every_minute(), JobDefinition { project: 2, ..every_minute() }],
        jobs: (0..2).map(|definition| NewJob { definition, ..NewJob::default() }).collect(),
        staged: false,
    });
    let created = JobChange::Created;
    let several = Fact::Jobs {
        project: None,
        template: TemplateMark::NoTemplate,
        change: created,
        jobs: JobSet::range(id + 1, 2),
    };
    state.gives(of_two, &[several]);
    let deleted = Fact::Jobs {
        project: Some(2),
        template: TemplateMark::Unknown,
        change: JobChange::Deleted,
        jobs: JobSet { ranges: vec![(id, 1), (id + 2, 1)], ..JobSet::default() },
    };
    state.gives(
        Command::DeleteProject { id: 2, cascade: true, expect: None },
        &[deleted, record_of(Noun::Project, 2, RecordChange::Deleted)],
    );
}

#[test]
fn projects_and_executors_are_facts_when_they_change_and_only_then() {
    let mut state = ApplyFixture::new();
    let edit = |edit| Command::UpdateProject(ProjectEdit { id: 1, ..edit });
    let named = || edit(ProjectEdit { name: Some("q".into()), ..ProjectEdit::default() });
    let changed = record_of(Noun::Project, 1, RecordChange::Updated);
    state.gives(named(), std::slice::from_ref(&changed));
    state.gives(named(), &[]);
    let pause = || Command::project_action(1, ProjectAction::Pause { until: None }, None);
    state.gives(pause(), &[changed]);
    state.gives(pause(), &[]);
    let executor = Executor { name: "e".into(), ..Executor::default() };
    let of = |change| [record_of(Noun::Executor, 1, change)];
    state.gives(Command::CreateExecutor(executor.clone()), &of(RecordChange::Created));
    let other = Executor { name: "f".into(), ..executor };
    let update = Command::UpdateExecutor { id: 1, expect: None, executor: other };
    state.gives(update.clone(), &of(RecordChange::Updated));
    state.gives(update, &[]);
    state.gives(Command::DeleteExecutor { id: 1, expect: None }, &of(RecordChange::Deleted));
}

#[test]
fn what_is_refused_gives_no_fact_and_those_before_it_stay() {
    let mut state = ApplyFixture::new();
    state.refused(&Command::DeleteJob { id: 77, expect: None });
    assert_eq!(state.facts(), []);
    let (index, now) = (state.index, state.now);
    let mut change = crate::command::Change::default();
    let commands = [project("a"), project("a"), project("b")];
    let done = state.writer.transaction(|tx| {
        for (command, index) in commands.iter().zip(index + 1..) {
            apply(tx, index, now, (None, None), command, &mut change)?;
        }
        Ok::<_, Error>(())
    });
    done.unwrap();
    let places: Vec<_> = change.events.facts().iter().map(|e| (e.index, e.number)).collect();
    assert_eq!(places, [(index + 1, 1), (index + 3, 1)]);
}

#[test]
fn results_of_an_entry_are_summed_and_ends_of_one_offs_are_told() {
    let mut state = ApplyFixture::new();
    for (n, definition) in
        [at(), JobDefinition { delete_after_run: true, ..at() }, at()].into_iter().enumerate()
    {
        assert_eq!(state.create_one(definition, one(SOON)), n as u64 + 1);
    }
    let id = state.jobs(every_minute(), 1);
    let once = |job, verdict| AttemptRecord { once: true, ..record([job], verdict) };
    let records = vec![
        once(1, Verdict::Delivered),
        record([id], Verdict::Retry { at: SOON + 5_000 }),
        once(2, Verdict::Delivered),
        once(3, Verdict::Dead),
    ];
    state.done(journal_batch(1, 5, 1, records));
    let facts = state.facts();
    let Fact::Executions(sums) = &facts[0] else { panic!("{facts:?}") };
    let (project, counts) = sums.projects[0];
    assert_eq!((project, counts.delivered, counts.failed, counts.dead), (1, 2, 1, 1));
    assert!(sums.shards.contains(0) && !sums.shards.contains(1));
    let delivered = JobChange::Terminated(JobEnd::Delivered);
    assert_eq!(
        facts[1..],
        [
            jobs(delivered, 1, 2),
            jobs(JobChange::Deleted, 2, 1),
            Fact::DeadLetter {
                project: 1,
                letter: 1,
                jobs: JobSet::range(3, 1),
                occurrences: 1,
                error: None,
            },
            jobs(JobChange::Terminated(JobEnd::Dead), 3, 1),
        ]
    );
    let letters = |change| [Fact::DeadLetters { change, count: 1 }];
    let replay = Command::ReplayDeadLetters { letters: vec![(1, SOON), (9, SOON)] };
    state.gives(replay, &letters(LettersChange::Replayed));
    state.done(journal_batch(
        1,
        5,
        5,
        vec![AttemptRecord { pending: Some(2), ..once(3, Verdict::Dead) }],
    ));
    state.gives(Command::PurgeDeadLetters { letters: vec![2] }, &letters(LettersChange::Purged));
    state.gives(Command::PurgeDeadLetters { letters: vec![2] }, &[]);
}

#[test]
fn a_one_off_that_lapses_in_a_pause_is_over() {
    let mut state = ApplyFixture::new();
    let job = NewJob { status: JobStatus::Inactive, ..one(SOON) };
    let id = state.create_one(at(), job);
    state.now = SOON;
    let over = jobs(JobChange::Terminated(JobEnd::Skipped(SkipReason::Paused)), id, 1);
    state.gives(Command::Expire { limit: 10 }, &[over]);
}

#[test]
fn an_edit_that_finds_a_one_off_lapsed_tells_its_end() {
    let mut state = ApplyFixture::new();
    let job = NewJob { status: JobStatus::Inactive, ..one(SOON) };
    let id = state.create_one(at(), job);
    state.now = SOON + 1;
    let edited = state.edit(id, |edit| edit.data = "other".into());
    assert_eq!(edited.status, JobStatus::Completed);
    let over = jobs(JobChange::Terminated(JobEnd::Skipped(SkipReason::Paused)), id, 1);
    assert_eq!(state.facts(), [updated(JobUpdate::Edited, id, 1), over]);
    state.gives(Command::Expire { limit: 10 }, &[]);
}

#[test]
fn an_edit_tells_the_same_end_in_the_transaction_that_made_the_job() {
    let job = NewJob { status: JobStatus::Inactive, ..one(SOON) };
    let create = request(9, at(), vec![job], false);
    let mut apart = ApplyFixture::new();
    let Outcome::Jobs { jobs, .. } = apart.done(create.clone()) else { panic!("no jobs") };
    let mut edit = same(&apart.job(jobs[0].0), SOON + 1);
    edit.data = "other".into();
    let edit = Command::UpdateJob(Box::new(edit));
    apart.now = SOON + 1;
    apart.done(edit.clone());
    let told = apart.facts();
    assert!(told.len() > 1, "{told:?}");

    let mut together = ApplyFixture::new();
    together.apply_at([(START, &create), (SOON + 1, &edit)]);
    let all: Vec<_> = together.change.events.facts().iter().map(|e| e.fact.clone()).collect();
    assert!(all.ends_with(&told), "{all:?} do not end with {told:?}");
    assert_eq!(together.hash(), apart.hash());
}

#[test]
fn runs_are_told_when_they_are_accepted_lost_and_cancelled() {
    let mut fixture = JournalFixture::new();
    let run = |of, change| Fact::Run { project: 1, of, attempt: 1, change };
    let others = |facts: Vec<Fact>| -> Vec<Fact> {
        facts.into_iter().filter(|fact| !matches!(fact, Fact::Executions(_))).collect()
    };
    fixture.tell(1, accepted(planned(1, 0), None, Some(10_000)));
    assert_eq!(others(fixture.state.facts()), [run(planned(1, 0), RunChange::Accepted)]);
    fixture.tell(1, accepted(planned(2, 0), None, None));
    fixture.report(planned(2, 0), Report::Cancel);
    assert_eq!(others(fixture.state.facts()), [run(planned(2, 0), RunChange::Cancelled)]);
    fixture.expire(100_000);
    assert_eq!(others(fixture.state.facts()), [run(planned(1, 0), RunChange::Lost)]);
    fixture.tell(1, told(planned(1, 1), Verdict::Delivered));
    assert_eq!(others(fixture.state.facts()), []);
}
