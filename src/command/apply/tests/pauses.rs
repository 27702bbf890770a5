//! Jobs that are paused, resumed, disabled, deleted or run manually, and paused projects.

use super::*;
use crate::command::{JobAction, ProjectAction};
use crate::model::delivery::{Misfire, MisfirePolicy};
use crate::model::job::PARKED;
use crate::model::run::Occurrence;
use crate::store::jobs;
use crate::store::{pending, projects};

/// Actions on a job, each with its instant.
pub(super) type ActionAt<'a> = &'a [(Millis, JobAction)];
/// From, until, and whether the job fires.
type Intervals = &'static [(Millis, Millis, bool)];

const OPEN: JobAction = JobAction::Pause { until: None };

pub(super) fn change(runs: &[(u64, u64)], action: JobAction) -> Command {
    Command::ChangeJobs { jobs: runs.to_vec(), action, by: Some("me".into()) }
}

pub(super) fn pause(until: impl Into<Option<Millis>>) -> JobAction {
    JobAction::Pause { until: until.into().map(|after: Millis| START + after) }
}

/// A job of a definition, and what it is after each (at, action).
pub(super) fn job_after(
    definition: JobDefinition,
    at: Option<Millis>,
    told: &[(Millis, JobAction)],
) -> (ApplyFixture, u64) {
    let mut state = ApplyFixture::new();
    let id = state.create_one(definition, one(at.map(|at| START + at)));
    for (when, action) in told {
        state.now = START + when;
        state.done(change(&[(id, 1)], *action));
    }
    (state, id)
}

#[test]
fn intervals_of_pauses_are_kept_and_end_where_they_are_cut() {
    use JobAction::Resume;
    use JobStatus::{Active, Inactive};
    let until = |at: Millis| JobAction::Pause { until: Some(START + at) };
    let cases: &[(ActionAt<'_>, JobStatus, Millis, Intervals)] = &[
        (&[(10, OPEN)], Inactive, 10, &[(0, 10, true)]),
        (&[(10, OPEN), (20, OPEN)], Inactive, 10, &[(0, 10, true)]),
        (&[(10, OPEN), (20, Resume)], Active, 20, &[(0, 10, true), (10, 20, false)]),
        (&[(10, until(90))], Active, 89, &[(0, 10, true), (10, 89, false)]),
        (&[(10, until(90)), (20, until(90))], Active, 89, &[(0, 10, true), (10, 89, false)]),
        (&[(10, until(90)), (20, Resume)], Active, 20, &[(0, 10, true), (10, 20, false)]),
        (&[(10, until(90)), (10, Resume)], Active, 10, &[(0, 10, true)]),
        (
            &[(10, until(90)), (20, until(50))],
            Active,
            49,
            &[(0, 10, true), (10, 20, false), (20, 49, false)],
        ),
        (&[(10, until(90)), (20, OPEN)], Inactive, 20, &[(0, 10, true), (10, 20, false)]),
        (
            &[(10, OPEN), (20, until(50))],
            Active,
            49,
            &[(0, 10, true), (10, 20, false), (20, 49, false)],
        ),
        (
            &[(10, until(50)), (60, OPEN)],
            Inactive,
            60,
            &[(0, 10, true), (10, 49, false), (49, 60, true)],
        ),
        (&[(10, until(50)), (60, Resume)], Active, 49, &[(0, 10, true), (10, 49, false)]),
        // Occurrences due at its end fire, so a pause of no length is none.
        (&[(10, until(11))], Active, 10, &[(0, 10, true)]),
        (&[(10, Resume)], Active, 0, &[]),
    ];
    for (told, status, from, intervals) in cases {
        let (mut state, id) = job_after(every_minute(), None, told);
        let job = state.job(id);
        assert_eq!((job.status, job.from - START, job.anchor), (*status, *from, START), "{told:?}");
        assert_eq!(state.closed_intervals(id), *intervals, "{told:?}");
        assert_eq!(state.read(|c| jobs::get(c, id)).unwrap().definition.spec, "@every 1m");
        assert_eq!(super::consistency::definition_references(&state), []);
        // Whatever it was, it can go.
        state.now += 1;
        state.done(change(&[(id, 1)], JobAction::Delete));
        assert!(state.closed_intervals(id).iter().all(|s| s.1 <= state.now - START), "{told:?}");
        assert_eq!(super::consistency::definition_references(&state), []);
    }
}

#[test]
fn what_is_as_it_should_be_is_not_counted() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 5);
    state.now += 10;
    state.done(Command::DeleteJob { id: 3, expect: None });
    let count = |state: &mut ApplyFixture, runs: &[(u64, u64)], action| {
        let outcome = state.done(change(runs, action));
        let Outcome::Changed(n) = outcome else { panic!("{outcome}") };
        assert_eq!(state.change.edited.len(), n as usize);
        n
    };
    let all = [(1, 2), (3, 9), (u64::MAX - 1, 9)];
    assert_eq!(count(&mut state, &all, pause(None)), 4);
    assert_eq!(count(&mut state, &all, pause(None)), 0);
    assert_eq!(count(&mut state, &all, pause(90_000)), 4);
    assert_eq!(count(&mut state, &all, pause(90_000)), 0);
    assert_eq!(count(&mut state, &[(1, 1)], pause(80_000)), 1);
    assert_eq!(count(&mut state, &all, JobAction::Resume), 4);
    assert_eq!(count(&mut state, &all, JobAction::Resume), 0);
    let job = state.job(1);
    assert_eq!(
        (job.version, job.modified, job.modified_by),
        (5, Some(state.now), Some("me".into()))
    );
    assert_eq!(count(&mut state, &all, JobAction::Delete), 4);
    assert_eq!(count(&mut state, &all, JobAction::Delete), 0);
    let past = (RejectionKind::Invalid, "pauseUntil must lie in the future".to_owned());
    assert_eq!(state.refused(&change(&[(1, 1)], pause(10))), past);
}

#[test]
fn an_edit_sets_the_end_of_a_pause() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(every_minute(), NewJob::default());
    state.now = START + 10;
    let job = state.edit(id, |edit| edit.pause_until = Some(START + 90));
    assert_eq!((job.from, job.paused_until(state.now)), (START + 89, Some(START + 90)));
    assert_eq!(
        (job.status_at(START + 89), job.status_at(START + 90)),
        (JobStatus::Inactive, JobStatus::Active)
    );
    state.now = START + 20;
    let job = state.edit(id, |edit| edit.data = "x".into());
    assert_eq!(
        (job.from, state.closed_intervals(id).len()),
        (START + 89, 2),
        "what is left alone stays"
    );
    // Another schedule during the pause: it is another one from here on, also in the pause.
    state.edit(id, |edit| edit.definition.timezone = "Europe/Rome".into());
    assert_eq!(state.closed_intervals(id), [(0, 10, true), (10, 20, false), (20, 89, false)]);
    state.now = START + 30;
    let job = state.edit(id, |edit| edit.pause_until = None);
    assert_eq!((job.from, job.status), (START + 30, JobStatus::Active));
    assert_eq!(state.closed_intervals(id)[2], (20, 30, false));
    // An end that has passed by the time of the commit.
    let job = state.edit(id, |edit| {
        (edit.pause_until, edit.status) = (Some(START + 30), JobStatus::Inactive);
    });
    assert_eq!((job.from, job.status), (START + 30, JobStatus::Active));
    let lapses_at = NewJob { pause_until: Some(START + 500), ..NewJob::default() };
    let id = state.create_one(every_minute(), lapses_at);
    assert_eq!((state.job(id).from, state.job(id).anchor), (START + 499, START + 1_000));
    assert_eq!(state.closed_intervals(id), [(30, 499, false)]);
    assert_eq!(super::consistency::definition_references(&state), []);
}

#[test]
fn what_decides_about_instants_or_lateness_closes_a_plan_and_nothing_else_does() {
    let tell = |change: fn(&mut JobDefinition)| {
        let mut state = ApplyFixture::new();
        let other = NewProject { name: "other".into(), ..NewProject::default() };
        state.done(Command::CreateProject(other));
        let id = state.create_one(every_minute(), NewJob::default());
        state.now += 10;
        let job = state.edit(id, |edit| change(&mut edit.definition));
        assert_eq!((job.anchor, job.version), (START, 2));
        state.closed_intervals(id).len()
    };
    let closing: [fn(&mut JobDefinition); 7] = [
        |s| s.project = 2,
        |s| s.jitter = 5_000,
        |s| s.misfire = Misfire { policy: MisfirePolicy::All, ..Misfire::default() },
        |s| s.dst.gap = crate::schedule::Gap::Skip,
        |s| s.timezone = "Europe/Rome".into(),
        |s| s.start = Some(START + 60_000),
        |s| s.end = Some(START + 90_000),
    ];
    for (i, change) in closing.into_iter().enumerate() {
        assert_eq!(tell(change), 1, "change {i}");
    }
    let others: [fn(&mut JobDefinition); 5] = [
        |s| s.callback_url = "http://elsewhere/".into(),
        |s| s.delivery.timeout = Some(5),
        |s| s.overlap = crate::model::delivery::Overlap::Skip,
        |s| s.retry_max = Some(9),
        |s| _ = s.labels.insert("a".into(), "b".into()),
    ];
    for (i, change) in others.into_iter().enumerate() {
        assert_eq!(tell(change), 0, "change {i}");
    }
}

#[test]
fn a_disabled_job_comes_back_by_a_resume() {
    for told in [&[][..], &[(10, pause(90))], &[(10, pause(None))]] {
        let (mut state, id) = job_after(every_minute(), None, told);
        state.now = START + 20;
        state.disable(id);
        assert_eq!(state.change.edited, [id]);
        let job = state.job(id);
        assert_eq!((job.status, job.from), (JobStatus::Disabled, START + 20));
        let version = job.version;
        state.disable(id);
        assert_eq!(state.job(id).version, version);
        assert_eq!(state.done(change(&[(id, 1)], pause(None))), Outcome::Changed(0));
        // What an edit read before, or does not care about, does not wake it.
        let job = state.edit(id, |edit| edit.data = "x".into());
        assert_eq!(job.status, JobStatus::Disabled);
        state.now = START + 30;
        assert_eq!(state.done(change(&[(id, 1)], JobAction::Resume)), Outcome::Changed(1));
        let job = state.job(id);
        assert_eq!((job.status, job.from, job.anchor), (JobStatus::Active, START + 30, START));
        assert_eq!(state.closed_intervals(id).last(), Some(&(20, 30, false)));
        assert_eq!(super::consistency::definition_references(&state), []);
    }
    let mut state = ApplyFixture::new();
    state.disable(77);
    state.complete(77, START, Verdict::Delivered);
}

#[test]
fn a_manual_run_is_a_row_of_its_own() {
    let mut state = ApplyFixture::new();
    let id = state
        .create_one(every_minute(), NewJob { status: JobStatus::Inactive, ..NewJob::default() });
    state.now = START + 77;
    for (forced, run) in [(false, 1), (true, 2)] {
        let outcome = state.done(Command::RunJob { id, forced });
        let made = Occurrence { job: id, scheduled: START + 77, run };
        assert_eq!(outcome, Outcome::Run(made));
        assert_eq!(state.change.pending, [shard_of(id)]);
        let row = state.rows().pop().unwrap();
        assert_eq!((row.scheduled, row.due, row.next_at), (state.now, state.now, state.now));
        assert_eq!((row.attempt, row.run, row.forced, row.base), (1, run, forced, 0));
        assert_eq!(row.members, Members::from_sorted([id]));
    }
    let unknown = (RejectionKind::NotFound, "job cannot be found".to_owned());
    assert_eq!(state.refused(&Command::RunJob { id: 99, forced: false }), unknown);
    // The end of a run of a one-off is not its own.
    let once = state.create_one(at(), one(START + 90_000));
    state.done(Command::RunJob { id: once, forced: false });
    state.complete(once, START + 77, Verdict::Delivered);
    assert_eq!(state.job(once).status, JobStatus::Active);
}

#[test]
fn what_waits_behind_a_run_of_a_deleted_job_waits_no_longer() {
    let park = |state: &mut ApplyFixture, id| {
        let Outcome::Run(made) = state.done(Command::RunJob { id, forced: false }) else {
            panic!()
        };
        let row = state.rows().into_iter().find(|row| row.run == made.run).unwrap();
        let parked: Result<(), Error> = state.writer.transaction(|tx| {
            pending::keep(tx, row.id, &Members::default())?;
            pending::insert(tx, &crate::model::job::Pending { next_at: PARKED, ..row })?;
            let run = crate::model::run::Run {
                occurrence: Occurrence { run: 99, ..made },
                project: 1,
                shard: shard_of(id),
                due: START,
                attempt: 1,
                base: 0,
                node: 1,
                epoch: 1,
                accepted: true,
                started: START,
                heard: START,
                deadline: START + 1_000,
                heartbeat_timeout: None,
                ends: None,
                retry: crate::model::delivery::Retry {
                    max: 0,
                    delay: 0,
                    factor: 1_000,
                    max_delay: 0,
                },
                forced: false,
                worker: None,
            };
            Ok(crate::store::runs::put(tx, &run)?)
        });
        parked.unwrap();
    };
    for project in [false, true] {
        let mut state = ApplyFixture::new();
        let first = state.jobs(every_minute(), 2);
        park(&mut state, first);
        park(&mut state, first + 1);
        state.now += 50;
        if project {
            state.done(Command::DeleteProject { id: 1, cascade: true, expect: None });
        } else {
            state.done(Command::DeleteJob { id: first, expect: None });
        }
        let due: Vec<_> = state.rows().iter().map(|row| row.next_at).collect();
        let other = if project { START + 50 } else { PARKED };
        assert_eq!(due, [START + 50, other]);
        assert_eq!(state.change.pending, [0]);
    }
}

#[test]
fn a_deleted_project_ends_the_pauses_of_its_jobs_and_keeps_its_own_for_the_history() {
    let mut state = ApplyFixture::new();
    let first = state.jobs(every_minute(), 3);
    state.now = START + 10;
    state.done(change(&[(first, 1)], pause(90)));
    state.done(Command::project_action(1, ProjectAction::Pause { until: None }, None));
    state.now = START + 20;
    state.done(Command::DeleteProject { id: 1, cascade: true, expect: None });
    assert!(state.change.targets);
    assert_eq!(state.closed_intervals(first), [(0, 10, true), (10, 20, false)]);
    assert_eq!(state.closed_intervals(first + 1), [(0, 20, true)]);
    assert_eq!(super::consistency::definition_references(&state), []);
    let pauses = state.read(|c| projects::pauses(c, 1));
    assert_eq!((pauses.len(), pauses[0].until), (1, Some(START + 20)));
    let settled = (0..SHARDS).map(|shard| mark(shard, 1, START + 30)).collect();
    state.done(Command::Record(JournalBatch {
        node: 1,
        incarnation: 1,
        first: 1,
        entries: settled,
    }));
    let retain = |before| Command::Retain { before, dead_letters: START, limit: 100 };
    state.done(retain(START + 20));
    assert_eq!(state.count("project_pauses"), 1);
    state.done(retain(START + 21));
    assert_eq!((state.count("project_pauses"), state.count("closed_plans")), (0, 0));
    assert_eq!(state.count("shapes"), 0);
}
