//! Limits of accounts, exact in every rule that adds; executions that are used up; features.

use super::accounts::new_account;
use super::consistency::account_counts;
use super::projects::project;
use super::templates::{put, system_template, user_template};
use super::*;
use crate::command::{JobAction, JobEdit, ProjectAction};
use crate::model::FIRST_ACCOUNT;
use crate::model::account::{Limits, month_of, next_month};
use crate::model::credential::Credential;
use crate::model::feature::{Feature, Features, LARGE_PAYLOAD};
use crate::model::target::{Executor, HttpTarget};
use crate::model::template::Template;
use crate::store::{accounts, projects};

const QUOTA: RejectionKind = RejectionKind::QuotaExceeded;

fn executor(name: &str) -> Command {
    let (name, kind) = (name.to_owned(), "webhook_url".to_owned());
    let webhook_url = "http://receiver/a".to_owned();
    Command::CreateExecutor(Executor { name, kind, webhook_url, ..Executor::default() })
}

fn credential(key: &str) -> Command {
    Command::CreateCredential(Credential { api_key: key.into(), ..Credential::default() })
}

#[test]
fn each_kind_is_refused_at_its_limit_and_comes_again_when_one_is_gone() {
    let mut state = ApplyFixture::new();
    state.limit(Limits {
        projects: Some(2),
        executors: Some(1),
        credentials: Some(1),
        ..Limits::default()
    });
    state.done(project("q"));
    let (kind, why) = state.refused(&project("r"));
    assert_eq!(kind, QUOTA);
    assert!(why.contains("account 1 has 2 of at most 2 projects"), "{why}");
    state.done(Command::DeleteProject { id: 2, cascade: false, expect: None });
    state.done(project("r"));
    state.done(executor("a"));
    assert_eq!(state.refused(&executor("b")).0, QUOTA);
    state.done(Command::DeleteExecutor { id: 1, expect: None });
    state.done(executor("b"));
    state.done(credential("a"));
    assert_eq!(state.refused(&credential("b")).0, QUOTA);
    // An archived one is there, and may come back.
    state.done(Command::ArchiveCredential { id: 1, archived: true, by: None });
    assert_eq!(state.refused(&credential("b")).0, QUOTA);
    state.done(Command::DeleteCredential { id: 1 });
    state.done(credential("b"));
    assert_eq!(account_counts(&state), []);
}

#[test]
fn jobs_are_created_as_a_whole_or_not_at_all() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 3);
    state.limit(Limits { jobs: Some(5), ..Limits::default() });
    let (kind, why) = state.refused(&create(1, every_minute(), 3, false));
    assert_eq!(kind, QUOTA);
    assert!(why.contains("has 3 of at most 5 jobs, and 3 more"), "{why}");
    assert_eq!(state.count("jobs"), 3);
    state.done(create(1, every_minute(), 2, false));
    // A request that is repeated gets what it created.
    state.done(create(1, every_minute(), 2, false));
    assert_eq!(state.refused(&create(2, every_minute(), 1, false)).0, QUOTA);
    state.done(Command::ChangeJobs { jobs: vec![(1, 2)], action: JobAction::Delete, by: None });
    state.done(create(2, every_minute(), 2, false));
    assert_eq!((state.count("jobs"), account_counts(&state)), (5, vec![]));
    // A lower limit takes nothing away.
    state.limit(Limits { jobs: Some(1), ..Limits::default() });
    assert_eq!(state.count("jobs"), 5);
    assert_eq!(state.refused(&create(3, every_minute(), 1, false)).0, QUOTA);
}

#[test]
fn a_staged_request_is_judged_when_it_is_activated() {
    let mut state = ApplyFixture::new();
    state.limit(Limits { jobs: Some(5), ..Limits::default() });
    assert_eq!(state.refused(&create(1, every_minute(), 6, true)).0, QUOTA, "a chunk alone");
    for request in [1, 2] {
        state.done(create(request, every_minute(), 3, true));
        state.done(create(request, every_minute(), 1, true));
    }
    state.done(Command::ActivateJobs { request: 1 });
    assert_eq!(state.refused(&Command::ActivateJobs { request: 2 }).0, QUOTA);
    assert_eq!((state.count("jobs"), state.account(1).held.jobs), (4, 4));
    state.done(Command::DiscardJobs { request: 2 });
    assert_eq!((state.count("staged_jobs"), account_counts(&state)), (0, vec![]));
}

#[test]
fn a_request_creates_no_more_jobs_than_one_may() {
    let mut state = ApplyFixture::new();
    state.limit(Limits { jobs_per_request: Some(3), ..Limits::default() });
    let (kind, why) = state.refused(&create(1, every_minute(), 4, false));
    assert_eq!(kind, QUOTA);
    assert!(why.contains("at most 3 jobs (jobsPerRequest)"), "{why}");
    state.done(create(1, every_minute(), 3, false));
    state.done(create(2, every_minute(), 2, true));
    assert_eq!(state.refused(&create(2, every_minute(), 2, true)).0, QUOTA, "with those before");
    state.done(create(2, every_minute(), 1, true));
    state.done(Command::ActivateJobs { request: 2 });
    assert_eq!(state.count("jobs"), 6);
}

#[test]
fn chains_of_templates_go_on_within_the_limit() {
    let mut state = ApplyFixture::new();
    state.limit(Limits { jobs: Some(2), ..Limits::default() });
    let template = state.template(system_template());
    state.template(Template { kind: "other".into(), ..system_template() });
    // Both have their first instance.
    let third = put(0, None, Template { kind: "third".into(), ..system_template() });
    assert_eq!(state.refused(&third).0, QUOTA);
    let idle = Template { kind: "idle".into(), active: false, ..system_template() };
    let idle = state.template(idle);
    let active = Template { active: true, ..state.stored(idle) };
    assert_eq!(state.refused(&put(idle, None, active)).0, QUOTA);
    for _ in 0..3 {
        let live = state.live(template);
        let [job] = live[..] else { panic!("{live:?}") };
        let due = state.job(job).anchor;
        state.now = due;
        state.complete(job, due, Verdict::Delivered);
        assert_ne!(state.live(template), [job], "another one follows");
        assert!(state.count("jobs") <= 2, "the completed one made room");
        assert_eq!(account_counts(&state), []);
    }
    let user = state.template(user_template());
    let definition = state.stored(user).instance(10);
    assert_eq!(state.refused(&create(7, definition, 1, false)).0, QUOTA);
}

/// A result of job 1 at an instant of its own, as the journal's entry of that number.
fn result(seq: u64, verdict: Verdict) -> Command {
    let due = START + 60_000 * seq.cast_signed();
    let one = AttemptRecord { due, scheduled: due, ..record([1], verdict) };
    journal_batch(1, 5, seq, vec![one])
}

#[test]
fn executions_that_are_used_up_pause_the_projects_until_the_month_is_over() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 1);
    state.done(Command::RaiseLevel { level: 7 });
    state.limit(Limits { executions_per_month: Some(2), ..Limits::default() });
    let month = month_of(START);
    state.now += 1_000;
    state.done(result(1, Verdict::Delivered));
    state.done(result(2, Verdict::Retry { at: START + 500_000 }));
    assert_eq!(state.account(1).executions_left(month), Some(1), "a repeated attempt is none");
    assert!(state.read(|c| projects::pauses(c, 1)).is_empty());
    let dead = AttemptRecord {
        attempt: 2,
        pending: Some(state.rows()[0].id),
        due: START + 120_000,
        scheduled: START + 120_000,
        ..record([1], Verdict::Dead)
    };
    state.now += 1_000;
    state.done(journal_batch(1, 5, 3, vec![dead]));
    assert!(state.change.targets);
    let pauses = state.read(|c| projects::pauses(c, 1));
    let last = next_month(START) - 1;
    let [pause] = pauses[..] else { panic!("{pauses:?}") };
    assert_eq!((pause.from, pause.until, pause.by_quota), (state.now, Some(last), true));
    assert_eq!(state.read(|c| projects::pauses_after(c, Millis::MIN)), pauses);
    // A new project is paused, too, and no manual way leads around it.
    state.done(project("q"));
    assert_eq!(state.read(|c| projects::pauses(c, 2)).len(), 1);
    assert_eq!(state.refused(&Command::RunJob { id: 1, forced: true }).0, QUOTA);
    let replay = Command::ReplayDeadLetters { letters: vec![(1, state.now)] };
    assert_eq!(state.refused(&replay).0, QUOTA);
    // A resume of the project ends its own pauses only.
    let resume = ProjectAction::Resume;
    state.done(Command::project_action(1, resume, None));
    assert_eq!(state.read(|c| projects::pauses(c, 1)), pauses);

    state.now += 1_000;
    state.done(Command::GrantExecutions { id: 1, count: 1 });
    let until = |state: &ApplyFixture| state.read(|c| projects::pauses(c, 1))[0].until;
    assert_eq!(until(&state), Some(state.now), "a top-up ends the pause");
    state.done(Command::RunJob { id: 1, forced: true });
    state.now += 1_000;
    state.done(result(4, Verdict::Delivered));
    assert_eq!(state.read(|c| projects::pauses(c, 1)).len(), 2, "and is used up");

    // The next month has what the limit says, and no top-up.
    state.now = next_month(START);
    let month = month_of(state.now);
    assert_eq!(state.account(1).executions_left(month), Some(2));
    assert!(state.read(|c| accounts::quota_pause(c, 1, state.now)).is_none());
    state.done(Command::RunJob { id: 1, forced: true });
    state.done(result(5, Verdict::Delivered));
    assert_eq!(state.account(1).monthly.at(month).used, 1);
}

#[test]
fn a_change_of_the_limit_holds_at_once() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 1);
    state.done(Command::RaiseLevel { level: 7 });
    state.done(result(1, Verdict::Delivered));
    let paused = |state: &ApplyFixture| {
        state.read(|c| accounts::quota_pause(c, FIRST_ACCOUNT, state.now)).is_some()
    };
    assert!(!paused(&state));
    state.now += 1_000;
    state.limit(Limits { executions_per_month: Some(1), ..Limits::default() });
    assert!(paused(&state) && state.change.targets);
    state.now += 1_000;
    state.limit(Limits { executions_per_month: Some(2), ..Limits::default() });
    assert!(!paused(&state) && state.change.targets);
    state.now += 1_000;
    state.limit(Limits { executions_per_month: Some(0), ..Limits::default() });
    assert!(paused(&state));
    state.limit(Limits::default());
    assert!(!paused(&state));
}

#[test]
fn nothing_is_counted_before_all_nodes_can() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 1);
    state.done(Command::RaiseLevel { level: 6 });
    state.done(result(1, Verdict::Delivered));
    let used = |state: &ApplyFixture| state.account(1).monthly.used;
    assert_eq!(used(&state), 0);
    state.done(Command::RaiseLevel { level: 7 });
    state.done(result(2, Verdict::Delivered));
    assert_eq!(used(&state), 1);
}

#[test]
fn grants_are_of_a_month_and_bounded() {
    let mut state = ApplyFixture::new();
    let grant = |id, count| Command::GrantExecutions { id, count };
    assert_eq!(state.refused(&grant(9, 1)).0, RejectionKind::NotFound);
    assert_eq!(state.refused(&grant(1, u64::MAX)).0, RejectionKind::Invalid);
    state.done(grant(1, 5));
    state.done(grant(1, 5));
    assert_eq!(state.account(1).monthly.granted, 10);
    state.now = next_month(START);
    state.done(grant(1, 3));
    assert_eq!(state.account(1).monthly.granted, 3);
    state.done(new_account("b"));
    assert_eq!(state.account(2).monthly.granted, 0);
}

#[test]
fn what_needs_a_feature_that_is_off_is_refused_and_what_exists_stays() {
    let mut state = ApplyFixture::new();
    let every_second = JobDefinition { period: Some(1_000), ..every_minute() };
    let kept = state.jobs(every_second.clone(), 1);
    state.edit_account(1, |edit| edit.features = Features::NONE.with(Feature::LongRuns));
    let http = Some(Box::new(HttpTarget::default()));
    let own = JobDefinition { http, callback_url: String::new(), ..every_minute() };
    let slow = JobDefinition { run_timeout: Some(7_200_000), ..own.clone() };
    for (definition, named) in
        [(every_second, "sub_minute"), (own, "http_targets"), (slow, "http_targets")]
    {
        for staged in [false, true] {
            let (kind, why) = state.refused(&create(9, definition.clone(), 1, staged));
            assert_eq!(kind, RejectionKind::FeatureDisabled);
            assert!(why.ends_with(named), "{why}");
        }
    }
    let data = "x".repeat(LARGE_PAYLOAD + 1);
    let large = NewJob { data, ..NewJob::default() };
    let refused = state.refused(&request(9, every_minute(), vec![large], false));
    assert_eq!(refused.0, RejectionKind::FeatureDisabled);
    state.jobs(every_minute(), 1);
    // The job that exists goes on: it is paused and resumed, but not edited.
    let pause = |action| Command::ChangeJobs { jobs: vec![(kept, 1)], action, by: None };
    state.done(pause(JobAction::Pause { until: None }));
    state.done(pause(JobAction::Resume));
    let job = state.job(kept);
    let edit = JobEdit { data: "new".into(), ..same(&job, state.now) };
    let edit = Command::UpdateJob(Box::new(edit));
    assert_eq!(state.refused(&edit).0, RejectionKind::FeatureDisabled);
    state.edit_account(1, |edit| edit.features = Features::ALL);
    state.done(edit);
}

#[test]
fn counters_agree_after_a_restore() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 3);
    let gone = JobDefinition { delete_after_run: true, ..at() };
    state.create_one(gone, one(START + 1_000));
    let limits = Limits { jobs: Some(4), ..Limits::default() };
    state.limit(limits);
    let reopened = state.writer.transaction(|tx| {
        crate::command::reopen(tx, START + 100_000, crate::command::RestorePolicy::Skip)
    });
    reopened.unwrap();
    assert_eq!((state.count("jobs"), account_counts(&state)), (3, vec![]));
    assert_eq!(state.account(1).limits, limits, "limits come back with the backup");
}
