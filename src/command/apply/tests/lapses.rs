//! One-offs and pauses: a one-off lapses when its instant passes while it does not fire.

use super::pauses::{ActionAt, change, job_after, pause};
use super::*;
use crate::command::JobAction;
use crate::store::jobs;

#[test]
fn a_pause_that_covers_the_only_instant_has_no_end() {
    use JobStatus::{Active, Completed, Inactive};
    let cases: &[(ActionAt<'_>, JobStatus, Millis)] = &[
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
fn a_one_off_that_does_not_fire_lapses_at_its_instant() {
    use JobStatus::{Active, Completed, Disabled, Inactive};
    let jitter = JobDefinition { jitter: 3_600_000, ..at() };
    let late = crate::command::apply::plan_intervals::due(1, &jitter, START + 60) - START;
    assert!(late > 61, "this job's hash is unlucky: take another");
    let open = pause(None);
    let cases: &[(JobDefinition, ActionAt<'_>, Millis, JobStatus)] = &[
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
        assert_eq!(super::consistency::definition_references(&state), []);
    }

    // As many at once as are asked for; those that are to vanish do; also when they were staged.
    let mut state = ApplyFixture::new();
    let vanishing = JobDefinition { delete_after_run: true, ..at() };
    let paused = NewJob { pause_until: Some(START + 90), ..one(START + 60) };
    state.done(request(5, vanishing, vec![paused.clone(); 3], true));
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
