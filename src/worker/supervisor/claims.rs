//! Claims: a worker asks for runs, the oldest are popped and looked up, their *Taken* is journaled,
//! and only then they are handed out (*journal before answer*). The lease is asked when members
//! are popped, before they are journaled, and before the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Claim, ClaimId, Effect, Handed, Moment, Part, QueueId};
use super::offers::Popped;
use super::state::{Hand, Repeat, Supervisor};
use crate::model::claim::ClaimOrder;
use crate::model::members::Members;

/// The time for which a claim with a key may be repeated, in milliseconds.
pub(super) const REPEATABLE: u64 = 60_000;

impl Supervisor {
    /// Sets the most runs of a queue that this owner may have taken.
    pub(super) fn limit_queue(&mut self, queue: QueueId, most: Option<u32>) {
        match most {
            Some(most) => self.limits.insert(queue, most as usize),
            None => self.limits.remove(&queue),
        };
        // There may be more room now.
        self.grew(queue);
    }

    /// Takes in a claim.
    pub(super) fn claim(&mut self, at: &Moment<'_>, claim: Claim, out: &mut Vec<Effect>) {
        let repeated = claim.key.clone().map(|key| (Arc::clone(&claim.worker), key));
        match repeated.as_ref().and_then(|key| self.keys.get_mut(key)) {
            Some(Repeat::UnderWay(others)) => return others.push(claim.id),
            Some(Repeat::Answered { runs, .. }) => {
                let runs = runs.clone();
                return self.answer_again(at, &claim, runs, out);
            }
            None => {}
        }
        let Claim { id, worker, queues, max, order, key } = claim;
        let hand = Hand { worker, is_claim: true, key, order, queues, max, ..Hand::default() };
        if let Some(key) = repeated {
            self.keys.insert(key, Repeat::UnderWay(Vec::new()));
        }
        self.fill(at, id, hand, out);
    }

    /// Answers a repeated claim: with those of its runs that the worker still has.
    fn answer_again(
        &mut self,
        at: &Moment<'_>,
        claim: &Claim,
        runs: Vec<Handed>,
        out: &mut Vec<Effect>,
    ) {
        let (has_lease, now) = (at.lease.usable_since().is_some(), self.missed.now(at));
        let its = runs.into_iter().filter(|handed| {
            let run = self.taken.get_mut(handed.of).filter(|run| {
                has_lease && run.attempt == handed.attempt && run.worker == claim.worker
            });
            // The worker that asks is alive.
            run.map(|run| run.heard = now).is_some()
        });
        let runs = its.collect();
        out.push(Effect::Answer { claim: claim.id, runs });
    }

    /// Pops members for a claim and has them looked up; answers it where nothing waits.
    pub(super) fn fill(
        &mut self,
        at: &Moment<'_>,
        id: ClaimId,
        mut hand: Hand,
        out: &mut Vec<Effect>,
    ) {
        while hand.members.is_empty() {
            let popped = self.pop(at, &hand.queues, hand.order, hand.max);
            if popped.is_empty() {
                return self.answer(at, id, hand.worker, hand.key, Vec::new(), out);
            }
            for popped in popped {
                self.put_into(&mut hand, popped, out);
            }
        }
        self.prepare(id, hand, out);
    }

    /// Puts a member into a hand. Where its occurrence waited twice, the later attempt counts.
    pub(super) fn put_into(&mut self, hand: &mut Hand, popped: Popped, out: &mut Vec<Effect>) {
        let of = popped.source.occurrence(popped.job);
        let holding = self.in_hand.get(of).filter(|holding| holding.stands_for(&popped.source));
        let is_returned = holding.is_some_and(|holding| holding.is_of_other_epoch(&popped.source));
        let other = hand.members.get(&of).map(|other| other.source.attempt);
        let left = if holding.is_some() || other.is_some_and(|it| it >= popped.source.attempt) {
            Some(popped)
        } else {
            hand.members.insert(of, popped)
        };
        let Some(left) = left else { return };
        if let Some((dispatch, _)) = left.dispatch {
            if is_returned {
                let members = Members::from_sorted([left.job]);
                out.push(Effect::Returned { dispatch, members });
            }
            // Else the other one stands for it, and its dispatch need not wait.
            self.settle(dispatch, 1, out);
        }
    }

    /// Has the members of a hand looked up.
    pub(super) fn prepare(&mut self, id: ClaimId, mut hand: Hand, out: &mut Vec<Effect>) {
        let mut parts: Vec<Part> = Vec::new();
        for popped in hand.members.values() {
            let Popped { source, job, asks, .. } = popped;
            self.in_hand.put(popped, false);
            hand.rows.extend(source.pending);
            self.changed_queues.insert(source.queue);
            let part = parts.iter_mut().rev().find(|part| part.source == *source);
            if let Some(part) = part.filter(|part| part.asks == *asks) {
                part.jobs.push(*job);
            } else {
                let (source, jobs) = (Arc::clone(source), vec![*job]);
                parts.push(Part { source, jobs, asks: *asks });
            }
        }
        self.hands.insert(id, hand);
        out.push(Effect::Prepare { claim: id, parts });
    }

    fn pop(
        &mut self,
        at: &Moment<'_>,
        queues: &[QueueId],
        order: ClaimOrder,
        max: usize,
    ) -> Vec<Popped> {
        let mut found = Vec::new();
        let mut room: BTreeMap<QueueId, usize> = BTreeMap::new();
        for queue in queues {
            room.insert(*queue, self.room(*queue));
        }
        if order == ClaimOrder::Fair {
            self.turn = self.turn.wrapping_add(1);
        }
        let start = if order == ClaimOrder::Fair { self.turn } else { 0 };
        let mut missed = 0;
        for turn in 0.. {
            if found.len() >= max || missed >= queues.len() {
                break;
            }
            let place = match order {
                ClaimOrder::Fair => (start.wrapping_add(turn)) % queues.len(),
                ClaimOrder::Strict => missed,
            };
            let queue = queues[place];
            let left = room.entry(queue).or_default();
            let popped = if *left > 0 { self.pop_one(at, queue) } else { None };
            match popped {
                Some(popped) => {
                    *left -= 1;
                    found.push(popped);
                    if order == ClaimOrder::Fair {
                        missed = 0;
                    }
                }
                // The first queue that has something is the only one.
                None if order == ClaimOrder::Strict && !found.is_empty() => break,
                None => missed += 1,
            }
        }
        found
    }

    fn pop_one(&mut self, at: &Moment<'_>, queue: QueueId) -> Option<Popped> {
        let mut offers = std::mem::take(&mut self.offers);
        let popped = offers.pop(queue, |lane| self.is_open(at, lane));
        self.offers = offers;
        popped
    }

    /// How many more runs of a queue this owner may hand out.
    pub(super) fn room(&self, queue: QueueId) -> usize {
        let Some(most) = self.limits.get(&queue) else { return usize::MAX };
        most.saturating_sub(self.taken.count(queue) + self.in_hand.count(queue))
    }

    /// Answers a claim, and those that repeated it meanwhile.
    pub(super) fn answer(
        &mut self,
        at: &Moment<'_>,
        claim: ClaimId,
        worker: Arc<str>,
        key: Option<String>,
        runs: Vec<Handed>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(key) = key.map(|key| (worker, key)) {
            if let Some(Repeat::UnderWay(others)) = self.keys.remove(&key) {
                for claim in others {
                    out.push(Effect::Answer { claim, runs: runs.clone() });
                }
            }
            if !runs.is_empty() {
                let until = at.now.boot.saturating_add(REPEATABLE);
                self.keys.insert(key, Repeat::Answered { runs: runs.clone(), until });
            }
        }
        out.push(Effect::Answer { claim, runs });
    }

    /// Forgets answers that may not be repeated any more.
    pub(super) fn forget_repeats(&mut self, at: &Moment<'_>) {
        self.keys.retain(|_, repeat| match repeat {
            Repeat::UnderWay(_) => true,
            Repeat::Answered { until, .. } => *until > at.now.boot,
        });
    }
}
