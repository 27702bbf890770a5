//! The claims of one gateway: those that ask at the moment, and those that wait, first come first
//! served for each queue. Pure data; `claims` carries it out.
//!
//! *Waking rule*: as long as a queue has more offers, as far as is known, than the claims that are
//! awake may take, its next waiting claim is woken. A claim that asks a node counts against the
//! offers of that node alone, since it may wait for its answer for long. The rule is looked at
//! whenever either side changes, and from time to time, so that no hint and no hang-up can leave a
//! claim asleep.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::known_offers::{Candidate, KnownOffers, WANT_HOLDS};
use crate::model::claim::{ClaimOrder, QueueHint, QueueWant};
use crate::model::{Millis, NodeId};

/// The number of a claim at this gateway.
pub(super) type Ticket = u64;
/// The number of a queue.
pub(super) type QueueId = u64;

/// Offers of another node that are older by less than this do not count as older, in milliseconds:
/// own ones go first.
const OWN_FIRST: Millis = 1_000;
/// The time after which a queue that nobody asked for is forgotten, in milliseconds.
const FORGET: u64 = 120_000;

/// A claim.
#[derive(Debug)]
struct Claim {
    queues: Vec<QueueId>,
    order: ClaimOrder,
    most: u64,
    state: State,
}

/// What a claim does.
#[derive(Debug)]
enum State {
    /// It is about to ask, or to wait.
    Awake,
    /// A node is asked for it.
    Asks,
    /// It waits until this wakes it.
    Waits(oneshot::Sender<()>),
}

/// A queue that claims named.
#[derive(Debug, Default)]
struct Queue {
    known: KnownOffers,
    waiting: BTreeSet<Ticket>,
    /// The most runs that the claims that are awake, and ask no node yet, may take.
    awake: u64,
    /// The nodes are to be asked for hints, also if no claim waits.
    is_wanted: bool,
    /// The instant at which a claim named it last.
    named: u64,
}

/// The claims of a gateway. Instants are milliseconds of the boot clock.
#[derive(Debug)]
pub(super) struct ClaimQueue {
    own: NodeId,
    nodes: Vec<NodeId>,
    last: Ticket,
    last_hint: u64,
    claims: BTreeMap<Ticket, Claim>,
    queues: BTreeMap<QueueId, Queue>,
}

impl ClaimQueue {
    /// A queue of a gateway without claims; `nodes` are those that may be asked.
    pub(super) fn new(own: NodeId, nodes: Vec<NodeId>) -> Self {
        let (claims, queues) = (BTreeMap::new(), BTreeMap::new());
        Self { own, nodes, last: 0, last_hint: 0, claims, queues }
    }

    /// Takes in which nodes may be asked.
    pub(super) fn set_nodes(&mut self, nodes: Vec<NodeId>) {
        if nodes != self.nodes {
            self.queues.values_mut().for_each(|queue| queue.known.keep_nodes(&nodes));
            self.nodes = nodes;
        }
    }

    /// Adds a claim, which asks.
    pub(super) fn add(
        &mut self,
        queues: Vec<QueueId>,
        order: ClaimOrder,
        most: u32,
        now: u64,
    ) -> Ticket {
        self.last += 1;
        let claim = Claim { queues, order, most: most.into(), state: State::Awake };
        for id in &claim.queues {
            let queue = self.queues.entry(*id).or_default();
            queue.awake += claim.most;
            queue.named = now;
        }
        self.claims.insert(self.last, claim);
        self.last
    }

    /// Removes a claim. Those that wait behind it may be woken instead.
    pub(super) fn remove(&mut self, ticket: Ticket, now: u64) {
        let Some(claim) = self.claims.remove(&ticket) else { return };
        for id in &claim.queues {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            match claim.state {
                State::Awake => queue.awake = queue.awake.saturating_sub(claim.most),
                State::Asks => {}
                State::Waits(_) => _ = queue.waiting.remove(&ticket),
            }
        }
        for queue in &claim.queues {
            self.wake(*queue, now);
        }
    }

    /// The nodes that a claim should ask, in order: of several queues in turns the node with the
    /// oldest offer goes first, of queues by preference the one with the first queue.
    pub(super) fn nodes_for(&self, ticket: Ticket, now: u64) -> Vec<NodeId> {
        let Some(claim) = self.claims.get(&ticket) else { return Vec::new() };
        let of = |id: &QueueId| {
            let known = self.queues.get(id).map(|queue| queue.known.candidates(now));
            known.into_iter().flatten().filter(|one| self.nodes.contains(&one.node))
        };
        let mut found: Vec<NodeId> = Vec::new();
        let groups: Vec<Vec<Candidate>> = match claim.order {
            ClaimOrder::Fair => vec![claim.queues.iter().flat_map(of).collect()],
            ClaimOrder::Strict => claim.queues.iter().map(|id| of(id).collect()).collect(),
        };
        for mut group in groups {
            for one in &mut group {
                if one.node == self.own {
                    one.oldest = one.oldest.saturating_sub(OWN_FIRST);
                }
            }
            group.sort_unstable();
            for one in group {
                if !found.contains(&one.node) {
                    found.push(one.node);
                }
            }
        }
        found
    }

    /// Notes that a node is asked for a claim; the number of the last hint.
    pub(super) fn begin_ask(&mut self, ticket: Ticket, node: NodeId, now: u64) -> u64 {
        let Some(claim) = self.claims.get_mut(&ticket) else { return self.last_hint };
        claim.state = State::Asks;
        let (queues, most) = (claim.queues.clone(), claim.most);
        for id in &queues {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.awake = queue.awake.saturating_sub(most);
                queue.known.begin_ask(node, most);
            }
        }
        // It may take what one node has, and no longer what the others have.
        for queue in &queues {
            self.wake(*queue, now);
        }
        self.last_hint
    }

    /// Notes that a claim has its answer, or waits for it no longer.
    pub(super) fn stop_asking(&mut self, ticket: Ticket) {
        let Some(claim) = self.claims.get_mut(&ticket) else { return };
        if matches!(claim.state, State::Asks) {
            claim.state = State::Awake;
            for id in &claim.queues {
                if let Some(queue) = self.queues.get_mut(id) {
                    queue.awake += claim.most;
                }
            }
        }
    }

    /// Notes what a node answered to a claim, which may have gone meanwhile: the queues of the runs
    /// that it handed out. `hint` is the number that the question was given.
    pub(super) fn end_ask(
        &mut self,
        (queues, most): (&[QueueId], u32),
        node: NodeId,
        hint: u64,
        taken: &[QueueId],
        now: u64,
    ) {
        for id in queues {
            let of_it = taken.iter().filter(|one| *one == id).count() as u64;
            if let Some(queue) = self.queues.get_mut(id) {
                let counts = (most.into(), of_it);
                queue.known.end_ask(node, counts, taken.is_empty(), hint, now);
            }
        }
        for queue in queues {
            self.wake(*queue, now);
        }
    }

    /// Notes that a node was not asked after all, since the claim has gone.
    pub(super) fn withdraw_ask(
        &mut self,
        (queues, most): (&[QueueId], u32),
        node: NodeId,
        now: u64,
    ) {
        for id in queues {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.known.withdraw_ask(node, most.into());
            }
        }
        for queue in queues {
            self.wake(*queue, now);
        }
    }

    /// Notes that a node did not answer a claim for a while.
    pub(super) fn note_silent(&mut self, queues: &[QueueId], node: NodeId, now: u64) {
        for id in queues {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.known.note_silent(node, now);
            }
        }
    }

    /// Lets a claim wait; `None` where there is something to ask for, or the claim is unknown.
    pub(super) fn wait(&mut self, ticket: Ticket, now: u64) -> Option<oneshot::Receiver<()>> {
        if !self.nodes_for(ticket, now).is_empty() {
            return None;
        }
        let claim = self.claims.get_mut(&ticket)?;
        let (wake, woken) = oneshot::channel();
        let was_awake = matches!(claim.state, State::Awake);
        claim.state = State::Waits(wake);
        for id in &claim.queues {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            if was_awake {
                queue.awake = queue.awake.saturating_sub(claim.most);
            }
            queue.waiting.insert(ticket);
            queue.named = now;
        }
        Some(woken)
    }

    /// Has the nodes asked for hints, once: a claim found nothing, or nothing is known of them.
    pub(super) fn ask_for_hints(&mut self, queues: &[QueueId]) {
        for id in queues {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.is_wanted = true;
            }
        }
    }

    /// Takes a hint in. Of a queue that no claim named lately it is ignored.
    pub(super) fn take_hint(&mut self, node: NodeId, hint: QueueHint, now: u64) {
        self.last_hint += 1;
        let number = self.last_hint;
        if let Some(queue) = self.queues.get_mut(&hint.queue) {
            queue.known.take_hint(node, hint, number);
            self.wake(hint.queue, now);
        }
    }

    /// Wakes claims that wait for a queue, by the *waking rule*.
    fn wake(&mut self, id: QueueId, now: u64) {
        loop {
            let Some(queue) = self.queues.get(&id) else { return };
            if queue.known.supply(now) <= queue.awake {
                return;
            }
            let Some(ticket) = queue.waiting.first().copied() else { return };
            let Some(claim) = self.claims.get_mut(&ticket) else { return };
            let was = std::mem::replace(&mut claim.state, State::Awake);
            for other in &claim.queues {
                if let Some(queue) = self.queues.get_mut(other)
                    && queue.waiting.remove(&ticket)
                {
                    queue.awake += claim.most;
                }
            }
            if let State::Waits(wake) = was {
                // One that has hung up is removed by its guard.
                let _ = wake.send(());
            }
        }
    }

    /// Does what time brings: wakes claims whose pause is over, and forgets queues.
    pub(super) fn tick(&mut self, now: u64) {
        self.queues.retain(|_, queue| {
            let is_idle = queue.waiting.is_empty() && queue.awake == 0;
            !is_idle || queue.named + FORGET > now
        });
        let waited_for = self.queues.iter().filter(|(_, queue)| !queue.waiting.is_empty());
        let ids: Vec<_> = waited_for.map(|(id, _)| *id).collect();
        for id in ids {
            self.wake(id, now);
        }
    }

    /// The wants that are to be told now, by node.
    pub(super) fn wants(&mut self, now: u64) -> BTreeMap<NodeId, Vec<QueueWant>> {
        let mut due = BTreeMap::<_, Vec<_>>::new();
        for (id, queue) in &mut self.queues {
            if queue.waiting.is_empty() && !std::mem::take(&mut queue.is_wanted) {
                continue;
            }
            for node in queue.known.wants(&self.nodes, now) {
                due.entry(node).or_default().push(QueueWant { queue: *id, for_ms: WANT_HOLDS });
            }
        }
        due
    }

    /// Returns whether all nodes tell this one of changes of these queues.
    pub(super) fn is_told(&self, queues: &[QueueId], now: u64) -> bool {
        queues.iter().all(|id| {
            let known = self.queues.get(id).map(|queue| &queue.known);
            known.is_some_and(|known| known.is_told_by_all(&self.nodes, now))
        })
    }

    /// The number of claims that wait.
    pub(super) fn parked(&self) -> usize {
        self.claims.values().filter(|claim| matches!(claim.state, State::Waits(_))).count()
    }

    /// The number of claims that wait, by queue.
    pub(super) fn waiting(&self) -> Vec<(QueueId, u32)> {
        let some = self.queues.iter().filter(|(_, queue)| !queue.waiting.is_empty());
        some.map(|(id, queue)| (*id, queue.waiting.len() as u32)).collect()
    }
}

#[cfg(test)]
#[path = "claim_queue_tests.rs"]
mod tests;
