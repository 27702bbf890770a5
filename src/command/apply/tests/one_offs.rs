//! One-offs: when they are due, what an edit makes of them, how they end.

use super::*;
use crate::command::{JobAction, JobEdit};
use crate::model::job::Job;
use crate::model::target::HttpTarget;
use crate::store::{jobs, ledger};

const SOON: Millis = START + 60_000;

#[test]
fn a_one_off_counts_from_its_commit_or_is_an_instant() {
    for staged in [false, true] {
        let mut state = ApplyFixture::new();
        state.now = START + 250;
        let cases = [
            (at(), one(SOON), SOON),
            (after(1_500), one(None), START + 2_500),
            (after(20), one(None), START + 270),
            (after(1_500), one(SOON), SOON),
            (after(Millis::MAX), one(None), crate::schedule::LAST + START + 1_000),
        ];
        let definitions = cases.iter().map(|(definition, ..)| definition.clone()).collect();
        let jobs = cases
            .iter()
            .zip(0..)
            .map(|((_, job, _), definition)| NewJob { definition, ..job.clone() });
        let jobs = jobs.collect();
        state.done(Command::CreateJobs(CreateJobs { request: 5, definitions, jobs, staged }));
        if staged {
            state.done(Command::ActivateJobs { request: 5 });
        }
        for (id, (definition, _, due)) in (1..).zip(cases) {
            let job = state.job(id);
            let (status, from) = (JobStatus::Active, START + 250);
            assert_eq!((job.anchor, job.from, job.status), (due, from, status), "{definition:?}");
        }
        assert_eq!(state.rows(), []);
    }
}

#[test]
fn an_overdue_one_off_goes_out_at_once_also_when_it_was_staged() {
    for staged in [false, true] {
        let mut state = ApplyFixture::new();
        state.now = START + 250;
        let past = START - 5_000;
        let http = Some(Box::new(HttpTarget { url: "http://x/".into(), ..HttpTarget::default() }));
        let definitions = vec![at(), after(0), JobDefinition { http, ..at() }];
        let of = |definition, at| NewJob { definition, ..one(at) };
        let mut jobs = vec![of(0, Some(past)), of(0, Some(past)), of(0, Some(state.now))];
        jobs.extend([of(0, Some(state.now + 1)), of(2, Some(past)), of(2, Some(past))]);
        jobs.push(NewJob { status: JobStatus::Inactive, ..of(0, Some(past)) });
        jobs.push(of(1, None));
        state.done(Command::CreateJobs(CreateJobs { request: 5, definitions, jobs, staged }));
        let stamp = if staged { START + 900 } else { state.now };
        if staged {
            assert_eq!(state.rows(), []);
            state.now = stamp;
            state.done(Command::ActivateJobs { request: 5 });
        }
        let rows = state.rows();
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.scheduled, row.members.iter().collect::<Vec<_>>()))
            .collect();
        // What can share a request shares a row; the order of rows is that of shard, project,
        // instant.
        let mut expected =
            vec![(past, vec![1, 2]), (past, vec![5]), (past, vec![6]), (START + 250, vec![3])];
        if staged {
            expected.push((START + 251, vec![4]));
            expected.push((stamp, vec![8]));
        } else {
            expected[3].1.push(8);
        }
        assert_eq!(found, expected, "staged: {staged}");
        for row in &rows {
            let rest = (row.due, row.attempt, row.next_at, row.run, row.project);
            assert_eq!(rest, (row.scheduled, 1, stamp, 0, 1));
        }
        assert_eq!(state.change.pending, [0]);
        let (lapses_at, gone) = (state.job(7), state.job(1));
        assert_eq!((lapses_at.status, lapses_at.from), (JobStatus::Inactive, past - 1));
        assert_eq!((gone.status, gone.from), (JobStatus::Active, stamp));
    }
}

#[test]
fn a_one_off_must_say_when() {
    let mut state = ApplyFixture::new();
    let missing =
        (RejectionKind::Invalid, "at is missing: name the instant of the one-off".to_owned());
    assert_eq!(state.refused(&request(5, at(), vec![one(None)], false)), missing);
    assert_eq!(state.refused(&request(5, at(), vec![one(None)], true)), missing);
    let id = state.create_one(every_minute(), NewJob::default());
    let edit = JobEdit { definition: at(), at: None, ..same(&state.job(id), START) };
    assert_eq!(state.refused(&Command::UpdateJob(Box::new(edit))), missing);
    let completed = NewJob { status: JobStatus::Completed, ..NewJob::default() };
    let refused = state.refused(&request(5, every_minute(), vec![completed], false));
    assert_eq!(refused.0, RejectionKind::Invalid);
}

#[test]
fn a_one_off_ends_completed_or_goes() {
    let mut state = ApplyFixture::new();
    let gone = JobDefinition { delete_after_run: true, ..at() };
    let stays = state.create_one(at(), one(SOON));
    let goes = state.create_one(gone.clone(), one(SOON));
    let dead = state.create_one(gone, one(SOON));
    let every = state.create_one(every_minute(), NewJob::default());
    state.now = SOON + 5;
    for id in [stays, goes, every] {
        state.complete(id, SOON, Verdict::Delivered);
    }
    state.complete(dead, SOON, Verdict::Dead);
    assert_eq!(state.change.edited, [dead]);
    let job = state.job(stays);
    assert_eq!((job.status, job.version, job.modified), (JobStatus::Completed, 2, None));
    assert_eq!(state.read(|c| jobs::get(c, goes)), None);
    assert_eq!(
        state.closed_intervals(goes),
        [(0, 60_005, true)],
        "what it was is kept for the history"
    );
    assert_eq!(state.job(dead).status, JobStatus::Completed, "its dead letter needs it");
    assert_eq!(state.job(every).status, JobStatus::Active);
    state.complete(dead, SOON, Verdict::Delivered);
    assert_eq!(state.read(|c| jobs::get(c, dead)), None);
    state.complete(dead, SOON, Verdict::Delivered);
    state.complete(stays, SOON, Verdict::Delivered);
    assert_eq!(state.job(stays).version, 2, "once");
}

#[test]
fn the_end_of_an_instant_that_was_replaced_ends_nothing() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(at(), one(SOON));
    state.now = SOON + 1_000;
    let job = state.edit(id, |edit| edit.at = Some(SOON + 60_000));
    assert_eq!((job.anchor, job.from, job.status), (SOON + 60_000, state.now, JobStatus::Active));
    assert_eq!(state.closed_intervals(id), [(0, 61_000, true)], "what was due before stands");
    state.complete(id, SOON, Verdict::Delivered);
    assert_eq!(state.job(id).status, JobStatus::Active);
    state.complete(id, SOON + 60_000, Verdict::Dead);
    assert_eq!(state.job(id).status, JobStatus::Completed);
}

#[test]
fn a_one_off_that_is_moved_before_it_fired_leaves_its_old_instant_out() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(at(), one(SOON));
    state.now = START + 10_000;
    state.edit(id, |edit| edit.at = Some(SOON + 5_000));
    assert_eq!(state.closed_intervals(id), [(0, 10_000, true)], "it ends before the old instant");
    assert_eq!((state.job(id).from, state.rows().len()), (START + 10_000, 0));
}

#[test]
fn a_delay_counts_anew_only_if_it_is_given_anew() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(after(60_000), one(None));
    state.now = START + 10_000;
    let job = state.edit(id, |edit| edit.data = "other".into());
    assert_eq!((job.anchor, job.from, job.data.as_str()), (SOON, START, "other"));
    let job = state.edit(id, |edit| edit.at = None);
    assert_eq!((job.anchor, job.from), (START + 70_000, START + 10_000));
    let job = state.edit(id, |edit| edit.definition = after(30_000));
    assert_eq!(job.anchor, START + 70_000, "the instant that was named counts");
    let job = state.edit(id, |edit| (edit.definition, edit.at) = (after(30_000), None));
    assert_eq!(job.anchor, START + 40_000);
    // From a delay to the same instant nothing moves, and an `at` that is not named stays.
    let job = state.edit(id, |edit| edit.definition = at());
    assert_eq!((job.anchor, state.closed_intervals(id).len()), (START + 40_000, 1));
    let job = state.edit(id, |edit| edit.at = None);
    assert_eq!((job.anchor, state.closed_intervals(id).len()), (START + 40_000, 1));
}

#[test]
fn a_completed_one_off_fires_again_at_another_instant_only() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(at(), one(SOON));
    state.now = SOON + 100;
    state.complete(id, SOON, Verdict::Delivered);
    let job = state.edit(id, |edit| edit.status = JobStatus::Active);
    assert_eq!((job.status, job.version), (JobStatus::Completed, 2), "it changes nothing");
    let again = state.edit(id, |edit| edit.at = Some(SOON + 9_000));
    assert_eq!((again.status, again.anchor), (JobStatus::Active, SOON + 9_000));
    state.now = SOON + 200;
    let job = state.edit(id, |edit| (edit.definition, edit.at) = (after(0), None));
    assert_eq!((job.anchor, job.status), (SOON + 200, JobStatus::Active));
    let due: Vec<_> = state.rows().iter().map(|row| (row.scheduled, row.next_at)).collect();
    assert_eq!(due, [(SOON + 200, SOON + 200)]);
    // Back to an instant that it fired at: the id of that occurrence is taken.
    state.now = SOON + 300;
    let job = state.edit(id, |edit| (edit.definition, edit.at) = (at(), Some(SOON)));
    assert_eq!((job.status, state.rows().len()), (JobStatus::Completed, 1));
    let job = state.edit(id, |edit| (edit.definition, edit.at) = (every_minute(), None));
    assert_eq!((job.status, job.from), (JobStatus::Active, SOON + 300));
}

#[test]
fn an_edit_to_the_past_goes_out_at_once_unless_the_job_is_paused() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(every_minute(), NewJob::default());
    state.now = SOON;
    let past = SOON - 10_000;
    state.edit(id, |edit| (edit.definition, edit.at) = (at(), Some(past)));
    assert_eq!(state.rows().len(), 1);
    assert_eq!((state.rows()[0].scheduled, state.rows()[0].next_at), (past, SOON));
    assert_eq!(state.change.pending, [0]);
    let other = state.create_one(every_minute(), NewJob::default());
    state.edit(other, |edit| {
        (edit.definition, edit.at, edit.status) = (at(), Some(past), JobStatus::Inactive);
    });
    assert_eq!((state.rows().len(), state.job(other).from), (1, past - 1));
    state.now += 5;
    state.done(Command::ChangeJobs { jobs: vec![(other, 1)], action: JobAction::Resume, by: None });
    assert_eq!(state.job(other).status, JobStatus::Completed, "its instant fell into a pause");
    assert_eq!(state.closed_intervals(other), [(49_999, 60_005, false)]);
}

#[test]
fn an_edit_while_the_jitter_of_a_one_off_runs_loses_nothing() {
    let mut state = ApplyFixture::new();
    let definition = JobDefinition { jitter: 3_600_000, ..at() };
    let id = state.create_one(definition, one(SOON));
    let due = crate::command::apply::plan_intervals::due(id, &state.job(id).definition, SOON);
    assert!(due > SOON + 10, "this job's hash is unlucky: take another");
    state.now = SOON + 10;
    state.edit(id, |edit| edit.data = "x".into());
    assert_eq!((state.rows().len(), state.closed_intervals(id).len()), (0, 0));
    state.edit(id, |edit| edit.definition.jitter = 0);
    assert_eq!(state.rows(), [], "the closed plan has it, and it is due when it was");
    let now = |state: &ApplyFixture| state.read(|c| ledger::ledger(c, id, START, (START, due), 9));
    let entry = ledger::Entry { scheduled: SOON, due, state: ledger::State::Future };
    assert_eq!(now(&state), Some(vec![entry]));
    // Another instant: it was planned before, so both come.
    state.now += 10;
    let job = state.edit(id, |edit| edit.at = Some(due + 1));
    assert_eq!((job.status, job.anchor), (JobStatus::Active, due + 1));
    assert_eq!((now(&state), state.rows()), (Some(vec![entry]), vec![]));
    // And back: it has that instant already.
    let job = state.edit(id, |edit| edit.at = Some(SOON));
    assert_eq!((job.status, job.anchor), (JobStatus::Active, SOON));
    assert_eq!((now(&state), state.rows()), (Some(vec![entry]), vec![]));
    state.complete(id, SOON, Verdict::Delivered);
    assert_eq!(state.job(id).status, JobStatus::Completed);
}

#[test]
fn a_one_off_that_is_over_keeps_all_that_was_said_of_it() {
    let mut state = ApplyFixture::new();
    let definition = JobDefinition { labels: [("a".into(), "b".into())].into(), ..at() };
    let job = NewJob { data: "x".into(), external_id: Some("e".into()), ..one(SOON) };
    let id = state.create_one(definition, job);
    let before = state.edit(id, |edit| edit.data = "y".into());
    state.now = SOON;
    let end = AttemptRecord { once: true, ..record([id], Verdict::Delivered) };
    state.done(journal_batch(1, 5, 1, vec![end]));
    let (status, version) = (JobStatus::Completed, before.version + 1);
    assert_eq!(state.job(id), Job { status, version, ..before });
    assert_eq!(state.read(|c| jobs::counts(c, None)).completed, 1);
}
