//! Changes of the members, on the leader: one change at a time, each refused where it would leave
//! the cluster without a living quorum. A request at any node's API is led here by `propose`. What
//! a change means for shards and journals is the caller's business (`node::members`).
//!
//! ```text
//!   add: ask the node who it is -> bind its id to its folder -> learner
//!   promote: learner, caught up -> voter
//!   remove: drained, or by force -> out of the membership -> its folder is refused ever after
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use tokio::time::timeout;

use crate::cluster::error::Error;
use crate::cluster::inner::Inner;
use crate::cluster::wire::{HELLO, Hello, MemberChange};
use crate::command::{Command, Outcome, Rejection, RejectionKind};
use crate::model::NodeId;
use crate::raft::types::{Member, TypeConfig};
use crate::store;

/// A learner that is behind by more entries than this is not made a voter.
const CLOSE_BY: u64 = 1_000;
/// The longest time that a node which is to be added, or promoted, may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

fn refuse(kind: RejectionKind, message: impl Into<String>) -> Error {
    Error::Refused(Rejection::new(kind, message))
}

fn conflict(message: impl Into<String>) -> Error {
    refuse(RejectionKind::Conflict, message)
}

fn list(nodes: impl IntoIterator<Item = NodeId>) -> String {
    nodes.into_iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}

impl Inner {
    /// Carries a change out, on the leader; gives the node that it is about.
    pub(in crate::cluster) async fn change_members(
        &self,
        change: &MemberChange,
    ) -> Result<NodeId, Error> {
        let lead = *self.leadership.borrow();
        if !lead.me {
            return Err(Error::NotLeader { leader: lead.leader });
        }
        let Ok(_turn) = self.changing.try_lock() else {
            return Err(conflict("another change of the members is under way: wait for its end"));
        };
        self.finish_change().await?;
        self.voters_heard().await;
        match change {
            MemberChange::Add { node, member, replace } => self.add(*node, member, *replace).await,
            MemberChange::Promote { node } => self.promote(*node).await,
            MemberChange::Remove { node, force } => self.remove(*node, *force).await,
            MemberChange::Transfer { to } => self.transfer(*to).await,
        }
    }

    async fn add(&self, node: NodeId, member: &Member, replace: bool) -> Result<NodeId, Error> {
        if node == 0 {
            return Err(refuse(RejectionKind::Invalid, "id: expected a number, 1 or more"));
        }
        let config = self.membership();
        for (id, known) in config.membership().nodes() {
            if *id == node {
                return Err(conflict(format!("node {node} is a member already, at {known}")));
            }
            if known.raft_address == member.raft_address {
                let address = &member.raft_address;
                return Err(conflict(format!("raftAddress {address} is node {id}'s")));
            }
            if known.address == member.address {
                return Err(conflict(format!("address {} is node {id}'s", known.address)));
            }
        }
        let removed = self.watches.registry.borrow().get(node).is_some_and(|bound| bound.removed);
        if removed && !replace {
            return Err(conflict(format!(
                "node id {node} was removed: take an id that was never used, or say --replace to \
                 give this one to a new data folder"
            )));
        }
        if self.owns_shards(node)? {
            return Err(conflict(format!(
                "the shards of the node that had id {node} are still being taken over: try again \
                 in a few seconds"
            )));
        }
        let hello = self.ask_who(node, member).await?;
        let _level = self.leveling.lock().await;
        self.check_joiner(node)?;
        let register = Command::Register { node, instance: hello.instance, replace };
        self.write_or_refuse(register).await?;
        // A raise whose outcome was unknown has been applied before this entry, or never will be.
        self.check_joiner(node)?;
        self.peers.learn_address(node, &member.raft_address);
        let added = self.raft.add_learner(node, member.clone(), false);
        self.changed(async { added.await.map(|_| ()) }).await?;
        tracing::info!(node, %member, "a node was added as a learner");
        Ok(node)
    }

    /// Asks the process at an address who it is; refuses all but an unused folder of that node.
    async fn ask_who(&self, node: NodeId, member: &Member) -> Result<Hello, Error> {
        let address = &member.raft_address;
        let answer = self.peers.call_at(node, address, HELLO, &(), PATIENCE).await;
        let hello: Hello = answer.map_err(|error| {
            conflict(format!(
                "node {node} does not answer at {address} as it should: start it first, with this \
                 NodeId, an empty DataDir, Bootstrap: false and Replicas naming a member and \
                 itself: {error}"
            ))
        })?;
        if hello.node != node {
            let found = hello.node;
            return Err(conflict(format!("at {address} is node {found}, not node {node}")));
        }
        if hello.generation != 0 && hello.generation != self.peers.generation() {
            return Err(conflict(format!(
                "node {node} holds the data of another cluster: start it on an empty DataDir"
            )));
        }
        Ok(hello)
    }

    async fn promote(&self, node: NodeId) -> Result<NodeId, Error> {
        let config = self.membership();
        if config.membership().get_node(&node).is_none() {
            return Err(unknown(node));
        }
        let mut voters: BTreeSet<NodeId> = config.membership().voter_ids().collect();
        if !voters.insert(node) {
            return Err(conflict(format!("node {node} votes already")));
        }
        // A learner of a moment ago has been sent something, but may not have answered.
        let mut answers = self.raft.metrics();
        let answered =
            async { while self.behind(node).is_none() && answers.changed().await.is_ok() {} };
        let _ = timeout(PATIENCE, answered).await;
        match self.behind(node) {
            Some(behind) if behind <= CLOSE_BY => {}
            Some(behind) => {
                return Err(conflict(format!(
                    "node {node} is behind by {behind} entries: wait until it has caught up"
                )));
            }
            None => return Err(conflict(format!("node {node} has not answered yet: wait for it"))),
        }
        self.keep_quorum(&voters)?;
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([node]));
        self.changed(self.change(change, false)).await?;
        tracing::info!(node, "a node votes from now on");
        Ok(node)
    }

    async fn remove(&self, node: NodeId, force: bool) -> Result<NodeId, Error> {
        let config = self.membership();
        let bound = self.watches.registry.borrow().get(node).copied().filter(|b| !b.removed);
        if config.membership().get_node(&node).is_none() {
            // A removal that was cut off between its two steps, or no member at all.
            return match bound {
                Some(_) => self.retire(node).await,
                None => Err(unknown(node)),
            };
        }
        let mut voters: BTreeSet<NodeId> = config.membership().voter_ids().collect();
        let is_voter = voters.remove(&node);
        if voters.is_empty() {
            return Err(conflict(format!(
                "node {node} is the last voter: add another one and promote it first"
            )));
        }
        if node == self.options.node {
            return Err(conflict(format!(
                "node {node} leads the cluster: hand the leadership on first \
                 (`scheduler0 cluster transfer-leader`)"
            )));
        }
        if is_voter {
            self.keep_quorum(&voters)?;
        }
        if !force && bound.is_some_and(|bound| !bound.draining) {
            return Err(conflict(format!(
                "node {node} is not drained: `scheduler0 cluster drain {node}` first"
            )));
        }
        if !force && self.owns_shards(node)? {
            return Err(conflict(format!(
                "node {node} still has shards: wait until it is drained"
            )));
        }
        let change = if is_voter {
            ChangeMembers::RemoveVoters(BTreeSet::from([node]))
        } else {
            ChangeMembers::RemoveNodes(BTreeSet::from([node]))
        };
        self.changed(self.change(change, false)).await?;
        tracing::info!(node, force, "a node was removed");
        if bound.is_some() { self.retire(node).await } else { Ok(node) }
    }

    async fn retire(&self, node: NodeId) -> Result<NodeId, Error> {
        self.write_or_refuse(Command::Retire { node }).await?;
        Ok(node)
    }

    async fn transfer(&self, to: Option<NodeId>) -> Result<NodeId, Error> {
        let voters = self.voters();
        let live = self.live();
        let to = if let Some(to) = to {
            if self.membership().membership().get_node(&to).is_none() {
                return Err(unknown(to));
            }
            if !voters.contains(&to) {
                return Err(conflict(format!("node {to} is a learner: promote it first")));
            }
            if !live.contains(&to) {
                return Err(conflict(format!("node {to} has not answered lately")));
            }
            to
        } else {
            let registry = self.watches.registry.borrow().clone();
            let drained = |id: NodeId| registry.get(id).is_some_and(|bound| bound.draining);
            let others = voters.iter().filter(|id| **id != self.options.node && live.contains(id));
            let best = others.min_by_key(|id| (drained(**id), self.behind(**id)));
            *best.ok_or_else(|| conflict("there is no other voter that answers"))?
        };
        self.transfer_leader(to).await?;
        Ok(to)
    }

    /// Waits until each voter has answered this leader, or has had its time to: a leader that was
    /// elected a moment ago would take the others for dead.
    async fn voters_heard(&self) {
        let mut answers = self.raft.metrics();
        let heard = async {
            while !self.voters().is_subset(&self.live()) && answers.changed().await.is_ok() {}
        };
        let _ = timeout(self.patience(), heard).await;
    }

    /// A set of voters without a living majority would stand still at once.
    fn keep_quorum(&self, voters: &BTreeSet<NodeId>) -> Result<(), Error> {
        let live = self.live();
        let alive = voters.intersection(&live).count();
        if alive > voters.len() / 2 {
            return Ok(());
        }
        let dead = list(voters.difference(&live).copied());
        Err(conflict(format!(
            "this would leave {alive} living of {} voters, and no quorum: bring back or remove node \
             {dead} first",
            voters.len()
        )))
    }

    /// The nodes that have answered this leader lately, itself included.
    pub(in crate::cluster) fn live(&self) -> BTreeSet<NodeId> {
        let lately = self.options.election * 2;
        let metrics = self.raft.metrics();
        let m = metrics.borrow_watched();
        let mut live = BTreeSet::from([self.options.node]);
        for (node, acked) in m.heartbeat.iter().flatten() {
            if acked.as_ref().is_some_and(|at| at.elapsed() < lately) {
                live.insert(*node);
            }
        }
        live
    }

    /// The number of entries by which a node's log is behind this leader's; `None` before it has
    /// answered.
    fn behind(&self, node: NodeId) -> Option<u64> {
        let metrics = self.raft.metrics();
        let m = metrics.borrow_watched();
        let matched = m.replication.as_ref()?.get(&node)?.as_ref()?.index;
        Some(m.last_log_index.unwrap_or(0).saturating_sub(matched))
    }

    fn owns_shards(&self, node: NodeId) -> Result<bool, Error> {
        let shards =
            self.store.read(store::shards::all).map_err(|e| Error::Store(e.to_string()))?;
        Ok(shards.iter().any(|shard| {
            (shard.epoch > 0 && shard.owner == node)
                || shard.closing.as_ref().is_some_and(|closing| closing.node == node)
        }))
    }

    async fn write_or_refuse(&self, command: Command) -> Result<(), Error> {
        match self.write(self.encode(&command.into())?, None).await?.1 {
            Outcome::Rejected(rejection) => Err(Error::Refused(rejection)),
            _ => Ok(()),
        }
    }

    pub(in crate::cluster) async fn change(
        &self,
        change: ChangeMembers<NodeId, Member>,
        retain: bool,
    ) -> Result<(), RaftError<TypeConfig, ClientWriteError<TypeConfig>>> {
        self.raft.change_membership(change, retain).await.map(|_| ())
    }

    /// Waits for a change, bounded, and says what became of it.
    pub(in crate::cluster) async fn changed<F>(&self, change: F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), RaftError<TypeConfig, ClientWriteError<TypeConfig>>>>,
    {
        let Ok(done) = timeout(self.options.apply_timeout, change).await else {
            let message = "the change of the members is not committed yet: is there a quorum?";
            return Err(Error::Unavailable(message.to_owned()));
        };
        done.map_err(|error| match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
                Error::NotLeader { leader: to.leader_id }
            }
            RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            )) => conflict("another change of the members is under way: wait for its end"),
            RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
                conflict(error.to_string())
            }
            RaftError::APIError(other) => Error::Unavailable(other.to_string()),
            RaftError::Fatal(fatal) => Error::Fatal(fatal.to_string()),
        })
    }

    /// Ends a change that a leader left between its two entries.
    pub(in crate::cluster) async fn finish_change(&self) -> Result<(), Error> {
        if self.membership().membership().get_joint_config().len() < 2 {
            return Ok(());
        }
        let nothing = ChangeMembers::RemoveVoters(BTreeSet::new());
        self.changed(self.change(nothing, false)).await
    }
}

fn unknown(node: NodeId) -> Error {
    refuse(RejectionKind::NotFound, format!("there is no node {node} among the members"))
}
