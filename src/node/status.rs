//! Gathers what the api shows of the whole cluster: every node's report status, the shards, and the
//! hashes at one log entry. Asks the others by peer routes; a node that does not answer is shown as
//! unreachable, never waited for long.

use std::time::Duration;

use futures_util::future::join_all;

use super::report::NodeReport;
use super::rpc::PeerRpc;
use crate::app::cluster_admin::LagByMinute;
use crate::app::cluster_admin::status::{
    Checksums, Failing, JobNumbers, Lag, NodeChecksum, NodeStatus, Queue, ShardStatus, Status,
};
use crate::cluster::Error;
use crate::command::Command;
use crate::delivery::availability::OpenBreaker;
use crate::metrics::MinuteLag;
use crate::model::NodeId;
use crate::model::lease::Timing;
use crate::model::time::rfc3339;
use crate::peer::routes;
use crate::store;

/// The longest time that another node may take to report.
const PATIENCE: Duration = Duration::from_millis(800);
/// The longest time that a node may take to hash its state.
const HASHING: Duration = Duration::from_mins(1);
/// Time between two questions whether a hash is there.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The cluster's status, as this node can see it.
pub(super) async fn status(rpc: PeerRpc, timing: Timing) -> Result<Status, Error> {
    let cluster = &rpc.cluster;
    let members = cluster.members();
    let report = join_all(members.iter().map(|(id, _)| ask(&rpc, *id))).await;
    let (shards, cluster_id, bound, jobs) = cluster
        .read(|conn| {
            let (nodes, jobs) = (store::nodes::all(conn)?, store::jobs::counts(conn, None)?);
            Ok((store::shards::all(conn)?, store::meta::cluster_id(conn)?, nodes, jobs))
        })
        .await?;
    let term = cluster.leadership().borrow().term;
    let leader = cluster.leader();
    let mut warnings = Vec::new();
    if leader.is_none() {
        warnings.push(cluster.no_leader());
    }
    let voters = cluster.voters();
    if voters.len() == 2 {
        warnings.push("two nodes are less available than one: use one, or three".to_owned());
    }
    let nodes = members
        .iter()
        .zip(report)
        .map(|((id, member), report)| {
            let owned = shards.iter().filter(|s| s.owner == *id && s.epoch > 0).count();
            let draining = bound.iter().any(|bound| bound.node == *id && bound.draining);
            let known = NodeStatus {
                id: *id,
                address: member.address.clone(),
                raft_address: member.raft_address.clone(),
                shards: owned as u32,
                draining,
                ..NodeStatus::default()
            };
            node_status(known, voters.contains(id), report, &mut warnings)
        })
        .collect();
    let shards = shards
        .iter()
        .map(|shard| ShardStatus {
            id: shard.id,
            owner: shard.owner,
            epoch: shard.epoch,
            watermark: rfc3339(shard.settled()),
            closing: shard.closing.as_ref().map(|closing| closing.node),
        })
        .collect();
    Ok(Status {
        cluster_id: cluster_id.map_or_else(String::new, |id| format!("{id:032x}")),
        leader,
        quorum: leader.is_some(),
        term,
        ttl_ms: timing.ttl,
        nodes,
        shards,
        jobs: JobNumbers {
            active: jobs.active,
            paused: jobs.inactive,
            completed: jobs.completed,
            disabled: jobs.disabled,
        },
        warnings,
    })
}

pub(super) async fn ask(rpc: &PeerRpc, node: NodeId) -> Option<NodeReport> {
    if node == rpc.node {
        return Some((rpc.report)());
    }
    match rpc.cluster.peers().call(node, routes::STATUS, &(), PATIENCE).await {
        Ok(report) => Some(report),
        Err(error) => {
            tracing::debug!(node, %error, "a node did not say how it is");
            None
        }
    }
}

/// The delays of firings of all nodes that answer, together.
pub(super) async fn lag(rpc: PeerRpc) -> Result<LagByMinute, Error> {
    let members = rpc.cluster.members();
    let ask = async |node: NodeId| {
        if node == rpc.node {
            return (rpc.lag)();
        }
        // A node that is away, or of an older version, has nothing to say.
        rpc.cluster.peers().call(node, routes::LAG, &(), PATIENCE).await.unwrap_or_default()
    };
    let mut joined = LagByMinute::new();
    for minutes in join_all(members.iter().map(|(id, _)| ask(*id))).await {
        let minutes: Vec<(i64, MinuteLag)> = minutes;
        for (minute, lag) in minutes {
            joined.entry(minute).or_default().join(&lag);
        }
    }
    Ok(joined)
}

/// Joins what is known of a node with its own report.
fn node_status(
    known: NodeStatus,
    votes: bool,
    report: Option<NodeReport>,
    warnings: &mut Vec<String>,
) -> NodeStatus {
    let id = known.id;
    let Some(report) = report else {
        warnings.push(format!("node {id} does not answer"));
        return NodeStatus { state: "unreachable".to_owned(), ..known };
    };
    warnings.extend(report.warnings.iter().map(|warning| format!("node {id}: {warning}")));
    NodeStatus {
        state: if votes { report.state.to_lowercase() } else { "learner".to_owned() },
        lease_ms: (report.lease_left > 0).then_some(report.lease_left as i64),
        clock_offset_ms: Some(report.clock_error),
        applied_index: Some(report.applied),
        journal_depth: Some(report.journal_depth),
        queue: Some(Queue { due: report.due, built: report.built, in_flight: report.in_flight }),
        lag_ms: report.lag.map(|(p50, p99)| Lag { p50, p99 }),
        memory_mb: report.memory.map(|bytes| bytes as f64 / 1e6),
        draining: report.draining || known.draining,
        failing: report.failing.into_iter().map(failing).collect(),
        version: report.version,
        ..known
    }
}

fn failing(one: OpenBreaker) -> Failing {
    Failing {
        destination: one.destination,
        since: rfc3339(one.since),
        failures: one.failures,
        next_probe: rfc3339(one.next_probe),
    }
}

/// Commits a checksum entry and gathers every node's hash of its state there.
pub(super) async fn checksums(rpc: PeerRpc) -> Result<Checksums, Error> {
    let (index, _) = rpc.cluster.propose_indexed(Command::Checksum).await?;
    let members = rpc.cluster.members();
    let nodes = join_all(members.iter().map(|(id, _)| hash_of(&rpc, *id, index))).await;
    Ok(Checksums { index, nodes })
}

async fn hash_of(rpc: &PeerRpc, node: NodeId, index: u64) -> NodeChecksum {
    let wait = async {
        let mut beat = tokio::time::interval(ASK_AGAIN);
        loop {
            beat.tick().await;
            let hash = if node == rpc.node {
                Ok(rpc.cluster.checksum(index))
            } else {
                let peers = rpc.cluster.peers();
                peers.call(node, routes::CHECKSUM, &index, PATIENCE).await
            };
            match hash {
                Ok(Some(hash)) => return Ok(hex::encode(hash)),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    match tokio::time::timeout(HASHING, wait).await {
        Ok(Ok(hash)) => NodeChecksum { id: node, hash: Some(hash), error: None },
        Ok(Err(error)) => NodeChecksum { id: node, hash: None, error: Some(error) },
        Err(_) => NodeChecksum {
            id: node,
            hash: None,
            error: Some("it has not applied or hashed that entry in time".to_owned()),
        },
    }
}
