//! Projects: unique names, deletion with or without jobs, edits as a whole.

use super::*;
use crate::command::{ProjectAction, ProjectEdit};
use crate::model::target::ProjectPause;
use crate::store::{Page, projects};

pub(super) fn project(name: &str) -> Command {
    Command::CreateProject(NewProject {
        name: name.into(),
        description: "d".into(),
        by: None,
        ..NewProject::default()
    })
}

#[test]
fn a_project_name_is_taken_once() {
    let mut state = ApplyFixture::new();
    let conflict = (RejectionKind::Conflict, "project with this name already exists".to_owned());
    assert_eq!(state.refused(&project("p")), conflict);
    assert_eq!(state.done(project("q")), Outcome::Created(2));
    let rename = |id, name: &str| {
        let (name, description) = (Some(name.to_owned()), Some("new".to_owned()));
        Command::UpdateProject(ProjectEdit {
            id,
            name,
            description,
            by: None,
            ..ProjectEdit::default()
        })
    };
    assert_eq!(state.refused(&rename(2, "p")), conflict);
    let unknown = (RejectionKind::NotFound, "project does not exist".to_owned());
    assert_eq!(state.refused(&rename(9, "x")), unknown);
    assert_eq!(state.refused(&rename(u64::MAX, "x")), unknown);
    state.done(rename(2, "q"));
    let found = state.read(|c| projects::get(c, 2)).unwrap();
    assert_eq!((found.description.as_str(), found.modified), ("new", Some(START)));
    let page = Page { order_by: projects::Order::Name, descending: true, ..Page::default() };
    let (total, list) = state.read(|c| projects::list(c, &page));
    assert_eq!((total, list[0].name.as_str(), list[1].name.as_str()), (2, "q", "p"));
}

#[test]
fn a_project_goes_with_its_jobs_or_not_at_all() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 3);
    state.now += 1;
    let delete = |cascade| Command::DeleteProject { id: 1, cascade, expect: None };
    let conflict = (RejectionKind::Conflict, "cannot delete project with jobs".to_owned());
    assert_eq!(state.refused(&delete(false)), conflict);
    state.done(delete(true));
    assert_eq!(state.change.edited, [1, 2, 3]);
    assert_eq!((state.count("jobs"), state.count("projects")), (0, 0));
    assert_eq!(state.count("closed_plans"), 3, "what fell due before is owed an end state");
    assert_eq!(state.refused(&delete(true)).0, RejectionKind::NotFound);
}

#[test]
fn an_edit_of_a_project_happens_whole_or_not_at_all() {
    let mut state = ApplyFixture::new();
    state.now += 1_000;
    let past = ProjectAction::Pause { until: Some(state.now) };
    let edit = |expect, description: &str, action| {
        let description = Some(description.to_owned());
        let edit = ProjectEdit { id: 1, expect, description, action, ..ProjectEdit::default() };
        Command::UpdateProject(edit)
    };
    assert_eq!(state.refused(&edit(Some(1), "a", Some(past))).0, RejectionKind::Invalid);
    let open = Some(ProjectAction::Pause { until: None });
    assert_eq!(state.refused(&edit(Some(2), "a", open)).0, RejectionKind::Stale);
    state.done(edit(Some(1), "a", open));
    assert!(state.change.targets);
    let (found, pauses) = state.read(|c| Ok((projects::get(c, 1)?, projects::pauses(c, 1)?)));
    let found = found.unwrap();
    assert_eq!((found.description.as_str(), found.version), ("a", 2));
    assert_eq!(
        pauses,
        [ProjectPause { project: 1, from: state.now, until: None, by_quota: false }]
    );
    // What is so already is no change, unless something else is said.
    let version = |state: &ApplyFixture| state.read(|c| projects::get(c, 1)).unwrap().version;
    state.now += 1_000;
    state.done(Command::project_action(1, ProjectAction::Resume, None));
    assert_eq!(version(&state), 3);
    state.done(Command::project_action(1, ProjectAction::Resume, None));
    assert_eq!(version(&state), 3);
    state.done(edit(Some(3), "b", Some(ProjectAction::Resume)));
    assert_eq!(version(&state), 4);
    let new = NewProject { name: "q".into(), action: Some(past), ..NewProject::default() };
    assert_eq!(state.refused(&Command::CreateProject(new.clone())).0, RejectionKind::Invalid);
    state.done(Command::CreateProject(NewProject { action: open, ..new }));
    assert_eq!(state.read(|c| projects::pauses(c, 2)).len(), 1);
}
