//! What a gateway knows of the offers of one queue at each node: the last hint, what it has taken
//! since, and whether asking was in vain. Pure data; `claim_queue` uses it. A wrong belief costs a
//! question or some time and nothing else.

use std::collections::BTreeMap;

use crate::model::claim::QueueHint;
use crate::model::{Millis, NodeId};

/// The pause after a question that brought nothing though something waits, in milliseconds: the
/// queue is at its limit there, or the shard is being handed over.
const FIRST_PAUSE: u64 = 250;
/// The longest such pause.
const LONGEST_PAUSE: u64 = 5_000;
/// The time after which a want is told again, in milliseconds: it may have been lost, or its hint.
pub(super) const WANT_AGAIN: u64 = 5_000;
/// The time for which a want holds, in milliseconds.
pub(super) const WANT_HOLDS: u64 = 12_000;
/// The time for which a node tells of changes to who wanted a queue, in milliseconds: a little less
/// than the supervisor's minute ...
const TOLD_FOR: u64 = 55_000;
/// ... and the time after which it is asked to do so on.
const RENEW: u64 = 25_000;

/// The offers of a queue at one node.
#[derive(Clone, Copy, Debug)]
struct AtNode {
    count: u64,
    oldest: Millis,
    /// The number of the hint.
    hint: u64,
    /// The most runs that claims under way to the node may take.
    asking: u64,
    fruitless: Option<Fruitless>,
    /// The instant of the last want, while the node may still hint because of it.
    wanted: Option<u64>,
    /// The instant of the last want.
    last_want: Option<u64>,
}

/// The offers that could not be had, and until when nobody asks for them again.
#[derive(Clone, Copy, Debug)]
struct Fruitless {
    count: u64,
    oldest: Millis,
    until: u64,
    pause: u64,
}

impl Default for AtNode {
    fn default() -> Self {
        let (count, oldest) = (0, Millis::MAX);
        Self { count, oldest, hint: 0, asking: 0, fruitless: None, wanted: None, last_want: None }
    }
}

impl AtNode {
    /// Returns whether it is worth a question.
    fn is_live(&self, now: u64) -> bool {
        let paused = self.fruitless.is_some_and(|vain| {
            (vain.count, vain.oldest) == (self.count, self.oldest) && now < vain.until
        });
        self.count > 0 && self.oldest < Millis::MAX && !paused
    }

    fn note_fruitless(&mut self, now: u64) {
        let pause = self.fruitless.map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
        let (count, oldest) = (self.count, self.oldest);
        self.fruitless = Some(Fruitless { count, oldest, until: now + pause, pause });
    }
}

/// A node that is worth a question, in the order in which nodes are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Others ask there for as many as there are.
    pub(super) is_crowded: bool,
    pub(super) oldest: Millis,
    pub(super) node: NodeId,
}

/// The offers of one queue.
#[derive(Debug, Default)]
pub(super) struct KnownOffers(BTreeMap<NodeId, AtNode>);

impl KnownOffers {
    /// Takes a hint in.
    pub(super) fn take_hint(&mut self, node: NodeId, hint: QueueHint, number: u64) {
        let at = self.0.entry(node).or_default();
        (at.count, at.oldest, at.hint) = (hint.count, hint.oldest, number);
        if hint.count > 0 {
            at.wanted = None;
        } else {
            // What comes after this is something else than what could not be had before.
            at.fruitless = None;
        }
    }

    /// The nodes that are worth a question.
    pub(super) fn candidates(&self, now: u64) -> impl Iterator<Item = Candidate> {
        let live = self.0.iter().filter(move |(_, at)| at.is_live(now));
        live.map(|(node, at)| Candidate {
            is_crowded: at.asking >= at.count,
            oldest: at.oldest,
            node: *node,
        })
    }

    /// The number of occurrences that may be had, beyond those that are being asked for.
    pub(super) fn supply(&self, now: u64) -> u64 {
        let live = self.0.values().filter(|at| at.is_live(now));
        live.map(|at| at.count.saturating_sub(at.asking)).sum()
    }

    /// Notes that a claim for so many is on its way to a node.
    pub(super) fn begin_ask(&mut self, node: NodeId, most: u64) {
        self.0.entry(node).or_default().asking += most;
    }

    /// Notes that a node handed out `taken` runs of the queue, in answer to a claim for `most`.
    /// Only hints up to that number were known then. `none` says that the claim got nothing at all.
    pub(super) fn end_ask(
        &mut self,
        node: NodeId,
        (most, taken): (u64, u64),
        is_empty: bool,
        hint: u64,
        now: u64,
    ) {
        let Some(at) = self.0.get_mut(&node) else { return };
        at.asking = at.asking.saturating_sub(most);
        if taken > 0 {
            at.fruitless = None;
        }
        if at.hint > hint {
            return;
        }
        at.count = at.count.saturating_sub(taken);
        if is_empty && at.count > 0 {
            at.note_fruitless(now);
        }
    }

    /// Notes that a claim for so many was not sent to a node.
    pub(super) fn withdraw_ask(&mut self, node: NodeId, most: u64) {
        if let Some(at) = self.0.get_mut(&node) {
            at.asking = at.asking.saturating_sub(most);
        }
    }

    /// Notes that a node did not answer for a while.
    pub(super) fn note_silent(&mut self, node: NodeId, now: u64) {
        if let Some(at) = self.0.get_mut(&node).filter(|at| at.is_live(now)) {
            at.note_fruitless(now);
        }
    }

    /// The nodes that are to be told that somebody waits, which is noted.
    pub(super) fn wants(&mut self, nodes: &[NodeId], now: u64) -> Vec<NodeId> {
        let mut due = Vec::new();
        for node in nodes {
            let at = self.0.entry(*node).or_default();
            let is_paused = at.count > 0 && at.oldest < Millis::MAX && !at.is_live(now);
            let is_told = at.wanted.is_some_and(|told| told + WANT_AGAIN > now);
            let tells_on = at.last_want.is_some_and(|last| last + RENEW > now);
            if tells_on && (is_told || is_paused || at.is_live(now)) {
                continue;
            }
            (at.wanted, at.last_want) = (Some(now), Some(now));
            due.push(*node);
        }
        due
    }

    /// Returns whether each node tells of changes.
    pub(super) fn is_told_by_all(&self, nodes: &[NodeId], now: u64) -> bool {
        nodes.iter().all(|node| {
            let last = self.0.get(node).and_then(|at| at.last_want);
            last.is_some_and(|last| last + TOLD_FOR > now)
        })
    }

    /// Forgets nodes that are not members any more.
    pub(super) fn keep_nodes(&mut self, nodes: &[NodeId]) {
        self.0.retain(|node, _| nodes.contains(node));
    }
}
