//! Job templates: what is refused, what goes with a template, and what a restore makes of chains.

use super::templates::{End, broken_templates, end, put, system_template, user_template};
use super::*;
use crate::command::apply::restore::{RestorePolicy, reopen};
use crate::model::target::Executor;
use crate::model::template::Template;

/// A change of what a job is.
type Edit = &'static dyn Fn(&mut JobDefinition);

#[test]
fn an_instance_is_made_by_the_version_that_the_template_has() {
    let mut state = ApplyFixture::new();
    let template = state.template(user_template());
    let stored = state.stored(template);
    let make = |template: &Template, staged| {
        request(77, template.instance(5_000), vec![NewJob::default()], staged)
    };
    let system = state.template(system_template());
    let system = state.stored(system);
    let inactive = state.template(Template { kind: "b".into(), active: false, ..user_template() });
    let inactive = state.stored(inactive);
    let gone = Template { id: 99, ..stored.clone() };
    let later = Template { version: 9, ..stored.clone() };
    let elsewhere = Template {
        definition: JobDefinition { project: 2, ..stored.definition.clone() },
        ..stored.clone()
    };
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    for (template, kind) in [
        (&system, RejectionKind::Conflict),
        (&inactive, RejectionKind::Conflict),
        (&gone, RejectionKind::NotFound),
        (&later, RejectionKind::Stale),
        (&elsewhere, RejectionKind::Invalid),
    ] {
        assert_eq!(state.refused(&make(template, false)).0, kind, "{template:?}");
    }
    assert_eq!(state.refused(&make(&stored, true)).0, RejectionKind::Invalid);
    state.done(make(&stored, false));
    assert_eq!(state.live(template).len(), 1);
}

#[test]
fn an_instance_stays_a_one_off_of_its_template() {
    let mut state = ApplyFixture::new();
    let template = state.template(user_template());
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    let one = state.instance(template, "{}");
    let edits: [(Edit, RejectionKind); 3] = [
        (&|definition| definition.template = None, RejectionKind::Invalid),
        (&|definition| definition.project = 2, RejectionKind::Conflict),
        (
            &|definition| {
                let JobDefinition { template, template_type, .. } = definition.clone();
                *definition = JobDefinition { template, template_type, ..every_minute() };
            },
            RejectionKind::Conflict,
        ),
    ];
    for (change, kind) in edits {
        let mut edit = same(&state.job(one), state.now);
        change(&mut edit.definition);
        assert_eq!(state.refused(&Command::UpdateJob(Box::new(edit))).0, kind);
    }
    let later = state.edit(one, |edit| edit.at = Some(START + 90_000));
    assert_eq!((later.anchor, state.live(template)), (START + 90_000, vec![one]));
    end(&mut state, one, End::Delivered);
    let mut again = same(&state.job(one), state.now);
    (again.status, again.at) = (JobStatus::Active, Some(state.now + 60_000));
    let (kind, why) = state.refused(&Command::UpdateJob(Box::new(again)));
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(why.contains("make another one"), "{why}");
}

#[test]
fn types_are_unique_in_a_project_and_targets_must_be_there() {
    let mut state = ApplyFixture::new();
    let one = state.template(user_template());
    assert_eq!(state.refused(&put(0, None, user_template())).0, RejectionKind::Conflict);
    let other = state.template(Template { kind: "other".into(), ..user_template() });
    let taken = Template { kind: "other".into(), ..state.stored(one) };
    let (kind, why) = state.refused(&put(one, None, taken));
    assert!(kind == RejectionKind::Conflict && why.contains(&format!("template {other}")), "{why}");
    let no_target = JobDefinition { callback_url: String::new(), ..user_template().definition };
    let executor = JobDefinition { executor: Some(9), ..no_target.clone() };
    for (template, says) in [
        (Template { project: 9, ..user_template() }, "does not exist"),
        (Template { kind: "x".into(), definition: no_target, ..user_template() }, "target"),
        (Template { kind: "x".into(), definition: executor, ..user_template() }, "does not exist"),
    ] {
        let (kind, why) = state.refused(&put(0, None, template));
        assert!(kind == RejectionKind::Invalid && why.contains(says), "{why}");
    }
    let moved = Template { project: 2, ..state.stored(one) };
    assert_eq!(state.refused(&put(one, None, moved)).0, RejectionKind::Invalid);
    assert_eq!(state.refused(&put(99, None, user_template())).0, RejectionKind::NotFound);
}

#[test]
fn an_executor_that_a_template_names_stays() {
    let mut state = ApplyFixture::new();
    let (name, kind) = ("e".to_owned(), "webhook_url".to_owned());
    let webhook_url = "http://receiver/a".to_owned();
    let executor = Executor { name, kind, webhook_url, ..Executor::default() };
    let Outcome::Created(id) = state.done(Command::CreateExecutor(executor)) else { panic!() };
    let definition = JobDefinition {
        callback_url: String::new(),
        executor: Some(id),
        ..user_template().definition
    };
    let template = state.template(Template { definition, ..user_template() });
    let delete = Command::DeleteExecutor { id, expect: None };
    let (kind, why) = state.refused(&delete);
    assert!(kind == RejectionKind::Conflict && why.contains("templates"), "{why}");
    let no = Command::DeleteTemplate { id: template, expect: None, terminate: false, limit: 9 };
    state.done(no);
    state.done(delete);
}

#[test]
fn a_template_is_deleted_with_or_without_its_live_instances() {
    let mut state = ApplyFixture::new();
    let template = state.template(Template { reschedule: true, ..user_template() });
    let jobs: Vec<_> = (0..5).map(|_| state.instance(template, "{}")).collect();
    let delete =
        |terminate| Command::DeleteTemplate { id: template, expect: None, terminate, limit: 2 };
    assert_eq!(state.refused(&delete(false)).0, RejectionKind::Conflict);
    assert_eq!(state.done(delete(true)), Outcome::Changed(2));
    assert_eq!((state.live(template).len(), state.stored(template).active), (3, false));
    assert_eq!(state.done(delete(true)), Outcome::Changed(2));
    assert_eq!(state.done(delete(true)), Outcome::Done);
    assert_eq!(state.count("template_jobs") + state.count("template_versions"), 0);
    for job in jobs {
        let job = state.job(job);
        assert_eq!(job.status, JobStatus::Completed);
        assert_eq!(job.definition.template.map(|of| of.id), Some(template), "it still says so");
    }
    assert_eq!(state.count("jobs"), 5, "none followed");
    assert_eq!(state.refused(&delete(true)).0, RejectionKind::NotFound);
}

#[test]
fn a_project_goes_with_its_templates_only_where_it_is_asked_to() {
    let mut state = ApplyFixture::new();
    let template = state.template(Template { active: false, ..system_template() });
    let delete = |cascade| Command::DeleteProject { id: 1, cascade, expect: None };
    let (kind, why) = state.refused(&delete(false));
    assert!(kind == RejectionKind::Conflict && why.contains("templates"), "{why}");
    state.done(put(template, None, Template { active: true, ..state.stored(template) }));
    state.done(delete(true));
    for table in ["templates", "template_versions", "template_jobs", "jobs", "shapes"] {
        let left = state.count(table);
        // The closed plan of the instance keeps its definition for the history.
        assert!(left == 0 || table == "shapes", "{table}: {left}");
    }
}

#[test]
fn a_chain_goes_on_after_a_restore() {
    for policy in [RestorePolicy::Skip, RestorePolicy::Fire] {
        let mut state = ApplyFixture::new();
        let template = state.template(system_template());
        let one = state.live(template)[0];
        state.now = START + 3_600_000;
        let now = state.now;
        state.writer.transaction(|tx| reopen(tx, now, policy).map(drop)).unwrap();
        let live = state.live(template);
        assert_eq!(live.len(), 1, "{policy:?}");
        assert_eq!(live[0] == one, policy == RestorePolicy::Fire, "{policy:?}");
        assert_eq!(broken_templates(&state), Vec::<String>::new());
    }
}
