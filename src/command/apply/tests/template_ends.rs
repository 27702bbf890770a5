//! Ends of instances that meet: bulk actions, replays, workers that are asked first, chains that
//! begin late, and jobs whose template is gone.

use super::offers::{offer, terms};
use super::runs::{accepted, told};
use super::templates::{End, broken_templates, end, put, system_template, user_template};
use super::*;
use crate::command::JobAction;
use crate::model::offer::{Offer, Taken};
use crate::model::run::{Occurrence, Phase, Report};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::template::Template;
use crate::store::{jobs, runs};

fn journal(state: &mut ApplyFixture, seq: &mut u64, entries: Vec<JournalEntry>) {
    let first = *seq;
    *seq += entries.len() as u64;
    state.done(Command::Record(JournalBatch { node: 1, incarnation: 1, first, entries }));
}

fn planned(state: &ApplyFixture, id: u64) -> Occurrence {
    Occurrence { job: id, scheduled: state.job(id).anchor, run: 0 }
}

#[test]
fn a_bulk_action_passes_over_what_another_one_of_its_jobs_has_dropped() {
    let mut state = ApplyFixture::new();
    let template = state.template(Template { keep_completed: 1, ..user_template() });
    let (one, two) = (state.instance(template, "{}"), state.instance(template, "{}"));
    let other = state.instance(template, "{}");
    let bulk = |action, jobs: &[u64]| Command::ChangeJobs {
        jobs: jobs.iter().map(|id| (*id, 1)).collect(),
        action,
        by: None,
    };
    state.done(bulk(JobAction::Pause { until: None }, &[one, other]));
    end(&mut state, two, End::Delivered);
    state.now = state.job(one).anchor + 20;
    // The first one is over by that, and drops the second one.
    let outcome = state.done(bulk(JobAction::Resume, &[one, two, other]));
    assert_eq!(outcome, Outcome::Changed(2));
    assert!(state.read(|c| jobs::get(c, two)).is_none());
    assert!(!state.change.events.facts().is_empty(), "all of it is told");
    assert_eq!(broken_templates(&state), Vec::<String>::new());
}

#[test]
fn a_completed_instance_that_is_under_way_again_is_dropped_later() {
    let mut state = ApplyFixture::new();
    let template = state.template(Template { keep_completed: 1, ..user_template() });
    let one = state.instance(template, "{}");
    let (of, mut seq) = (planned(&state, one), 1);
    state.now = of.scheduled + 10;
    let dead = AttemptRecord { once: true, ..told(of, Verdict::Dead) };
    journal(&mut state, &mut seq, vec![JournalEntry::Attempt(dead)]);
    assert_eq!(state.job(one).status, JobStatus::Completed);
    state.done(Command::ReplayDeadLetters { letters: vec![(1, 0)] });
    assert_eq!(state.rows().len(), 1);
    let mut others = Vec::new();
    let mut another = |state: &mut ApplyFixture| {
        let id = state.instance(template, "{}");
        end(state, id, End::Delivered);
        others.push(id);
        others.clone()
    };
    another(&mut state);
    let ended = another(&mut state);
    assert_eq!(state.job(one).status, JobStatus::Completed, "its replay waits");
    assert!(state.read(|c| jobs::get(c, ended[0])).is_none(), "others go");
    let row = state.rows().remove(0);
    let (attempt, pending) = (row.attempt, Some(row.id));
    let running = AttemptRecord { once: true, attempt, pending, ..accepted(of, None, None) };
    journal(&mut state, &mut seq, vec![JournalEntry::Attempt(running)]);
    another(&mut state);
    assert!(state.read(|c| runs::get(c, of)).is_some(), "its receiver works on");
    state.done(Command::ReportRun { occurrence: of, report: Report::Complete });
    let ended = another(&mut state);
    assert!(state.read(|c| jobs::get(c, one)).is_none(), "now it goes");
    assert!(state.read(|c| jobs::get(c, ended[3])).is_some());
    assert_eq!(broken_templates(&state), Vec::<String>::new());
}

#[test]
fn the_deletion_of_a_template_ends_while_workers_are_asked_to_stop() {
    let mut state = ApplyFixture::new();
    let template = state.template(Template { reschedule: true, ..user_template() });
    let jobs: Vec<_> = (0..7).map(|_| state.instance(template, "{}")).collect();
    let mut seq = 1;
    state.now = state.job(jobs[0]).anchor + 100;
    for id in &jobs[..5] {
        let terms = RunTerms { bus: BusKind::Rabbitmq, cancel_timeout: 60_000, ..terms() };
        let offer = Offer { shard: shard_of(*id), terms, ..offer(planned(&state, *id)) };
        let (started, worker) = (state.now, "w".to_owned());
        let taken = Taken { offer, worker, started, phase: Phase::Running };
        journal(&mut state, &mut seq, vec![JournalEntry::Taken(taken)]);
    }
    let delete = Command::DeleteTemplate { id: template, expect: None, terminate: true, limit: 2 };
    let outcomes: Vec<_> = (0..4).map(|_| state.done(delete.clone())).collect();
    let (some, all) = (Outcome::Changed(2), Outcome::Done);
    assert_eq!(outcomes, [some.clone(), some.clone(), some, all]);
    for id in &jobs[..5] {
        let run = state.read(|c| runs::get(c, planned(&state, *id))).unwrap();
        assert_eq!(run.worker.map(|worker| worker.phase), Some(Phase::Cancelling));
    }
    for id in &jobs[5..] {
        assert_eq!(state.job(*id).status, JobStatus::Completed, "one behind them is ended, too");
    }
    assert_eq!((state.count("templates"), state.count("jobs")), (0, 7));
}

#[test]
fn a_system_template_gets_its_first_instance_when_it_is_to_have_one() {
    let mut state = ApplyFixture::new();
    let ends = Template { reschedule: false, ..system_template() };
    let template = state.template(ends);
    let first = state.live(template)[0];
    end(&mut state, first, End::Delivered);
    assert!(state.live(template).is_empty());
    state.done(put(template, None, Template { reschedule: true, ..state.stored(template) }));
    assert_eq!(state.live(template).len(), 1, "it comes again from now on");

    let users = state.template(Template { kind: "u".into(), ..user_template() });
    let jobs = [state.instance(users, "{}"), state.instance(users, "{}")];
    let system = Template { user_triggered: false, ..state.stored(users) };
    state.done(put(users, None, system));
    assert_eq!(state.live(users), jobs, "those of the callers go first");
    end(&mut state, jobs[0], End::Delivered);
    assert_eq!(state.live(users), jobs[1..]);
    end(&mut state, jobs[1], End::Dead);
    let first = state.live(users);
    assert_eq!(first.len(), 1, "then its own one");
    end(&mut state, first[0], End::Delivered);
    assert!(state.live(users).is_empty(), "which does not come again");
}

#[test]
fn a_job_of_a_template_that_is_gone_is_edited_as_any_other() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() }));
    let template = state.template(user_template());
    let jobs: Vec<_> = (0..3).map(|_| state.instance(template, "{}")).collect();
    end(&mut state, jobs[0], End::Delivered);
    state.done(Command::DeleteTemplate { id: template, expect: None, terminate: true, limit: 9 });
    let later = state.now + 60_000;
    let again = state.edit(jobs[0], |edit| {
        (edit.status, edit.at) = (JobStatus::Active, Some(later));
    });
    assert_eq!((again.status, again.anchor), (JobStatus::Active, later));
    assert_eq!(state.edit(jobs[1], |edit| edit.definition.project = 2).definition.project, 2);
    let recurring = state.edit(jobs[2], |edit| {
        let JobDefinition { template, template_type, .. } = edit.definition.clone();
        edit.definition = JobDefinition { template, template_type, ..every_minute() };
    });
    assert!(!recurring.definition.is_one_off());
}
