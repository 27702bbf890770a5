//! Rules of birth and ownership: the cluster is born once, a node id belongs to one data folder,
//! and a shard changes its owner only as `model::shard` allows.

use super::entry::{Applied, Entry, Refusal, refuse};
use crate::command::{Outcome, RejectionKind};
use crate::model::NodeId;
use crate::model::event::{Fact, ShardMoves};
use crate::model::shard::{Move, SHARDS, Shard};
use crate::store::nodes::Bound;
use crate::store::{meta, nodes};

impl Entry<'_, '_> {
    /// The birth of the cluster. A second one changes nothing.
    pub(super) fn init(&mut self, cluster: u128) -> Applied {
        if meta::cluster_id(self.tx)?.is_some() {
            return Ok(Outcome::Done);
        }
        meta::set_birth(self.tx, cluster, self.stamp)?;
        self.tx.create_shards((0..SHARDS).map(|id| Shard::new(id, self.stamp)).collect());
        self.change.shards = true;
        self.nodes_changed();
        Ok(Outcome::Done)
    }

    /// Carries out moves of shards; those that no longer fit are passed over.
    pub(super) fn assign(&mut self, moves: &[Move]) -> Applied {
        let mut done = 0;
        let mut owners: Vec<ShardMoves> = Vec::new();
        for change in moves {
            let applied = self.tx.change_shard(change.shard, |shard| {
                let from = shard.owner;
                let applied = shard.apply(change);
                if from != shard.owner {
                    count_move(&mut owners, from, shard.owner);
                }
                applied
            });
            done += u32::from(applied?);
        }
        if done > 0 {
            self.tx.set_assign_index(self.index)?;
            self.change.shards = true;
        }
        if !owners.is_empty() {
            self.change.events.add(Fact::Shards(owners));
        }
        Ok(Outcome::Assigned(done))
    }

    /// Binds a node id to a data folder.
    pub(super) fn register(&mut self, node: NodeId, instance: u128, replace: bool) -> Applied {
        let conflict = |message: String| Err(refuse(RejectionKind::Conflict, message));
        for known in nodes::all(self.tx)? {
            if known.node == node && known.instance == instance && !known.removed {
                return Ok(Outcome::Done);
            }
            if known.instance == instance && known.removed {
                return conflict(format!(
                    "this data folder was removed from the cluster as node {}: give node {node} an \
                     empty DataDir",
                    known.node
                ));
            }
            if known.instance == instance {
                return conflict(format!("this data folder is node {}'s", known.node));
            }
            if known.node == node && known.removed && !replace {
                return conflict(format!(
                    "node id {node} was removed: take an id that was never used, or say --replace"
                ));
            }
            if known.node == node && !known.removed {
                return conflict(format!(
                    "node {node} is already known with another data folder: `cluster remove {node}` \
                     it first, if that one is lost"
                ));
            }
        }
        let since = self.index;
        let bound = Bound { node, instance, since, removed: false, draining: false };
        nodes::put(self.tx, &bound)?;
        self.nodes_changed();
        Ok(Outcome::Done)
    }

    /// Notes that the nodes, or what is known of them, changed.
    fn nodes_changed(&mut self) {
        self.change.nodes = true;
        self.change.events.add(Fact::Members);
    }

    /// The binding of a node that is not removed.
    fn known(&mut self, node: NodeId) -> Result<Bound, Refusal> {
        let unknown = || refuse(RejectionKind::NotFound, format!("there is no node {node}"));
        nodes::get(self.tx, node)?.filter(|known| !known.removed).ok_or_else(unknown)
    }

    /// Removes a node.
    pub(super) fn retire(&mut self, node: NodeId) -> Applied {
        let known = self.known(node)?;
        let since = self.index;
        nodes::put(self.tx, &Bound { since, removed: true, draining: false, ..known })?;
        self.nodes_changed();
        Ok(Outcome::Done)
    }

    /// Drains a node, or ends that.
    pub(super) fn drain(&mut self, node: NodeId, draining: bool) -> Applied {
        let known = self.known(node)?;
        if known.draining != draining {
            nodes::put(self.tx, &Bound { draining, ..known })?;
            self.nodes_changed();
        }
        Ok(Outcome::Done)
    }

    /// Raises the level of the cluster; a lower one changes nothing.
    pub(super) fn raise_level(&mut self, level: u32) -> Applied {
        if level > meta::level(self.tx)? {
            meta::set_level(self.tx, level)?;
            self.nodes_changed();
        }
        Ok(Outcome::Done)
    }

    /// Removes all nodes but one. Their shards are taken over like those of dead owners.
    pub(super) fn recover(&mut self, node: NodeId, generation: u128) -> Applied {
        meta::set_generation(self.tx, generation)?;
        let since = self.index;
        for known in nodes::all(self.tx)? {
            let removed = known.node != node;
            let since = if removed == known.removed { known.since } else { since };
            nodes::put(self.tx, &Bound { since, removed, draining: false, ..known })?;
        }
        self.nodes_changed();
        Ok(Outcome::Done)
    }
}

/// Counts a shard that went from one owner to another.
fn count_move(moves: &mut Vec<ShardMoves>, from: NodeId, to: NodeId) {
    match moves.iter_mut().find(|known| (known.from, known.to) == (from, to)) {
        Some(known) => known.shards += 1,
        None => moves.push(ShardMoves { from, to, shards: 1 }),
    }
}
