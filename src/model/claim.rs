//! The words between a gateway, which a worker speaks to, and the supervisors, which keep the runs
//! of their shards. Both are nodes of one cluster: a gateway asks its own supervisor and those of
//! its peers in the same words. Pure.

use serde::{Deserialize, Serialize};

use super::run::{Occurrence, Phase};
use super::run_terms::RunTerms;
use super::{Millis, ProjectId};

/// The most runs of one claim.
pub const MAX_CLAIM: u32 = 1_000;

/// The most bytes of job data in the answer to a claim; one run is always in it.
pub const MAX_CLAIM_DATA: usize = 1 << 20;

/// The order in which a claim takes from several queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimOrder {
    /// In turns.
    #[default]
    Fair,
    /// From the first that has something.
    Strict,
}

/// The claim of a worker for runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// The worker, which is one process.
    pub worker: String,
    /// The numbers of the queues, by the worker's preference.
    pub queues: Vec<u64>,
    /// The most runs, 1 to [`MAX_CLAIM`].
    pub max: u32,
    /// The order between the queues.
    pub order: ClaimOrder,
    /// The client's key, by which it may repeat the claim for a minute.
    pub key: Option<String>,
}

/// A run as a worker gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedRun {
    /// The occurrence.
    pub occurrence: Occurrence,
    /// The number of the attempt, which each report about it names.
    pub attempt: u32,
    /// The project of the job.
    pub project: ProjectId,
    /// The due instant.
    pub due: Millis,
    /// The client's id of the job.
    pub external_id: Option<String>,
    /// The job's data, as the client gave them.
    pub data: String,
    /// The terms, which name the queue and the timeouts.
    #[serde(with = "super::text")]
    pub terms: RunTerms,
}

/// The heartbeat of a worker for some of its runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHeartbeat {
    /// The worker; empty where the bus names none.
    pub worker: String,
    /// The runs.
    pub runs: Vec<RunHeartbeat>,
}

/// A sign of life of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeartbeat {
    /// The occurrence.
    pub occurrence: Occurrence,
    /// The attempt; 0 where the bus names none.
    pub attempt: u32,
    /// Per cent, 0 to 100.
    pub progress: Option<u8>,
    /// The worker's words, at most [`super::offer::MAX_MESSAGE`] bytes.
    pub message: Option<String>,
}

/// A report that is on its way into the store, for the supervisor of the run: a sign of life, and
/// perhaps the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportNotice {
    /// The occurrence.
    pub occurrence: Occurrence,
    /// The attempt; 0 for whichever.
    pub attempt: u32,
    /// The worker; empty for whichever.
    pub worker: String,
    /// True if the report ends the run, or gives it back.
    pub ends: bool,
}

/// The question of a node that was told something of a run whose record it does not have: whether
/// that attempt was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOutQuestion {
    /// The occurrence.
    pub occurrence: Occurrence,
    /// The attempt; 0 for whichever.
    pub attempt: u32,
    /// The worker that speaks of it; empty for whichever.
    pub worker: String,
}

/// The answer of the owner of a shard to a [`HandOutQuestion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandedOut {
    /// It was: the record is on its way into the store, or there.
    Yes,
    /// It was not, under the present epoch or any that the owner has read the journal or the store
    /// of.
    No,
    /// Nobody can tell now: the node does not own the shard under a usable lease, has not read it
    /// yet, or is handing the attempt out at this moment.
    Unknown,
}

/// The wish of a gateway, where workers wait for runs of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueWant {
    /// The queue.
    pub queue: u64,
    /// The time for which it holds, in milliseconds.
    pub for_ms: u64,
}

/// The number of occurrences that wait in a queue at one supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueHint {
    /// The queue.
    pub queue: u64,
    /// The occurrences.
    pub count: u64,
    /// The due instant of the oldest; [`Millis::MAX`] where none waits.
    pub oldest: Millis,
}

/// A run as its supervisor knows it, which may be ahead of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRun {
    /// The occurrence.
    pub occurrence: Occurrence,
    /// The number of the attempt.
    pub attempt: u32,
    /// The phase; `None` while it waits for a worker.
    pub phase: Option<Phase>,
    /// The worker; empty while none is known.
    pub worker: String,
    /// The time since the last sign of life, in milliseconds; `None` while it waits.
    pub heard_ms_ago: Option<u64>,
    /// Per cent, 0 to 100.
    pub progress: Option<u8>,
    /// The worker's words.
    pub message: Option<String>,
}

/// A queue at one supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// The queue.
    pub queue: u64,
    /// The occurrences that wait for a worker.
    pub offers: u64,
    /// The runs that workers have.
    pub taken: u64,
    /// The due instant of the oldest offer; [`Millis::MAX`] where none waits.
    pub oldest: Millis,
    /// The instant since which an offer has waited for longest; [`Millis::MAX`] where none waits.
    /// It is later than the due instant where nobody could offer the occurrence when it was due.
    pub since: Millis,
}
