//! The only vocabulary of replicated change: what a log entry may say; what comes of it, and which
//! bell it rings, is in `outcome`.
//!
//! `cluster` encodes and proposes commands; `raft::machine` decodes them and calls [`apply`], one
//! transaction for a chunk of them. The enums are append-only: a variant's place is its code in the
//! log. Below `apply` there is no clock, no chance, no environment and no map order: whatever could
//! differ between nodes (ids from outside, stamps, random bytes) comes in with the command.

mod apply;
mod level;
mod outcome;

pub use apply::{Due, Reopened, apply, reopen};
pub use level::{LEVEL, SCHEMA_LEVEL};
pub use outcome::{Change, Outcome, Rejection, RejectionKind};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::attempt::JournalBatch;
use crate::model::credential::Credential;
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::project::ProjectSettings;
use crate::model::run::{BeginRun, Occurrence, Report};
use crate::model::shard::Move;
use crate::model::target::Executor;
use crate::model::{JobId, Millis, NodeId, ProjectId};

/// The first byte of an encoded command. A node refuses to apply a version it does not know, rather
/// than guess. Version 1 was in no release.
///
/// Frozen: logs that were written are kept and played by `tests/it/formats.rs`. What follows the
/// version is not self-describing: within a version, variants are only added at the end of an enum,
/// and fields to nothing but what is carried as JSON ([`crate::model::text`]). Anything else takes
/// a new version, beside which the old one is still decoded, and a new folder of fixtures.
pub const VERSION: u8 = 2;

/// A change of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The birth of the cluster: its id and its shards. Since 0.1.
    Init {
        /// Random, made by the bootstrapping node.
        cluster: u128,
    },
    /// Nothing but its stamp: log time goes on in an idle cluster. Since 0.1.
    Tick,
    /// Since 0.1.
    CreateProject(NewProject),
    /// Since 0.1.
    UpdateProject(ProjectEdit),
    /// Refused while there are jobs, unless `cascade`. Since 0.1.
    DeleteProject {
        /// Which.
        id: ProjectId,
        /// Delete its jobs with it.
        cascade: bool,
        /// Only if it still has this version.
        expect: Option<u64>,
    },
    /// Creates jobs, or stages a chunk of a large request. Since 0.1.
    CreateJobs(CreateJobs),
    /// Makes a task's staged jobs visible; its stamp is their creation. Since 0.1.
    ActivateJobs {
        /// The task.
        request: u128,
    },
    /// Drops a task's staged jobs. Since 0.1.
    DiscardJobs {
        /// The task.
        request: u128,
    },
    /// Replaces a job's definition: closes its plan, opens the next. Since 0.1.
    UpdateJob(JobEdit),
    /// Since 0.1.
    DeleteJob {
        /// Which.
        id: JobId,
        /// Only if it still has this version.
        expect: Option<u64>,
    },
    /// Since 0.1. Its id is given at apply; the one in the record is ignored.
    CreateCredential(Credential),
    /// Archives a credential and what was made with it, or takes that one back. Since 0.1.
    ArchiveCredential {
        /// Which.
        id: u64,
        /// Whether its key is refused from now on.
        archived: bool,
        /// Who asked.
        by: Option<String>,
    },
    /// What was made with it is archived, and is its maker's from then on. Since 0.1.
    DeleteCredential {
        /// Which.
        id: u64,
    },
    /// Changes of ownership, from the coordinator. Since 0.1.
    Assign(Vec<Move>),
    /// A stretch of a node's journal, from the collector. Since 0.1.
    Record(JournalBatch),
    /// Binds a node's id to the instance id of its data folder. Since 0.1.
    Register {
        /// The node.
        node: NodeId,
        /// Its data folder's random id.
        instance: u128,
        /// Also where the id was another folder's, if that one was removed.
        replace: bool,
    },
    /// Asks every node for the hash of its state at this entry. Since 0.1.
    Checksum,
    /// Drops history that is past its keeping, a bounded part at a time. Since 0.1.
    Retain {
        /// Records due before this go (never those above the lowest watermark).
        before: Millis,
        /// Dead letters recorded before this go.
        dead_letters: Millis,
        /// At most this many of each at once.
        limit: u32,
    },
    /// A client's command under its `Idempotency-Key`: carried out once, answered alike ever
    /// after (24 h of log time). Since 0.1.
    Once {
        /// Digest of credential, route and key.
        key: [u8; 32],
        /// Digest of the body: another body under the same key is refused.
        body: [u8; 32],
        /// What to do.
        command: Box<Command>,
    },
    /// Pauses, resumes or deletes jobs, at most about 1,000 in an entry; those that are not there
    /// are passed over. Since 0.1.
    ChangeJobs {
        /// Which, as (first id, how many), ascending.
        jobs: Vec<(JobId, u64)>,
        /// What to do with them.
        action: JobAction,
        /// Who asked.
        by: Option<String>,
    },
    /// One occurrence of a job more, due at the stamp, with an id of its own. Since 0.1.
    RunJob {
        /// Which.
        id: JobId,
        /// Whether another run may be under way.
        forced: bool,
    },
    /// Its id and version are given at apply. Since 0.1.
    CreateExecutor(#[serde(with = "crate::model::text")] Executor),
    /// Replaces an executor's definition; id, creation and version are the books'. Since 0.1.
    UpdateExecutor {
        /// Which.
        id: u64,
        /// Only if it still has this version.
        expect: Option<u64>,
        /// What it is from now on.
        #[serde(with = "crate::model::text")]
        executor: Executor,
    },
    /// Refused while jobs use it. Since 0.1.
    DeleteExecutor {
        /// Which.
        id: u64,
        /// Only if it still has this version.
        expect: Option<u64>,
    },
    /// Asks whether an attempt may go out that must not overlap with another. Since 0.1.
    BeginRun(BeginRun),
    /// What a receiver or a client says of a run. Since 0.1.
    ReportRun {
        /// Which.
        occurrence: Occurrence,
        /// What it says.
        report: Report,
    },
    /// Ends what has run out of time before the stamp: runs past their deadline, and one-offs whose
    /// instant came while they did not fire. Since 0.1.
    Expire {
        /// At most this many of each at once.
        limit: u32,
    },
    /// Takes dead letters back into the pending rows, each at its instant; those that are not there
    /// are passed over. Since 0.1.
    ReplayDeadLetters {
        /// (number, when to try it).
        letters: Vec<(u64, Millis)>,
    },
    /// Drops dead letters for good; those that are not there are passed over. Since 0.1.
    PurgeDeadLetters {
        /// Their numbers.
        letters: Vec<u64>,
    },
    /// Nothing but the answer to a request of many commands, as JSON, to be remembered under its
    /// `Idempotency-Key`. Since 0.1.
    Conclude {
        /// What the client is told, now and whenever it repeats the request.
        answer: String,
    },
    /// A node was removed from the cluster: its data folder is refused from now on. Since 0.1.
    Retire {
        /// The node.
        node: NodeId,
    },
    /// A node is to own no shards, or may again. Since 0.1.
    Drain {
        /// The node.
        node: NodeId,
        /// Which.
        draining: bool,
    },
    /// A quorum was lost, and this node goes on alone; all others are removed. Written into the log
    /// by `cluster::recover`, never proposed. Since 0.1.
    Recover {
        /// The node that goes on.
        node: NodeId,
        /// Random: tells this line of descent from that of the nodes that were lost.
        generation: u128,
    },
    /// A command about a job that names no version itself (a pause, a resume, a run), carried out
    /// only if the job still has this one. Since 0.1.
    ForVersion {
        /// Which.
        job: JobId,
        /// The version that it must have.
        version: u64,
        /// What to do.
        command: Box<Command>,
    },
    /// A command about credentials that came with a client's key: it reaches no further than what
    /// that key made, directly or through keys that it made, and is refused when the key is
    /// archived or deleted by then. A credential that it creates has the key as its parent. Since
    /// 0.1.
    ByClient {
        /// The caller's credential, as authentication found it.
        client: u64,
        /// What to do.
        command: Box<Command>,
    },
    /// Raises the level of the cluster: from here on the log may hold what programs below it do not
    /// understand. Proposed by a leader whose members have all announced that level. Since 0.1.
    RaiseLevel {
        /// The level; a lower one than the cluster has changes nothing.
        level: u32,
    },
}

/// What to do with jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobAction {
    /// They do not fire after the stamp, up to an instant, or until they are resumed. What is due
    /// at that instant fires.
    Pause {
        /// The end, if it is known.
        until: Option<Millis>,
    },
    /// They fire again after the stamp.
    Resume,
    /// They go.
    Delete,
}

/// Whether a project's jobs are to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProjectAction {
    /// None fires after the stamp, up to an instant (what is due then fires), or until it is
    /// resumed. Takes the place of a pause that holds.
    Pause {
        /// The end, if it is known.
        until: Option<Millis>,
    },
    /// They fire again after the stamp.
    Resume,
}

/// What a new project is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewProject {
    /// Unique name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What its jobs take where they say nothing themselves.
    #[serde(with = "crate::model::text")]
    pub settings: ProjectSettings,
    /// Paused from the beginning.
    pub action: Option<ProjectAction>,
    /// Who asked.
    pub by: Option<String>,
}

/// A change of a project; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectEdit {
    /// Which.
    pub id: ProjectId,
    /// Only if it still has this version (`Project::version`).
    pub expect: Option<u64>,
    /// Its new name.
    pub name: Option<String>,
    /// Its new description.
    pub description: Option<String>,
    /// Its new settings, all of them.
    #[serde(with = "crate::model::text")]
    pub settings: Option<ProjectSettings>,
    /// Pauses or resumes it. Who says nothing else, and what is so already, changes nothing.
    pub action: Option<ProjectAction>,
    /// Who asked.
    pub by: Option<String>,
}

/// New jobs, their definitions named once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateJobs {
    /// The request's id: the async task.
    pub request: u128,
    /// The definitions that `jobs` refer to.
    #[serde(with = "crate::model::text")]
    pub definitions: Vec<JobDefinition>,
    /// The jobs, in the order of the request.
    pub jobs: Vec<NewJob>,
    /// A chunk of a larger request: stays invisible until `ActivateJobs`.
    pub staged: bool,
}

/// A new job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Index into `CreateJobs::definitions`.
    pub definition: u32,
    /// Its payload.
    pub data: String,
    /// Whether it fires: `Active` or `Inactive`.
    pub status: JobStatus,
    /// The instant of a one-off (`Timing::At`).
    pub at: Option<Millis>,
    /// It is paused up to this instant, and fires at it and from then on, whatever `status` says.
    pub pause_until: Option<Millis>,
    /// What the client calls it; unique in its project.
    pub external_id: Option<String>,
}

/// A job's new definition, all of it: what an edit does not want to change, it says as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEdit {
    /// Which.
    pub id: JobId,
    /// Only if it still has this version (`Job::version`).
    pub expect: Option<u64>,
    /// Its new definition.
    #[serde(with = "crate::model::text")]
    pub definition: JobDefinition,
    /// Its new payload.
    pub data: String,
    /// Whether it fires: `Active` or `Inactive`. `Completed` and `Disabled` are results, not
    /// wishes: with them the status stays as it is.
    pub status: JobStatus,
    /// The instant of a one-off. To leave it alone, `Job::anchor`, with `Timing::After` too;
    /// without one, a delay counts anew from the stamp, and an `at` stays what it was. A completed
    /// one-off fires again only at another instant.
    pub at: Option<Millis>,
    /// It is paused up to this instant, and fires at it and from then on, whatever `status` says;
    /// `None` ends such a pause. To leave it alone, `Job::paused_until`.
    pub pause_until: Option<Millis>,
    /// What the client calls it; `None`: nothing any more.
    pub external_id: Option<String>,
    /// Who asked.
    pub by: Option<String>,
}

/// A command that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Written by a newer version.
    #[error(
        "the log holds a command of version {0}, this binary knows up to {VERSION}: upgrade this node"
    )]
    Version(u8),
    /// Damaged.
    #[error("a command in the log cannot be decoded: {0}")]
    Decode(#[from] postcard::Error),
    /// A backup's books do not obey their own rules.
    #[error("the books of the backup cannot be opened again: {0}")]
    Restore(String),
    /// The store failed: not a rejection, the node must stop.
    #[error(transparent)]
    Store(#[from] rusqlite::Error),
}

impl Command {
    /// Pauses or resumes a project, and says nothing else of it.
    pub fn turn_project(id: ProjectId, action: ProjectAction, by: Option<String>) -> Self {
        let action = Some(action);
        Self::UpdateProject(ProjectEdit { id, action, by, ..ProjectEdit::default() })
    }

    /// The command, only for a version of a job if one is named.
    #[must_use]
    pub fn for_version(self, job: JobId, version: Option<u64>) -> Self {
        match version {
            Some(version) => Self::ForVersion { job, version, command: Box::new(self) },
            None => self,
        }
    }

    /// The command within the reach of a client, if one asks and no operator.
    #[must_use]
    pub fn by_client(self, client: Option<u64>) -> Self {
        match client {
            Some(client) => Self::ByClient { client, command: Box::new(self) },
            None => self,
        }
    }

    /// The command as the log carries it.
    pub fn encode(&self) -> Result<Bytes, Error> {
        let bytes = postcard::to_extend(self, vec![VERSION])?;
        Ok(Bytes::from(bytes))
    }

    /// Reads what [`Command::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(postcard::from_bytes(rest)?),
            Some((&other, _)) => Err(Error::Version(other)),
            None => Err(Error::Decode(postcard::Error::DeserializeUnexpectedEnd)),
        }
    }
}
