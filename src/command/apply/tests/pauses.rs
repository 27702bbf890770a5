//! Jobs that are paused, resumed, disabled, deleted, run out of turn; projects that rest; how they
//! are found.

use super::one_offs::{at, one};
use super::*;
use crate::command::{JobAction, ProjectAction};
use crate::model::delivery::{Misfire, MisfirePolicy};
use crate::model::job::PARKED;
use crate::model::run::Occurrence;
use crate::store::jobs::{self, Filter, Walked};
use crate::store::{Page, pending, projects};

/// What is done to a job, and when.
type Told<'a> = &'a [(Millis, JobAction)];
/// From, until, and whether the job fires.
type Intervals = &'static [(Millis, Millis, bool)];

const OPEN: JobAction = JobAction::Pause { until: None };

fn change(runs: &[(u64, u64)], action: JobAction) -> Command {
    Command::ChangeJobs { jobs: runs.to_vec(), action, by: Some("me".into()) }
}

fn pause(until: impl Into<Option<Millis>>) -> JobAction {
    JobAction::Pause { until: until.into().map(|after: Millis| START + after) }
}

/// A job of a definition, and what it is after each (at, action).
fn job_after(
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
fn stretches_of_pauses_are_kept_and_end_where_they_are_cut() {
    use JobAction::Resume;
    use JobStatus::{Active, Inactive};
    let until = |at: Millis| JobAction::Pause { until: Some(START + at) };
    let cases: &[(Told<'_>, JobStatus, Millis, Intervals)] = &[
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
        // What is due at its end fires, so a pause of no length is none.
        (&[(10, until(11))], Active, 10, &[(0, 10, true)]),
        (&[(10, Resume)], Active, 0, &[]),
    ];
    for (told, status, from, intervals) in cases {
        let (mut state, id) = job_after(every_minute(), None, told);
        let job = state.job(id);
        assert_eq!((job.status, job.from - START, job.anchor), (*status, *from, START), "{told:?}");
        assert_eq!(state.closed_intervals(id), *intervals, "{told:?}");
        assert_eq!(state.read(|c| jobs::get(c, id)).unwrap().definition.spec, "@every 1m");
        assert_eq!(super::determinism::definition_references(&state), []);
        // Whatever it was, it can go.
        state.now += 1;
        state.done(change(&[(id, 1)], JobAction::Delete));
        assert!(state.closed_intervals(id).iter().all(|s| s.1 <= state.now - START), "{told:?}");
        assert_eq!(super::determinism::definition_references(&state), []);
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
fn an_edit_says_how_long_a_job_rests() {
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
    assert_eq!(super::determinism::definition_references(&state), []);
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
fn a_pause_that_swallows_the_only_instant_has_no_end() {
    use JobStatus::{Active, Completed, Inactive};
    let cases: &[(Told<'_>, JobStatus, Millis)] = &[
        (&[(10, pause(50))], Active, 49),
        (&[(10, pause(60))], Active, 59),
        (&[(10, pause(61))], Inactive, 10),
        (&[(10, pause(61)), (20, JobAction::Resume)], Active, 20),
        (&[(10, pause(61)), (60, JobAction::Resume)], Completed, 60),
        (&[(10, pause(None)), (90, JobAction::Resume)], Completed, 90),
        // It went out before: what is left of it is a matter of its row.
        (&[(60, pause(None)), (70, JobAction::Resume)], Active, 70),
        (&[(60, pause(90))], Active, 89),
        (&[(60, pause(90)), (70, JobAction::Resume)], Active, 70),
    ];
    for (told, status, from) in cases {
        let (state, id) = job_after(at(), Some(60), told);
        let job = state.job(id);
        assert_eq!((job.status, job.from - START), (*status, *from), "{told:?}");
        assert_eq!(state.rows(), []);
    }
    let mut state = ApplyFixture::new();
    let swallowed = NewJob { pause_until: Some(START + 90), ..one(START + 60) };
    let id = state.create_one(at(), swallowed);
    assert_eq!((state.job(id).status, state.job(id).from), (Inactive, START));
    state.now = START + 70;
    let job = state.edit(id, |edit| edit.data = "x".into());
    assert_eq!(job.status, Completed, "an edit finds that it is over");
}

#[test]
fn a_one_off_that_sleeps_through_its_instant_is_over_then() {
    use JobStatus::{Active, Completed, Disabled, Inactive};
    let jitter = JobDefinition { jitter: 3_600_000, ..at() };
    let late = super::super::plan_intervals::due(1, &jitter, START + 60) - START;
    assert!(late > 61, "this job's hash is unlucky: take another");
    let open = pause(None);
    let cases: &[(JobDefinition, Told<'_>, Millis, JobStatus)] = &[
        (at(), &[(10, pause(90))], 59, Inactive),
        (at(), &[(10, pause(90))], 60, Completed),
        (at(), &[(10, open)], 60, Completed),
        (at(), &[(10, open), (20, JobAction::Resume)], 90, Active),
        (at(), &[(10, pause(50))], 90, Active),
        (at(), &[(61, open)], 90, Inactive),
        (jitter.clone(), &[(10, open)], late - 1, Inactive),
        (jitter, &[(10, open)], late, Completed),
        (every_minute(), &[(10, open)], 90_000, Inactive),
    ];
    for (definition, told, now, status) in cases {
        let instant = definition.is_one_off().then_some(60);
        let (mut state, id) = job_after(definition.clone(), instant, told);
        let before = state.job(id);
        state.now = START + now;
        let over = *status == Completed;
        assert_eq!(state.done(Command::Expire { limit: 9 }), Outcome::Changed(over.into()));
        let job = state.job(id);
        assert_eq!((job.status, job.version), (*status, before.version + u64::from(over)));
        if over {
            let intervals = state.closed_intervals(id);
            assert_eq!(
                intervals.last(),
                Some(&(10, *now, false)),
                "the pause is what it fell into"
            );
            assert_eq!((job.from - START, state.change.edited.as_slice()), (*now, &[id][..]));
            assert_eq!(state.read(jobs::next_lapse), None);
            assert_eq!(state.done(Command::Expire { limit: 9 }), Outcome::Changed(0));
        }
        assert_eq!(super::determinism::definition_references(&state), []);
    }

    // As many at once as are asked for; those that are to vanish do; also when they were staged.
    let mut state = ApplyFixture::new();
    let vanishing = JobDefinition { delete_after_run: true, ..at() };
    let paused = NewJob { pause_until: Some(START + 90), ..one(START + 60) };
    state.done(super::one_offs::request(5, vanishing, vec![paused.clone(); 3], true));
    state.done(Command::ActivateJobs { request: 5 });
    let other = state.create_one(at(), paused);
    state.now = START + 20;
    state.disable(other);
    assert_eq!(state.job(other).status, Disabled);
    assert_eq!(state.read(jobs::next_lapse), Some(START + 60));
    state.now = START + 60;
    assert_eq!(state.done(Command::Expire { limit: 3 }), Outcome::Changed(3));
    assert_eq!((state.count("jobs"), state.job(other).status), (1, Disabled));
    assert_eq!(state.done(Command::Expire { limit: 3 }), Outcome::Changed(1));
    assert_eq!(state.job(other).status, Completed);
}

#[test]
fn a_paused_one_off_that_ends_is_completed() {
    for (when, action) in [(70, pause(None)), (70, pause(90)), (50, pause(None))] {
        let (mut state, id) = job_after(at(), Some(60), &[(when, action)]);
        state.now = START + 80;
        state.complete(id, START + 60, Verdict::Delivered);
        assert_eq!(state.job(id).status, JobStatus::Completed, "{action:?}");
        let intervals = state.closed_intervals(id);
        assert!(intervals.iter().all(|s| s.1 <= 80), "{intervals:?}");
        let version = state.job(id).version;
        for action in [JobAction::Resume, pause(None), pause(900)] {
            assert_eq!(state.done(change(&[(id, 1)], action)), Outcome::Changed(0));
        }
        assert_eq!(state.job(id).version, version);
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
        assert_eq!(super::determinism::definition_references(&state), []);
    }
    let mut state = ApplyFixture::new();
    state.disable(77);
    state.complete(77, START, Verdict::Delivered);
}

#[test]
fn a_run_out_of_turn_is_a_row_of_its_own() {
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
    state.done(Command::turn_project(1, ProjectAction::Pause { until: None }, None));
    state.now = START + 20;
    state.done(Command::DeleteProject { id: 1, cascade: true, expect: None });
    assert!(state.change.targets);
    assert_eq!(state.closed_intervals(first), [(0, 10, true), (10, 20, false)]);
    assert_eq!(state.closed_intervals(first + 1), [(0, 20, true)]);
    assert_eq!(super::determinism::definition_references(&state), []);
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

#[test]
fn jobs_are_found_by_what_they_are() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    let labelled = |project, labels: &[(&str, &str)]| JobDefinition {
        project,
        labels: labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        ..every_minute()
    };
    let named = NewJob { external_id: Some("x".into()), ..NewJob::default() };
    state.jobs(every_minute(), 2); // 1, 2
    state.jobs(labelled(1, &[("env", "prod"), ("team", "a")]), 2); // 3, 4
    state.create_one(labelled(1, &[("env", "prod")]), named.clone()); // 5
    state.create_one(labelled(2, &[("env", "prod")]), named); // 6
    state.done(request_staged(&labelled(2, &[("env", "dev")])));
    state.done(Command::ActivateJobs { request: 5 }); // 7
    state.now = START + 10;
    state.done(change(&[(2, 1)], pause(None)));
    state.done(change(&[(3, 1)], pause(90)));
    state.disable(7);
    let find = |state: &ApplyFixture, filter: &Filter| {
        let found = walked(state, filter, usize::MAX);
        let (total, page) = state.read(|c| jobs::list(c, filter, &Page::default()));
        assert_eq!(page.iter().map(|job| job.id).collect::<Vec<_>>(), found);
        assert_eq!(total, found.len() as u64);
        for most in 1..4 {
            assert_eq!(walked(state, filter, most), found, "{filter:?} {most}");
        }
        found
    };
    let labels = |labels: &[(&str, &str)]| {
        labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Vec<(String, String)>>()
    };
    let any = Filter::default();
    let now = START + 20;
    let of = |project| Filter { project: Some(project), ..Filter::default() };
    let with = |pairs: &[(&str, &str)]| Filter { labels: labels(pairs), ..Filter::default() };
    let status = |status, now| Filter { status: Some((status, now)), ..Filter::default() };
    let external = Some("x".to_owned());
    let cases = [
        (any.clone(), vec![1, 2, 3, 4, 5, 6, 7]),
        (of(2), vec![6, 7]),
        (of(9), vec![]),
        (status(JobStatus::Active, now), vec![1, 4, 5, 6]),
        (status(JobStatus::Inactive, now), vec![2, 3]),
        (status(JobStatus::Inactive, START + 90), vec![2]),
        (status(JobStatus::Disabled, now), vec![7]),
        (status(JobStatus::Completed, now), vec![]),
        (with(&[("env", "prod")]), vec![3, 4, 5, 6]),
        (with(&[("env", "prod"), ("team", "a")]), vec![3, 4]),
        (with(&[("env", "prod"), ("env", "dev")]), vec![]),
        (Filter { project: Some(1), ..with(&[("env", "prod")]) }, vec![3, 4, 5]),
        (Filter { status: Some((JobStatus::Active, now)), ..with(&[("team", "a")]) }, vec![4]),
        (with(&[("env", "dev")]), vec![7]),
        (Filter { external_id: external.clone(), ..any.clone() }, vec![5, 6]),
        (Filter { external_id: external.clone(), ..of(2) }, vec![6]),
        (Filter { external_id: external, ..with(&[("env", "dev")]) }, vec![]),
        (Filter { external_id: Some("y".into()), ..any }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(find(&state, &filter), expected, "{filter:?}");
    }
    // A part of the walk ends where it has looked at so many, whether they match or not.
    let walk = |filter: &Filter, range, most| state.read(|c| jobs::walk(c, filter, range, most));
    let disabled = status(JobStatus::Disabled, now);
    assert_eq!(walk(&disabled, (0, 9), 3), Walked { found: vec![], on: Some(3) });
    assert_eq!(walk(&disabled, (6, 9), 3), Walked { found: vec![7], on: None });
    assert_eq!(walk(&disabled, (0, 6), 9), Walked { found: vec![], on: None });
    let seven = with(&[("env", "dev")]);
    assert_eq!(walk(&Filter { project: Some(1), ..seven }, (0, 9), 4).on, Some(4));
    // Of jobs that are named no others are looked at.
    let named = Filter { ids: Some(vec![7, 2, 7, 99, 4]), ..Filter::default() };
    assert_eq!(walk(&named, (0, 9), 9), Walked { found: vec![2, 4, 7], on: None });
    assert_eq!(walk(&named, (2, 9), 1), Walked { found: vec![4], on: Some(4) });
    let external_ids = Some(vec!["x".to_owned(), "y".to_owned()]);
    let of_one = Filter { external_ids, ..of(1) };
    assert_eq!(walk(&of_one, (0, 9), 9), Walked { found: vec![5], on: None });
    // Labels follow an edit.
    state.edit(1, |edit| edit.definition = labelled(1, &[("team", "a")]));
    state.edit(4, |edit| edit.definition = every_minute());
    assert_eq!(find(&state, &with(&[("team", "a")])), [1, 3]);
}

fn request_staged(definition: &JobDefinition) -> Command {
    create(5, definition.clone(), 1, true)
}
