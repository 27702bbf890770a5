//! Projects, jobs, large requests, credentials, nodes.

use super::*;
use crate::command::{JobAction, JobEdit, ProjectAction, ProjectEdit};
use crate::model::credential::Credential;
use crate::model::target::ProjectPause;
use crate::model::task::TaskState;
use crate::store::{Page, credentials, definitions, jobs, meta, nodes, plans, projects, tasks};

fn project(name: &str) -> Command {
    Command::CreateProject(NewProject {
        name: name.into(),
        description: "d".into(),
        by: None,
        ..NewProject::default()
    })
}

fn edit(id: u64, definition: JobDefinition, status: JobStatus) -> Command {
    Command::UpdateJob(JobEdit {
        id,
        definition,
        data: "new".into(),
        status,
        by: Some("me".into()),
        ..JobEdit::default()
    })
}

#[test]
fn a_cluster_is_born_once() {
    let mut state = ApplyFixture::unborn();
    state.done(Command::Init { cluster: 7 });
    assert!(state.change.shards);
    state.now += 5_000;
    assert_eq!(state.done(Command::Init { cluster: 8 }), Outcome::Done);
    assert_eq!(state.read(meta::cluster_id), Some(7));
    assert_eq!(state.read(meta::born), Some(START));
    let shards = state.read(crate::store::shards::all);
    assert_eq!((shards.len(), shards[63].id, shards[63].watermark), (64, 63, START));
}

#[test]
fn log_time_never_goes_back() {
    let mut state = ApplyFixture::new();
    state.now = START - 10_000;
    let id = state.jobs(every_minute(), 1);
    assert_eq!(state.read(|c| jobs::get(c, id)).unwrap().created, START);
    assert_eq!(state.change.stamp, START);
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
fn staged_jobs_appear_all_at_once() {
    let mut state = ApplyFixture::new();
    assert_eq!(
        state.done(create(5, every_minute(), 3, true)),
        Outcome::Jobs { request: 5, jobs: vec![] }
    );
    state.done(create(6, every_minute(), 1, false));
    state.done(create(5, every_minute(), 2, true));
    assert_eq!((state.count("jobs"), state.count("shapes")), (1, 1));
    assert_eq!(state.read(|c| tasks::get(c, 5)).unwrap().state, TaskState::InProgress);
    state.now = START + 4_300;
    let activate = Command::ActivateJobs { request: 5 };
    let outcome = Outcome::Jobs { request: 5, jobs: vec![(2, 5)] };
    assert_eq!(state.done(activate.clone()), outcome);
    assert_eq!(state.change.created, [(2, 5)]);
    assert_eq!(state.done(activate), outcome, "twice is once");
    let mut made = Vec::new();
    state.read(|c| {
        jobs::each_of_range(c, 2, 5, |job| {
            made.push(job);
            Ok(true)
        })
    });
    let data: Vec<_> = made.iter().map(|job| job.data.as_str()).collect();
    assert_eq!(data, ["data 0", "data 1", "data 2", "data 0", "data 1"]);
    assert!(made.iter().all(|j| (j.created, j.anchor) == (START + 4_300, START + 5_000)));
    assert_eq!((state.count("staged_jobs"), state.read(|c| projects::job_count(c, 1))), (0, 6));
    assert_eq!(state.refused(&create(5, every_minute(), 1, true)).0, RejectionKind::Conflict);
    assert_eq!(state.refused(&Command::DiscardJobs { request: 5 }).0, RejectionKind::Conflict);
    assert_eq!(state.refused(&Command::ActivateJobs { request: 9 }).0, RejectionKind::NotFound);
}

#[test]
fn staged_jobs_of_a_project_that_went_are_not_activated() {
    let mut state = ApplyFixture::new();
    state.done(create(5, every_minute(), 3, true));
    state.done(Command::DeleteProject { id: 1, cascade: false, expect: None });
    assert_eq!(state.refused(&Command::ActivateJobs { request: 5 }).0, RejectionKind::Invalid);
    state.done(Command::DiscardJobs { request: 5 });
    assert_eq!(state.done(Command::DiscardJobs { request: 5 }), Outcome::Done);
    assert_eq!((state.count("staged_jobs"), state.count("shapes")), (0, 0));
    assert_eq!(state.read(|c| tasks::get(c, 5)).unwrap().state, TaskState::Failed);
    assert_eq!(state.refused(&Command::ActivateJobs { request: 5 }).0, RejectionKind::Conflict);
}

#[test]
fn abandoned_chunks_go_with_a_tick() {
    let mut state = ApplyFixture::new();
    state.done(create(5, every_minute(), 3, true));
    state.now += 3_600_000;
    state.done(Command::Tick);
    assert_eq!(state.count("staged_jobs"), 3);
    state.now += 1;
    state.done(Command::Tick);
    assert_eq!((state.count("staged_jobs"), state.count("shapes")), (0, 0));
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
        let stale = format!("{noun} has changed since: read it again and repeat the change");
        assert_eq!(state.refused(&delete(Some(2))), (RejectionKind::Stale, stale));
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
        let command = Command::decode(&stale.encode().unwrap()).unwrap();
        assert_eq!(command, stale, "it is read back as it was written");
    }
    assert!(matches!(state.done(run(id, Some(2))), Outcome::Run(_)));
    assert_eq!(state.refused(&run(99, Some(1))).0, RejectionKind::NotFound);
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
    assert_eq!(pauses, [ProjectPause { project: 1, from: state.now, until: None }]);
    // What is so already is no change, unless something else is said.
    let version = |state: &ApplyFixture| state.read(|c| projects::get(c, 1)).unwrap().version;
    state.now += 1_000;
    state.done(Command::turn_project(1, ProjectAction::Resume, None));
    assert_eq!(version(&state), 3);
    state.done(Command::turn_project(1, ProjectAction::Resume, None));
    assert_eq!(version(&state), 3);
    state.done(edit(Some(3), "b", Some(ProjectAction::Resume)));
    assert_eq!(version(&state), 4);
    let new = NewProject { name: "q".into(), action: Some(past), ..NewProject::default() };
    assert_eq!(state.refused(&Command::CreateProject(new.clone())).0, RejectionKind::Invalid);
    state.done(Command::CreateProject(NewProject { action: open, ..new }));
    assert_eq!(state.read(|c| projects::pauses(c, 2)).len(), 1);
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

#[test]
fn credentials_are_unique_and_archived_at_once() {
    let mut state = ApplyFixture::new();
    let credential = Credential {
        id: 77,
        api_key: "key".into(),
        verifier: vec![1, 2],
        archived: false,
        created: 0,
        modified: None,
        created_by: None,
        archived_by: None,
        parent: None,
    };
    assert_eq!(state.done(Command::CreateCredential(credential.clone())), Outcome::Created(1));
    assert!(state.change.credentials);
    assert_eq!(state.refused(&Command::CreateCredential(credential)).0, RejectionKind::Conflict);
    let archive = |id| Command::ArchiveCredential { id, archived: true, by: Some("me".into()) };
    state.done(archive(1));
    let found = state.read(|c| credentials::by_key(c, "key")).unwrap();
    assert_eq!((found.archived, found.created), (true, START));
    assert_eq!(found.archived_by.as_deref(), Some("me"));
    let unknown = (RejectionKind::NotFound, "credential cannot be found".to_owned());
    assert_eq!(state.refused(&archive(2)), unknown);
    state.done(Command::DeleteCredential { id: 1 });
    assert_eq!(state.refused(&Command::DeleteCredential { id: 1 }), unknown);
}

#[test]
fn a_node_id_belongs_to_one_data_folder() {
    let mut state = ApplyFixture::new();
    let register = |node, instance| Command::Register { node, instance, replace: false };
    let replace = |instance| Command::Register { node: 2, instance, replace: true };
    state.done(register(2, 5));
    state.done(register(2, 5));
    let mut refused = |command: &Command, why: &str| {
        let (kind, message) = state.refused(command);
        assert!(kind == RejectionKind::Conflict && message.contains(why), "{message}");
    };
    refused(&register(2, 6), "already known with another data folder");
    refused(&replace(6), "already known with another data folder");
    refused(&register(3, 5), "this data folder is node 2's");
    state.done(Command::Drain { node: 2, draining: true });
    assert!(state.read(nodes::all)[0].draining);
    state.done(Command::Retire { node: 2 });
    let gone = state.refused(&Command::Retire { node: 2 });
    assert_eq!(gone, (RejectionKind::NotFound, "there is no node 2".to_owned()));
    let mut refused = |command: &Command, why: &str| {
        let (kind, message) = state.refused(command);
        assert!(kind == RejectionKind::Conflict && message.contains(why), "{message}");
    };
    refused(&replace(5), "this data folder was removed");
    refused(&register(3, 5), "this data folder was removed");
    refused(&register(2, 6), "take an id that was never used, or say --replace");
    let before = state.read(nodes::all)[0].since;
    state.done(replace(6));
    let bound = state.read(nodes::all)[0];
    assert_eq!((bound.node, bound.instance, bound.removed, bound.draining), (2, 6, false, false));
    assert!(bound.since > before);

    state.done(register(4, 8));
    state.done(Command::Recover { node: 4, generation: 77 });
    assert_eq!(state.read(meta::generation), Some(77));
    let left: Vec<_> = state.read(nodes::all).iter().map(|b| (b.node, b.removed)).collect();
    assert_eq!(left, [(2, true), (4, false)]);
}

#[test]
fn only_a_move_that_takes_effect_is_noted() {
    let mut state = ApplyFixture::new();
    let before = state.read(meta::assign_index);
    let stale = Move { shard: 3, to: 2, expects: 0, kind: MoveKind::TakeOver };
    let nowhere = Move { shard: 64, ..stale.clone() };
    assert_eq!(state.done(Command::Assign(vec![stale, nowhere])), Outcome::Assigned(0));
    assert_eq!((state.read(meta::assign_index), state.change.shards), (before, false));
    let good = Move { shard: 3, to: 2, expects: 1, kind: MoveKind::TakeOver };
    assert_eq!(state.done(Command::Assign(vec![good])), Outcome::Assigned(1));
    assert_eq!((state.read(meta::assign_index), state.change.shards), (state.index, true));
}
