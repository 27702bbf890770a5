//! Levels: what a program of a version understands, as a number. Nodes of two versions live
//! together during an upgrade, and the log may hold only what all of them understand. `cluster`
//! compares the level of a command with that of the cluster before it proposes one; nothing here is
//! applied.
//!
//! | level | what it brought |
//! |---|---|
//! | 1 | the program before levels |
//! | 2 | `ForVersion`, `ByClient`, `RaiseLevel`; secret headers, TLS of targets; schema 3, 4 |
//! | 3 | proposals of version 3; results of AMQP and of processes; settings of executors |
//! | 4 | executors of type `amqp`; targets and messages of jobs; runs of workers; schema 5 |
//! | 5 | templates of jobs, `TerminateJob`, `EndSessions`, `ReshapeJobs`; schema 6 |
//! |   | `{{template}}` in targets |
//! | 6 | terms of credentials, their rotation and last use; actors by access tokens; schema 7 |
//! | 7 | audit; projects and rates of credentials, `Within`; accounts and their limits; targets of
//! |   | projects; `EndSession`; schema 8 |
//!
//! A new field of what travels as JSON is news, too: an older program drops it, and stores the
//! rest.
//!
//! A variant never changes its level. A new variant takes the level of the release that brings it,
//! and [`LEVEL`] is the highest of them. The rules for a cluster of two levels are in
//! `docs/architecture.md`, "Levels".

use serde_json::Value;

use super::{Command, Proposal};
use crate::model::actor::ActorRef;
use crate::model::attempt::{AttemptRecord, JournalEntry, SkipReason, Verdict};
use crate::model::delivery::Overlap;
use crate::model::job::JobDefinition;
use crate::model::key_terms::KeyTerms;
use crate::model::project::ProjectSettings;
use crate::model::result_code::ResultCode;
use crate::model::target::{Executor, HttpTarget};

/// The level of this program.
pub const LEVEL: u32 = 7;

/// The level that brought reaches: below it each key reaches all there is.
pub const REACH_LEVEL: u32 = 7;

/// The level that brought the newest schema step: only a node of that level can open a snapshot of
/// this program's state.
pub const SCHEMA_LEVEL: u32 = 7;

impl Proposal {
    /// The lowest level whose programs can decode and apply this proposal. An actor that older
    /// programs know is left out for those that know none.
    pub fn level(&self) -> u32 {
        let of_actor = match self.actor {
            Some(ActorRef::Token { .. }) => 6,
            None | Some(ActorRef::Operator | ActorRef::Client { .. } | ActorRef::Node { .. }) => 1,
        };
        self.command.level().max(of_actor)
    }
}

impl Command {
    /// The lowest level whose programs can decode and apply this command.
    pub fn level(&self) -> u32 {
        match self {
            Self::Init { .. }
            | Self::Tick
            | Self::DeleteProject { .. }
            | Self::ActivateJobs { .. }
            | Self::DiscardJobs { .. }
            | Self::DeleteJob { .. }
            | Self::ArchiveCredential { .. }
            | Self::DeleteCredential { .. }
            | Self::Assign(_)
            | Self::Register { .. }
            | Self::Checksum
            | Self::Retain { .. }
            | Self::ChangeJobs { .. }
            | Self::RunJob { .. }
            | Self::DeleteExecutor { .. }
            | Self::ReportRun { .. }
            | Self::Expire { .. }
            | Self::ReplayDeadLetters { .. }
            | Self::PurgeDeadLetters { .. }
            | Self::Conclude { .. }
            | Self::Retire { .. }
            | Self::Drain { .. }
            | Self::Recover { .. } => 1,
            Self::CreateProject(new) => of_settings_of_project(&new.settings),
            Self::UpdateProject(edit) => edit.settings.as_ref().map_or(1, of_settings_of_project),
            Self::Record(batch) => batch.entries.iter().map(of_entry).max().unwrap_or(1),
            Self::CreateJobs(new) => new.definitions.iter().map(of_definition).max().unwrap_or(1),
            Self::UpdateJob(edit) => of_definition(&edit.definition),
            Self::ReshapeJobs(new) => {
                new.definitions.iter().map(|edit| of_definition(&edit.to)).fold(5, u32::max)
            }
            Self::CreateExecutor(executor) | Self::UpdateExecutor { executor, .. } => {
                of_executor(executor)
            }
            // An older program would make a key without its terms, which could do more.
            Self::CreateCredential(new) => of_terms(&new.terms),
            Self::Once { command, .. } => command.level(),
            Self::ForVersion { command, .. } | Self::ByClient { command, .. } => {
                command.level().max(2)
            }
            Self::RaiseLevel { .. } => 2,
            Self::BeginRun(begin) => of_overlap(begin.overlap),
            Self::ReportRuns { .. } => 4,
            Self::PutTemplate { .. }
            | Self::DeleteTemplate { .. }
            | Self::TerminateJob { .. }
            | Self::EndSessions { .. } => 5,
            Self::ChangeCredential { edit, .. } => {
                of_terms(&edit.to).max(of_terms(&edit.from)).max(6)
            }
            Self::RotateCredential { .. } | Self::TouchCredentials(_) => 6,
            Self::Within { command, .. } => command.level().max(REACH_LEVEL),
            Self::CreateAccount(_)
            | Self::UpdateAccount { .. }
            | Self::DeleteAccount { .. }
            | Self::GrantExecutions { .. }
            | Self::Note(_)
            | Self::RetainAudit { .. }
            | Self::EndSession { .. } => 7,
        }
    }
}

/// The level of the terms of a key: an older program would not hold the key to its rate, and would
/// drop its projects, so that it reaches all.
fn of_terms(terms: &KeyTerms) -> u32 {
    if terms.rate.is_some() || terms.projects.is_some() {
        REACH_LEVEL
    } else if terms.are_default() {
        1
    } else {
        6
    }
}

/// The level of a project's settings: an older program would call where its list does not allow.
fn of_settings_of_project(settings: &ProjectSettings) -> u32 {
    if settings.allowed_targets.is_empty() { 1 } else { 7 }
}

/// The level of a journal's entry. A node that makes results of a newer kind does so only in a
/// cluster of their level: it could not hand them over in another one.
fn of_entry(entry: &JournalEntry) -> u32 {
    match entry {
        JournalEntry::Offered(_)
        | JournalEntry::Taken(_)
        | JournalEntry::Progress(_)
        | JournalEntry::Attempt(AttemptRecord {
            verdict: Verdict::Skipped(SkipReason::QueueFull | SkipReason::NotStarted),
            ..
        }) => 4,
        JournalEntry::Attempt(AttemptRecord {
            verdict: Verdict::Skipped(SkipReason::Quota),
            ..
        }) => 7,
        JournalEntry::Attempt(record) => match record.result {
            ResultCode::None | ResultCode::Http(_) => 1,
            ResultCode::Amqp(_) | ResultCode::Exit(_) => 3,
        },
        JournalEntry::Watermarks(_) => 1,
    }
}

fn of_definition(definition: &JobDefinition) -> u32 {
    let of_workers = definition.start_timeout.is_some()
        || definition.cancel_timeout.is_some()
        || definition.retry_on.is_some()
        || definition.max_queue.is_some()
        || definition.worker_name.is_some();
    let is_new = definition.target.is_some() || definition.message.is_some() || of_workers;
    let own = if definition.template.is_some() {
        5
    } else {
        of_target(definition.http.as_deref()).max(if is_new { 4 } else { 1 })
    };
    let of_message = definition.message.as_deref().map_or(1, of_settings);
    let of_own = definition.target.as_ref().map_or(1, |own| of_settings(&own.settings));
    own.max(of_overlap(definition.overlap)).max(of_message).max(of_own)
}

fn of_overlap(overlap: Overlap) -> u32 {
    if matches!(overlap, Overlap::Queue { .. }) { 4 } else { 1 }
}

fn of_executor(executor: &Executor) -> u32 {
    let own = match executor {
        // A program knows the kinds of its own level.
        Executor { settings: Some(settings), .. } => of_settings(settings).max(4),
        Executor { tls: Some(_), .. } => 2,
        _ => 1,
    };
    own.max(of_target(executor.http.as_deref()))
}

fn of_target(target: Option<&HttpTarget>) -> u32 {
    let Some(target) = target else { return 1 };
    let texts = target.query.values().chain(target.headers.values()).chain(&target.body);
    if std::iter::once(&target.url).chain(texts).any(|text| names_template(text)) {
        5
    } else if !target.secret_headers.is_empty() || target.tls.is_some() {
        2
    } else {
        1
    }
}

/// The level of settings or of a message: no older program fills in the type of a template.
fn of_settings(settings: &Value) -> u32 {
    match settings {
        Value::String(text) if names_template(text) => 5,
        Value::Array(list) => list.iter().map(of_settings).max().unwrap_or(1),
        Value::Object(fields) => fields.values().map(of_settings).max().unwrap_or(1),
        _ => 1,
    }
}

fn names_template(text: &str) -> bool {
    text.contains("{{template}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CreateJobs, ProjectEdit};
    use crate::model::credential::Credential;
    use crate::model::key_terms::TermsEdit;
    use crate::model::reach::Reach;

    fn once(command: Command) -> Command {
        Command::Once { key: [1; 32], body: [2; 32], command: Box::new(command) }
    }

    #[test]
    fn a_command_is_as_new_as_the_newest_variant_in_it() {
        let delete = || Command::DeleteCredential { id: 3 };
        assert_eq!(Command::Tick.level(), 1);
        assert_eq!(once(delete()).level(), 1);
        assert_eq!(once(delete().by_client(Some(7))).level(), 2);
        assert_eq!(delete().by_client(None).level(), 1, "an operator's");
        assert_eq!(Command::Tick.for_version(1, Some(2)).level(), 2);
        assert_eq!(Command::Tick.for_version(1, None).level(), 1);
        assert_eq!(Command::RaiseLevel { level: LEVEL }.level(), 2);
    }

    #[test]
    fn a_key_with_terms_is_for_programs_that_hold_it_to_them() {
        let new = |terms| Command::CreateCredential(Credential { terms, ..Credential::default() });
        let named = KeyTerms { name: Some("ci".into()), ..KeyTerms::default() };
        assert_eq!(new(KeyTerms::default()).level(), 1);
        assert_eq!(new(named.clone()).level(), 6);
        assert_eq!(once(new(named).by_client(Some(7))).level(), 6);
        let bound = KeyTerms { projects: Some(vec![1]), ..KeyTerms::default() };
        let limited = KeyTerms { rate: Some(5), ..KeyTerms::default() };
        assert_eq!((new(bound.clone()).level(), new(limited.clone()).level()), (7, 7));
        let edit = |from, to| {
            let edit = Box::new(TermsEdit { from, to, archived: None });
            Command::ChangeCredential { id: 1, edit, by: None }.level()
        };
        let any = KeyTerms::default;
        assert_eq!([edit(any(), any()), edit(bound.clone(), any()), edit(any(), bound)], [6, 7, 7]);
        assert_eq!(edit(any(), limited), 7);
        assert_eq!(Command::Tick.within(&Reach::all()).level(), 1);
        assert_eq!(Command::Tick.within(&Reach::of_account(2)).level(), 7);
        let rotate = Command::RotateCredential { id: 1, verifier: Vec::new(), overlap: 0 };
        assert_eq!((rotate.level(), Command::TouchCredentials(Vec::new()).level()), (6, 6));
    }

    #[test]
    fn a_list_of_targets_is_for_programs_that_hold_calls_to_it() {
        let with = |allowed: &[&str]| ProjectSettings {
            allowed_targets: allowed.iter().map(|text| text.parse().unwrap()).collect(),
            ..ProjectSettings::default()
        };
        let change = |settings| {
            Command::UpdateProject(ProjectEdit {
                id: 1,
                expect: None,
                name: None,
                description: None,
                settings,
                action: None,
                by: None,
            })
        };
        assert_eq!((change(None).level(), change(Some(with(&[]))).level()), (1, 1));
        assert_eq!(change(Some(with(&["https://a.example"]))).level(), 7);
    }

    #[test]
    fn a_token_asks_only_where_all_programs_can_read_its_name() {
        let text = || "x".to_owned();
        let token = ActorRef::Token { issuer: text(), subject: text(), name: text() };
        assert_eq!(Command::Tick.asked_by(token).level(), 6);
        assert_eq!(Command::Tick.asked_by(ActorRef::Operator).level(), 1);
        assert_eq!(Proposal::from(Command::RaiseLevel { level: 2 }).level(), 2);
    }

    #[test]
    fn a_target_with_a_field_that_older_programs_drop_is_new() {
        let tls = || Some(Box::default());
        let http = HttpTarget { tls: tls(), ..HttpTarget::default() };
        let definition = JobDefinition { http: Some(Box::new(http)), ..JobDefinition::default() };
        let jobs = |definitions| {
            let new = CreateJobs { request: 1, definitions, jobs: Vec::new(), staged: false };
            Command::CreateJobs(new)
        };
        assert_eq!(jobs(vec![JobDefinition::default()]).level(), 1);
        assert_eq!(jobs(vec![JobDefinition::default(), definition]).level(), 2);
        let queue = Overlap::Queue { most: 3 };
        for new in [
            JobDefinition { overlap: queue, ..JobDefinition::default() },
            JobDefinition { start_timeout: Some(1), ..JobDefinition::default() },
            JobDefinition { worker_name: Some("w".into()), ..JobDefinition::default() },
        ] {
            assert_eq!(jobs(vec![new]).level(), 4);
        }
        let executor = Executor { tls: tls(), ..Executor::default() };
        let own = JobDefinition { target: Some(Box::default()), ..JobDefinition::default() };
        assert_eq!(jobs(vec![own]).level(), 4);
        let message = Some(Box::new(serde_json::Value::Null));
        assert_eq!(jobs(vec![JobDefinition { message, ..JobDefinition::default() }]).level(), 4);
        assert_eq!(Command::CreateExecutor(Executor::default()).level(), 1);
        assert_eq!(Command::CreateExecutor(executor).level(), 2);
        let settings = Some(Box::new(serde_json::Value::Null));
        let executor = Executor { settings, ..Executor::default() };
        assert_eq!(Command::CreateExecutor(executor).level(), 4);
    }

    #[test]
    fn a_target_that_names_a_template_is_for_programs_that_fill_it_in() {
        let level = |executor: Executor| Command::CreateExecutor(executor).level();
        let of_url = |url: &str| {
            let http = HttpTarget { url: url.into(), ..HttpTarget::default() };
            level(Executor { http: Some(Box::new(http)), ..Executor::default() })
        };
        let levels = ["http://a/{{jobId}}", "http://a/{{{{}}template}}", "http://a/{{template}}"];
        assert_eq!(levels.map(of_url), [1, 1, 5]);
        let http = HttpTarget { body: Some("{{template}}".into()), ..HttpTarget::default() };
        let job = JobDefinition { http: Some(Box::new(http)), ..JobDefinition::default() };
        assert_eq!(of_definition(&job), 5);
        let settings = serde_json::json!({"headers": {"x": [1, "{{template}}"]}});
        let executor =
            Executor { settings: Some(Box::new(settings.clone())), ..Executor::default() };
        assert_eq!(level(executor), 5);
        let message = Some(Box::new(settings));
        assert_eq!(of_definition(&JobDefinition { message, ..JobDefinition::default() }), 5);
    }
}
