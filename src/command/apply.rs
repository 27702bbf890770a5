//! The one place where replicated state changes: the rules, one file a noun.
//!
//! `raft::machine` calls [`apply`] for one entry after the other, a transaction for a chunk of
//! them. Nothing here may depend on where a chunk ends, on a clock or on anything but the books and
//! the command. A command is refused before it has written anything, so that a refusal leaves no
//! trace but its stamp.

mod changes;
mod credentials;
mod dead_letters;
mod executors;
mod idempotency;
mod jobs;
mod occurrences;
mod ownership;
mod plan_intervals;
mod projects;
mod record;
mod reports;
mod restore;
mod retain;
mod runs;
mod staging;
#[cfg(test)]
mod tests;

pub use restore::{Due, Reopened, reopen};

use super::{Change, Command, Error, Outcome, Rejection, RejectionKind};
use crate::model::Millis;
use crate::model::shard::ShardId;
use crate::store::Tx;

/// Applies one command at its log index and stamp. An `Err` is the store's failure and stops the
/// node; what is wrong with the command comes back as [`Outcome::Rejected`]. The command takes
/// effect at its stamp, or at log time where that is later.
pub fn apply(
    tx: &mut Tx<'_>,
    index: u64,
    stamp: Millis,
    command: &Command,
    change: &mut Change,
) -> Result<Outcome, Error> {
    let stamp = tx.advance_log_time(stamp)?;
    change.index = index;
    change.stamp = stamp;
    match (Entry { tx, index, stamp, change }).execute(command) {
        Ok(outcome) => Ok(outcome),
        Err(Refusal::Rejected(rejection)) => Ok(Outcome::Rejected(rejection)),
        Err(Refusal::Failed(error)) => Err(error),
    }
}

/// An entry that is being applied.
struct Entry<'a, 't> {
    tx: &'a mut Tx<'t>,
    index: u64,
    stamp: Millis,
    change: &'a mut Change,
}

/// Why an entry came to nothing.
enum Refusal {
    /// Something is wrong with the command.
    Rejected(Rejection),
    /// Something is wrong with this node.
    Failed(Error),
}

type Applied = Result<Outcome, Refusal>;

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A refusal of the command, for `return Err(...)`.
fn refuse(kind: RejectionKind, message: impl Into<String>) -> Refusal {
    Refusal::Rejected(Rejection::new(kind, message))
}

/// Refuses a change of a record that was meant for another version of it.
fn expected(noun: &str, expect: Option<u64>, version: u64) -> Result<(), Refusal> {
    if expect.is_none_or(|expect| expect == version) {
        return Ok(());
    }
    let message = format!("{noun} has changed since: read it again and repeat the change");
    Err(refuse(RejectionKind::Stale, message))
}

impl Entry<'_, '_> {
    fn execute(&mut self, command: &Command) -> Applied {
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
            Command::DeleteJob { id, expect } => self.delete_job(*id, *expect),
            Command::CreateCredential(new) => self.create_credential(new, None),
            Command::ArchiveCredential { id, archived, by } => {
                self.archive_credential(*id, *archived, by.as_deref())
            }
            Command::DeleteCredential { id } => self.delete_credential(*id),
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
            Command::ForVersion { job, version, command } => {
                expected("job", Some(*version), self.job(*job)?.version)?;
                self.execute(command)
            }
        }
    }

    /// Rings the bell for a shard's pending rows.
    fn pending_changed(&mut self, shard: ShardId) {
        if !self.change.pending.contains(&shard) {
            self.change.pending.push(shard);
        }
    }
}
