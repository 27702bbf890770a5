//! The forms of proposals: each command reads back from each version, and the bytes of a version do
//! not change.

use std::collections::BTreeSet;

use super::codec::{ACTOR_LEVEL, Error, ORIGIN_LEVEL};
use super::{
    Command, CreateJobs, DefinitionEdit, JobAction, JobEdit, LEVEL, NewJob, NewProject,
    ProjectEdit, Proposal, ReshapeJobs,
};
use crate::model::actor::ActorRef;
use crate::model::attempt::{
    AttemptRecord, JournalBatch, JournalEntry, Occurrences, SkipReason, Verdict, Watermark,
};
use crate::model::audit::AuditNote;
use crate::model::credential::{Credential, KeyUse};
use crate::model::delivery::{Overlap, Retry};
use crate::model::job::JobDefinition;
use crate::model::key_terms::{KeyTerms, TermsEdit};
use crate::model::members::Members;
use crate::model::offer::{Offer, RunProgress, Taken};
use crate::model::project::ProjectSettings;
use crate::model::reach::Reach;
use crate::model::result_code::ResultCode;
use crate::model::run::{BeginRun, Occurrence, Phase, Report};
use crate::model::run_report::{RunReport, Said};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::shard::{Move, MoveKind};
use crate::model::target::Executor;
use crate::model::template_ref::TemplateRef;

const BELOW: u32 = ACTOR_LEVEL - 1;
const OCCURRENCE: Occurrence = Occurrence { job: 5, scheduled: -7, run: 2 };

fn credential() -> Credential {
    Credential {
        api_key: "key".into(),
        verifier: vec![1, 255],
        modified: Some(-3),
        created_by: Some("ä \"me\"".into()),
        ..Credential::default()
    }
}

fn record(result: ResultCode) -> AttemptRecord {
    let members = Members::from_sorted([3, 4, 900]);
    let occurrences =
        Occurrences { project: 1, shard: 63, epoch: 300, due: 9, scheduled: 8, members };
    AttemptRecord { result, ..AttemptRecord::attempt(occurrences, Verdict::Retry { at: 70 }) }
}

fn batch(result: ResultCode) -> JournalBatch {
    let watermarks = vec![Watermark { shard: 63, epoch: 300, at: i64::MAX }];
    let entries = vec![JournalEntry::Attempt(record(result)), JournalEntry::Watermarks(watermarks)];
    JournalBatch { node: 2, incarnation: u128::MAX, first: 9, entries }
}

/// A command of each variant.
pub(super) fn samples() -> Vec<Command> {
    let by = || Some("me".to_owned());
    let new = NewProject { name: "p".into(), by: by(), ..NewProject::default() };
    let jobs = CreateJobs {
        request: 7,
        definitions: vec![JobDefinition::default(), JobDefinition::default()],
        jobs: vec![NewJob { definition: 1, data: "{}".into(), ..NewJob::default() }],
        staged: true,
    };
    let begin = BeginRun {
        occurrence: OCCURRENCE,
        project: 1,
        shard: 63,
        node: 2,
        epoch: 300,
        due: 9,
        attempt: 1,
        pending: Some(4),
        overlap: Overlap::Skip,
        timeout: 30_000,
        retry: Retry { max: 1, delay: 60_000, factor: 1_000, max_delay: 60_000 },
    };
    let edit =
        ProjectEdit { id: 1, settings: Some(ProjectSettings::default()), ..ProjectEdit::default() };
    let command = || Box::new(Command::RunJob { id: 8, forced: true });
    let (key, body) = ([250; 32], [3; 32]);
    let to = |kind| Move { shard: 3, to: 2, expects: 200, kind };
    vec![
        Command::Init { cluster: u128::MAX },
        Command::Tick,
        Command::CreateProject(new),
        Command::UpdateProject(edit),
        Command::DeleteProject { id: 1, cascade: true, expect: Some(300) },
        Command::CreateJobs(jobs),
        Command::ActivateJobs { request: 7 },
        Command::DiscardJobs { request: 7 },
        Command::UpdateJob(Box::new(JobEdit { id: 5, by: by(), ..JobEdit::default() })),
        Command::DeleteJob { id: 5, expect: None },
        Command::CreateCredential(credential()),
        Command::ArchiveCredential { id: 3, archived: true, by: by() },
        Command::DeleteCredential { id: 3 },
        Command::Assign(vec![to(MoveKind::TakeOver), to(MoveKind::HandOver { until: 5 })]),
        Command::Record(batch(ResultCode::Http(503))),
        Command::Register { node: 3, instance: 4, replace: true },
        Command::Checksum,
        Command::Retain { before: 4, dead_letters: -4, limit: 1_000 },
        Command::Once { key, body, command: command() },
        Command::ChangeJobs { jobs: vec![(5, 300)], action: JobAction::Resume, by: by() },
        Command::RunJob { id: 8, forced: false },
        Command::CreateExecutor(Executor::default()),
        Command::UpdateExecutor { id: 1, expect: Some(2), executor: Executor::default() },
        Command::DeleteExecutor { id: 1, expect: Some(2) },
        Command::BeginRun(begin),
        Command::ReportRun { occurrence: OCCURRENCE, report: Report::Heartbeat },
        Command::Expire { limit: 9 },
        Command::ReplayDeadLetters { letters: vec![(5, 6)] },
        Command::PurgeDeadLetters { letters: vec![5, 6] },
        Command::Conclude { answer: "{}".into() },
        Command::Retire { node: 3 },
        Command::Drain { node: 3, draining: true },
        Command::Recover { node: 3, generation: 4 },
        Command::ForVersion { job: 8, version: 300, command: command() },
        Command::ByClient { client: 300, command: command() },
        Command::RaiseLevel { level: 3 },
        Command::ReportRuns { reports: vec![report()] },
        Command::PutTemplate { id: 3, expect: Some(2), template: Box::default() },
        Command::DeleteTemplate { id: 3, expect: None, terminate: true, limit: 500 },
        Command::TerminateJob { id: 5, reschedule: Some(false), reason: Some("ä".into()) },
        Command::EndSessions { credential: Some(7) },
        Command::ReshapeJobs(Box::new(reshape())),
        Command::ChangeCredential { id: 3, edit: Box::new(terms_edit()), by: by() },
        Command::RotateCredential { id: 3, verifier: vec![1, 255], overlap: 300 },
        Command::TouchCredentials(vec![KeyUse { id: 3, hour: 500_000, from: None }]),
        Command::Tick.within(&Reach::of_projects(2, Some(&[7, 300]))),
        Command::CreateAccount(Box::default()),
        Command::UpdateAccount { id: 300, expect: Some(2), edit: Box::default() },
        Command::DeleteAccount { id: 300, expect: None },
        Command::GrantExecutions { id: 300, count: 70_000 },
        Command::Note(AuditNote::about("fetch", "backup", 7).with("file", "ä")),
        Command::RetainAudit { before: -4, most_bytes: 1 << 40, limit: 1_000 },
        Command::EndSession { session: u64::MAX, expires: 300 },
    ]
}

fn terms_edit() -> TermsEdit {
    let allowed = vec!["10.0.0.0/8".parse().unwrap()];
    let to = KeyTerms { name: Some("ä".into()), allowed, ..KeyTerms::default() };
    TermsEdit { from: KeyTerms::default(), to, archived: Some(true) }
}

fn reshape() -> ReshapeJobs {
    let edit = DefinitionEdit { from: 9, to: JobDefinition::default(), at: Some(-7), again: true };
    let (definitions, jobs) = (vec![edit], vec![(5, 300)]);
    ReshapeJobs { definitions, jobs, data: Some("ä".into()), by: None }
}

fn report() -> RunReport {
    let said = Said::Failed { error: Some("ä".into()), retry: true };
    RunReport { occurrence: OCCURRENCE, attempt: 3, worker: "w".into(), said }
}

/// The entries of runs that workers perform.
fn entries_of_workers() -> Vec<JournalEntry> {
    let retry = Retry { max: 1, delay: 60_000, factor: 1_000, max_delay: 60_000 };
    let offer = Offer {
        project: 1,
        shard: 63,
        epoch: 300,
        due: 9,
        scheduled: 8,
        run: 2,
        attempt: 3,
        pending: Some(4),
        members: Members::from_sorted([3, 4, 900]),
        terms: RunTerms::new(BusKind::Embedded, 7, retry),
    };
    let (phase, worker, started) = (Phase::Running, "w".into(), 10);
    let taken = Taken { offer: offer.clone(), phase, worker, started };
    let message = Some("half".into());
    let progress = RunProgress { occurrence: OCCURRENCE, attempt: 3, progress: Some(50), message };
    vec![
        JournalEntry::Offered(offer),
        JournalEntry::Taken(taken),
        JournalEntry::Progress(vec![progress]),
    ]
}

/// Commands that wrap others, as the api makes them.
pub(super) fn wrapped() -> Vec<Command> {
    let once = |command| Command::Once { key: [1; 32], body: [2; 32], command: Box::new(command) };
    let new = || Command::CreateCredential(credential());
    vec![
        once(new()),
        new().by_client(Some(300)),
        once(new().by_client(Some(300))),
        once(Command::DeleteCredential { id: 4 }.by_client(Some(1))),
        once(Command::RunJob { id: 8, forced: false }.for_version(8, Some(2))),
    ]
}

fn token() -> ActorRef {
    let [issuer, subject, name] = ["https://i", "s", "n"].map(str::to_owned);
    ActorRef::Token { issuer, subject, name }
}

pub(super) fn actors() -> [Option<ActorRef>; 5] {
    let client = ActorRef::Client { credential: 300 };
    let node = ActorRef::Node { node: 2 };
    [None, Some(ActorRef::Operator), Some(client), Some(node), Some(token())]
}

#[test]
fn each_command_has_a_sample() {
    let source = include_str!("names.rs");
    let names = source.lines().filter_map(|line| line.split_once("=> \"")?.1.strip_suffix("\","));
    let sampled: BTreeSet<_> = samples().iter().map(Command::name).collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), sampled);
}

#[test]
fn each_command_reads_back_from_either_version_and_only_the_newer_has_its_actor() {
    for command in samples().into_iter().chain(wrapped()) {
        for actor in actors() {
            let proposal = Proposal { actor, ..Proposal::from(command.clone()) };
            for level in [ACTOR_LEVEL, ORIGIN_LEVEL] {
                let newer = proposal.encode(level).unwrap();
                assert_eq!((newer[0], &Proposal::decode(&newer).unwrap()), (3, &proposal));
            }
            for level in [0, 1, BELOW] {
                let older = proposal.encode(level).unwrap();
                let read = Proposal::decode(&older).unwrap();
                assert_eq!((older[0], read), (2, Proposal::from(command.clone())));
            }
        }
    }
}

#[test]
fn a_command_of_version_2_is_as_the_program_of_level_2_wrote_it() {
    // Only a new credential has another form now.
    for command in samples() {
        let older = Proposal::from(command.clone()).encode(BELOW).unwrap();
        let same = postcard::to_extend(&command, vec![2]).unwrap();
        let differs = matches!(command, Command::CreateCredential(_));
        assert_eq!(older != same, differs, "{}", command.name());
    }
    let new = Command::CreateCredential(credential());
    let mut expected = vec![10, 0, 3, b'k', b'e', b'y', 2, 1, 255, 0, 0, 1, 5, 1, 7];
    expected.extend("ä \"me\"".bytes());
    expected.push(0);
    let bytes = |command: Command| Proposal::from(command).encode(BELOW).unwrap();
    assert_eq!(bytes(new.clone()), [&[2], &expected[..]].concat());
    let within_reach = [&[34, 0xac, 2], &expected[..]].concat();
    assert_eq!(bytes(new.clone().by_client(Some(300))), [&[2], &within_reach[..]].concat());
    let once =
        Command::Once { key: [7; 32], body: [8; 32], command: Box::new(new.by_client(Some(300))) };
    let expected = [&[2, 18], &[7; 32][..], &[8; 32][..], &within_reach[..]].concat();
    assert_eq!(bytes(once), expected);
}

#[test]
fn the_bytes_of_version_3_do_not_change() {
    let bytes = |proposal: Proposal| proposal.encode(ACTOR_LEVEL).unwrap();
    assert_eq!(*bytes(Command::Tick.into()), [3, 0, 1]);
    assert_eq!(*bytes(Command::Tick.asked_by(ActorRef::Operator)), [3, 1, 0, 1]);
    let client = ActorRef::Client { credential: 300 };
    assert_eq!(*bytes(Command::Tick.asked_by(client)), [3, 1, 1, 0xac, 2, 1]);
    assert_eq!(*bytes(Command::Tick.asked_by(ActorRef::Node { node: 2 })), [3, 1, 2, 2, 1]);
    let named = [&[3, 1, 3, 9][..], b"https://i", &[1], b"s", &[1], b"n", &[1]].concat();
    assert_eq!(*bytes(Command::Tick.asked_by(token())), named);
    let text = r#"{"id":0,"api_key":"key","verifier":[1,255],"archived":false,"created":0,"modified":-3,"created_by":"ä \"me\"","archived_by":null}"#;
    let expected = [&[3, 0, 10, 130, 1], text.as_bytes()].concat();
    assert_eq!(bytes(Command::CreateCredential(credential()).into()), expected);
}

#[test]
fn a_credential_with_fields_of_a_later_version_is_read() {
    let text = r#"{"id":0,"api_key":"key","verifier":[],"archived":false,"created":0,"expires":5}"#;
    let bytes = postcard::to_extend(&(10_u32, text), vec![3, 0]).unwrap();
    let read = Proposal::decode(&bytes).unwrap().command;
    let Command::CreateCredential(read) = read else { panic!("{read:?}") };
    assert_eq!((read.api_key.as_str(), read.modified, read.created_by), ("key", None, None));
}

#[test]
fn the_bytes_of_the_terms_of_a_key_do_not_change() {
    let edit = Command::ChangeCredential { id: 300, edit: Box::new(terms_edit()), by: None };
    let text = r#"{"from":{},"to":{"name":"ä","allowed":["10.0.0.0/8"]},"archived":true}"#;
    let bytes = |command: Command| Proposal::from(command).encode(LEVEL).unwrap();
    let expected = [&[3, 0, 42, 0xac, 2, 71], text.as_bytes(), &[0]].concat();
    assert_eq!(text.len(), 71);
    assert_eq!(bytes(edit), expected);
    let rotate = Command::RotateCredential { id: 300, verifier: vec![7], overlap: 2 };
    assert_eq!(*bytes(rotate), [3, 0, 43, 0xac, 2, 1, 7, 4]);
    let from = Some("::1".parse().unwrap());
    let touch = Command::TouchCredentials(vec![KeyUse { id: 3, hour: 5, from }]);
    let text = r#"[{"id":3,"hour":5,"from":"::1"}]"#;
    assert_eq!(bytes(touch), [&[3, 0, 44, 32], text.as_bytes()].concat());
    // A new credential with terms has them at its end.
    let new = Credential { terms: terms_edit().to, ..credential() };
    let written = bytes(Command::CreateCredential(new.clone()));
    let end = r#""archived_by":null,"terms":{"name":"ä","allowed":["10.0.0.0/8"]}}"#;
    assert!(written.ends_with(end.as_bytes()));
    let read = Proposal::decode(&written).unwrap().command;
    assert_eq!(read, Command::CreateCredential(new));
}

#[test]
fn a_result_of_a_newer_kind_needs_its_level() {
    let level = |result| Command::Record(batch(result)).level();
    assert_eq!([level(ResultCode::None), level(ResultCode::Http(503))], [1; 2]);
    for newer in [ResultCode::Amqp(0), ResultCode::Exit(1)] {
        assert_eq!(level(newer), ACTOR_LEVEL);
        let proposal = Proposal::from(Command::Record(batch(newer)));
        let read = Proposal::decode(&proposal.encode(ACTOR_LEVEL).unwrap()).unwrap();
        assert_eq!(read, proposal);
    }
}

#[test]
fn the_bytes_of_what_is_said_of_workers_runs_do_not_change() {
    let text = |text: &str| postcard::to_stdvec(text).unwrap();
    let reports = r#"[{"occurrence":{"job":5,"scheduled":-7,"run":2},"attempt":3,"worker":"w","said":{"failed":{"error":"ä","retry":true}}}]"#;
    let bytes = Proposal::from(Command::ReportRuns { reports: vec![report()] }).encode(4).unwrap();
    assert_eq!(*bytes, [&[3, 0, 36][..], &text(reports)].concat());
    let terms = r#"{"bus":"embedded","executor":7,"cancel_timeout":60000,"retry":{"max":1,"delay":60000,"factor":1000,"max_delay":60000},"retry_on":{"lost":true,"failed":true,"timeout":true}}"#;
    let members = [3, 1, 0xff, 6, 0];
    let offer =
        [&[1, 63, 0xac, 2, 18, 16, 2, 3, 1, 4, members.len() as u8][..], &members, &text(terms)];
    let offer = offer.concat();
    let progress = r#"[{"occurrence":{"job":5,"scheduled":-7,"run":2},"attempt":3,"progress":50,"message":"half"}]"#;
    let expected = [
        [&[2], &offer[..]].concat(),
        [&[3], &offer[..], &[1, 1, b'w', 20]].concat(),
        [&[4][..], &text(progress)].concat(),
    ];
    for (entry, bytes) in entries_of_workers().into_iter().zip(expected) {
        assert_eq!(postcard::to_stdvec(&entry).unwrap(), bytes, "{entry:?}");
        assert_eq!(postcard::from_bytes::<JournalEntry>(&bytes).unwrap(), entry);
    }
}

#[test]
fn what_is_said_of_workers_runs_needs_its_level() {
    use SkipReason::{NotStarted, QueueFull, Quota};

    for entry in entries_of_workers() {
        let batch = JournalBatch { node: 2, incarnation: 1, first: 9, entries: vec![entry] };
        assert_eq!(Command::Record(batch).level(), 4);
    }
    assert_eq!(Command::ReportRuns { reports: vec![] }.level(), 4);
    let begin = samples().into_iter().find_map(|command| match command {
        Command::BeginRun(begin) => Some(begin),
        _ => None,
    });
    let begin = begin.unwrap();
    assert_eq!(Command::BeginRun(begin.clone()).level(), 1);
    let overlap = Overlap::Queue { most: 3 };
    assert_eq!(Command::BeginRun(BeginRun { overlap, ..begin }).level(), 4);
    for (reason, level) in [(QueueFull, 4), (NotStarted, 4), (Quota, 7)] {
        let skipped =
            AttemptRecord { verdict: Verdict::Skipped(reason), ..record(ResultCode::None) };
        let entries = vec![JournalEntry::Attempt(skipped)];
        let batch = JournalBatch { node: 2, incarnation: 1, first: 9, entries };
        assert_eq!(Command::Record(batch).level(), level);
    }
}

#[test]
fn templates_and_their_instances_need_their_level() {
    let of = TemplateRef { id: 3, version: 2 };
    let instance = JobDefinition { template: Some(of), ..JobDefinition::default() };
    let (request, jobs) = (1, vec![NewJob::default()]);
    let new = CreateJobs { request, definitions: vec![instance], jobs, staged: false };
    let named =
        ["put_template", "delete_template", "terminate_job", "end_sessions", "reshape_jobs"];
    let of_level = samples().into_iter().filter(|command| named.contains(&command.name()));
    for command in of_level.chain([Command::CreateJobs(new)]) {
        assert_eq!(command.level(), 5, "{}", command.name());
    }
    let end = Command::TerminateJob { id: 5, reschedule: None, reason: None };
    assert_eq!(*Proposal::from(end).encode(5).unwrap(), [3, 0, 39, 5, 0, 0]);
}

#[test]
fn an_edit_of_many_needs_its_level_and_is_carried_as_json() {
    let command = Command::ReshapeJobs(Box::new(reshape()));
    assert_eq!(command.level(), 5);
    let none = Command::ReshapeJobs(Box::default());
    assert_eq!(none.level(), 5, "also one that edits nothing");
    let text = postcard::to_stdvec(r#"{"definitions":[],"jobs":[]}"#).unwrap();
    assert_eq!(*Proposal::from(none).encode(5).unwrap(), [&[3, 0, 41][..], &text].concat());
}

#[test]
fn bytes_that_are_no_proposal_are_refused() {
    assert!(matches!(Proposal::decode(&[99, 0]), Err(Error::Version(99))));
    let short = [&[][..], &[2], &[2, 99], &[3], &[3, 0], &[3, 2, 1], &[4]];
    for broken in short.into_iter().chain([&[3, 1, 9, 1][..], &[4, 0, 1, 2, 1]]) {
        assert!(matches!(Proposal::decode(broken), Err(Error::Decode(_))), "{broken:?}");
    }
}
