//! The names of commands for metrics and logs, and what a command that wraps another leads to.

use super::commands::Command;

impl Command {
    /// The name of the command for metrics and logs: that of its variant in `snake_case`. A command
    /// that wraps another one has a name of its own; [`Command::inner`] leads to the other.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Init { .. } => "init",
            Self::Tick => "tick",
            Self::CreateProject(..) => "create_project",
            Self::UpdateProject(..) => "update_project",
            Self::DeleteProject { .. } => "delete_project",
            Self::CreateJobs(..) => "create_jobs",
            Self::ActivateJobs { .. } => "activate_jobs",
            Self::DiscardJobs { .. } => "discard_jobs",
            Self::UpdateJob(..) => "update_job",
            Self::DeleteJob { .. } => "delete_job",
            Self::CreateCredential(..) => "create_credential",
            Self::ArchiveCredential { .. } => "archive_credential",
            Self::DeleteCredential { .. } => "delete_credential",
            Self::Assign(..) => "assign",
            Self::Record(..) => "record",
            Self::Register { .. } => "register",
            Self::Checksum => "checksum",
            Self::Retain { .. } => "retain",
            Self::Once { .. } => "once",
            Self::ChangeJobs { .. } => "change_jobs",
            Self::RunJob { .. } => "run_job",
            Self::CreateExecutor(..) => "create_executor",
            Self::UpdateExecutor { .. } => "update_executor",
            Self::DeleteExecutor { .. } => "delete_executor",
            Self::BeginRun(..) => "begin_run",
            Self::ReportRun { .. } => "report_run",
            Self::Expire { .. } => "expire",
            Self::ReplayDeadLetters { .. } => "replay_dead_letters",
            Self::PurgeDeadLetters { .. } => "purge_dead_letters",
            Self::Conclude { .. } => "conclude",
            Self::Retire { .. } => "retire",
            Self::Drain { .. } => "drain",
            Self::Recover { .. } => "recover",
            Self::ForVersion { .. } => "for_version",
            Self::ByClient { .. } => "by_client",
            Self::RaiseLevel { .. } => "raise_level",
            Self::ReportRuns { .. } => "report_runs",
            Self::PutTemplate { .. } => "put_template",
            Self::DeleteTemplate { .. } => "delete_template",
            Self::TerminateJob { .. } => "terminate_job",
            Self::EndSessions { .. } => "end_sessions",
            Self::ReshapeJobs(..) => "reshape_jobs",
            Self::ChangeCredential { .. } => "change_credential",
            Self::RotateCredential { .. } => "rotate_credential",
            Self::TouchCredentials(..) => "touch_credentials",
            Self::Within { .. } => "within",
            Self::CreateAccount(..) => "create_account",
            Self::UpdateAccount { .. } => "update_account",
            Self::DeleteAccount { .. } => "delete_account",
            Self::GrantExecutions { .. } => "grant_executions",
            Self::Note(..) => "note",
            Self::RetainAudit { .. } => "retain_audit",
            Self::EndSession { .. } => "end_session",
        }
    }

    /// The command that this one wraps, if it wraps one.
    pub fn inner(&self) -> Option<&Self> {
        match self {
            Self::Once { command, .. }
            | Self::ForVersion { command, .. }
            | Self::ByClient { command, .. }
            | Self::Within { command, .. } => Some(command),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_command_keeps_its_name() {
        let run = Command::RunJob { id: 1, forced: false };
        let wrapped = run.clone().for_version(1, Some(2));
        assert_eq!((run.name(), run.inner()), ("run_job", None));
        assert_eq!((wrapped.name(), wrapped.inner()), ("for_version", Some(&run)));
    }
}
