//! Clients' own ids of jobs: unique in their project, also while jobs are staged.

use super::*;
use crate::command::JobEdit;
use crate::store::jobs;

#[test]
fn a_clients_id_is_unique_in_its_project() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    let named = |id: &str| NewJob { external_id: Some(id.into()), ..NewJob::default() };
    let taken = "externalId \"a\" is taken by another job of project 1: choose another, or change \
                 that job";
    let twice = "externalId \"b\" is there twice in the request: it must be unique in its project";
    let id = state.create_one(every_minute(), named("a"));
    let elsewhere = JobDefinition { project: 2, ..every_minute() };
    state.create_one(elsewhere.clone(), named("a"));
    for staged in [false, true] {
        let new = |jobs| request(5, every_minute(), jobs, staged);
        let refused = state.refused(&new(vec![named("c"), named("a")]));
        assert_eq!(refused, (RejectionKind::Conflict, taken.into()));
        let refused = state.refused(&new(vec![named("b"), NewJob::default(), named("b")]));
        assert_eq!(refused, (RejectionKind::Conflict, twice.into()));
    }
    // An edit keeps its own, and may not take another's, nor carry its own into another project.
    let b = state.create_one(every_minute(), named("b"));
    let edit = JobEdit { external_id: Some("a".into()), ..same(&state.job(b), START) };
    assert_eq!(
        state.refused(&Command::UpdateJob(Box::new(edit))),
        (RejectionKind::Conflict, taken.into())
    );
    let edit = JobEdit { definition: elsewhere, ..same(&state.job(id), START) };
    assert_eq!(state.refused(&Command::UpdateJob(Box::new(edit))).0, RejectionKind::Conflict);
    let job = state.edit(id, |edit| edit.data = "x".into());
    assert_eq!((job.external_id.as_deref(), job.version), (Some("a"), 2));
    assert_eq!(state.read(|c| jobs::by_external_id(c, 1, "a")).unwrap().id, id);
    state.edit(id, |edit| edit.external_id = None);
    assert_eq!(state.read(|c| jobs::by_external_id(c, 1, "a")), None);
    state.create_one(every_minute(), named("a"));
}

#[test]
fn staged_clients_ids_meet_in_their_task_and_at_its_activation() {
    let mut state = ApplyFixture::new();
    let named = |id: &str| NewJob { external_id: Some(id.into()), ..NewJob::default() };
    let chunk = |task, id| request(task, every_minute(), vec![named(id)], true);
    state.done(chunk(5, "a"));
    state.done(chunk(6, "a"));
    state.done(chunk(5, "b"));
    assert_eq!(state.refused(&chunk(5, "a")).0, RejectionKind::Conflict);
    state.done(Command::ActivateJobs { request: 5 });
    assert_eq!(state.read(|c| jobs::by_external_id(c, 1, "b")).unwrap().id, 2);
    let (kind, message) = state.refused(&Command::ActivateJobs { request: 6 });
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(message.contains("externalId \"a\" is taken"), "{message}");
    state.done(Command::DiscardJobs { request: 6 });
    assert_eq!((state.count("jobs"), state.count("staged_jobs")), (2, 0));
}

#[test]
fn an_edit_of_what_has_changed_since_is_refused() {
    let mut state = ApplyFixture::new();
    let id = state.create_one(every_minute(), NewJob::default());
    let seen = same(&state.job(id), START);
    state.done(Command::UpdateJob(Box::new(JobEdit { data: "x".into(), ..seen.clone() })));
    let (kind, message) = state.refused(&Command::UpdateJob(Box::new(seen)));
    assert_eq!(kind, RejectionKind::Stale);
    assert_eq!(message, "job has changed since: read it again and repeat the change");
}
