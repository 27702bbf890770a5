//! The granting of leases, for one term of leadership: it decides which node may fire, which node
//! is dead, and when a shard may move.
//!
//! The coordinator makes a [`Grantor`] when its node comes to lead, feeds it renewals and ticks,
//! proposes the moves that a tick returns (as leader of that term only), and drops it with the
//! term. Pure: no clock, no I/O. It trusts nothing that it has not heard in its own term.

use std::collections::{BTreeMap, BTreeSet};

use super::position::LeaderPosition;
use super::succession::{Served, Succession};
use crate::coordinator::placement::{NodeView, Placement, Situation};
use crate::model::lease::{
    Answer, CLOCK_TOLERANCE, Facts, Grant, LAG_TOLERANCE, Now, Refusal, Renewal, Timing,
};
use crate::model::process::Process;
use crate::model::shard::{Move, MoveKind, Shard, ShardId};
use crate::model::{Millis, NodeId};

/// The fate of the moves that a tick returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// They are committed, and applied here, at this index.
    Applied(u64),
    /// Unknown. The grantor grants nothing and moves nothing any more: the node must end its
    /// leadership of this term, or at least begin anew (with a new grantor) only when an entry that
    /// it proposed later in this term is applied. By then the moves are decided, too.
    Unknown,
}

/// One term of granting; see the head of this file.
#[derive(Debug)]
pub struct Grantor {
    me: NodeId,
    term: u64,
    members: BTreeSet<NodeId>,
    voters: BTreeSet<NodeId>,
    /// Nodes that are to own nothing, by the replicated state.
    draining: BTreeSet<NodeId>,
    timing: Timing,
    first_applied: bool,
    quorum_acked: Option<u64>,
    /// The boot-clock instant since which it has been able to grant without a break.
    able_since: Option<u64>,
    last_tick: u64,
    /// The rule by which a process of a node may be served.
    succession: Succession,
    nodes: BTreeMap<NodeId, Peer>,
    /// The nodes from which a proposal under way takes something.
    moving: Option<BTreeSet<NodeId>>,
    /// The newest assignment that this grantor knows to be applied.
    assigned: u64,
    over: bool,
    placement: Placement,
    releases: BTreeMap<NodeId, Vec<(ShardId, u64)>>,
}

/// The facts that a node reported in this term.
#[derive(Debug)]
struct Peer {
    /// The newest renewal that was taken in.
    last: Served,
    granted: Option<u64>,
    /// Its scheduler time minus ours, in milliseconds.
    offset: Millis,
    facts: Facts,
    caught_up: bool,
    promises: BTreeMap<(ShardId, u64), Millis>,
}

impl Grantor {
    /// Begins a term of leadership; all members vote until [`Grantor::set_members`] says otherwise.
    pub fn new(
        me: NodeId,
        term: u64,
        members: impl IntoIterator<Item = NodeId>,
        timing: Timing,
        now_boot: u64,
    ) -> Self {
        let members: BTreeSet<NodeId> = members.into_iter().collect();
        Self {
            me,
            term,
            voters: members.clone(),
            members,
            draining: BTreeSet::new(),
            timing,
            first_applied: false,
            quorum_acked: None,
            able_since: None,
            last_tick: now_boot,
            succession: Succession::new(now_boot, timing.dead_after()),
            nodes: BTreeMap::new(),
            moving: None,
            assigned: 0,
            over: false,
            placement: Placement::default(),
            releases: BTreeMap::new(),
        }
    }

    /// Adds a process that spoke for a node before this term began; a node may have several. A
    /// process on another folder gets no lease before theirs must have ended.
    pub fn spoke_before(&mut self, node: NodeId, process: Process) {
        self.succession.spoke_before(node, process);
    }

    /// Takes the members, and those of them that vote. A grant to a node that is no member any more
    /// is remembered: it may hold its lease to the end.
    pub fn set_members(&mut self, members: BTreeSet<NodeId>, voters: BTreeSet<NodeId>) {
        self.members = members;
        self.voters = voters;
    }

    /// Takes the nodes that are to own no shards.
    pub fn set_draining(&mut self, draining: BTreeSet<NodeId>) {
        self.draining = draining;
    }

    /// Notes that the first entry of the own term is applied here: all assignments of earlier terms
    /// are known.
    pub fn first_entry_applied(&mut self) {
        self.first_applied = true;
    }

    /// Notes that a quorum acknowledged a round that was sent at this instant of the boot clock.
    pub fn quorum_acked(&mut self, at_boot: u64) {
        self.quorum_acked = self.quorum_acked.max(Some(at_boot));
    }

    /// Answers a renewal. Promises are taken in before the answer is composed.
    pub fn renewal(&mut self, now: Now, renewal: &Renewal, position: LeaderPosition) -> Answer {
        let fresh = self.take_in(now, renewal, position);
        let median = self.median(now.boot);
        let clock_error =
            self.nodes.get(&renewal.node).map_or(0, |peer| peer.offset.saturating_sub(median));
        let refusal =
            fresh.err().or_else(|| self.objection(now.boot, renewal.node, clock_error, position));
        let verdict = refusal.map_or_else(|| Ok(self.grant(position)), Err);
        if let Some(peer) = self.nodes.get_mut(&renewal.node)
            && verdict.is_ok()
        {
            peer.granted = Some(now.boot);
        }
        let release = match verdict {
            Ok(_) => self.releases.get(&renewal.node).cloned().unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        Answer {
            term: self.term,
            boot: renewal.boot,
            number: renewal.number,
            verdict,
            release,
            clock_error,
        }
    }

    fn grant(&self, position: LeaderPosition) -> Grant {
        Grant {
            ttl: self.timing.ttl,
            needs_index: position.assign_index.max(self.assigned),
            commit_index: position.commit_index,
            log_time: position.applied.stamp,
        }
    }

    /// Takes in the facts of a renewal, unless it is meant for another term, or old.
    fn take_in(
        &mut self,
        now: Now,
        renewal: &Renewal,
        position: LeaderPosition,
    ) -> Result<(), Refusal> {
        if renewal.term != self.term || !self.members.contains(&renewal.node) {
            return Err(Refusal::Term);
        }
        let before = self.nodes.get(&renewal.node);
        let last = before.map(|peer| &peer.last);
        self.succession.admit(last, now.boot, renewal)?;
        let facts = renewal.facts;
        let known = self.succession.is_known(last, renewal);
        let promises = renewal.promises.iter().filter(|_| known);
        let peer = Peer {
            last: Served::by(renewal, now.boot),
            granted: before.and_then(|peer| peer.granted),
            offset: renewal.clock.saturating_sub(now.sched),
            facts,
            caught_up: facts.applied.index >= position.applied.index
                || facts.applied.stamp.saturating_add(LAG_TOLERANCE) >= position.applied.stamp,
            // A new boot knows nothing of the promises of the last one.
            promises: promises.map(|p| ((p.shard, p.epoch), p.until)).collect(),
        };
        self.nodes.insert(renewal.node, peer);
        Ok(())
    }

    fn objection(
        &self,
        now_boot: u64,
        node: NodeId,
        clock_error: Millis,
        position: LeaderPosition,
    ) -> Option<Refusal> {
        let votes = |id: &NodeId| *id != self.me && self.voters.contains(id);
        let heard = self.live(now_boot).filter(|(id, _)| votes(id)).count() + 1;
        if !self.may_grant(now_boot) || heard <= self.voters.len() / 2 {
            return Some(Refusal::NotYet);
        }
        if clock_error.abs() > CLOCK_TOLERANCE {
            return Some(Refusal::Clock);
        }
        // With a lease that it cannot use, the node would keep its shards, and nobody would fire
        // them.
        let useless = |peer: &Peer| {
            let ttl = self.timing.ttl as Millis;
            peer.facts.applied.stamp.saturating_add(ttl) < position.applied.stamp
        };
        if self.nodes.get(&node).is_some_and(useless) {
            return Some(Refusal::Behind);
        }
        let moving = self.moving.as_ref().is_some_and(|losers| losers.contains(&node));
        moving.then_some(Refusal::Moving)
    }

    fn may_grant(&self, now_boot: u64) -> bool {
        let fresh = |at: u64| now_boot.saturating_sub(at) <= self.timing.fresh;
        self.first_applied && !self.over && self.quorum_acked.is_some_and(fresh)
    }

    /// Members heard within a TTL.
    fn live(&self, now_boot: u64) -> impl Iterator<Item = (&NodeId, &Peer)> {
        let ttl = self.timing.ttl;
        let members = self.nodes.iter().filter(|(id, _)| self.members.contains(id));
        members.filter(move |(_, p)| now_boot.saturating_sub(p.last.heard) <= ttl)
    }

    /// The median of the live nodes' clocks, as an offset to ours (which is one of them).
    fn median(&self, now_boot: u64) -> Millis {
        let others = self.live(now_boot).filter(|(id, _)| **id != self.me);
        let mut offsets: Vec<Millis> = others.map(|(_, peer)| peer.offset).collect();
        offsets.push(0);
        offsets.sort_unstable();
        let (low, high) = (offsets[(offsets.len() - 1) / 2], offsets[offsets.len() / 2]);
        low + (high - low) / 2
    }

    /// The leader's own clock less the median of the live nodes, in milliseconds. Beyond
    /// [`CLOCK_TOLERANCE`] it must give up leadership, since it stamps the log.
    pub fn own_clock_error(&self, now_boot: u64) -> Millis {
        -self.median(now_boot)
    }

    /// The other voters whose clocks agree with the median: they may lead when this node may not.
    /// With two nodes that differ there is none, since nobody knows which is right.
    pub fn agreeing(&self, now_boot: u64) -> Vec<NodeId> {
        let median = self.median(now_boot);
        let agrees = |peer: &Peer| (peer.offset - median).abs() <= CLOCK_TOLERANCE;
        let others = self.live(now_boot).filter(|(id, _)| **id != self.me);
        let fit = others.filter(|(id, peer)| self.voters.contains(id) && agrees(peer));
        fit.map(|(id, _)| *id).collect()
    }

    /// True if the term must end: the fate of a proposal is unknown.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Looks at the clock, some ten times a second: returns the moves to be proposed now, in one
    /// `Assign`. While one is under way it returns none.
    pub fn tick(&mut self, now: Now, shards: &[Shard]) -> Vec<Move> {
        let stalled = now.boot.saturating_sub(self.last_tick) > self.timing.fresh;
        self.last_tick = now.boot;
        if stalled || !self.may_grant(now.boot) {
            self.able_since = None;
        }
        if !self.may_grant(now.boot) {
            self.releases.clear();
            return Vec::new();
        }
        let began = *self.able_since.get_or_insert(now.boot);
        let views = self.views(now.boot, began, shards);
        let heard = |view: &NodeView| view.leased || view.dead || !self.members.contains(&view.id);
        let complete = views.iter().all(heard) || now.boot > began + self.timing.dead_after();
        let promises = self.promises();
        let situation = Situation {
            boot: now.boot,
            sched: now.sched,
            leader: self.me,
            complete,
            nodes: &views,
            shards,
            promises: &promises,
        };
        let plan = self.placement.plan(&situation, self.timing.settle);
        self.releases.clear();
        for (owner, shard, epoch) in plan.releases {
            self.releases.entry(owner).or_default().push((shard, epoch));
        }
        if self.moving.is_some() || plan.moves.is_empty() {
            return Vec::new();
        }
        self.moving = Some(losers(&plan.moves, shards));
        plan.moves
    }

    /// The members, and all other nodes that have shards: a removed node may hold its lease to the
    /// end.
    fn views(&self, now_boot: u64, began: u64, shards: &[Shard]) -> Vec<NodeView> {
        let view = |&id: &NodeId| {
            let peer = self.nodes.get(&id);
            let granted = peer.and_then(|peer| peer.granted);
            let is_member = self.members.contains(&id);
            let since = granted.map_or(began, |at| at.max(began));
            NodeView {
                id,
                leased: is_member
                    && granted.is_some_and(|at| now_boot.saturating_sub(at) <= self.timing.ttl),
                dead: now_boot > since + self.timing.dead_after(),
                caught_up: peer.is_some_and(|peer| peer.caught_up),
                has_room: peer.is_some_and(|peer| peer.facts.has_room),
                draining: self.draining.contains(&id)
                    || peer.is_some_and(|peer| peer.facts.draining),
                memory: peer.map_or(100, |peer| peer.facts.memory),
            }
        };
        let owners = shards.iter().map(|shard| shard.owner).filter(|owner| *owner > 0);
        let closing = shards.iter().filter_map(|shard| Some(shard.closing.as_ref()?.node));
        let all: BTreeSet<NodeId> =
            self.members.iter().copied().chain(owners).chain(closing).collect();
        all.iter().map(view).collect()
    }

    fn promises(&self) -> BTreeMap<(ShardId, u64), Millis> {
        self.nodes.values().flat_map(|peer| peer.promises.iter()).map(|(k, v)| (*k, *v)).collect()
    }

    /// Takes the fate of the moves that the last tick returned.
    pub fn assigned(&mut self, settled: Settled) {
        match settled {
            Settled::Applied(index) => {
                self.assigned = self.assigned.max(index);
                self.moving = None;
            }
            Settled::Unknown => self.over = true,
        }
    }
}

/// The nodes from which moves take something.
fn losers(moves: &[Move], shards: &[Shard]) -> BTreeSet<NodeId> {
    let mut losers = BTreeSet::new();
    for change in moves {
        let Some(shard) = shards.iter().find(|shard| shard.id == change.shard) else { continue };
        match (change.kind, &shard.closing) {
            (MoveKind::TakeClosing, Some(closing)) => losers.insert(closing.node),
            _ => losers.insert(shard.owner),
        };
    }
    losers
}

#[cfg(test)]
#[path = "grantor_tests.rs"]
mod tests;
