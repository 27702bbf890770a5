//! Jobs: created, edited, deleted, listed; and the plans that edits close.

use super::projects::project;
use super::*;
use crate::command::{JobAction, JobEdit, LEVEL, Proposal};
use crate::model::task::TaskState;
use crate::store::{Page, definitions, jobs, plans, projects, tasks};

fn edit(id: u64, definition: JobDefinition, status: JobStatus) -> Command {
    Command::UpdateJob(Box::new(JobEdit {
        id,
        definition,
        data: "new".into(),
        status,
        by: Some("me".into()),
        ..JobEdit::default()
    }))
}

#[test]
fn jobs_get_consecutive_ids_and_share_a_definition() {
    let mut state = ApplyFixture::new();
    state.now = START + 250;
    let first = state.jobs(every_minute(), 100);
    assert_eq!((first, state.change.created.as_slice()), (1, &[(1, 100)][..]));
    let cron = JobDefinition { spec: "0 0 * * *".into(), period: None, ..every_minute() };
    let second = state.jobs(cron, 2);
    assert_eq!(second, 101);
    let (a, b) = state.read(|c| Ok((jobs::get(c, 100)?.unwrap(), jobs::get(c, 101)?.unwrap())));
    assert_eq!((a.anchor, a.from, a.created), (START + 1_000, START + 250, START + 250));
    assert_eq!(b.anchor, START + 250, "only a period is counted from whole seconds");
    assert_eq!((a.data.as_str(), a.definition.spec.as_str()), ("data 99", "@every 1m"));
    assert_eq!((state.count("shapes"), state.read(|c| projects::job_count(c, 1))), (2, 102));
}

#[test]
fn a_request_creates_its_jobs_once() {
    let mut state = ApplyFixture::new();
    let request = create(5, every_minute(), 2, false);
    let outcome = state.done(request.clone());
    assert_eq!(state.done(request), outcome);
    assert_eq!(state.count("jobs"), 2);
    let task = state.read(|c| tasks::get(c, 5)).unwrap();
    assert_eq!((task.state, task.jobs), (TaskState::Succeeded, vec![(1, 2)]));
}

#[test]
fn jobs_that_lead_nowhere_are_refused() {
    let mut state = ApplyFixture::new();
    let stray = JobDefinition { project: 9, ..every_minute() };
    let unknown = (RejectionKind::Invalid, "project with id 9 does not exist".to_owned());
    assert_eq!(state.refused(&create(1, stray.clone(), 1, false)), unknown);
    assert_eq!(state.refused(&create(1, stray.clone(), 1, true)), unknown);
    assert_eq!(state.refused(&create(1, every_minute(), 0, false)).0, RejectionKind::Invalid);
    let job = NewJob {
        definition: 3,
        data: String::new(),
        status: JobStatus::Active,
        ..NewJob::default()
    };
    let definitions = vec![every_minute()];
    let request = CreateJobs { request: 1, definitions, jobs: vec![job], staged: false };
    assert_eq!(state.refused(&Command::CreateJobs(request)).0, RejectionKind::Invalid);
    let id = state.jobs(every_minute(), 1);
    assert_eq!(state.refused(&edit(id, stray, JobStatus::Active)), unknown);
}

#[test]
fn an_edit_of_the_schedule_closes_a_plan() {
    let mut state = ApplyFixture::new();
    let id = state.jobs(every_minute(), 1);
    state.now = START + 90_500;
    let hourly =
        JobDefinition { spec: "@every 1h".into(), period: Some(3_600_000), ..every_minute() };
    state.done(edit(id, hourly, JobStatus::Active));
    assert_eq!(state.change.edited, [id]);
    let job = state.read(|c| jobs::get(c, id)).unwrap();
    assert_eq!((job.anchor, job.from, job.created), (START + 91_000, START + 90_500, START));
    assert_eq!((job.data.as_str(), job.modified), ("new", Some(START + 90_500)));
    let plans = state.read(|c| plans::of_job(c, id));
    assert_eq!(plans.len(), 1);
    let plan = &plans[0];
    assert_eq!(
        (plan.anchor, plan.from, plan.until, plan.status.fires()),
        (START, START, state.now, true)
    );
    assert_eq!(plan.definition.spec, "@every 1m");
    let of_shard = |after| state.read(|c| jobs::closed_plans(c, shard_of(id), after)).len();
    assert_eq!((of_shard(START), of_shard(START + 90_500)), (1, 0));
}

#[test]
fn an_edit_of_the_target_moves_no_phase() {
    let mut state = ApplyFixture::new();
    let id = state.jobs(every_minute(), 2);
    state.now = START + 90_500;
    let elsewhere = JobDefinition { callback_url: "http://x.example/".into(), ..every_minute() };
    state.done(edit(id, elsewhere.clone(), JobStatus::Active));
    let job = state.read(|c| jobs::get(c, id)).unwrap();
    assert_eq!((job.anchor, job.from, state.count("closed_plans")), (START, START, 0));
    assert_eq!(state.count("shapes"), 2, "the other job still has the old one");
    // A pause and an earlier end close the plan, and keep the phase.
    state.done(edit(id, elsewhere.clone(), JobStatus::Inactive));
    let job = state.read(|c| jobs::get(c, id)).unwrap();
    assert_eq!((job.anchor, job.from, job.status), (START, state.now, JobStatus::Inactive));
    state.now += 1_000;
    let ending = JobDefinition { end: Some(state.now + 1), ..elsewhere };
    state.done(edit(id, ending, JobStatus::Inactive));
    let plans = state.read(|c| plans::of_job(c, id));
    let intervals: Vec<_> = plans.iter().map(|p| (p.from, p.until, p.status.fires())).collect();
    let (a, b) = (START + 90_500, START + 91_500);
    assert_eq!(intervals, [(START, a, true), (a, b, false)]);
    assert_eq!(state.read(|c| jobs::get(c, id)).unwrap().anchor, START);
    assert_eq!(
        state.refused(&edit(99, every_minute(), JobStatus::Active)),
        (RejectionKind::NotFound, "job cannot be found".to_owned())
    );
}

#[test]
fn a_plan_of_no_length_is_not_kept() {
    let mut state = ApplyFixture::new();
    let id = state.jobs(every_minute(), 1);
    state.done(edit(id, every_minute(), JobStatus::Inactive));
    assert_eq!((state.count("closed_plans"), state.count("shapes")), (0, 1));
    state.done(Command::DeleteJob { id, expect: None });
    assert_eq!(
        (state.count("closed_plans"), state.count("shapes"), state.count("jobs")),
        (0, 0, 0)
    );
}

#[test]
fn a_deleted_job_leaves_its_plan_and_its_id_is_not_given_again() {
    let mut state = ApplyFixture::new();
    let id = state.jobs(every_minute(), 1);
    state.now += 1;
    state.done(Command::DeleteJob { id, expect: None });
    assert_eq!((state.count("closed_plans"), state.count("shapes")), (1, 1));
    assert_eq!(state.read(|c| projects::job_count(c, 1)), 0);
    assert_eq!(
        state.refused(&Command::DeleteJob { id, expect: None }),
        (RejectionKind::NotFound, "job cannot be found".to_owned())
    );
    assert_eq!(state.jobs(every_minute(), 1), id + 1);
    let mut seen = Vec::new();
    state.read(|c| definitions::for_each(c, |id, definition| seen.push((id, definition.spec))));
    assert_eq!(seen, [(1, "@every 1m".to_owned())]);
}

#[test]
fn a_deletion_may_name_the_version_that_it_is_meant_for() {
    let mut state = ApplyFixture::new();
    let id = state.jobs(every_minute(), 1);
    let executor = crate::model::target::Executor { name: "e".into(), ..Default::default() };
    state.done(Command::CreateExecutor(executor));
    let job = |expect| Command::DeleteJob { id, expect };
    let executor = |expect| Command::DeleteExecutor { id: 1, expect };
    let project = |expect| Command::DeleteProject { id: 1, cascade: true, expect };
    for (noun, delete) in [
        ("job", &job as &dyn Fn(Option<u64>) -> Command),
        ("executor", &executor),
        ("project", &project),
    ] {
        let message = format!("{noun} has changed since: read it again and repeat the change");
        assert_eq!(state.refused(&delete(Some(2))), (RejectionKind::Stale, message));
        state.done(delete(Some(1)));
        assert_eq!(state.refused(&delete(Some(1))).0, RejectionKind::NotFound);
    }
}

#[test]
fn a_command_for_a_version_of_a_job_is_carried_out_for_that_version_only() {
    let mut state = ApplyFixture::new();
    let id = state.jobs(every_minute(), 1);
    let pause = |version| {
        let (jobs, action) = (vec![(id, 1)], JobAction::Pause { until: None });
        Command::ChangeJobs { jobs, action, by: None }.for_version(id, version)
    };
    let run = |id, version| Command::RunJob { id, forced: false }.for_version(id, version);
    assert_eq!(run(id, None), Command::RunJob { id, forced: false });
    assert_eq!(state.done(pause(Some(1))), Outcome::Changed(1));
    for stale in [pause(Some(1)), run(id, Some(1)), run(id, Some(3))] {
        assert_eq!(state.refused(&stale).0, RejectionKind::Stale);
        let written = Proposal::from(stale).encode(LEVEL).unwrap();
        let read = Proposal::decode(&written).unwrap();
        assert_eq!(state.refused(&read.command).0, RejectionKind::Stale, "it is read back");
    }
    assert!(matches!(state.done(run(id, Some(2))), Outcome::Run(_)));
    assert_eq!(state.refused(&run(99, Some(1))).0, RejectionKind::NotFound);
}

#[test]
fn jobs_are_listed_by_page_and_by_shard() {
    let mut state = ApplyFixture::new();
    state.done(project("q"));
    state.jobs(every_minute(), 5_000);
    state.jobs(JobDefinition { project: 2, ..every_minute() }, 10);
    let mut ids = Vec::new();
    state.read(|c| jobs::for_shard(c, 2, |row| ids.push(row.id)));
    let expected: Vec<u64> = (1..=5_010).filter(|id| shard_of(*id) == 2).collect();
    assert_eq!(ids, expected);
    let page = Page { limit: 2, offset: 1, descending: true, ..Page::default() };
    let of = |project, status: Option<JobStatus>| {
        let status = status.map(|status| (status, START));
        let filter = jobs::Filter { project, status, ..jobs::Filter::default() };
        let (total, list) = state.read(|c| jobs::list(c, &filter, &page));
        (total, list.iter().map(|job| job.id).collect::<Vec<_>>())
    };
    assert_eq!(of(None, None), (5_010, vec![5_009, 5_008]));
    assert_eq!(of(Some(1), None), (5_000, vec![4_999, 4_998]));
    assert_eq!(of(Some(2), Some(JobStatus::Active)), (10, vec![5_009, 5_008]));
    assert_eq!(of(None, Some(JobStatus::Inactive)), (0, vec![]));
    let members = Members::from_sorted([3, 4, 4_999, 99_999]);
    let payloads = state.read(|c| jobs::payloads(c, &members, usize::MAX).map(|(found, _)| found));
    let data: Vec<_> = payloads.iter().map(|p| (p.id, p.data.as_str())).collect();
    assert_eq!(data, [(3, "data 2"), (4, "data 3"), (4_999, "data 4998")]);
}
