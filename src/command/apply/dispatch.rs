//! The way of a command to its rules: one arm for each variant. `raft::machine` calls [`apply`];
//! the commands that wrap others come back to `execute`.

use super::audit_notes::AuditNotes;
use super::entry::{Applied, Entry, Refusal, expected};
use super::reach::reach_of;
use crate::command::codec::Error;
use crate::command::commands::Command;
use crate::command::outcome::{Change, Outcome};
use crate::model::Millis;
use crate::model::actor::{ActorRef, RequestOrigin};
use crate::store::Tx;

/// Applies one command at its log index and stamp, for the actor that asked for it by a request of
/// this origin. An `Err` is a failure of the store and stops the node; a command that is refused
/// comes back as [`Outcome::Rejected`]. The command takes effect at its stamp, or at log time where
/// that is later.
pub fn apply(
    tx: &mut Tx<'_>,
    index: u64,
    stamp: Millis,
    (actor, origin): (Option<&ActorRef>, Option<&RequestOrigin>),
    command: &Command,
    change: &mut Change,
) -> Result<Outcome, Error> {
    let stamp = tx.advance_log_time(stamp)?;
    change.index = index;
    change.stamp = stamp;
    change.events.begin(index, stamp);
    let reach = match reach_of(tx, actor)? {
        Ok(reach) => reach,
        Err(rejection) => return Ok(Outcome::Rejected(rejection)),
    };
    let notes = AuditNotes::new(actor, origin);
    let mut entry = Entry { tx, index, stamp, actor, reach, notes, change: &mut *change };
    let done = entry.execute(command).and_then(|outcome| {
        entry.write_audit(command, &outcome)?;
        Ok(outcome)
    });
    let counted = entry.count_executed();
    match counted.and(done) {
        Ok(outcome) => Ok(outcome),
        Err(Refusal::Rejected(rejection)) => {
            change.events.withdraw();
            Ok(Outcome::Rejected(rejection))
        }
        Err(Refusal::Failed(error)) => Err(error),
    }
}

impl Entry<'_, '_> {
    /// Carries out a command, also one that another command wraps.
    pub(super) fn execute(&mut self, command: &Command) -> Applied {
        self.has_the_reach(command)?;
        match command {
            Command::Init { cluster } => self.init(*cluster),
            Command::Tick => self.tick(),
            Command::CreateProject(new) => self.create_project(new),
            Command::UpdateProject(edit) => self.update_project(edit),
            Command::DeleteProject { id, cascade, expect } => {
                self.delete_project(*id, *cascade, *expect)
            }
            Command::CreateJobs(new) if new.staged => self.stage_jobs(new),
            Command::CreateJobs(new) => self.create_jobs(new),
            Command::ActivateJobs { request } => self.activate_jobs(*request),
            Command::DiscardJobs { request } => self.discard_jobs(*request),
            Command::UpdateJob(edit) => self.update_job(edit),
            Command::ReshapeJobs(edit) => self.reshape_jobs(edit),
            Command::DeleteJob { id, expect } => self.delete_job(*id, *expect),
            // A client's commands are limited to its reach, also when nothing wraps them.
            Command::CreateCredential(_)
            | Command::ArchiveCredential { .. }
            | Command::DeleteCredential { .. }
            | Command::ChangeCredential { .. }
            | Command::RotateCredential { .. }
            | Command::EndSessions { .. }
                if let Some(client) = self.client() =>
            {
                self.by_client(client, command)
            }
            Command::CreateCredential(new) => self.create_credential(new, None),
            Command::ArchiveCredential { id, archived, by } => {
                self.archive_credential(*id, *archived, by.as_deref())
            }
            Command::DeleteCredential { id } => self.delete_credential(*id),
            Command::ChangeCredential { id, edit, by } => {
                self.change_credential(*id, edit, by.as_deref())
            }
            Command::RotateCredential { id, verifier, overlap } => {
                self.rotate_credential(*id, verifier, *overlap)
            }
            Command::TouchCredentials(uses) => self.touch_credentials(uses),
            Command::EndSessions { credential } => self.end_sessions(*credential),
            Command::EndSession { session, expires } => self.end_session(*session, *expires),
            Command::ByClient { client, command } => self.by_client(*client, command),
            Command::Assign(moves) => self.assign(moves),
            Command::Record(record) => self.record(record),
            Command::Register { node, instance, replace } => {
                self.register(*node, *instance, *replace)
            }
            Command::Checksum => Ok(Outcome::Done),
            Command::Retain { before, dead_letters, limit } => {
                self.retain(*before, *dead_letters, *limit)
            }
            Command::Once { key, body, command } => self.once(key, body, command),
            Command::ChangeJobs { jobs, action, by } => {
                self.change_jobs(jobs, *action, by.as_deref())
            }
            Command::RunJob { id, forced } => self.run_job(*id, *forced),
            Command::CreateExecutor(new) => self.create_executor(new),
            Command::UpdateExecutor { id, expect, executor } => {
                self.update_executor(*id, *expect, executor)
            }
            Command::DeleteExecutor { id, expect } => self.delete_executor(*id, *expect),
            Command::BeginRun(begin) => self.begin_run(begin),
            Command::ReportRun { occurrence, report } => self.report_run(*occurrence, report),
            Command::Expire { limit } => self.expire(*limit),
            Command::ReplayDeadLetters { letters } => self.replay_dead_letters(letters),
            Command::PurgeDeadLetters { letters } => self.purge_dead_letters(letters),
            Command::Conclude { answer } => Ok(Outcome::Concluded(answer.clone())),
            Command::Retire { node } => self.retire(*node),
            Command::Drain { node, draining } => self.drain(*node, *draining),
            Command::Recover { node, generation } => self.recover(*node, *generation),
            Command::RaiseLevel { level } => self.raise_level(*level),
            Command::ReportRuns { reports } => self.report_runs(reports),
            Command::PutTemplate { id: 0, template, .. } => self.create_template(template),
            Command::PutTemplate { id, expect, template } => {
                self.update_template(*id, *expect, template)
            }
            Command::DeleteTemplate { id, expect, terminate, limit } => {
                self.delete_template(*id, *expect, *terminate, *limit)
            }
            Command::TerminateJob { id, reschedule, reason } => {
                self.terminate_job(*id, *reschedule, reason.as_deref())
            }
            Command::CreateAccount(new) => self.create_account(new),
            Command::UpdateAccount { id, expect, edit } => self.update_account(*id, *expect, edit),
            Command::DeleteAccount { id, expect } => self.delete_account(*id, *expect),
            Command::GrantExecutions { id, count } => self.grant_executions(*id, *count),
            Command::Within { reach, command } => self.within(reach, command),
            Command::Note(note) => {
                self.note(note);
                Ok(Outcome::Done)
            }
            Command::RetainAudit { before, most_bytes, limit } => {
                self.retain_audit(*before, *most_bytes, *limit)
            }
            Command::ForVersion { job, version, command } => {
                expected("job", Some(*version), self.job(*job)?.version)?;
                self.execute(command)
            }
        }
    }
}
