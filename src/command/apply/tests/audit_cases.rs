//! A command of each kind that a client or an operator asks for, with the row of the audit that it
//! has. `audit` applies them.

use serde_json::{Value, json};

use super::runs::planned;
use super::templates::{put, user_template};
use super::*;
use crate::command::{DefinitionEdit, JobAction, JobEdit, ProjectAction, ProjectEdit, ReshapeJobs};
use crate::model::audit::AuditNote;
use crate::model::credential::Credential;
use crate::model::key_terms::{KeyTerms, TermsEdit};
use crate::model::project::ProjectSettings;
use crate::model::run::Report;
use crate::model::run_report::{RunReport, Said};
use crate::model::scope::{Scope, Scopes};
use crate::model::target::{Auth, Configured, Executor, HttpTarget, Sealed, SigningSecret, Tls};

/// A part of each secret of these tests.
pub(super) const CANARY: &str = "canary";

fn sealed(text: &str) -> Sealed {
    Sealed(format!("{CANARY} {text}"))
}

fn signing() -> Vec<SigningSecret> {
    vec![SigningSecret { sealed: sealed("signing"), until: None }]
}

fn http() -> HttpTarget {
    HttpTarget {
        method: "POST".into(),
        url: format!("https://me:{CANARY}@a.example/b?key={CANARY}"),
        headers: [("X-Team".into(), CANARY.into())].into(),
        secret_headers: [("X-Api-Key".into(), sealed("header"))].into(),
        body: Some(CANARY.into()),
        auth: Auth::Basic { username: "me".into(), password: sealed("password") },
        tls: Some(Box::new(Tls { client_key: Some(sealed("key")), ..Tls::default() })),
        ..HttpTarget::default()
    }
}

fn executor(name: &str) -> Executor {
    let settings = json!({
        "broker": {"host": "b.example", "password": sealed("broker"), "user": "me"},
        "content": {"body": CANARY, "exchange": "e"},
    });
    Executor {
        name: name.into(),
        kind: "amqp".into(),
        cloud_api_key: Some(sealed("cloud")),
        signing: signing(),
        http: Some(Box::new(http())),
        settings: Some(Box::new(settings)),
        ..Executor::default()
    }
}

pub(super) fn credential(api_key: &str) -> Credential {
    let terms = KeyTerms { name: Some("ci".into()), ..KeyTerms::default() };
    let verifier = CANARY.as_bytes().to_vec();
    Credential { api_key: api_key.into(), verifier, terms, ..Credential::default() }
}

pub(super) fn once(command: Command) -> Command {
    Command::Once { key: [1; 32], body: [2; 32], command: Box::new(command) }
}

/// A row that is expected: the command, action, noun, objects, project, and parts of the detail.
pub(super) type Case =
    (Command, &'static str, &'static str, Option<&'static str>, Option<u64>, Value);

/// A command of each kind that a client or an operator asks for, in an order in which none is
/// refused. There are jobs 1 to 60 of project 1, a dead letter, and accepted runs of jobs 5 and 6.
pub(super) fn cases() -> Vec<Case> {
    let project = ProjectEdit {
        id: 2,
        description: Some("new".into()),
        settings: Some(ProjectSettings { signing: signing(), ..ProjectSettings::default() }),
        ..ProjectEdit::default()
    };
    let pause = Command::project_action(2, ProjectAction::Pause { until: None }, None);
    let job = JobDefinition {
        http: Some(Box::new(http())),
        target: Some(Box::new(Configured { kind: "x".into(), settings: json!({"token": CANARY}) })),
        message: Some(Box::new(json!({ "body": CANARY }))),
        ..every_minute()
    };
    let edit = JobEdit { id: 61, definition: job, data: CANARY.into(), ..JobEdit::default() };
    let hourly = JobDefinition { spec: "@every 1h".into(), ..every_minute() };
    let definitions = vec![DefinitionEdit { from: 1, to: hourly, ..DefinitionEdit::default() }];
    let reshape = ReshapeJobs { definitions, jobs: vec![(1, 3)], ..ReshapeJobs::default() };
    let terms = KeyTerms { scopes: Some(Scopes::one(Scope::JobsRead)), ..credential("").terms };
    let terms = TermsEdit { from: credential("").terms, to: terms, archived: None };
    let template = user_template();
    let changed = crate::model::template::Template { label: "Mail".into(), ..template.clone() };
    let cancel = |job| RunReport {
        occurrence: planned(job, 0),
        attempt: 0,
        worker: String::new(),
        said: Said::Cancel { by: None },
    };
    let change =
        |jobs: &[(u64, u64)], action| Command::ChangeJobs { jobs: jobs.to_vec(), action, by: None };
    let report = Command::ReportRun { occurrence: planned(6, 0), report: Report::Cancel };
    let one_off = request(77, at(), vec![one(START + 900_000)], false);
    let new_project =
        NewProject { name: "q".into(), description: "d".into(), ..NewProject::default() };
    vec![
        (
            Command::CreateProject(new_project),
            "create",
            "project",
            Some("2"),
            Some(2),
            json!({"changes": {"description": {"new": "d"}, "name": {"new": "q"}}}),
        ),
        (
            Command::UpdateProject(project),
            "update",
            "project",
            Some("2"),
            Some(2),
            json!({"changes": {"description": {"old": "d", "new": "new"}, "settings.signing": "set"}}),
        ),
        (pause, "pause", "project", Some("2"), Some(2), json!({"pausedUntil": null})),
        (
            Command::project_action(2, ProjectAction::Resume, None),
            "resume",
            "project",
            Some("2"),
            Some(2),
            json!({"resumed": true}),
        ),
        (
            Command::DeleteProject { id: 2, cascade: false, expect: None },
            "delete",
            "project",
            Some("2"),
            Some(2),
            json!({"changes": {"name": {"old": "q"}}}),
        ),
        (
            create(70, every_minute(), 1, false),
            "create",
            "job",
            Some("61"),
            Some(1),
            json!({"count": 1, "changes": {"spec": {"new": "@every 1m"},
                "data": {"new": {"bytes": 6}}}}),
        ),
        (
            create(71, every_minute(), 1_000, false),
            "create",
            "job",
            Some("62-1061"),
            Some(1),
            json!({"count": 1_000, "changes": {"spec": {"new": "@every 1m"}}}),
        ),
        (
            Command::UpdateJob(Box::new(edit)),
            "update",
            "job",
            Some("61"),
            Some(1),
            json!({"changes": {"data": {"new": {"bytes": 6}}, "http.secretHeaders": "set",
                "http.auth.password": "set", "http.tls.clientKey": "set",
                "target.settings.token": "set", "message.body": {"new": {"bytes": 6}}}}),
        ),
        (
            Command::ReshapeJobs(Box::new(reshape)),
            "update",
            "job",
            Some("1-3"),
            Some(1),
            json!({"count": 3, "changes": {"spec": {"old": "@every 1m", "new": "@every 1h"}}}),
        ),
        (
            change(&[(1, 3), (9, 1)], JobAction::Pause { until: None }),
            "pause",
            "job",
            Some("1-3,9"),
            Some(1),
            json!({"count": 4}),
        ),
        (
            change(&[(1, 3)], JobAction::Resume),
            "resume",
            "job",
            Some("1-3"),
            Some(1),
            json!({"count": 3}),
        ),
        (
            change(&[(62, 999)], JobAction::Delete),
            "delete",
            "job",
            Some("62-1060"),
            Some(1),
            json!({"count": 999}),
        ),
        (
            Command::DeleteJob { id: 61, expect: None },
            "delete",
            "job",
            Some("61"),
            Some(1),
            json!({"changes": {"http.secretHeaders": "removed"}}),
        ),
        (
            Command::RunJob { id: 1, forced: false },
            "run",
            "job",
            Some("1"),
            Some(1),
            json!({"run": 1}),
        ),
        (one_off, "create", "job", Some("1062"), Some(1), json!({"count": 1})),
        (
            Command::TerminateJob { id: 1_062, reschedule: None, reason: Some("enough".into()) },
            "terminate",
            "job",
            Some("1062"),
            Some(1),
            json!({"reason": "enough", "count": 1}),
        ),
        (
            Command::CreateExecutor(executor("e")),
            "create",
            "executor",
            Some("1"),
            None,
            json!({"changes": {"name": {"new": "e"}, "signing": "set", "cloudApiKey": "set",
                "settings.broker.host": {"new": "b.example"},
                "settings.broker.password": "set"}}),
        ),
        (
            Command::UpdateExecutor { id: 1, expect: None, executor: executor("f") },
            "update",
            "executor",
            Some("1"),
            None,
            json!({"changes": {"name": {"old": "e", "new": "f"}}}),
        ),
        (
            Command::DeleteExecutor { id: 1, expect: None },
            "delete",
            "executor",
            Some("1"),
            None,
            json!({"changes": {"name": {"old": "f"}, "signing": "removed"}}),
        ),
        (
            put(0, None, template),
            "create",
            "template",
            Some("1"),
            Some(1),
            json!({"changes": {"type": {"new": "send_mail"}}}),
        ),
        (
            put(1, None, changed),
            "update",
            "template",
            Some("1"),
            Some(1),
            json!({"changes": {"label": {"old": "", "new": "Mail"}}}),
        ),
        (
            Command::DeleteTemplate { id: 1, expect: None, terminate: false, limit: 5 },
            "delete",
            "template",
            Some("1"),
            Some(1),
            json!({"ended": 0}),
        ),
        (
            Command::CreateCredential(credential("other")),
            "create",
            "credential",
            Some("2"),
            None,
            json!({"changes": {"apiKey": {"new": "other"}, "name": {"new": "ci"},
                "parent": {"new": 1}, "secret": "set"}}),
        ),
        (
            Command::ChangeCredential { id: 2, edit: Box::new(terms), by: None },
            "update",
            "credential",
            Some("2"),
            None,
            json!({"changes": {"scopes": {"new": "jobs:read"}}}),
        ),
        (
            Command::RotateCredential { id: 2, verifier: CANARY.into(), overlap: 60_000 },
            "rotate",
            "credential",
            Some("2"),
            None,
            json!({"overlapMs": 60_000, "changes": {"secret": "changed"}}),
        ),
        (
            Command::EndSessions { credential: Some(2) },
            "end",
            "session",
            Some("2"),
            None,
            json!({}),
        ),
        (
            Command::EndSession { session: 9, expires: START + 60_000 },
            "end",
            "session",
            None,
            None,
            json!({}),
        ),
        (
            Command::ArchiveCredential { id: 2, archived: true, by: None },
            "archive",
            "credential",
            Some("2"),
            None,
            json!({}),
        ),
        (
            Command::DeleteCredential { id: 2 },
            "delete",
            "credential",
            Some("2"),
            None,
            json!({"changes": {"name": {"old": "ci"}}}),
        ),
        (
            Command::ReplayDeadLetters { letters: vec![(1, START)] },
            "replay",
            "dead_letter",
            Some("1"),
            None,
            json!({"count": 1}),
        ),
        (
            Command::PurgeDeadLetters { letters: vec![1, 2, 7] },
            "purge",
            "dead_letter",
            Some("1-2,7"),
            None,
            json!({"count": 0}),
        ),
        (report, "cancel", "run", None, None, json!({})),
        (Command::ReportRuns { reports: vec![cancel(5)] }, "cancel", "run", None, None, json!({})),
        (
            Command::Retain { before: 7, dead_letters: 7, limit: 9 },
            "drop",
            "history",
            None,
            None,
            json!({"before": 7, "count": 0}),
        ),
        (
            Command::Note(AuditNote::about("fetch", "backup", 9).with("file", "x")),
            "fetch",
            "backup",
            Some("9"),
            None,
            json!({"file": "x"}),
        ),
    ]
}
