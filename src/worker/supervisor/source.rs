//! The facts that the members of an offer share, and the numbers by which claims and queues are
//! known. Plain values; the other files of the supervisor use them.

use crate::model::run::Occurrence;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis, ProjectId};

/// The number of a queue: an executor of type `worker`.
pub(crate) type QueueId = u64;
/// The number of a claim, unique for a process.
pub(crate) type ClaimId = u64;

/// The facts that the members of an offer share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    /// The project of all members.
    pub(crate) project: ProjectId,
    /// The shard of all members.
    pub(crate) shard: ShardId,
    /// The epoch of the owner.
    pub(crate) epoch: u64,
    /// The due instant.
    pub(crate) due: Millis,
    /// The scheduled instant.
    pub(crate) scheduled: Millis,
    /// The number of a manual run; 0 for planned occurrences.
    pub(crate) run: u64,
    /// The number that the attempt of a worker gets.
    pub(crate) attempt: u32,
    /// The pending row that they are in; `None` for a first attempt from the plan.
    pub(crate) pending: Option<u64>,
    /// The queue.
    pub(crate) queue: QueueId,
    /// True for one-offs, which are over with their only occurrence.
    pub(crate) once: bool,
}

impl Source {
    /// The occurrence of a job.
    pub(crate) fn occurrence(&self, job: JobId) -> Occurrence {
        Occurrence { job, scheduled: self.scheduled, run: self.run }
    }
}
