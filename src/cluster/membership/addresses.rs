//! The members' addresses. Each node announces its own (`announce`). A node that hears others than
//! it has makes sure that the node is there, and that no other process of it is where it was; then
//! it believes it, and the leader writes it down. `rpc` takes announcements in, `tasks` looks after
//! the rest.

use std::sync::PoisonError;

use openraft::ChangeMembers;

use crate::cluster::error::Error;
use crate::cluster::inner::Inner;
use crate::cluster::wire::{Heard, WHO, Who};
use crate::model::NodeId;
use crate::peer::{self, Caller, Refusal};
use crate::raft::types::Member;

/// The reason to doubt a node's announced address; `None` when nothing speaks against it.
fn contradiction(
    address: &str,
    caller: Caller,
    answer: Result<Who, peer::Error>,
) -> Option<String> {
    match answer {
        Ok(who) if who.node == caller.node && who.instance == caller.instance => None,
        Ok(who) => Some(format!(
            "at {address} is node {}: check RaftAddress, and this node's entry in Replicas",
            who.node
        )),
        // A node of an older version has no such route.
        Err(peer::Error::Refused { status: 404, .. } | peer::Error::Unreadable { .. }) => None,
        Err(error) => Some(format!(
            "it is not reached at {address} ({error}): check RaftAddress, and this node's entry in \
             Replicas"
        )),
    }
}

impl Inner {
    /// Takes an announcement: believed when the process that makes it answers at the new address,
    /// and no other one of its node at the old address.
    pub(in crate::cluster) async fn take_announcement(
        &self,
        caller: Caller,
        said: &Member,
    ) -> Result<Heard, Refusal> {
        let node = caller.node;
        let recorded = self.membership().membership().get_node(&node).cloned();
        let leads = self.leadership.borrow().first_applied;
        let heard = Heard { leads, recorded, trouble: None };
        let believed =
            self.announced.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned();
        let current = believed.or_else(|| heard.recorded.clone());
        if current.as_ref().is_none_or(|current| current.raft_address != said.raft_address) {
            let limit = self.options.transport_timeout;
            let ask = |address: String| async move {
                self.peers.call_at::<_, Who>(node, &address, WHO, &(), limit).await
            };
            if let Some(current) = current
                && let Ok(who) = ask(current.raft_address.clone()).await
            {
                if who.is_twin_of(caller) {
                    return Err(Refusal::stop(peer::copied_folder(node)));
                }
                // Whoever does not say which process it is does not take another one's place.
                if (who.node, who.instance) == (node, caller.instance) && caller.process.id == 0 {
                    let trouble = format!("it still answers at {}", current.raft_address);
                    return Ok(Heard { trouble: Some(trouble), ..heard });
                }
            }
            if let Some(trouble) =
                contradiction(&said.raft_address, caller, ask(said.raft_address.clone()).await)
            {
                return Ok(Heard { trouble: Some(trouble), ..heard });
            }
        }
        self.hear_address(node, said);
        Ok(heard)
    }

    /// Takes a node's word for where it is; the leader writes it into the membership.
    pub(in crate::cluster) fn hear_address(&self, node: NodeId, member: &Member) {
        self.peers.learn_address(node, &member.raft_address);
        let mut heard = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(node, member.clone());
    }

    /// The members' addresses: as stored, or as they have said since.
    pub(in crate::cluster) fn addresses(&self) -> Vec<(NodeId, String)> {
        let config = self.membership();
        let mut heard = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|id, member| config.membership().get_node(id) != Some(member));
        let stored = config
            .membership()
            .nodes()
            .map(|(id, stored)| (*id, heard.get(id).unwrap_or(stored).raft_address.clone()));
        stored.collect()
    }

    /// Looks after the members as their leader: finishes a change that was cut off, and writes down
    /// new addresses.
    pub(in crate::cluster) async fn tend_members(&self) -> Result<(), Error> {
        let Ok(_turn) = self.changing.try_lock() else { return Ok(()) };
        self.finish_change().await?;
        let config = self.membership();
        let heard = self.announced.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (node, member) in heard {
            let Some(stored) = config.membership().get_node(&node) else { continue };
            if *stored == member {
                continue;
            }
            let clash = config.membership().nodes().find(|(id, other)| {
                **id != node
                    && (other.raft_address == member.raft_address
                        || other.address == member.address)
            });
            if let Some((other, _)) = clash {
                tracing::warn!(node, %member, other, "a node announces another one's address");
                continue;
            }
            tracing::info!(node, old = %stored, new = %member, "a node has moved");
            let change = ChangeMembers::SetNodes([(node, member)].into());
            self.changed(self.change(change, true)).await?;
        }
        Ok(())
    }
}
