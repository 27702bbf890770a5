//! Rules of birth and ownership: the cluster is born once, a node id belongs to one data folder, a
//! shard changes hands only as `model::shard` allows. Called by `apply` alone.

use super::{Applied, Entry, refuse};
use crate::command::{Outcome, RejectionKind};
use crate::model::NodeId;
use crate::model::shard::{Move, SHARDS, Shard};
use crate::store::{meta, nodes};

impl Entry<'_, '_> {
    /// The birth. A second one is no news.
    pub(super) fn init(&mut self, cluster: u128) -> Applied {
        if meta::cluster_id(self.tx)?.is_some() {
            return Ok(Outcome::Done);
        }
        meta::set_birth(self.tx, cluster, self.stamp)?;
        self.tx.create_shards((0..SHARDS).map(|id| Shard::new(id, self.stamp)).collect());
        self.change.shards = true;
        Ok(Outcome::Done)
    }

    pub(super) fn assign(&mut self, moves: &[Move]) -> Applied {
        let mut done = 0;
        for change in moves {
            done += u32::from(self.tx.change_shard(change.shard, |shard| shard.apply(change))?);
        }
        if done > 0 {
            self.tx.set_assign_index(self.index)?;
            self.change.shards = true;
        }
        Ok(Outcome::Assigned(done))
    }

    pub(super) fn register(&mut self, node: NodeId, instance: u128) -> Applied {
        match nodes::get(self.tx, node)? {
            Some(known) if known == instance => Ok(Outcome::Done),
            Some(_) => Err(refuse(
                RejectionKind::Conflict,
                format!("node {node} is already known with another data folder"),
            )),
            None => {
                nodes::insert(self.tx, node, instance)?;
                Ok(Outcome::Done)
            }
        }
    }
}
