//! Where the members are. A node that starts at other addresses than the membership has announces
//! them to everybody it can think of; each believes it at once, and the leader writes it down. `ear`
//! takes announcements in, `duties` makes them and looks after the rest.

use std::sync::PoisonError;

use openraft::ChangeMembers;
use serde::{Deserialize, Serialize};

use super::Error;
use super::inner::Inner;
use crate::model::NodeId;
use crate::raft::types::Member;

/// Where a node says that it can be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Announcement {
    pub(super) member: Member,
}

impl Inner {
    /// Takes a node's word for where it is; the leader writes it into the membership.
    pub(super) fn hear_address(&self, node: NodeId, member: &Member) {
        self.peers.learn_address(node, &member.raft_address);
        let mut heard = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(node, member.clone());
    }

    /// The members' addresses: as stored, or as they have said since.
    pub(super) fn addresses(&self) -> Vec<(NodeId, String)> {
        let config = self.membership();
        let mut heard = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|id, member| config.membership().get_node(id) != Some(member));
        let stored = config
            .membership()
            .nodes()
            .map(|(id, stored)| (*id, heard.get(id).unwrap_or(stored).raft_address.clone()));
        stored.collect()
    }

    /// What a leader does about the members unasked: finishes a change that was cut off, and writes
    /// down new addresses.
    pub(super) async fn tend_members(&self) -> Result<(), Error> {
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
