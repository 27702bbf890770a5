//! The audit: each command of a client has one row, which says who did what and shows no secret.
//! `audit_chain` has what holds for all rows together.

use std::collections::BTreeSet;

use serde_json::Value;

use super::accounts::audited;
use super::audit_cases::{CANARY, cases, credential, once};
use super::record::JournalFixture;
use super::runs::{accepted, planned};
use super::*;
use crate::command::JobAction;
use crate::command::codec_tests::samples;
use crate::model::actor::{ActorRef, RequestOrigin};
use crate::model::audit::AuditRow;
use crate::model::key_terms::{KeyTerms, TermsEdit};
use crate::model::run::Report;
use crate::model::run_report::{RunReport, Said};
use crate::store::audit::{self, Filter};

/// The commands that never have a row, whoever asks for them.
const WITHOUT_ROW: [&str; 17] = [
    "assign",
    "begin_run",
    "checksum",
    "conclude",
    "discard_jobs",
    "drain",
    "expire",
    "init",
    "raise_level",
    "record",
    "recover",
    "register",
    "retain_audit",
    "retire",
    "tick",
    "touch_credentials",
    // A report has one if it cancels, see below.
    "report_run",
];
/// The commands that wrap others.
const WRAPPERS: [&str; 4] = ["once", "for_version", "by_client", "within"];

pub(super) const KEY: ActorRef = ActorRef::Client { credential: 1 };

pub(super) fn origin() -> RequestOrigin {
    RequestOrigin { node: 3, address: Some("10.0.0.9".parse().unwrap()) }
}

impl ApplyFixture {
    /// Applies a command for an actor whose request came from 10.0.0.9 to node 3.
    pub(super) fn ask(&mut self, actor: &ActorRef, command: &Command) -> Outcome {
        self.apply_received((Some(actor), Some(&origin())), command)
    }

    /// All rows of the audit, newest first.
    pub(super) fn audit(&self) -> Vec<AuditRow> {
        self.read(|c| audit::walk(c, &Filter::default(), None, (1_000, 10_000))).found
    }

    /// The rows that a command of an actor adds.
    fn audited(&mut self, actor: &ActorRef, command: &Command) -> Vec<AuditRow> {
        let before = self.audit().len();
        let outcome = self.ask(actor, command);
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{command:?}: {outcome}");
        let mut rows = self.audit();
        rows.truncate(rows.len() - before);
        rows
    }
}

/// Says whether a value has all that another one names.
fn has(found: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| has(found, value))),
        other => found == other,
    }
}

/// A state for [`cases`], with the key that asks.
fn state() -> ApplyFixture {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, AttemptRecord { attempt: 4, ..record([3], Verdict::Dead) });
    for job in [5, 6] {
        fixture.tell(1, accepted(planned(job, 0), None, None));
    }
    fixture.state.done(Command::CreateCredential(credential("key")));
    assert!(fixture.state.audit().is_empty(), "nodes have no rows");
    fixture.state
}

#[test]
fn each_command_of_a_client_has_one_row_that_says_what_it_did() {
    let mut state = state();
    let mut named = BTreeSet::new();
    for (command, action, noun, object, project, detail) in cases().into_iter().chain(audited()) {
        named.insert(command.name());
        let rows = state.audited(&KEY, &command);
        let [row] = &rows[..] else { panic!("{command:?}: {rows:?}") };
        assert_eq!((&*row.action, &*row.noun), (action, noun), "{command:?}");
        if noun == "run" {
            assert!(row.object.as_ref().is_some_and(|id| id.starts_with("00000000-")), "{row:?}");
        } else {
            assert_eq!(row.object.as_deref(), object, "{command:?}");
        }
        assert_eq!((row.project, row.account), (project, 1), "{command:?}");
        let actor = &row.actor;
        let who = (&*actor.kind, actor.id.as_deref(), actor.name.as_deref());
        assert_eq!(who, ("key", Some("1"), Some("ci")), "{command:?}");
        assert_eq!((row.address.as_deref(), row.node), (Some("10.0.0.9"), 3), "{command:?}");
        assert_eq!((row.at, row.id), (state.now, state.index << 8), "{command:?}");
        let found: Value = serde_json::from_str(&row.detail).unwrap();
        assert!(has(&found, &detail), "{command:?}: {found}");
        assert!(!row.line().contains(CANARY), "a secret is in the audit: {}", row.line());
    }
    // A new command needs a case here, or a reason to have no row.
    named.extend(WITHOUT_ROW);
    named.extend(WRAPPERS);
    // The row of jobs that were staged is tested below.
    named.insert("activate_jobs");
    let all: BTreeSet<_> = samples().iter().map(Command::name).collect();
    assert_eq!(named, all);
}

#[test]
fn commands_without_a_row_have_none_whoever_asks() {
    let mut state = state();
    let without = |command: &Command| WITHOUT_ROW.contains(&command.name());
    for command in samples().into_iter().filter(without) {
        // The level and the line of descent stay as they are for the commands behind.
        if matches!(command, Command::RaiseLevel { .. } | Command::Recover { .. }) {
            continue;
        }
        state.ask(&ActorRef::Operator, &command);
        assert!(state.audit().is_empty(), "{command:?}");
    }
    let heartbeat = Command::ReportRun { occurrence: planned(5, 0), report: Report::Heartbeat };
    let done = Said::Done { result: None };
    let occurrence = planned(6, 0);
    let report = RunReport { occurrence, attempt: 0, worker: String::new(), said: done };
    for command in [heartbeat, Command::ReportRuns { reports: vec![report] }] {
        assert!(state.audited(&KEY, &command).is_empty(), "{command:?}");
    }
}

#[test]
fn who_is_an_operator_a_token_or_a_node() {
    let mut state = state();
    let run = Command::RunJob { id: 1, forced: false };
    let rows = state.audited(&ActorRef::Operator, &run);
    let actor = &rows[0].actor;
    assert_eq!((&*actor.kind, &actor.id, &actor.name), ("operator", &None, &None));
    let [issuer, subject, name] = ["https://id", "f:1", "ann"].map(str::to_owned);
    let rows = state.audited(&ActorRef::Token { issuer, subject, name }, &run);
    let actor = &rows[0].actor;
    let who = (&*actor.kind, actor.id.as_deref(), actor.name.as_deref());
    assert_eq!(who, ("token", Some("https://id f:1"), Some("ann")));
    assert!(state.audited(&ActorRef::Node { node: 2 }, &run).is_empty());
    state.apply_received((None, Some(&origin())), &run);
    assert_eq!(state.audit().len(), 2, "a command that nobody asked for has no row");
    // An entry of an older version does not say how its request came in.
    state.apply_received((Some(&KEY), None), &run);
    assert_eq!(state.audit().len(), 2);
}

#[test]
fn a_refused_or_repeated_command_has_no_row() {
    let mut state = state();
    let mut ask = |command: &Command| {
        let outcome = state.ask(&KEY, command);
        (outcome, state.audit().len())
    };
    let new = || Command::CreateProject(NewProject { name: "q".into(), ..NewProject::default() });
    let (refused, rows) = ask(&Command::DeleteJob { id: 999, expect: None });
    assert!(matches!(refused, Outcome::Rejected(_)) && rows == 0);
    assert_eq!(ask(&once(new())), (Outcome::Created(2), 1));
    assert_eq!(ask(&once(new())), (Outcome::Created(2), 1), "a replay of the key");
    let (refused, rows) = ask(&new());
    assert!(matches!(refused, Outcome::Rejected(_)) && rows == 1);
    let jobs = create(90, every_minute(), 2, false);
    assert_eq!(ask(&jobs).1, 2);
    assert_eq!(ask(&jobs).1, 2, "the same request");
    assert_eq!(ask(&Command::RunJob { id: 1, forced: false }.for_version(1, Some(1))).1, 3);
    let (refused, rows) = ask(&Command::RunJob { id: 1, forced: false }.for_version(1, Some(9)));
    assert!(matches!(refused, Outcome::Rejected(_)) && rows == 3);
}

#[test]
fn a_staged_request_has_one_row_when_it_is_activated() {
    let mut state = state();
    for _ in 0..3 {
        assert!(state.audited(&KEY, &create(90, every_minute(), 500, true)).is_empty());
    }
    let activate = Command::ActivateJobs { request: 90 };
    let rows = state.audited(&KEY, &activate);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&*row.action, row.object.as_deref()), ("create", Some("61-1560")));
    assert_eq!((row.project, &*row.detail), (Some(1), r#"{"count":1500}"#));
    assert!(state.audited(&KEY, &activate).is_empty(), "a repetition");
}

#[test]
fn records_of_several_projects_have_no_project_and_names_of_keys_are_those_of_the_moment() {
    let mut state = state();
    let new = NewProject { name: "q".into(), ..NewProject::default() };
    state.done(Command::CreateProject(new));
    let other = state.jobs(JobDefinition { project: 2, ..every_minute() }, 1);
    let jobs = vec![(1, 1), (other, 1)];
    let rows =
        state.audited(&KEY, &Command::ChangeJobs { jobs, action: JobAction::Resume, by: None });
    assert_eq!((rows[0].project, rows[0].object.as_deref()), (None, Some("1,61")));
    let old = credential("").terms;
    let terms = KeyTerms { name: Some("deploy".into()), ..old.clone() };
    let edit = Box::new(TermsEdit { from: old, to: terms, archived: None });
    state.done(Command::ChangeCredential { id: 1, edit, by: None });
    let rows = state.audited(&KEY, &Command::RunJob { id: 1, forced: false });
    assert_eq!(rows[0].actor.name.as_deref(), Some("deploy"));
}
