//! Job templates: chains that have one live instance whatever ends the one before, and edits that
//! touch no instance. `template_rules` has what is refused.

use super::*;
use crate::command::JobAction;
use crate::model::attempt::SkipReason;
use crate::model::event::{Fact, JobChange};
use crate::model::job::Timing;
use crate::model::template::Template;
use crate::store::template_jobs::{InstanceFilter, InstanceOrder};
use crate::store::{Page, jobs, template_jobs, templates};

/// A template of user-triggered one-offs that are due after 10 s.
pub(super) fn user_template() -> Template {
    Template {
        project: 1,
        kind: "send_mail".into(),
        start_in_seconds: 10,
        user_triggered: true,
        definition: JobDefinition { timing: Timing::After(0), ..at() },
        keep_completed: 100,
        active: true,
        ..Template::default()
    }
}

/// A template that keeps one instance by itself.
pub(super) fn system_template() -> Template {
    let data = "{\"n\":1}".into();
    Template {
        kind: "clean_up".into(),
        user_triggered: false,
        reschedule: true,
        data,
        ..user_template()
    }
}

pub(super) fn put(id: u64, expect: Option<u64>, template: Template) -> Command {
    Command::PutTemplate { id, expect, template: Box::new(template) }
}

pub(super) fn terminate(id: u64, reschedule: Option<bool>) -> Command {
    Command::TerminateJob { id, reschedule, reason: None }
}

impl ApplyFixture {
    /// Creates a template; its id.
    pub(super) fn template(&mut self, template: Template) -> u64 {
        match self.done(put(0, None, template)) {
            Outcome::Created(id) => id,
            outcome => panic!("{outcome}"),
        }
    }

    pub(super) fn stored(&self, id: u64) -> Template {
        self.read(|c| templates::get(c, id)).unwrap()
    }

    /// Makes an instance of a template; its job.
    pub(super) fn instance(&mut self, template: u64, data: &str) -> u64 {
        let template = self.stored(template);
        let job = NewJob { data: data.into(), ..NewJob::default() };
        self.create_one(template.instance(template.start()), job)
    }

    /// The live instances of a template.
    pub(super) fn live(&self, template: u64) -> Vec<u64> {
        self.read(|c| template_jobs::live(c, template, 100))
    }

    /// The instances of a template that are over.
    fn finished(&self, template: u64) -> Vec<u64> {
        let filter = InstanceFilter { template, live: Some(false) };
        self.read(|c| template_jobs::page(c, &filter, &Page::<InstanceOrder>::default()))
    }

    /// What is said of one-offs that are created: how, and how many.
    fn told(&self) -> Vec<JobChange> {
        let facts = self.change.events.facts().iter();
        let change = |event: &crate::model::event::ChangeEvent| match &event.fact {
            Fact::Jobs { change, .. } => Some(*change),
            _ => None,
        };
        facts.filter_map(change).collect()
    }
}

/// What must hold of all templates at any time; the faults.
pub(super) fn broken_templates(state: &ApplyFixture) -> Vec<String> {
    let query = |sql: &str| -> Vec<i64> {
        state.read(|c| c.prepare(sql)?.query_map([], |row| row.get(0))?.collect())
    };
    let mut faults = Vec::new();
    for (sql, fault) in [
        ("SELECT id FROM template_jobs WHERE id NOT IN (SELECT id FROM jobs)", "row without job"),
        (
            "SELECT id FROM template_jobs WHERE template NOT IN (SELECT id FROM templates)",
            "row without template",
        ),
        (
            "SELECT id FROM template_jobs JOIN jobs USING (id) WHERE (over > 0) <> (status = 2)",
            "over and completed differ",
        ),
        (
            "SELECT id FROM templates WHERE NOT EXISTS (SELECT 1 FROM template_versions AS kept
             WHERE kept.template = templates.id AND kept.body = templates.body)",
            "the version is not kept",
        ),
        (
            "SELECT template FROM template_versions WHERE template NOT IN (SELECT id FROM templates)",
            "version without template",
        ),
        (
            "SELECT id FROM templates WHERE over <> (SELECT COUNT(*) FROM template_jobs AS jobs
             WHERE jobs.template = templates.id AND jobs.over > 0)",
            "the number of those that are over is wrong",
        ),
    ] {
        faults.extend(query(sql).into_iter().map(|id| format!("{fault}: {id}")));
    }
    faults
}

/// The ways in which a one-off is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Delivered,
    Dead,
    Skipped,
    Deleted,
    BulkDeleted,
    Terminated,
    Lapsed,
    ResumedTooLate,
    EditedTooLate,
    DeletedAfterRun,
}

pub(super) const ENDS: [End; 10] = [
    End::Delivered,
    End::Dead,
    End::Skipped,
    End::Deleted,
    End::BulkDeleted,
    End::Terminated,
    End::Lapsed,
    End::ResumedTooLate,
    End::EditedTooLate,
    End::DeletedAfterRun,
];

/// Lets a live instance come to an end.
pub(super) fn end(state: &mut ApplyFixture, id: u64, end: End) {
    let job = state.job(id);
    let change = |action| Command::ChangeJobs { jobs: vec![(id, 1)], action, by: None };
    match end {
        End::Delivered | End::DeletedAfterRun => {
            state.now = job.anchor + 10;
            state.complete(id, job.anchor, Verdict::Delivered);
        }
        End::Dead => {
            state.now = job.anchor + 10;
            state.complete(id, job.anchor, Verdict::Dead);
        }
        End::Skipped => {
            state.now = job.anchor + 10;
            state.complete(id, job.anchor, Verdict::Skipped(SkipReason::Paused));
        }
        End::Deleted => drop(state.done(Command::DeleteJob { id, expect: None })),
        End::BulkDeleted => drop(state.done(change(JobAction::Delete))),
        End::Terminated => drop(state.done(terminate(id, None))),
        End::Lapsed => {
            state.done(change(JobAction::Pause { until: None }));
            state.now = job.anchor + 10;
            state.done(Command::Expire { limit: 10 });
        }
        End::ResumedTooLate => {
            state.done(change(JobAction::Pause { until: None }));
            state.now = job.anchor + 10;
            state.done(change(JobAction::Resume));
        }
        End::EditedTooLate => {
            state.done(change(JobAction::Pause { until: None }));
            state.now = job.anchor + 10;
            state.edit(id, |edit| edit.data = "other".into());
        }
    }
}

#[test]
fn whatever_ends_an_instance_one_other_follows_in_the_same_entry() {
    for how in ENDS {
        let mut state = ApplyFixture::new();
        let delete_after_run = matches!(how, End::DeletedAfterRun);
        let definition = JobDefinition { delete_after_run, ..system_template().definition };
        let template = state.template(Template { definition, ..system_template() });
        let mut seen = Vec::new();
        for round in 0..4 {
            let live = state.live(template);
            assert_eq!(live.len(), 1, "{how:?} {round}: {live:?}");
            assert!(!seen.contains(&live[0]), "{how:?}: a new one");
            seen.extend(live.clone());
            let job = state.job(live[0]);
            assert_eq!((job.data.as_str(), job.status), ("{\"n\":1}", JobStatus::Active));
            end(&mut state, live[0], how);
            assert_eq!(broken_templates(&state), Vec::<String>::new(), "{how:?}");
            let next = state.job(state.live(template)[0]);
            assert_eq!(
                next.anchor,
                state.now.div_euclid(1_000) * 1_000
                    + 10_000
                    + if state.now % 1_000 > 0 { 1_000 } else { 0 },
                "{how:?}"
            );
            assert!(state.told().contains(&JobChange::Rescheduled), "{how:?}: {:?}", state.told());
        }
    }
}

#[test]
fn an_instance_is_over_once() {
    for first in ENDS {
        let mut state = ApplyFixture::new();
        let template = state.template(system_template());
        let one = state.live(template)[0];
        let anchor = state.job(one).anchor;
        end(&mut state, one, first);
        let next = state.live(template);
        // A late result, a second terminate, the deletion of what is completed.
        state.complete(one, anchor, Verdict::Delivered);
        if state.read(|c| jobs::get(c, one)).is_some() {
            state.done(terminate(one, Some(true)));
            state.done(Command::DeleteJob { id: one, expect: None });
        }
        assert_eq!(state.live(template), next, "{first:?}");
        assert_eq!(broken_templates(&state), Vec::<String>::new());
    }
}

#[test]
fn a_chain_ends_where_its_template_or_a_caller_says_so() {
    let mut state = ApplyFixture::new();
    let template = state.template(system_template());
    let one = state.live(template)[0];
    assert_eq!(state.done(terminate(one, Some(false))), Outcome::Changed(1));
    assert_eq!((state.live(template), state.finished(template)), (vec![], vec![one]));
    assert_eq!(state.done(terminate(one, Some(true))), Outcome::Changed(0), "it is over");
    assert!(state.live(template).is_empty());
    // An edit alone begins no chain, becoming active does.
    let label = Template { label: "x".into(), ..state.stored(template) };
    state.done(put(template, None, label));
    assert!(state.live(template).is_empty());
    state.done(put(template, None, Template { active: false, ..state.stored(template) }));
    state.done(put(template, None, Template { active: true, ..state.stored(template) }));
    let two = state.live(template)[0];
    state.done(put(template, None, Template { active: false, ..state.stored(template) }));
    assert_eq!(state.live(template), [two], "a live instance stays");
    state.done(put(template, None, Template { active: true, ..state.stored(template) }));
    assert_eq!(state.live(template), [two], "and is the one that there is");
    state.done(put(template, None, Template { reschedule: false, ..state.stored(template) }));
    end(&mut state, two, End::Delivered);
    assert!(state.live(template).is_empty());
}

#[test]
fn an_edit_touches_no_instance_and_counts_for_the_next() {
    let mut state = ApplyFixture::new();
    let template = state.template(system_template());
    let one = state.job(state.live(template)[0]);
    let definition = JobDefinition {
        callback_url: "http://127.0.0.1:3000/b".into(),
        ..system_template().definition
    };
    let edited = Template { definition, data: "{\"n\":2}".into(), ..state.stored(template) };
    state.done(put(template, Some(1), edited.clone()));
    assert_eq!(state.job(one.id), one);
    assert_eq!(state.done(put(template, Some(2), edited)), Outcome::Done);
    assert_eq!(state.stored(template).version, 2, "nothing was changed");
    end(&mut state, one.id, End::Delivered);
    let next = state.job(state.live(template)[0]);
    assert_eq!((next.data.as_str(), next.definition.template.unwrap().version), ("{\"n\":2}", 2));
    assert!(next.definition.callback_url.ends_with("/b"));
    let (kind, _) = state.refused(&put(template, Some(1), system_template()));
    assert_eq!(kind, RejectionKind::Stale);
}

#[test]
fn old_versions_go_unless_a_job_names_them() {
    let mut state = ApplyFixture::new();
    let template = state.template(system_template());
    for n in 0..25 {
        let label = format!("{n}");
        state.done(put(template, None, Template { label, ..state.stored(template) }));
    }
    let kept = state.read(|c| {
        let mut kept = Vec::new();
        let page = Page { descending: true, ..Page::default() };
        templates::each_version(c, template, &page, |one| {
            kept.push(one.version);
            Ok(true)
        })?;
        Ok(kept)
    });
    let mut wanted: Vec<_> = (7..=26).rev().collect();
    wanted.push(1); // the live instance's
    assert_eq!(kept, wanted);
    assert_eq!(state.read(|c| templates::version(c, template, 1)).unwrap().label, "");
}

#[test]
fn of_completed_instances_the_last_ones_stay() {
    let mut state = ApplyFixture::new();
    let template = state.template(Template { keep_completed: 3, ..system_template() });
    let mut all = Vec::new();
    for _ in 0..6 {
        let live = state.live(template)[0];
        all.push(live);
        end(&mut state, live, End::Dead);
    }
    assert_eq!(state.finished(template), all[3..]);
    assert!(state.read(|c| jobs::get(c, all[2])).is_none());
    state.done(put(template, None, Template { keep_completed: 1, ..state.stored(template) }));
    assert_eq!(state.finished(template), all[5..], "an edit drops what is too many");
    state.done(put(template, None, Template { keep_completed: 0, ..state.stored(template) }));
    let live = state.live(template)[0];
    end(&mut state, live, End::Delivered);
    assert_eq!((state.finished(template), state.live(template).len()), (vec![], 1));
    assert_eq!(broken_templates(&state), Vec::<String>::new());
    assert_eq!(super::consistency::definition_references(&state), vec![]);
}

#[test]
fn a_users_instance_that_comes_again_keeps_payload_and_labels() {
    let mut state = ApplyFixture::new();
    let template = state.template(Template { reschedule: true, ..user_template() });
    assert!(state.live(template).is_empty(), "nobody asked for one");
    let stored = state.stored(template);
    let labels = [("user".to_owned(), "7".to_owned())].into();
    let definition =
        JobDefinition { labels, created_by: Some("me".into()), ..stored.instance(60_000) };
    let one = state.create_one(
        definition,
        NewJob { data: "{\"user\":7}".into(), external_id: Some("e".into()), ..NewJob::default() },
    );
    assert_eq!(state.job(one).anchor, START + 60_000);
    state.done(put(template, None, Template { start_in_seconds: 0, ..stored }));
    end(&mut state, one, End::Delivered);
    let next = state.job(state.live(template)[0]);
    assert_eq!((next.data.as_str(), next.external_id), ("{\"user\":7}", None));
    assert_eq!(next.definition.labels["user"], "7");
    assert_eq!(next.definition.created_by.as_deref(), Some("me"));
    assert!(next.anchor >= state.now + 1_000, "a chain never spins");
    assert_eq!(next.definition.template.unwrap().version, 2);
    // Two of a user's chains live side by side.
    let other = state.instance(template, "{}");
    assert_eq!(state.live(template), [next.id, other]);
}
