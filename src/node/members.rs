//! The members as operators see and change them: what a member has left to do is known here, and a
//! removal waits for it. The change itself is `cluster`'s.

use futures_util::future::join_all;

use super::ear::Ear;
use super::status::ask;
use crate::api::members::{MemberStatus, Members, Step};
use crate::cluster::{Error, MemberChange};
use crate::command::{Command, Outcome, Rejection, RejectionKind};
use crate::model::NodeId;
use crate::model::lease::CLOCK_TOLERANCE;
use crate::raft::types::Member;
use crate::store;

/// The members, as this node sees them.
pub(super) async fn members(ear: Ear) -> Result<Members, Error> {
    let cluster = &ear.cluster;
    let (members, voters) = (cluster.members(), cluster.voters());
    let (shards, nodes) =
        cluster.read(|conn| Ok((store::shards::all(conn)?, store::nodes::all(conn)?))).await?;
    let own = join_all(members.iter().map(|(id, _)| ask(&ear, *id))).await;
    let commit = cluster.commit_index();
    let members = members.into_iter().zip(own).map(|((id, member), own)| {
        let has = |shard: &&crate::model::shard::Shard| {
            (shard.epoch > 0 && shard.owner == id)
                || shard.closing.as_ref().is_some_and(|closing| closing.node == id)
        };
        MemberStatus {
            id,
            address: member.address,
            raft_address: member.raft_address,
            role: if voters.contains(&id) { "voter" } else { "learner" }.to_owned(),
            reachable: own.is_some(),
            draining: nodes.iter().any(|bound| bound.node == id && bound.draining),
            shards: shards.iter().filter(has).count() as u32,
            uncollected: own.as_ref().map(|own| own.journal_depth),
            behind: own.as_ref().map(|own| commit.saturating_sub(own.applied)),
        }
    });
    Ok(Members { leader: cluster.leader(), members: members.collect() })
}

fn conflict(message: String) -> Error {
    Error::Refused(Rejection::new(RejectionKind::Conflict, message))
}

/// Carries out one step.
pub(super) async fn change(ear: Ear, step: Step) -> Result<NodeId, Error> {
    let change = match step {
        Step::Add { node, address, raft_address, replace } => {
            MemberChange::Add { node, member: Member { raft_address, address }, replace }
        }
        Step::Promote(node) => MemberChange::Promote { node },
        Step::Transfer(to) => {
            if let Some(to) = to
                && let Some(own) = ask(&ear, to).await
                && own.clock_error.abs() > CLOCK_TOLERANCE
            {
                let off = own.clock_error;
                return Err(conflict(format!(
                    "the clock of node {to} is {off} ms off the others': it may not lead"
                )));
            }
            MemberChange::Transfer { to }
        }
        Step::Drain { node, draining } => return drain(&ear, node, draining).await,
        Step::Remove { node, force } => {
            if !force && ear.cluster.members().iter().any(|(id, _)| *id == node) {
                has_nothing_left(&ear, node).await?;
            }
            MemberChange::Remove { node, force }
        }
    };
    ear.cluster.change_members(change).await
}

async fn drain(ear: &Ear, node: NodeId, draining: bool) -> Result<NodeId, Error> {
    match ear.cluster.propose(Command::Drain { node, draining }).await? {
        Outcome::Rejected(rejection) => Err(Error::Refused(rejection)),
        _ => Ok(node),
    }
}

/// What a node has delivered and nobody knows of would be delivered again.
async fn has_nothing_left(ear: &Ear, node: NodeId) -> Result<(), Error> {
    let Some(own) = ask(ear, node).await else {
        return Err(conflict(format!(
            "node {node} does not answer: its results cannot be collected; if it is lost, force \
             the removal (--force): what it delivered and nobody collected is delivered again"
        )));
    };
    if own.journal_depth > 0 {
        let left = own.journal_depth;
        return Err(conflict(format!(
            "{left} results of node {node} are not collected yet: drain it, and wait"
        )));
    }
    Ok(())
}
