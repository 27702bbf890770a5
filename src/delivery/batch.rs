//! What an executor writes requests from: the jobs of a batch and what they have in common, and the
//! labels of each request. The worker fills it in. Data only.

use std::sync::Arc;

use crate::model::attempt::occurrence_id;
use crate::model::job::JobDefinition;
use crate::model::run::Occurrence;
use crate::model::shard::ShardId;
use crate::model::target_pattern::TargetPattern;
use crate::model::{JobId, Millis};

/// The parts of an execution id that all occurrences of a batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// The id of the cluster.
    pub cluster: u128,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of a manual run; 0 for planned occurrences.
    pub run: u64,
}

impl Instant {
    /// The execution id of a job's occurrence.
    pub fn id(&self, job: JobId) -> String {
        occurrence_id(self.cluster, Occurrence { job, scheduled: self.scheduled, run: self.run })
    }
}

/// What the jobs of a renderer have in common.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The instant of all occurrences.
    pub instant: Instant,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The definitions of the jobs.
    pub definitions: &'a [Arc<JobDefinition>],
    /// The most jobs of a request, at least 1; `None` where only the kind bounds it. It is set for
    /// [`Grouping::Chunk`](super::executor::Grouping::Chunk) alone.
    pub max_jobs: Option<usize>,
}

/// One job of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchJob<'a> {
    /// The number of the job.
    pub id: JobId,
    /// The place of its definition among those of the batch.
    pub definition: usize,
    /// Its data, as the client gave it.
    pub data: &'a str,
    /// The instant of its creation.
    pub created: Millis,
    /// The planned instant before this one; the instant of creation for the first.
    pub last: Millis,
}

/// The type of the template that made a job; empty for another job.
pub fn template_type<'a>(definitions: &'a [Arc<JobDefinition>], job: &BatchJob<'_>) -> &'a str {
    definitions.get(job.definition).map_or("", |definition| definition.template_type.as_str())
}

/// The facts that a request states about itself.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The shard of all jobs of the request.
    pub shard: ShardId,
    /// The fence: the highest epoch that the sender knows of the shard.
    pub epoch: u64,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The number of the request in its series, from 0.
    pub number: u32,
    /// The id of the request: the same whenever the same jobs go out again.
    pub request_id: &'a str,
    /// The present scheduler time.
    pub now: Millis,
    /// Where jobs of the project may call; `None` for everywhere that the node allows.
    pub allowed: Option<&'a Arc<[TargetPattern]>>,
}
