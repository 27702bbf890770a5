//! The commands, one variant each. `docs/architecture.md` has the walk of a command; the head of
//! `apply` says which file has the rules of each, and why it may be refused.

use serde::{Deserialize, Serialize};

use super::payload::{
    CreateJobs, JobAction, JobEdit, NewProject, ProjectAction, ProjectEdit, ReshapeJobs,
};
use crate::model::account::{AccountEdit, NewAccount};
use crate::model::attempt::JournalBatch;
use crate::model::audit::AuditNote;
use crate::model::credential::{Credential, KeyUse};
use crate::model::key_terms::TermsEdit;
use crate::model::reach::Reach;
use crate::model::run::{BeginRun, Occurrence, Report};
use crate::model::run_report::RunReport;
use crate::model::shard::Move;
use crate::model::target::Executor;
use crate::model::template::Template;
use crate::model::{AccountId, JobId, Millis, NodeId, ProjectId};

/// A change of the replicated state. The enum is append-only: the place of a variant is its code in
/// the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The birth of the cluster: sets its id and creates its shards. Since 0.1.
    Init {
        /// A random id, made by the bootstrapping node.
        cluster: u128,
    },
    /// Moves log time on in an idle cluster and drops small leftovers. Since 0.1.
    Tick,
    /// Creates a project under a name that is free. Since 0.1.
    CreateProject(NewProject),
    /// Changes, pauses or resumes a project. Since 0.1.
    UpdateProject(ProjectEdit),
    /// Deletes a project. Refused while it has jobs, unless `cascade`. Since 0.1.
    DeleteProject {
        /// The project.
        id: ProjectId,
        /// Its jobs are deleted with it.
        cascade: bool,
        /// The version that it must still have.
        expect: Option<u64>,
    },
    /// Creates jobs, or stages a chunk of a large request. Since 0.1.
    CreateJobs(CreateJobs),
    /// Turns a task's staged jobs into jobs, created at this stamp. Since 0.1.
    ActivateJobs {
        /// The task.
        request: u128,
    },
    /// Drops a task's staged jobs. Since 0.1.
    DiscardJobs {
        /// The task.
        request: u128,
    },
    /// Replaces a job's definition: closes its plan and opens the next. Since 0.1.
    UpdateJob(Box<JobEdit>),
    /// Deletes a job. Since 0.1.
    DeleteJob {
        /// The job.
        id: JobId,
        /// The version that it must still have.
        expect: Option<u64>,
    },
    /// Creates a credential. Its id is given at apply; the one in the record is ignored. In version
    /// 2 of the log it has another form (`version2`). Since 0.1.
    CreateCredential(#[serde(with = "crate::model::text")] Credential),
    /// Archives a credential and all below it, or takes that one back into use. Since 0.1.
    ArchiveCredential {
        /// The credential.
        id: u64,
        /// Its key is refused from now on.
        archived: bool,
        /// The name of the caller.
        by: Option<String>,
    },
    /// Deletes a credential. Those below it are archived and get its parent as theirs. Since 0.1.
    DeleteCredential {
        /// The credential.
        id: u64,
    },
    /// Changes of ownership, from the coordinator. Since 0.1.
    Assign(Vec<Move>),
    /// Records a batch of a node's journal, from the collector. Since 0.1.
    Record(JournalBatch),
    /// Binds a node id to the instance id of a data folder. Since 0.1.
    Register {
        /// The node.
        node: NodeId,
        /// The random id of its data folder.
        instance: u128,
        /// The binding may replace that of a node that was removed.
        replace: bool,
    },
    /// Asks every node for the hash of its state at this entry; changes nothing. Since 0.1.
    Checksum,
    /// Drops history that is older than it is kept, a bounded part at a time. Since 0.1.
    Retain {
        /// Records due before this are dropped, but never those above the lowest watermark.
        before: Millis,
        /// Dead letters recorded before this are dropped.
        dead_letters: Millis,
        /// The most that is dropped of each.
        limit: u32,
    },
    /// Carries out a client's command once under its `Idempotency-Key`, and answers repetitions
    /// with the same outcome for 24 hours of log time. Since 0.1.
    Once {
        /// Digest of credential, route and key.
        key: [u8; 32],
        /// Digest of the body. Another body under the same key is refused.
        body: [u8; 32],
        /// The command.
        command: Box<Command>,
    },
    /// Pauses, resumes or deletes jobs, at most about 1,000 in an entry. Those that do not exist
    /// are passed over. Since 0.1.
    ChangeJobs {
        /// The jobs as ranges (first id, count), ascending.
        jobs: Vec<(JobId, u64)>,
        /// The change.
        action: JobAction,
        /// The name of the caller.
        by: Option<String>,
    },
    /// Adds a manual run: one more occurrence of a job, due at the stamp, with an id of its own.
    /// Since 0.1.
    RunJob {
        /// The job.
        id: JobId,
        /// The run may overlap with another one.
        forced: bool,
    },
    /// Creates a named executor. Its id and version are given at apply. Since 0.1.
    CreateExecutor(#[serde(with = "crate::model::text")] Executor),
    /// Replaces an executor's definition. Its id, creation and version stay those of the store.
    /// Since 0.1.
    UpdateExecutor {
        /// The executor.
        id: u64,
        /// The version that it must still have.
        expect: Option<u64>,
        /// Its new definition.
        #[serde(with = "crate::model::text")]
        executor: Executor,
    },
    /// Deletes an executor. Refused while jobs use it. Since 0.1.
    DeleteExecutor {
        /// The executor.
        id: u64,
        /// The version that it must still have.
        expect: Option<u64>,
    },
    /// Asks for leave to send an attempt that must not overlap with another run. Since 0.1.
    BeginRun(BeginRun),
    /// Reports on a run, for a receiver or a client. Since 0.1.
    ReportRun {
        /// The occurrence of the run.
        occurrence: Occurrence,
        /// The report.
        report: Report,
    },
    /// Ends runs past their deadline (one that a worker has is to be cancelled first), offers that
    /// nobody took in time, and one-offs that lapsed: their instant passed while they did not fire.
    /// Since 0.1.
    Expire {
        /// The most that is ended of each.
        limit: u32,
    },
    /// Turns dead letters into pending rows again, each due at its instant. Those that do not exist
    /// are passed over. Since 0.1.
    ReplayDeadLetters {
        /// The letters as (id, instant of the next attempt).
        letters: Vec<(u64, Millis)>,
    },
    /// Drops dead letters for good. Those that do not exist are passed over. Since 0.1.
    PurgeDeadLetters {
        /// Their ids.
        letters: Vec<u64>,
    },
    /// Carries the answer to a request of many commands, as JSON, to be stored under its
    /// `Idempotency-Key`. Since 0.1.
    Conclude {
        /// The answer, for this request and its repetitions.
        answer: String,
    },
    /// Removes a node from the cluster: its data folder is refused from now on. Since 0.1.
    Retire {
        /// The node.
        node: NodeId,
    },
    /// Drains a node, which is to own no shards then, or ends that. Since 0.1.
    Drain {
        /// The node.
        node: NodeId,
        /// It is to own no shards.
        draining: bool,
    },
    /// Removes all nodes but one, which goes on alone after a quorum was lost. Written into the log
    /// by `cluster::recover`, never proposed. Since 0.1.
    Recover {
        /// The node that goes on.
        node: NodeId,
        /// A random number that tells this line of descent from that of the lost nodes.
        generation: u128,
    },
    /// Carries out a command about a job that names no version itself (a pause, a resume, a run),
    /// only if the job still has this version. Since 0.1.
    ForVersion {
        /// The job.
        job: JobId,
        /// The version that it must have.
        version: u64,
        /// The command.
        command: Box<Command>,
    },
    /// Carries out a command about credentials for a client's key. It reaches only that credential
    /// and those below it, and is refused when the key is archived or deleted by then. A credential
    /// that it creates has the client's as its parent. Since 0.1.
    ByClient {
        /// The caller's credential, as authentication found it.
        client: u64,
        /// The command.
        command: Box<Command>,
    },
    /// Raises the level of the cluster: from here on the log may hold what programs below it do not
    /// understand. Proposed by a leader whose members have all announced that level. Since 0.1.
    RaiseLevel {
        /// The level; a lower one than the cluster has changes nothing.
        level: u32,
    },
    /// Reports on runs that workers perform, each by itself, in order. At most
    /// [`MAX_REPORTS`](crate::model::run_report::MAX_REPORTS). Since 0.1.
    ReportRuns {
        /// The reports.
        #[serde(with = "crate::model::text")]
        reports: Vec<RunReport>,
    },
    /// Creates a template, or replaces all of one. Its id, creation and version stay those of the
    /// store. A system template that becomes active gets its first instance. Since 0.1.
    PutTemplate {
        /// The template; 0 for a new one.
        id: u64,
        /// The version that it must still have.
        expect: Option<u64>,
        /// What it is to be.
        #[serde(with = "crate::model::text")]
        template: Box<Template>,
    },
    /// Deletes a template. Refused while instances are live, unless `terminate`. Where more than
    /// `limit` are live, so many of them are ended, and the command is to be repeated. Since 0.1.
    DeleteTemplate {
        /// The template.
        id: u64,
        /// The version that it must still have.
        expect: Option<u64>,
        /// Its live instances are ended.
        terminate: bool,
        /// The most that are ended.
        limit: u32,
    },
    /// Ends a one-off before its time: its wait or its runs. One that is over stays as it is.
    /// Since 0.1.
    TerminateJob {
        /// The job.
        id: JobId,
        /// Whether another instance of its template follows; `None` for what the template says.
        reschedule: Option<bool>,
        /// The reason, in the words of the caller.
        reason: Option<String>,
    },
    /// Ends all sessions of browsers that were begun with a client's key, or by operators. They are
    /// over that were begun up to the stamp. Since 0.1.
    EndSessions {
        /// The client's credential; `None` for the operators.
        credential: Option<u64>,
    },
    /// Edits jobs, at most about 1,000 in an entry, each as [`Command::UpdateJob`] does. Those that
    /// do not exist, or have another definition by now, are passed over. Since 0.1.
    ReshapeJobs(#[serde(with = "crate::model::text")] Box<ReshapeJobs>),
    /// Replaces the terms of a credential, if it still has those that the change was made from.
    /// Since 0.1.
    ChangeCredential {
        /// The credential.
        id: u64,
        /// The change.
        #[serde(with = "crate::model::text")]
        edit: Box<TermsEdit>,
        /// The name of the caller.
        by: Option<String>,
    },
    /// Gives a credential another secret. The one before opens too until the overlap is over.
    /// Since 0.1.
    RotateCredential {
        /// The credential.
        id: u64,
        /// What the new secret is checked against.
        verifier: Vec<u8>,
        /// The overlap, in milliseconds from the stamp; 0 ends the old secret at once.
        overlap: Millis,
    },
    /// Notes uses of keys, as a node saw them. A use in an hour that is known is passed over, and
    /// so is a credential that does not exist. Since 0.1.
    TouchCredentials(#[serde(with = "crate::model::text")] Vec<KeyUse>),
    /// Carries out a command within a reach that is less than its actor's, as an operator's who
    /// acts for an account. What it creates is of the account of the reach. A client's key is
    /// limited to its own reach in any case. Since 0.1.
    Within {
        /// The reach.
        #[serde(with = "crate::model::text")]
        reach: Reach,
        /// The command.
        command: Box<Command>,
    },
    /// Creates an account under a name that is free. Since 0.1.
    CreateAccount(#[serde(with = "crate::model::text")] Box<NewAccount>),
    /// Replaces name, features and limits of an account. Since 0.1.
    UpdateAccount {
        /// The account.
        id: AccountId,
        /// The version that it must still have.
        expect: Option<u64>,
        /// What it is to be.
        #[serde(with = "crate::model::text")]
        edit: Box<AccountEdit>,
    },
    /// Deletes an account, which must have nothing. Since 0.1.
    DeleteAccount {
        /// The account.
        id: AccountId,
        /// The version that it must still have.
        expect: Option<u64>,
    },
    /// Grants an account executions beside its limit, for the month of the stamp. Since 0.1.
    GrantExecutions {
        /// The account.
        id: AccountId,
        /// How many more.
        count: u64,
    },
    /// Notes in the audit what somebody did that changes nothing of this state: it is only a row
    /// there. Since 0.1.
    Note(#[serde(with = "crate::model::text")] AuditNote),
    /// Drops the oldest rows of the audit, a bounded part at a time. Since 0.1.
    RetainAudit {
        /// Rows before this are dropped.
        before: Millis,
        /// The oldest rows are dropped while all take more bytes than this.
        most_bytes: u64,
        /// The most that are dropped.
        limit: u32,
    },
    /// Ends one session of a browser, which every node refuses from then on. It is remembered until
    /// it would have ended by itself. Since 0.1.
    EndSession {
        /// The random number of the session.
        session: u64,
        /// The instant at which it would have ended.
        expires: Millis,
    },
}

impl Command {
    /// The command that pauses or resumes a project and changes nothing else of it.
    pub fn project_action(id: ProjectId, action: ProjectAction, by: Option<String>) -> Self {
        let action = Some(action);
        Self::UpdateProject(ProjectEdit { id, action, by, ..ProjectEdit::default() })
    }

    /// Limits the command to a version of a job, if one is given.
    #[must_use]
    pub fn for_version(self, job: JobId, version: Option<u64>) -> Self {
        match version {
            Some(version) => Self::ForVersion { job, version, command: Box::new(self) },
            None => self,
        }
    }

    /// Limits the command to a reach, unless that is everything.
    #[must_use]
    pub fn within(self, reach: &Reach) -> Self {
        if reach.is_all() {
            return self;
        }
        Self::Within { reach: reach.clone(), command: Box::new(self) }
    }

    /// Limits the command to the credentials of a client, if a client asks and not an operator.
    #[must_use]
    pub fn by_client(self, client: Option<u64>) -> Self {
        match client {
            Some(client) => Self::ByClient { client, command: Box::new(self) },
            None => self,
        }
    }
}
