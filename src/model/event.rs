//! Facts of applied log entries, as the change feed carries them to the event stream: jobs that
//! came, changed and went, results in sums, life of runs, dead letters, records, nodes and shards.
//!
//! `command::apply` makes them of what it knows anyway, `events` keeps the newest ones, and `app`
//! and the API show them. They are no state: they are neither stored nor hashed, and no snapshot
//! contains them. A fact has the log index of its entry and its number within the entry, which are
//! the same on every node.

use super::attempt::{SkipReason, Verdict};
use super::event_counts::{Executions, ResultCounts};
use super::job::JobDefinition;
use super::job_set::{JobSet, ShardSet};
use super::run::Occurrence;
use super::{JobId, Millis, NodeId, ProjectId};

/// A fact with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEvent {
    /// The log index of its entry.
    pub index: u64,
    /// Its number within the entry, from 1.
    pub number: u32,
    /// Log time after the entry, in milliseconds since 1970.
    pub at: Millis,
    /// The fact.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Jobs came, went or changed.
    Jobs {
        /// Their project; `None` for jobs of several projects.
        project: Option<ProjectId>,
        /// The template that made them, the same for all of them.
        template: TemplateMark,
        /// The change, the same for all of them.
        change: JobChange,
        /// The jobs.
        jobs: JobSet,
    },
    /// A run changed.
    Run {
        /// Its project.
        project: ProjectId,
        /// Its occurrence.
        of: Occurrence,
        /// The number of its attempt, from 1.
        attempt: u32,
        /// The change.
        change: RunChange,
    },
    /// The runs of an entry that are not named because others are.
    MoreRuns {
        /// Their number.
        count: u64,
        /// The shards of their jobs.
        shards: ShardSet,
    },
    /// The results of an entry, summed.
    Executions(Executions),
    /// Occurrences were given up.
    DeadLetter {
        /// Their project.
        project: ProjectId,
        /// The number of the dead letter.
        letter: u64,
        /// The occurrences' jobs.
        jobs: JobSet,
        /// The number of occurrences.
        occurrences: u64,
        /// The error of the last attempt, if it had one.
        error: Option<String>,
    },
    /// Dead letters came or went that are not named.
    DeadLetters {
        /// The change.
        change: LettersChange,
        /// The number of dead letters.
        count: u64,
    },
    /// A project, an executor, a template or an account was made, edited or deleted.
    Record {
        /// The noun.
        noun: Noun,
        /// Its id.
        id: u64,
        /// The change.
        change: RecordChange,
    },
    /// The members of the cluster, or what the cluster knows of them, changed.
    Members,
    /// Shards have new owners.
    Shards(Vec<ShardMoves>),
    /// The facts from here to the end of the transaction are not there: they were too many.
    Gap,
}

/// The template of the jobs of a fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemplateMark {
    /// It is not known: each may be of any template, or of none.
    #[default]
    Unknown,
    /// No template made them.
    NoTemplate,
    /// The template of this number made all of them.
    One(u64),
}

impl TemplateMark {
    /// The mark of the jobs of a definition.
    pub fn of(definition: &JobDefinition) -> Self {
        definition.template.map_or(Self::NoTemplate, |template| Self::One(template.id))
    }

    /// Says whether a template may have made one of the jobs.
    pub fn may_be(self, template: u64) -> bool {
        self == Self::Unknown || self == Self::One(template)
    }
}

/// A change of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobChange {
    /// They were created.
    Created,
    /// They were created as the next instances of templates.
    Rescheduled,
    /// They were deleted.
    Deleted,
    /// They were changed by a caller.
    Updated(JobUpdate),
    /// They are one-offs whose occurrence is over.
    Terminated(JobEnd),
}

/// A change of jobs that stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobUpdate {
    /// Their fields were edited.
    Edited,
    /// They were paused.
    Paused,
    /// They were resumed.
    Resumed,
    /// They were disabled, since their target is gone for good.
    Disabled,
}

/// The end of a one-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It was delivered.
    Delivered,
    /// It was given up.
    Dead,
    /// It was not sent.
    Skipped(SkipReason),
}

impl JobEnd {
    /// The end that an end state is.
    pub fn of(end: Verdict) -> Self {
        match end {
            Verdict::Delivered => Self::Delivered,
            Verdict::Skipped(reason) => Self::Skipped(reason),
            // No end states; see `Verdict::is_end`.
            Verdict::Dead
            | Verdict::Retry { .. }
            | Verdict::Postponed { .. }
            | Verdict::Running => Self::Dead,
        }
    }
}

/// A change of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunChange {
    /// A receiver or a worker has it.
    Accepted,
    /// It was silent for too long.
    Lost,
    /// It was cancelled.
    Cancelled,
    /// It reported how far it is.
    Progress {
        /// Percent, 0 to 100.
        percent: Option<u8>,
        /// The worker's words.
        message: Option<String>,
    },
}

/// A change of dead letters that are not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LettersChange {
    /// They came, beside those that are named.
    Added,
    /// They are tried again.
    Replayed,
    /// A caller dropped them.
    Purged,
    /// They were kept for as long as they are kept.
    Expired,
    /// Their occurrences, or some of them, were delivered after all.
    Delivered,
}

/// A noun whose records are announced by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A project.
    Project,
    /// An executor.
    Executor,
    /// A job template.
    Template,
    /// An account.
    Account,
}

/// A change of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// It was created.
    Created,
    /// It was edited, paused or resumed.
    Updated,
    /// It was deleted.
    Deleted,
}

/// Shards that went from one owner to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMoves {
    /// The owner before; 0 for none.
    pub from: NodeId,
    /// The new owner.
    pub to: NodeId,
    /// The number of shards.
    pub shards: u32,
}

impl Fact {
    /// The bytes that it takes beside its own size, about: what its lists and texts hold. A fact
    /// and its clone take the same.
    pub fn heap(&self) -> usize {
        let ranges = |jobs: &JobSet| jobs.ranges.len() * size_of::<(JobId, u64)>();
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Jobs { jobs, .. } => ranges(jobs),
            Self::Executions(sums) => sums.projects.len() * size_of::<(ProjectId, ResultCounts)>(),
            Self::DeadLetter { jobs, error, .. } => ranges(jobs) + text(error),
            Self::Run { change: RunChange::Progress { message, .. }, .. } => text(message),
            Self::Shards(moves) => moves.len() * size_of::<ShardMoves>(),
            Self::Run { .. }
            | Self::MoreRuns { .. }
            | Self::DeadLetters { .. }
            | Self::Record { .. }
            | Self::Members
            | Self::Gap => 0,
        }
    }
}
