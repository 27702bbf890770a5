//! The placement of shards: few moves, an even spread, none of it on the leader while anybody else
//! can do the work.
//!
//! `coordinator::leases` asks at each tick. Pure; it proposes nothing and calls nothing. Two kinds
//! of wish come out: moves that may be committed now (shards without an owner, of dead owners,
//! promised ones), and shards that living owners should be asked to promise away.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::shard::{Move, MoveKind, Shard, ShardId};
use crate::model::{Millis, NodeId};

/// The share of its memory, in percent, above which a node gives shards away ...
pub const RELEASE_ABOVE: u8 = 70;
/// ... but only to a node below this share.
pub const RECEIVE_BELOW: u8 = 50;

/// The time before a promised instant at which a new leader stops waiting for nodes that it has not
/// heard.
const HURRY: Millis = 500;

/// A member as the leader sees it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The id of the node.
    pub id: NodeId,
    /// It was granted a lease within a TTL.
    pub leased: bool,
    /// It had no lease for so long that it cannot hold one.
    pub dead: bool,
    /// It has applied close to log time.
    pub caught_up: bool,
    /// Its journal takes results.
    pub has_room: bool,
    /// It wants to be rid of its shards.
    pub draining: bool,
    /// Percent of its memory in use.
    pub memory: u8,
}

/// The facts by which the leader plans.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The leader's boot clock.
    pub boot: u64,
    /// The leader's scheduler time.
    pub sched: Millis,
    /// The node that leads and places.
    pub leader: NodeId,
    /// Every member was heard, or had its time to be.
    pub complete: bool,
    /// The members, in order.
    pub nodes: &'a [NodeView],
    /// The shards, as the replicated state has them.
    pub shards: &'a [Shard],
    /// Promises read from renewals: (shard, epoch) -> hand-over instant.
    pub promises: &'a BTreeMap<(ShardId, u64), Millis>,
}

/// The wishes of both kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The moves to commit in one command.
    pub moves: Vec<Move>,
    /// The releases to ask of the owners: (owner, shard, epoch).
    pub releases: Vec<(NodeId, ShardId, u64)>,
}

/// Remembers since when the same nodes are able, so that a flapping one moves nothing.
#[derive(Debug, Default)]
pub struct Placement {
    able: BTreeSet<NodeId>,
    since: u64,
}

impl Placement {
    /// Plans anew. `settle` is how long, in milliseconds, the able nodes must have been the same
    /// for a move that is not pressing.
    pub fn plan(&mut self, situation: &Situation<'_>, settle: u64) -> Plan {
        let candidates = Candidates::of(situation);
        if candidates.able != self.able {
            self.able.clone_from(&candidates.able);
            self.since = situation.boot;
        }
        let settled = situation.complete && situation.boot >= self.since + settle;
        let mut counts: BTreeMap<NodeId, usize> =
            candidates.able.iter().map(|id| (*id, 0)).collect();
        for shard in situation.shards {
            if !candidates.ownerless(situation, shard)
                && let Some(count) = counts.get_mut(&shard.owner)
            {
                *count += 1;
            }
        }
        let mut plan = Plan::default();
        candidates.assign_owners(situation, &mut counts, &mut plan);
        candidates.relieve(situation, settled, &mut counts, &mut plan);
        if settled {
            candidates.balance(situation, &mut counts, &mut plan);
        }
        plan
    }
}

/// The nodes, sorted by their use.
struct Candidates<'a> {
    nodes: BTreeMap<NodeId, &'a NodeView>,
    /// The nodes that should own shards.
    able: BTreeSet<NodeId>,
    /// Some able node has memory to spare.
    spare: bool,
}

impl<'a> Candidates<'a> {
    fn of(situation: &Situation<'a>) -> Self {
        let nodes: BTreeMap<_, _> = situation.nodes.iter().map(|n| (n.id, n)).collect();
        let fit = |n: &&&NodeView| n.leased && n.caught_up && n.has_room && !n.draining;
        let mut able: BTreeSet<NodeId> =
            nodes.values().filter(fit).map(|n| n.id).filter(|id| *id != situation.leader).collect();
        if able.is_empty() {
            able.extend(nodes.values().filter(fit).map(|n| n.id));
        }
        let spare = able.iter().any(|id| nodes[id].memory < RECEIVE_BELOW);
        if spare {
            able.retain(|id| nodes[id].memory <= RELEASE_ABOVE);
        }
        Self { nodes, able, spare }
    }

    fn is_dead(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_none_or(|n| n.dead)
    }

    /// True if a shard waits for an owner.
    fn ownerless(&self, situation: &Situation<'_>, shard: &Shard) -> bool {
        shard.epoch == 0
            || self.is_dead(shard.owner)
            || (shard.closing.is_none()
                && situation.promises.contains_key(&(shard.id, shard.epoch)))
    }

    /// The least loaded node for a shard, not its present owner if that can be avoided.
    fn target(&self, counts: &BTreeMap<NodeId, usize>, shard: &Shard) -> Option<NodeId> {
        let full = self.nodes.get(&shard.owner).is_some_and(|n| n.memory > RELEASE_ABOVE);
        let strained = |id: &NodeId| full && self.nodes[id].memory >= RECEIVE_BELOW;
        counts
            .iter()
            .min_by_key(|(id, count)| (**id == shard.owner, strained(id), **count))
            .map(|(id, _)| *id)
    }

    /// Picks any node with a lease when no able node is left: better late, or with a full memory,
    /// than never.
    fn stopgap(&self, shard: &Shard) -> Option<NodeId> {
        let leased = self.nodes.values().filter(|n| n.leased);
        leased
            .min_by_key(|n| (!n.has_room, n.draining, n.id == shard.owner, !n.caught_up, n.memory))
            .map(|n| n.id)
    }

    /// Finds owners for shards that wait for one.
    fn assign_owners(
        &self,
        situation: &Situation<'_>,
        counts: &mut BTreeMap<NodeId, usize>,
        plan: &mut Plan,
    ) {
        for shard in situation.shards {
            if let Some(closing) = &shard.closing
                && self.is_dead(closing.node)
                && let Some(to) = self.for_closing(shard)
            {
                let kind = MoveKind::TakeClosing;
                plan.moves.push(Move { shard: shard.id, to, expects: closing.epoch, kind });
            }
            if !self.ownerless(situation, shard) {
                continue;
            }
            let promised = situation.promises.get(&(shard.id, shard.epoch)).copied();
            let dead = shard.epoch == 0 || self.is_dead(shard.owner);
            let hurry = !dead && promised.is_some_and(|until| situation.sched >= until - HURRY);
            let target = self.target(counts, shard);
            let patient = !situation.complete && !hurry;
            let Some(to) = (if patient {
                // A new leader does not know yet which nodes are there.
                target.filter(|to| !dead && *to != situation.leader && *to != shard.owner)
            } else {
                target.or_else(|| self.stopgap(shard))
            }) else {
                continue;
            };
            let kind = match promised {
                Some(until) if !dead => MoveKind::HandOver { until },
                _ => MoveKind::TakeOver,
            };
            plan.moves.push(Move { shard: shard.id, to, expects: shard.epoch, kind });
            if let Some(count) = counts.get_mut(&to) {
                *count += 1;
            }
        }
    }

    /// Picks the node that finishes the work of a dead closing owner: the shard's owner, if it
    /// lives.
    fn for_closing(&self, shard: &Shard) -> Option<NodeId> {
        let owner = self.nodes.get(&shard.owner).filter(|n| n.leased && n.has_room);
        owner.map(|n| n.id).or_else(|| self.able.first().copied()).or_else(|| self.stopgap(shard))
    }

    /// Asks nodes that should own nothing to release their shards.
    fn relieve(
        &self,
        situation: &Situation<'_>,
        settled: bool,
        counts: &mut BTreeMap<NodeId, usize>,
        plan: &mut Plan,
    ) {
        if self.able.is_empty() {
            return;
        }
        for shard in situation.shards {
            let Some(owner) = self.nodes.get(&shard.owner) else { continue };
            if self.able.contains(&owner.id)
                || shard.closing.is_some()
                || self.ownerless(situation, shard)
            {
                continue;
            }
            let pressing = owner.draining || !owner.has_room;
            if !(pressing || settled) {
                continue;
            }
            plan.releases.push((owner.id, shard.id, shard.epoch));
            if let Some(to) = self.target(counts, shard)
                && let Some(count) = counts.get_mut(&to)
            {
                *count += 1;
            }
        }
    }

    /// Evens out the counts of the able nodes, to within one.
    fn balance(
        &self,
        situation: &Situation<'_>,
        counts: &mut BTreeMap<NodeId, usize>,
        plan: &mut Plan,
    ) {
        let mut movable: BTreeMap<NodeId, Vec<&Shard>> = BTreeMap::new();
        for shard in situation.shards.iter().rev() {
            if shard.closing.is_none() && !self.ownerless(situation, shard) {
                movable.entry(shard.owner).or_default().push(shard);
            }
        }
        loop {
            let ready = |(id, count): &(&NodeId, &usize)| {
                **count > 0 && movable.get(id).is_some_and(|list| !list.is_empty())
            };
            let most = counts.iter().filter(ready).max_by_key(|(_, count)| **count);
            let receives = |id: &NodeId| !self.spare || self.nodes[id].memory < RECEIVE_BELOW;
            let least = counts.iter().filter(|(id, _)| receives(id)).min_by_key(|(_, c)| **c);
            let (Some((from, most)), Some((to, least))) = (most, least) else { return };
            if *most <= *least + 1 {
                return;
            }
            let (from, to) = (*from, *to);
            let Some(shard) = movable.get_mut(&from).and_then(Vec::pop) else { return };
            plan.releases.push((from, shard.id, shard.epoch));
            *counts.entry(from).or_default() -= 1;
            *counts.entry(to).or_default() += 1;
        }
    }
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
