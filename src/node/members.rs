//! The members as operators see and change them: the node knows what a member has left to do, and a
//! removal waits for it. The change itself is `cluster`'s.

use futures_util::future::join_all;

use super::rpc::PeerRpc;
use super::status::ask;
use crate::app::cluster_admin::members::{MemberStatus, Members, Step};
use crate::cluster::{Error, MemberChange};
use crate::command::{Command, Outcome, Rejection, RejectionKind};
use crate::model::NodeId;
use crate::model::lease::CLOCK_TOLERANCE;
use crate::raft::types::Member;
use crate::store;

/// The members, as this node sees them.
pub(super) async fn members(rpc: PeerRpc) -> Result<Members, Error> {
    let cluster = &rpc.cluster;
    let (members, voters) = (cluster.members(), cluster.voters());
    let (shards, nodes) =
        cluster.read(|conn| Ok((store::shards::all(conn)?, store::nodes::all(conn)?))).await?;
    let report = join_all(members.iter().map(|(id, _)| ask(&rpc, *id))).await;
    let commit = cluster.commit_index();
    let members = members.into_iter().zip(report).map(|((id, member), report)| {
        let has = |shard: &&crate::model::shard::Shard| {
            (shard.epoch > 0 && shard.owner == id)
                || shard.closing.as_ref().is_some_and(|closing| closing.node == id)
        };
        MemberStatus {
            id,
            address: member.address,
            raft_address: member.raft_address,
            role: if voters.contains(&id) { "voter" } else { "learner" }.to_owned(),
            reachable: report.is_some(),
            draining: nodes.iter().any(|bound| bound.node == id && bound.draining),
            shards: shards.iter().filter(has).count() as u32,
            uncollected: report.as_ref().map(|report| report.journal_depth),
            behind: report.as_ref().map(|report| commit.saturating_sub(report.applied)),
        }
    });
    Ok(Members { leader: cluster.leader(), members: members.collect() })
}

fn conflict(message: String) -> Error {
    Error::Refused(Rejection::new(RejectionKind::Conflict, message))
}

/// Carries out one step.
pub(super) async fn change(rpc: PeerRpc, step: Step) -> Result<NodeId, Error> {
    let change = match step {
        Step::Add { node, address, raft_address, replace } => {
            MemberChange::Add { node, member: Member { raft_address, address }, replace }
        }
        Step::Promote(node) => MemberChange::Promote { node },
        Step::Transfer(to) => {
            if let Some(to) = to
                && let Some(report) = ask(&rpc, to).await
                && report.clock_error.abs() > CLOCK_TOLERANCE
            {
                let off = report.clock_error;
                return Err(conflict(format!(
                    "the clock of node {to} is {off} ms off the others': it may not lead"
                )));
            }
            MemberChange::Transfer { to }
        }
        Step::Drain { node, draining } => return drain(&rpc, node, draining).await,
        Step::Remove { node, force } => {
            if !force && rpc.cluster.members().iter().any(|(id, _)| *id == node) {
                has_nothing_left(&rpc, node).await?;
            }
            MemberChange::Remove { node, force }
        }
    };
    rpc.cluster.change_members(change).await
}

async fn drain(rpc: &PeerRpc, node: NodeId, draining: bool) -> Result<NodeId, Error> {
    match rpc.cluster.propose(Command::Drain { node, draining }).await? {
        Outcome::Rejected(rejection) => Err(Error::Refused(rejection)),
        _ => Ok(node),
    }
}

/// Refuses unless the cluster has all results of a node: what it delivered and nobody collected
/// would be delivered again.
async fn has_nothing_left(rpc: &PeerRpc, node: NodeId) -> Result<(), Error> {
    let Some(report) = ask(rpc, node).await else {
        return Err(conflict(format!(
            "node {node} does not answer: its results cannot be collected; if it is lost, force \
             the removal (--force): what it delivered and nobody collected is delivered again"
        )));
    };
    if report.journal_depth > 0 {
        let left = report.journal_depth;
        return Err(conflict(format!(
            "{left} results of node {node} are not collected yet: drain it, and wait"
        )));
    }
    Ok(())
}
