//! Claimed runs, the answers to heartbeats, workers and queues, as answers show them.

use serde::Serialize;

use crate::app::page::Page;
use crate::app::workers::{
    Claimed, HeartbeatRecord, QueueRecord, QueuesRecord, WorkerRecord, WorkersRecord,
};
use crate::model::NodeId;
use crate::model::attempt::occurrence_id;
use crate::model::claim::ClaimedRun;
use crate::model::run_id::run_id;
use crate::model::run_terms::BusKind;
use crate::model::time::rfc3339;
use crate::schedule::show_duration;

#[derive(Serialize)]
pub(super) struct ClaimView {
    runs: Vec<ClaimedRunView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClaimedRunView {
    id: String,
    run_id: String,
    attempt: u32,
    job_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    project_id: u64,
    queue: String,
    scheduled_at: String,
    due_at: String,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_timeout: Option<String>,
}

impl ClaimView {
    pub(super) fn of(claimed: Claimed) -> Self {
        let cluster = claimed.cluster;
        Self {
            runs: claimed.runs.into_iter().map(|run| ClaimedRunView::of(cluster, run)).collect(),
        }
    }
}

impl ClaimedRunView {
    fn of(cluster: u128, run: ClaimedRun) -> Self {
        let of = run.occurrence;
        Self {
            id: occurrence_id(cluster, of),
            run_id: run_id(cluster, of),
            attempt: run.attempt,
            job_id: of.job,
            external_id: run.external_id,
            project_id: run.project,
            queue: run.terms.queue,
            scheduled_at: rfc3339(of.scheduled),
            due_at: rfc3339(run.due),
            data: run.data,
            heartbeat_timeout: run.terms.heartbeat_timeout.map(show_duration),
            run_timeout: run.terms.run_timeout.map(show_duration),
        }
    }
}

#[derive(Serialize)]
pub(super) struct HeartbeatView {
    cancel: Vec<String>,
    gone: Vec<String>,
    unknown: Vec<String>,
}

impl HeartbeatView {
    pub(super) fn of(told: HeartbeatRecord) -> Self {
        let HeartbeatRecord { cancel, gone, unknown } = told;
        Self { cancel, gone, unknown }
    }
}

#[derive(Serialize)]
pub(super) struct WorkersView {
    total: u64,
    offset: u64,
    limit: u64,
    workers: Vec<WorkerView>,
    /// Nodes that did not answer in time: what they know is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unanswered: Vec<NodeId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkerView {
    worker_id: String,
    node_id: NodeId,
    queues: Vec<String>,
    /// The number in its last heartbeat; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<u32>,
    seen_at: String,
}

impl WorkersView {
    pub(super) fn of(found: WorkersRecord, page: &Page<()>) -> Self {
        let view = |worker: WorkerRecord| WorkerView {
            worker_id: worker.worker,
            node_id: worker.node,
            queues: worker.queues,
            runs: worker.runs,
            seen_at: rfc3339(worker.seen),
        };
        Self {
            total: found.total,
            offset: page.offset,
            limit: page.limit,
            workers: found.workers.into_iter().map(view).collect(),
            unanswered: found.unanswered,
        }
    }
}

#[derive(Serialize)]
pub(super) struct QueuesView {
    total: u64,
    offset: u64,
    limit: u64,
    queues: Vec<QueueView>,
    /// Nodes that did not answer in time: what they have is missing in the sums.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unanswered: Vec<NodeId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueView {
    id: u64,
    name: String,
    bus: BusKind,
    /// Occurrences that wait for a worker.
    offers: u64,
    /// Runs that workers have.
    taken: u64,
    /// Claims that wait for runs.
    waiting_claims: u64,
    /// The due instant of the oldest offer; absent where none waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_offer_at: Option<String>,
}

impl QueuesView {
    pub(super) fn of(found: QueuesRecord, page: &Page<()>) -> Self {
        let view = |queue: QueueRecord| QueueView {
            id: queue.id,
            name: queue.name,
            bus: queue.bus,
            offers: queue.totals.map_or(0, |totals| totals.offers),
            taken: queue.totals.map_or(0, |totals| totals.taken),
            waiting_claims: queue.totals.map_or(0, |totals| totals.waiting),
            oldest_offer_at: queue.totals.and_then(|totals| totals.oldest).map(rfc3339),
        };
        Self {
            total: found.total,
            offset: page.offset,
            limit: page.limit,
            queues: found.queues.into_iter().map(view).collect(),
            unanswered: found.unanswered,
        }
    }
}
