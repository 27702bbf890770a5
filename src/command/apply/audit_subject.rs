//! What a command does to what, in the words of the audit; and which commands have no row.
//!
//! | no row | why |
//! |---|---|
//! | commands of nodes | no client asks for them |
//! | staged and discarded jobs | `ActivateJobs` has the row of the request |
//! | `Conclude` | it stores the answer to a request whose commands have rows |
//! | reports on runs other than cancels | results; the history has them |
//! | `Drain`, `Register`, `Retire` | the use case notes the step of its operator (`Note`) |

use std::borrow::Cow;

use crate::command::commands::Command;
use crate::command::outcome::{Outcome, Reported};
use crate::command::payload::{JobAction, ProjectAction, ProjectEdit};
use crate::model::ProjectId;
use crate::model::audit::objects;
use crate::model::run::{Occurrence, Report};
use crate::model::run_report::{RunReport, Said};

/// The subject of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) action: Cow<'static, str>,
    pub(super) noun: Cow<'static, str>,
    pub(super) objects: Objects,
}

/// The records that a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objects {
    /// A text, or none.
    Text(Option<String>),
    /// A project, which is its own project, too.
    Project(ProjectId),
    /// Runs, whose ids need the id of the cluster.
    Runs(Vec<Occurrence>),
}

fn about(action: &'static str, noun: &'static str, objects: Objects) -> Subject {
    Subject { action: action.into(), noun: noun.into(), objects }
}

fn one(action: &'static str, noun: &'static str, id: u64) -> Subject {
    about(action, noun, Objects::Text(Some(id.to_string())))
}

/// The subject of a command that was carried out; `None` where it has no row.
pub(super) fn subject(command: &Command, outcome: &Outcome) -> Option<Subject> {
    Some(match command {
        Command::Once { command, .. }
        | Command::ForVersion { command, .. }
        | Command::ByClient { command, .. }
        | Command::Within { command, .. } => return subject(command, outcome),
        Command::CreateProject(_) => about("create", "project", Objects::Project(created(outcome))),
        Command::UpdateProject(edit) => {
            about(project_action(edit), "project", Objects::Project(edit.id))
        }
        Command::DeleteProject { id, .. } => about("delete", "project", Objects::Project(*id)),
        Command::CreateJobs(new) if new.staged => return None,
        Command::CreateJobs(_) | Command::ActivateJobs { .. } => match outcome {
            Outcome::Jobs { jobs, .. } => about("create", "job", Objects::Text(objects(jobs))),
            _ => return None,
        },
        Command::UpdateJob(edit) => one("update", "job", edit.id),
        Command::ReshapeJobs(edit) => about("update", "job", Objects::Text(objects(&edit.jobs))),
        Command::DeleteJob { id, .. } => one("delete", "job", *id),
        Command::ChangeJobs { jobs, action, .. } => {
            let action = match action {
                JobAction::Pause { .. } => "pause",
                JobAction::Resume => "resume",
                JobAction::Delete => "delete",
            };
            about(action, "job", Objects::Text(objects(jobs)))
        }
        Command::RunJob { id, .. } => one("run", "job", *id),
        Command::TerminateJob { id, .. } => one("terminate", "job", *id),
        Command::CreateExecutor(_) => one("create", "executor", created(outcome)),
        Command::UpdateExecutor { id, .. } => one("update", "executor", *id),
        Command::DeleteExecutor { id, .. } => one("delete", "executor", *id),
        Command::PutTemplate { id: 0, .. } => one("create", "template", created(outcome)),
        Command::PutTemplate { id, .. } => one("update", "template", *id),
        Command::DeleteTemplate { id, .. } => one("delete", "template", *id),
        Command::CreateCredential(_) => one("create", "credential", created(outcome)),
        Command::ArchiveCredential { id, archived, .. } => {
            one(if *archived { "archive" } else { "unarchive" }, "credential", *id)
        }
        Command::ChangeCredential { id, .. } => one("update", "credential", *id),
        Command::RotateCredential { id, .. } => one("rotate", "credential", *id),
        Command::DeleteCredential { id } => one("delete", "credential", *id),
        Command::EndSessions { credential: Some(id) } => one("end", "session", *id),
        Command::EndSessions { credential: None } => {
            about("end", "session", Objects::Text(Some("operator".to_owned())))
        }
        Command::EndSession { .. } => about("end", "session", Objects::Text(None)),
        Command::CreateAccount(_) => one("create", "account", created(outcome)),
        Command::UpdateAccount { id, .. } => one("update", "account", *id),
        Command::DeleteAccount { id, .. } => one("delete", "account", *id),
        Command::GrantExecutions { id, .. } => one("grant", "account", *id),
        Command::ReportRun { occurrence, report: Report::Cancel } => {
            about("cancel", "run", Objects::Runs(vec![*occurrence]))
        }
        Command::ReportRuns { reports } => return cancelled(reports, outcome),
        Command::ReplayDeadLetters { letters } => {
            let ids: Vec<_> = letters.iter().map(|letter| (letter.0, 1)).collect();
            about("replay", "dead_letter", Objects::Text(objects(&ids)))
        }
        Command::PurgeDeadLetters { letters } => {
            let ids: Vec<_> = letters.iter().map(|id| (*id, 1)).collect();
            about("purge", "dead_letter", Objects::Text(objects(&ids)))
        }
        Command::Retain { .. } => about("drop", "history", Objects::Text(None)),
        Command::Note(note) => Subject {
            action: note.action.clone().into(),
            noun: note.noun.clone().into(),
            objects: Objects::Text(note.object.clone()),
        },
        Command::ReportRun { .. }
        | Command::DiscardJobs { .. }
        | Command::Conclude { .. }
        | Command::Init { .. }
        | Command::Tick
        | Command::Assign(_)
        | Command::Record(_)
        | Command::Register { .. }
        | Command::Checksum
        | Command::BeginRun(_)
        | Command::Expire { .. }
        | Command::Retire { .. }
        | Command::Drain { .. }
        | Command::Recover { .. }
        | Command::RaiseLevel { .. }
        | Command::TouchCredentials(_)
        | Command::RetainAudit { .. } => return None,
    })
}

/// The id that a command gave.
fn created(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Created(id) => *id,
        _ => 0,
    }
}

/// A pause or a resume that changes nothing else has its own word.
fn project_action(edit: &ProjectEdit) -> &'static str {
    let ProjectEdit { name, description, settings, action, .. } = edit;
    match action {
        Some(action) if name.is_none() && description.is_none() && settings.is_none() => {
            match action {
                ProjectAction::Pause { .. } => "pause",
                ProjectAction::Resume => "resume",
            }
        }
        _ => "update",
    }
}

/// The runs whose cancel counted.
fn cancelled(reports: &[RunReport], outcome: &Outcome) -> Option<Subject> {
    let Outcome::Reports(told) = outcome else { return None };
    let counted = reports.iter().zip(told).filter(|(report, told)| {
        matches!(report.said, Said::Cancel { .. }) && matches!(told, Reported::Counted(_))
    });
    let runs: Vec<_> = counted.map(|(report, _)| report.occurrence).collect();
    (!runs.is_empty()).then(|| about("cancel", "run", Objects::Runs(runs)))
}
