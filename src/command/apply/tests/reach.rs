//! Reach: what a key changes, judged against the records and the key as they are where the command
//! takes effect.

use super::accounts::new_account;
use super::*;
use crate::command::{JobAction, JobEdit, ProjectAction, ProjectEdit, REACH_LEVEL, ReshapeJobs};
use crate::model::actor::ActorRef;
use crate::model::credential::Credential;
use crate::model::key_terms::{KeyTerms, TermsEdit};
use crate::model::reach::Reach;
use crate::model::run::{Occurrence, Report};
use crate::model::run_report::{RunReport, Said};
use crate::model::target::Executor;
use crate::store::{credentials, executors, jobs, projects, tasks};

/// The key that is bound to project 1, and the one that reaches all.
const BOUND: u64 = 1;
const WIDE: u64 = 2;

/// Two projects with a job each, an executor, a key that is bound to the first project, and one
/// that reaches all.
struct World {
    state: ApplyFixture,
    own: u64,
    other: u64,
}

impl World {
    fn new() -> Self {
        let mut state = ApplyFixture::new();
        state.done(Command::RaiseLevel { level: REACH_LEVEL });
        state.done(project("q"));
        let bound = KeyTerms { projects: Some(vec![1]), ..KeyTerms::default() };
        for (api_key, terms) in [("bound", bound), ("wide", KeyTerms::default())] {
            let (api_key, verifier) = (api_key.to_owned(), vec![1]);
            let new = Credential { api_key, verifier, terms, ..Credential::default() };
            state.done(Command::CreateCredential(new));
        }
        state.done(Command::CreateExecutor(executor("e")));
        let own = state.jobs(every_minute(), 1);
        let other = state.jobs(JobDefinition { project: 2, ..every_minute() }, 1);
        Self { state, own, other }
    }

    fn ask(&mut self, key: u64, command: &Command) -> Outcome {
        self.state.apply_for(Some(&ActorRef::Client { credential: key }), command)
    }

    /// A refusal of what the bound key asks for, which leaves nothing behind.
    fn refused(&mut self, command: &Command) -> (RejectionKind, String) {
        self.state.apply(&Command::Checksum); // so that log time is this stamp already
        let before = self.state.hash();
        let Outcome::Rejected(why) = self.ask(BOUND, command) else {
            panic!("{command:?} was not refused")
        };
        assert_eq!(self.state.hash(), before, "{command:?}");
        (why.kind, why.message)
    }

    fn edit(&self, job: u64, change: impl FnOnce(&mut JobEdit)) -> Command {
        let mut edit = same(&self.state.job(job), self.state.now);
        edit.expect = None;
        change(&mut edit);
        Command::UpdateJob(Box::new(edit))
    }

    fn exists(&self, job: u64) -> bool {
        self.state.read(|conn| jobs::get(conn, job).map(|found| found.is_some()))
    }
}

fn project(name: &str) -> Command {
    Command::CreateProject(NewProject { name: name.into(), ..NewProject::default() })
}

fn executor(name: &str) -> Executor {
    let (name, kind) = (name.to_owned(), "webhook_url".to_owned());
    Executor { name, kind, webhook_url: "http://receiver/a".into(), ..Executor::default() }
}

/// The commands that name one record, for a job and a project: the same for those of another
/// project and for ids that never were.
fn named(job: u64, project: u64) -> Vec<Command> {
    let of = Occurrence { job, scheduled: START + 60_000, run: 0 };
    let edit = ProjectEdit { id: project, description: Some("x".into()), ..ProjectEdit::default() };
    let new = JobDefinition { project, ..every_minute() };
    vec![
        Command::DeleteJob { id: job, expect: None },
        Command::RunJob { id: job, forced: false },
        Command::RunJob { id: job, forced: false }.for_version(job, Some(1)),
        Command::TerminateJob { id: job, reschedule: None, reason: None },
        Command::ReportRun { occurrence: of, report: Report::Complete },
        Command::ReportRun { occurrence: of, report: Report::Cancel },
        Command::UpdateProject(edit),
        Command::project_action(project, ProjectAction::Pause { until: None }, None),
        Command::DeleteProject { id: project, cascade: true, expect: None },
        create(900, new.clone(), 1, false),
        create(901, new, 1, true),
    ]
}

#[test]
fn what_another_project_has_is_refused_as_what_never_was() {
    let mut world = World::new();
    world.ask(WIDE, &Command::RunJob { id: world.other, forced: false });
    let other = named(world.other, 2);
    for (of_other, never) in other.into_iter().zip(named(9_999, 99)) {
        let (kind, message) = world.refused(&of_other);
        let (never_kind, never) = world.refused(&never);
        let message = message.replace(" 2 ", " ID ");
        assert_eq!((kind, message), (never_kind, never.replace(" 99 ", " ID ")), "{of_other:?}");
        assert!(matches!(kind, RejectionKind::NotFound | RejectionKind::Invalid), "{of_other:?}");
    }
    // A client's id that is taken there is no conflict here.
    let new =
        |external_id: &str| NewJob { external_id: Some(external_id.into()), ..NewJob::default() };
    let there = JobDefinition { project: 2, ..every_minute() };
    world.state.done(request(70, there.clone(), vec![new("x")], false));
    let refused = world.refused(&request(71, there, vec![new("x")], false));
    assert_eq!(refused, (RejectionKind::Invalid, "project with id 2 does not exist".into()));
    // What is in reach is changed.
    let own = world.own;
    assert!(matches!(
        world.ask(BOUND, &Command::RunJob { id: own, forced: false }),
        Outcome::Run(_)
    ));
    assert!(matches!(world.ask(BOUND, &create(7, every_minute(), 2, false)), Outcome::Jobs { .. }));
    let edit = world.edit(own, |edit| edit.data = "new".into());
    assert_eq!(world.ask(BOUND, &edit), Outcome::Done);
}

#[test]
fn of_many_records_those_in_reach_are_changed() {
    let mut world = World::new();
    let (own, other) = (world.own, world.other);
    let both = vec![(own, 1), (other, 1)];
    let pause = JobAction::Pause { until: None };
    let paused = Command::ChangeJobs { jobs: both.clone(), action: pause, by: None };
    assert_eq!(world.ask(BOUND, &paused), Outcome::Changed(1));
    assert_eq!(world.state.job(own).status, JobStatus::Inactive);
    assert_eq!(world.state.job(other).status, JobStatus::Active);
    let reshape = ReshapeJobs {
        definitions: Vec::new(),
        jobs: both.clone(),
        data: Some("x".into()),
        by: None,
    };
    let Outcome::Reshaped(done) = world.ask(BOUND, &Command::ReshapeJobs(Box::new(reshape))) else {
        panic!("it was refused")
    };
    assert_eq!(done.moved, [own], "the other one is not even counted");
    // Dead letters of both projects.
    let dead = |project, job| AttemptRecord { project, ..record([job], Verdict::Dead) };
    let records = vec![dead(1, own), dead(2, other)];
    world.state.done(journal_batch(1, 1, 1, records));
    let ids: Vec<u64> = world.state.read(|conn| {
        conn.prepare("SELECT id FROM dead_letters ORDER BY project")?
            .query_map([], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))?
            .collect()
    });
    assert_eq!(ids.len(), 2);
    let letters = ids.iter().map(|id| (*id, START)).collect();
    assert_eq!(world.ask(BOUND, &Command::ReplayDeadLetters { letters }), Outcome::Changed(1));
    assert_eq!(
        world.ask(BOUND, &Command::PurgeDeadLetters { letters: ids }),
        Outcome::Changed(0),
        "the own one is replayed, the other one is out of reach"
    );
    assert_eq!(world.state.count("dead_letters"), 1);
    let deleted = Command::ChangeJobs { jobs: both, action: JobAction::Delete, by: None };
    assert_eq!(world.ask(BOUND, &deleted), Outcome::Changed(1));
    assert!(!world.exists(own) && world.exists(other));
    let report = |job| RunReport {
        occurrence: Occurrence { job, scheduled: START, run: 0 },
        attempt: 1,
        worker: String::new(),
        said: Said::Cancelled,
    };
    let reports = vec![report(other), report(9_999)];
    let Outcome::Reports(told) = world.ask(BOUND, &Command::ReportRuns { reports }) else {
        panic!("it was refused")
    };
    assert_eq!(told[0], told[1], "as of a run that never was");
}

#[test]
fn a_job_that_moves_while_a_write_is_under_way_is_judged_where_the_write_takes_effect() {
    let mut world = World::new();
    let (own, other) = (world.own, world.other);
    // The request was checked while the job was in reach; then somebody moves it away.
    let edit = world.edit(own, |edit| edit.data = "late".into());
    let away = world.edit(own, |edit| edit.definition.project = 2);
    assert_eq!(world.ask(WIDE, &away), Outcome::Done);
    assert_eq!(world.refused(&edit).0, RejectionKind::NotFound);
    assert_eq!(
        world.refused(&Command::DeleteJob { id: own, expect: None }).1,
        "job cannot be found"
    );
    // What it had before is a dead letter of the first project, and would run in the second one.
    let dead = record([own], Verdict::Dead);
    world.state.done(journal_batch(1, 1, 1, vec![dead]));
    let id = world
        .state
        .read(|conn| conn.query_row("SELECT id FROM dead_letters", [], |row| row.get::<_, i64>(0)));
    let letters = vec![(id.cast_unsigned(), START)];
    assert_eq!(world.ask(BOUND, &Command::ReplayDeadLetters { letters }), Outcome::Changed(0));
    // And the other way round.
    let here = world.edit(other, |edit| edit.definition.project = 1);
    assert_eq!(world.ask(WIDE, &here), Outcome::Done);
    let edit = world.edit(other, |edit| edit.data = "mine now".into());
    assert_eq!(world.ask(BOUND, &edit), Outcome::Done);
    // A key moves no job to where it does not reach, as to a project that does not exist.
    let there = world.edit(other, |edit| edit.definition.project = 2);
    let nowhere = world.edit(other, |edit| edit.definition.project = 99);
    let (there, nowhere) = (world.refused(&there), world.refused(&nowhere));
    assert_eq!(there, (RejectionKind::Invalid, "project with id 2 does not exist".into()));
    assert_eq!(nowhere.1, "project with id 99 does not exist");
}

#[test]
fn a_key_that_is_narrowed_or_gone_meanwhile_changes_no_more_than_it_may_now() {
    let mut world = World::new();
    let other = world.other;
    let narrow = KeyTerms { projects: Some(vec![1]), ..KeyTerms::default() };
    let edit = TermsEdit { from: KeyTerms::default(), to: narrow, archived: None };
    world.state.done(Command::ChangeCredential { id: WIDE, edit: Box::new(edit), by: None });
    let run = Command::RunJob { id: other, forced: false };
    let Outcome::Rejected(why) = world.ask(WIDE, &run) else { panic!("it was carried out") };
    assert_eq!(why.kind, RejectionKind::NotFound);
    world.state.done(Command::DeleteCredential { id: WIDE });
    let Outcome::Rejected(why) = world.ask(WIDE, &run) else { panic!("it was carried out") };
    assert_eq!(why.kind, RejectionKind::Forbidden);
    assert!(why.message.contains("archived or deleted meanwhile"), "{}", why.message);
}

#[test]
fn a_bound_key_makes_no_projects_and_changes_no_executors() {
    let mut world = World::new();
    for (command, part) in [
        (project("new"), "create projects"),
        (Command::CreateExecutor(executor("f")), "create executors"),
        (Command::UpdateExecutor { id: 1, expect: None, executor: executor("e") }, "change exec"),
        (Command::DeleteExecutor { id: 1, expect: None }, "change executors"),
        (Command::Checksum, "administer"),
        (Command::Retain { before: 0, dead_letters: 0, limit: 1 }, "administer"),
    ] {
        let (kind, message) = world.refused(&command);
        assert_eq!(kind, RejectionKind::Forbidden, "{command:?}");
        assert!(message.contains("bound to project 1") && message.contains(part), "{message}");
    }
    let missing = Command::DeleteExecutor { id: 77, expect: None };
    let Outcome::Rejected(why) = world.ask(WIDE, &missing) else { panic!("it was done") };
    assert_eq!(why.message, "executor does not exist");
}

#[test]
fn an_account_is_out_of_reach_of_another() {
    let mut world = World::new();
    let second = Reach::of_account(2);
    assert_eq!(world.state.done(new_account("second")), Outcome::Created(2));
    // An operator makes things for an account; names are free in each account by itself.
    let Outcome::Created(its) = world.state.done(project("p").within(&second)) else { panic!() };
    let made = world.state.done(Command::CreateExecutor(executor("e")).within(&second));
    assert_eq!(made, Outcome::Created(2));
    assert_eq!(world.state.refused(&project("p").within(&second)).0, RejectionKind::Conflict);
    let of = |state: &ApplyFixture, id| {
        state.read(|conn| Ok((projects::account(conn, id)?, executors::account(conn, id)?)))
    };
    assert_eq!(of(&world.state, its).0, Some(2));
    assert_eq!(of(&world.state, 2), (Some(1), Some(2)));
    let (api_key, verifier) = ("second".to_owned(), vec![1]);
    let new = Credential { api_key, verifier, ..Credential::default() };
    let made = world.state.done(Command::CreateCredential(new).within(&second));
    let Outcome::Created(key) = made else { panic!() };
    assert_eq!(world.state.read(|conn| credentials::reach(conn, key)), Some(second.clone()));

    // Each key sees its own account only, though both reach all projects.
    let definition = |project, executor| JobDefinition { project, executor, ..every_minute() };
    for (who, project, executor, wanted) in [
        (key, its, Some(2), None),
        (key, 1, None, Some("project with id 1 does not exist")),
        (key, its, Some(1), Some("executor with id 1 does not exist")),
        (WIDE, its, None, Some("project with id 3 does not exist")),
        (WIDE, 1, Some(2), Some("executor with id 2 does not exist")),
        (WIDE, 1, Some(1), None),
    ] {
        let request = 5_000 + u128::from(who * 100 + project * 10 + executor.unwrap_or(0));
        let new = create(request, definition(project, executor), 1, false);
        match (world.ask(who, &new), wanted) {
            (Outcome::Jobs { .. }, None) => {}
            (Outcome::Rejected(why), Some(wanted)) => assert_eq!(why.message, wanted),
            (other, _) => panic!("{who} {project}: {other}"),
        }
    }
    let (own, delete) = (world.own, |id| Command::DeleteJob { id, expect: None });
    let Outcome::Rejected(why) = world.ask(key, &delete(own)) else { panic!("it was deleted") };
    assert_eq!(why.kind, RejectionKind::NotFound);
    let update = Command::UpdateExecutor { id: 1, expect: None, executor: executor("x") };
    let Outcome::Rejected(why) = world.ask(key, &update) else { panic!("it was changed") };
    assert_eq!(why.kind, RejectionKind::NotFound);
    // Nobody, an operator neither, gives a job an executor of another account.
    let (_, message) = world.state.refused(&create(8, definition(1, Some(2)), 1, false));
    assert_eq!(message, "executor with id 2 is of another account than the project");
    // A token reaches the first account; what a key makes is of its own.
    let [issuer, subject, name] = ["i", "s", "n"].map(str::to_owned);
    let token = ActorRef::Token { issuer, subject, name };
    let archive = Command::ArchiveCredential { id: key, archived: true, by: None };
    let Outcome::Rejected(why) = world.state.apply_for(Some(&token), &archive) else { panic!() };
    assert_eq!(why.message, "credential cannot be found");
    let (api_key, verifier) = ("child".to_owned(), vec![1]);
    let child = Credential { api_key, verifier, ..Credential::default() };
    let made = world.ask(key, &Command::CreateCredential(child));
    let Outcome::Created(child) = made else { panic!("{made}") };
    assert_eq!(world.state.read(|conn| credentials::account(conn, child)), Some(2));
}

#[test]
fn below_the_level_nothing_is_limited_and_tasks_name_no_projects() {
    let mut state = ApplyFixture::new();
    state.done(Command::RaiseLevel { level: REACH_LEVEL - 1 });
    let gone = ActorRef::Client { credential: 77 };
    let made = state.apply_for(Some(&gone), &create(5, every_minute(), 1, false));
    assert!(matches!(made, Outcome::Jobs { .. }), "as programs of that level do it: {made}");
    let task = |state: &ApplyFixture, request| {
        let id = state.read(|conn| tasks::get(conn, request)).unwrap().id;
        state.read(|conn| tasks::projects(conn, id))
    };
    assert_eq!(task(&state, 5), None);
    state.done(Command::RaiseLevel { level: REACH_LEVEL });
    state.done(project("q"));
    state.done(create(6, JobDefinition { project: 2, ..every_minute() }, 1, true));
    state.done(create(6, every_minute(), 1, true));
    assert_eq!(task(&state, 6), Some(vec![1, 2]), "of all its chunks");
    state.done(Command::ActivateJobs { request: 6 });
    assert_eq!(task(&state, 6), Some(vec![1, 2]));
}
