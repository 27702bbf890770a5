//! Edits of many jobs: those that still have the old definition get the new one, each as by an edit
//! of its own.

use super::*;
use crate::command::{DefinitionEdit, JobAction, ReshapeJobs, Reshaped};
use crate::model::event::{Fact, JobChange, JobUpdate};
use crate::model::job::Timing;
use crate::model::template::Template;

use super::templates::user_template;

fn cron(spec: &str) -> JobDefinition {
    JobDefinition { spec: spec.into(), period: None, ..every_minute() }
}

/// An edit of jobs from one definition to another.
fn reshape(from: u64, to: JobDefinition, jobs: &[(u64, u64)]) -> ReshapeJobs {
    let edit = DefinitionEdit { from, to, at: None, again: false };
    let (definitions, jobs) = (vec![edit], jobs.to_vec());
    ReshapeJobs { definitions, jobs, data: None, by: Some("me".into()) }
}

impl ApplyFixture {
    fn reshaped(&mut self, reshape: ReshapeJobs) -> Reshaped {
        match self.done(Command::ReshapeJobs(Box::new(reshape))) {
            Outcome::Reshaped(done) => done,
            outcome => panic!("{outcome}"),
        }
    }
}

#[test]
fn only_jobs_that_still_have_the_old_definition_are_moved() {
    let mut state = ApplyFixture::new();
    state.jobs(cron("0 9 * * *"), 3); // 1, 2, 3
    state.jobs(cron("0 8 * * *"), 1); // 4
    let nine = state.job(1).definition_id;
    state.now = START + 5_000;
    state.edit(2, |edit| edit.definition.jitter = 1_000);
    let other = state.job(2);
    let done = state.reshaped(reshape(nine, cron("H 9 * * *"), &[(1, 50)]));
    let wanted = Reshaped { changed: 2, moved: vec![2, 4], ..Reshaped::default() };
    assert_eq!(done, wanted);
    assert_eq!(state.job(2), other);
    for id in [1, 3] {
        let job = state.job(id);
        assert_eq!((&*job.definition.spec, job.version), ("H 9 * * *", 2));
        assert_eq!((job.modified, job.modified_by.as_deref()), (Some(state.now), Some("me")));
        assert_eq!((job.from, job.data), (state.now, format!("data {}", id - 1)));
        assert_eq!(state.closed_intervals(id), [(0, 5_000, true)], "its plan was closed");
    }
    let facts = state.change.events.facts();
    let [event] = facts else { panic!("{facts:?}") };
    let Fact::Jobs { project, change, jobs, .. } = &event.fact else { panic!("{event:?}") };
    assert_eq!((*project, *change), (Some(1), JobChange::Updated(JobUpdate::Edited)));
    assert_eq!(jobs.ranges, [(1, 1), (3, 1)]);
    // The same command again finds none of them.
    let again = state.reshaped(reshape(nine, cron("H 9 * * *"), &[(1, 3)]));
    assert_eq!(again, Reshaped { moved: vec![1, 2, 3], ..Reshaped::default() });
    let same = state.job(1).definition_id;
    let same = state.reshaped(reshape(same, cron("H 9 * * *"), &[(1, 3)]));
    assert_eq!((same.unchanged, same.moved), (2, vec![2]));
    assert_eq!(state.job(1).version, 2, "nothing was written");
    assert_eq!(state.count("shapes"), 4, "the old one is kept by the closed plans of 1 to 3");
}

#[test]
fn what_the_edit_does_not_name_stays_as_it_is_now() {
    let mut state = ApplyFixture::new();
    let named = NewJob { external_id: Some("x".into()), ..NewJob::default() };
    let id = state.create_one(every_minute(), named);
    state.now = START + 20_000;
    state.done(super::pauses::change(&[(id, 1)], super::pauses::pause(90_000)));
    let from = state.job(id).definition_id;
    let labelled =
        JobDefinition { labels: [("team".to_owned(), "shop".to_owned())].into(), ..every_minute() };
    state.now = START + 30_000;
    let edit = ReshapeJobs { data: Some("new".into()), ..reshape(from, labelled, &[(id, 1)]) };
    assert_eq!(state.reshaped(edit).changed, 1);
    let job = state.job(id);
    assert_eq!(job.paused_until(state.now), Some(START + 90_000), "its pause holds on");
    assert_eq!((job.data.as_str(), job.external_id.as_deref()), ("new", Some("x")));
    assert_eq!((job.anchor, job.status), (START, JobStatus::Active), "its phase stays");
}

#[test]
fn one_offs_keep_their_instant_unless_another_is_named() {
    let mut state = ApplyFixture::new();
    let jobs = vec![one(START + 60_000), one(START + 70_000)];
    state.done(request(1, at(), jobs, false)); // 1, 2
    let from = state.job(1).definition_id;
    let later = JobDefinition { retry_max: Some(5), ..at() };
    assert_eq!(state.reshaped(reshape(from, later.clone(), &[(1, 2)])).changed, 2);
    assert_eq!([state.job(1).anchor, state.job(2).anchor], [START + 60_000, START + 70_000]);
    let from = state.job(1).definition_id;
    let mut moved = reshape(from, later.clone(), &[(1, 2)]);
    moved.definitions[0].at = Some(START + 90_000);
    assert_eq!(state.reshaped(moved.clone()).changed, 2);
    assert_eq!([state.job(1).anchor, state.job(2).anchor], [START + 90_000; 2]);
    assert_eq!(state.reshaped(moved).unchanged, 2);
    let delayed = JobDefinition { timing: Timing::After(5_000), ..later };
    let mut delayed = reshape(from, delayed, &[(1, 1)]);
    delayed.definitions[0].again = true;
    state.now = START + 10_000;
    assert_eq!(state.reshaped(delayed).changed, 1);
    assert_eq!(state.job(1).anchor, START + 15_000, "the delay counts from the stamp");
}

#[test]
fn a_job_that_is_refused_stops_no_other_and_stays_as_it_was() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    let named = |name: &str| NewJob { external_id: Some(name.into()), ..NewJob::default() };
    let elsewhere = JobDefinition { project: 2, ..every_minute() };
    state.create_one(elsewhere.clone(), named("a")); // 1
    state.done(request(7, every_minute(), ["a", "b", "a2"].map(named).to_vec(), false)); // 2, 3, 4
    let from = state.job(2).definition_id;
    let before = state.job(2);
    let done = state.reshaped(reshape(from, elsewhere, &[(2, 3)]));
    assert_eq!((done.changed, done.refused), (2, 1));
    let (job, why) = done.first_refused.unwrap();
    assert_eq!((job, why.kind), (2, RejectionKind::Conflict));
    assert!(why.message.contains("is taken by another job of project 2"), "{}", why.message);
    assert_eq!(state.job(2), before);
    assert_eq!(state.job(3).definition.project, 2);
}

/// The end of one instance drops those beyond the ones that its template keeps, which may come
/// later in the same command.
#[test]
fn jobs_that_the_end_of_another_drops_are_passed_over() {
    let mut state = ApplyFixture::new();
    let template = state.template(user_template());
    let ids: Vec<_> = (0..4).map(|_| state.instance(template, "{}")).collect();
    for id in &ids[1..] {
        state.done(super::templates::terminate(*id, Some(false)));
    }
    let kept = Template { keep_completed: 1, ..state.stored(template) };
    state.done(super::templates::put(template, None, kept));
    // Three are completed, of which one is to stay: whatever ends next drops the others.
    let all: Vec<_> = ids.iter().map(|id| (*id, 1)).collect();
    state.done(super::pauses::change(&all, JobAction::Delete));
    assert_eq!(state.count("jobs"), 0);
}
