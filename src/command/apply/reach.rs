//! Rules of reach: a command of a client changes only what its key reaches, as the key stands in
//! the same transaction. So a job that moves to another project, or a key that is narrowed, while a
//! request is under way is judged as it is when the request takes effect.
//!
//! What is out of reach is refused as what does not exist. A record that a command names is found
//! by the rules of its noun ([`Entry::reaches_project`] and its like), and of many records those
//! out of reach are passed over as those that are gone. Here are the commands that need a reach of
//! some breadth by themselves ([`Entry::has_the_reach`]).
//!
//! An operator and the node itself reach everything, a token all of the first account. Nothing is
//! limited in a log of a level below that of reaches: no key has projects then, and there is one
//! account.

use super::entry::{Applied, Entry, Refusal, refuse};
use crate::command::outcome::{Rejection, RejectionKind};
use crate::command::{Command, REACH_LEVEL};
use crate::model::actor::ActorRef;
use crate::model::members::Members;
use crate::model::reach::Reach;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::model::{FIRST_ACCOUNT, JobId, ProjectId};
use crate::store::{
    Tx, credentials, dead_letters, executors, in_force, jobs, meta, projects, runs,
};

/// The reach of an actor in the state before its command; a rejection where its key is gone.
pub(super) fn reach_of(
    tx: &Tx<'_>,
    actor: Option<&ActorRef>,
) -> rusqlite::Result<Result<Reach, Rejection>> {
    let reach = match actor {
        None | Some(ActorRef::Operator | ActorRef::Node { .. }) => return Ok(Ok(Reach::all())),
        Some(ActorRef::Token { .. }) => Reach::of_account(FIRST_ACCOUNT),
        Some(ActorRef::Client { credential }) => match credentials::reach(tx, *credential)? {
            Some(reach) => reach,
            // Programs below that level carry out what a key asked for that is gone.
            None if meta::level(tx)? < REACH_LEVEL => Reach::all(),
            None => {
                let message = "the api key of this request was archived or deleted meanwhile";
                return Ok(Err(Rejection::new(RejectionKind::Forbidden, message)));
            }
        },
    };
    in_force(tx, &reach).map(Ok)
}

impl Entry<'_, '_> {
    /// Carries out a command within a reach, beside that of its actor.
    pub(super) fn within(&mut self, reach: &Reach, command: &Command) -> Applied {
        self.reach = self.reach.intersect(reach);
        self.execute(command)
    }

    /// Refuses a command that needs more than a part of an account, or a node's rights.
    pub(super) fn has_the_reach(&self, command: &Command) -> Result<(), Refusal> {
        if self.reach.is_all() {
            return Ok(());
        }
        match command {
            Command::CreateProject(_) => self.reaches_all_projects("create projects"),
            Command::UpdateAccount { .. } => self.reaches_all_projects("change accounts"),
            // A job of any project may use an executor.
            Command::CreateExecutor(_) => self.reaches_all_projects("create executors"),
            Command::UpdateExecutor { id, .. } | Command::DeleteExecutor { id, .. } => {
                if !self.reaches_executor(*id)? {
                    return Err(no_executor());
                }
                self.reaches_all_projects("change executors, which other projects use, too")
            }
            // Those of clients' keys are judged with the trees of credentials.
            Command::ArchiveCredential { id, .. }
            | Command::DeleteCredential { id }
            | Command::ChangeCredential { id, .. }
            | Command::RotateCredential { id, .. }
            | Command::EndSessions { credential: Some(id) } => self.reaches_credential(*id),
            // What concerns every account or every node: who asks has a scope on the cluster, which
            // no key has that is bound to projects.
            Command::Init { .. }
            | Command::Tick
            | Command::Assign(_)
            | Command::Record(_)
            | Command::Register { .. }
            | Command::Checksum
            | Command::Retain { .. }
            | Command::BeginRun(_)
            | Command::Expire { .. }
            | Command::Retire { .. }
            | Command::Drain { .. }
            | Command::Recover { .. }
            | Command::RaiseLevel { .. }
            | Command::TouchCredentials(_)
            | Command::RetainAudit { .. } => self.reaches_all_projects("administer the cluster"),
            // By the projects of the records that they name.
            Command::UpdateProject(_)
            | Command::DeleteProject { .. }
            | Command::CreateJobs(_)
            | Command::ActivateJobs { .. }
            | Command::DiscardJobs { .. }
            | Command::UpdateJob(_)
            | Command::DeleteJob { .. }
            | Command::ChangeJobs { .. }
            | Command::ReshapeJobs(_)
            | Command::RunJob { .. }
            | Command::TerminateJob { .. }
            | Command::ReportRun { .. }
            | Command::ReportRuns { .. }
            | Command::ReplayDeadLetters { .. }
            | Command::PurgeDeadLetters { .. }
            | Command::PutTemplate { .. }
            | Command::DeleteTemplate { .. }
            // Whoever ends the own sessions, or makes a key, is judged with the credentials.
            | Command::CreateCredential(_)
            | Command::EndSessions { credential: None }
            | Command::EndSession { .. }
            // With the accounts.
            | Command::CreateAccount(_)
            | Command::DeleteAccount { .. }
            | Command::GrantExecutions { .. }
            // What was done has been judged.
            | Command::Note(_)
            // What they wrap is judged, and an answer is the principal's own.
            | Command::Once { .. }
            | Command::ForVersion { .. }
            | Command::ByClient { .. }
            | Command::Within { .. }
            | Command::Conclude { .. } => Ok(()),
        }
    }

    /// Says whether a project is in reach. One that does not exist is in reach of nobody who is
    /// limited to an account.
    pub(super) fn reaches_project(&self, id: ProjectId) -> Result<bool, Refusal> {
        if !self.reach.names_project(id) {
            return Ok(false);
        }
        let Some(account) = self.reach.account() else { return Ok(true) };
        Ok(projects::account(self.tx, id)? == Some(account))
    }

    /// Says whether an executor is in reach.
    pub(super) fn reaches_executor(&self, id: u64) -> Result<bool, Refusal> {
        let Some(account) = self.reach.account() else { return Ok(true) };
        Ok(executors::account(self.tx, id)? == Some(account))
    }

    /// Says whether a job is in reach, by the project that it is in now.
    pub(super) fn reaches_job(&self, id: JobId) -> Result<bool, Refusal> {
        if self.reach.is_all() {
            return Ok(true);
        }
        match jobs::project_of(self.tx, id)? {
            Some(project) => self.reaches_project(project),
            None => Ok(false),
        }
    }

    /// Says whether a dead letter is in reach.
    pub(super) fn reaches_letter(&self, id: u64) -> Result<bool, Refusal> {
        if self.reach.is_all() {
            return Ok(true);
        }
        match dead_letters::project_of(self.tx, id)? {
            Some(project) => self.reaches_project(project),
            None => Ok(false),
        }
    }

    /// Says whether all of some jobs are in reach that still exist.
    pub(super) fn reaches_members(&self, members: &Members) -> Result<bool, Refusal> {
        if self.reach.is_all() {
            return Ok(true);
        }
        for id in members.iter() {
            if let Some(project) = jobs::project_of(self.tx, id)?
                && !self.reaches_project(project)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says whether an occurrence is in reach: by the project that its run, its row or its dead
    /// letter is of, which may be another one than that of its job by now, else by that of its job.
    pub(super) fn reaches_occurrence(&self, of: Occurrence) -> Result<bool, Refusal> {
        if self.reach.is_all() {
            return Ok(true);
        }
        if let Some(run) = runs::get(self.tx, of)? {
            return self.reaches_project(run.project);
        }
        if let Some(row) = self.row_of(of)? {
            return self.reaches_project(row.project);
        }
        let (shard, member) = (shard_of(of.job), Members::from_sorted([of.job]));
        let letters = dead_letters::at_occurrence(self.tx, shard, of.scheduled, of.run, &member)?;
        if let Some((id, _)) = letters.iter().find(|(_, members)| members.contains(of.job)) {
            return self.reaches_letter(*id);
        }
        self.reaches_job(of.job)
    }

    fn reaches_credential(&self, id: u64) -> Result<(), Refusal> {
        let Some(account) = self.reach.account() else { return Ok(()) };
        match credentials::account(self.tx, id)? {
            Some(found) if found == account => Ok(()),
            _ => Err(super::credentials::missing()),
        }
    }

    fn reaches_all_projects(&self, what: &str) -> Result<(), Refusal> {
        if self.reach.reaches_all_projects() {
            return Ok(());
        }
        let message = format!(
            "this api key is bound to {} and cannot {what}: use a key without projects",
            self.reach
        );
        Err(refuse(RejectionKind::Forbidden, message))
    }
}

/// The refusal of an executor that does not exist.
pub(super) fn no_executor() -> Refusal {
    refuse(RejectionKind::NotFound, "executor does not exist")
}
