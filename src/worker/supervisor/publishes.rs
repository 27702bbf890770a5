//! Publishes: the owner itself hands the runs of a queue to the broker that is its bus. They are
//! popped and looked up as for a claim, and then handed to the bus. What becomes of them there is
//! in `published`.
//!
//! Which queues have such a bus the supervisor learns from the bus: of a queue whose bus never came
//! for a shard nothing is handed out here (*bus up*).

use std::collections::BTreeSet;

use super::at_bus::{Leaving, Reported};
use super::event::{Effect, Moment};
use super::heartbeats::ADOPTIONS;
use super::in_hand::Taking;
use super::offers::{Lane, Popped};
use super::source::{ClaimId, QueueId};
use super::state::{Hand, Supervisor};
use crate::model::shard::ShardId;

/// The bit by which the number of a hand says that its runs are published.
const PUBLISHES: ClaimId = 1 << 62;
/// The most runs of a queue that are looked up or at the bus.
const MOST_IN_HAND: usize = 1_024;
/// The most runs of one hand.
const MOST_OF_HAND: usize = 256;
/// The shortest rest of a queue of which something came back, in milliseconds.
pub(super) const LEAST_REST: u64 = 200;

/// Says whether a hand is one whose runs are handed to a bus: no worker waits for its answer.
pub(crate) fn is_publish(claim: ClaimId) -> bool {
    claim & (PUBLISHES | ADOPTIONS) == PUBLISHES
}

impl Supervisor {
    /// Notes that something of a queue may be handed to its bus, if it has one that is up.
    pub(super) fn may_publish(&mut self, queue: QueueId) {
        let mut of_queue = self.buses.range((queue, ShardId::MIN)..=(queue, ShardId::MAX));
        if of_queue.any(|(_, up)| up.is_some()) {
            self.publishable.insert(queue);
        }
    }

    /// Notes that something of any queue may be handed to its bus: time has passed.
    pub(super) fn look_at_buses(&mut self, at: &Moment<'_>) {
        self.at_bus.forget_rests(at.now.boot);
        let up = self.buses.iter().filter(|(_, up)| up.is_some());
        self.publishable.extend(up.map(|((queue, _), _)| *queue));
    }

    /// Takes what waits in queues that may hand something to their bus.
    pub(super) fn publish_waiting(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        for queue in std::mem::take(&mut self.publishable) {
            while self.begin_publish(at, queue, out) {}
        }
    }

    /// Pops members for the bus of a queue and has them looked up; says whether there were any. A
    /// hand is begun when it may be a whole one, so that a busy queue makes no hands of a single
    /// run.
    fn begin_publish(&mut self, at: &Moment<'_>, queue: QueueId, out: &mut Vec<Effect>) -> bool {
        let room = self.room(queue).min(MOST_OF_HAND);
        if self.in_hand.count(queue) + MOST_OF_HAND > MOST_IN_HAND {
            return false;
        }
        let popped = self.pop_for_bus(at, queue, room);
        if popped.is_empty() {
            return false;
        }
        let queues = vec![queue];
        let mut hand = Hand { queues, max: room, ..Hand::default() };
        for popped in popped {
            self.put_into(&mut hand, popped, out);
        }
        if !hand.members.is_empty() {
            self.last_publish += 1;
            self.prepare(PUBLISHES | self.last_publish, hand, out);
        }
        true
    }

    /// Takes the oldest members of a queue that do not rest, of shards for which its bus is up and
    /// does not rest.
    fn pop_for_bus(&mut self, at: &Moment<'_>, queue: QueueId, most: usize) -> Vec<Popped> {
        let mut offers = std::mem::take(&mut self.offers);
        let is_open = |lane: Lane| self.is_open(at, lane) && self.has_bus(at, (queue, lane.0));
        let rests = |job| self.at_bus.job_rests((queue, job), at.now.boot);
        let found = offers.pop_past(queue, most, is_open, rests);
        self.offers = offers;
        found
    }

    /// Says whether the bus of a queue takes runs of a shard.
    fn has_bus(&self, at: &Moment<'_>, bus: (QueueId, ShardId)) -> bool {
        let is_up = self.buses.get(&bus).is_some_and(Option::is_some);
        is_up && !self.at_bus.rests(bus, at.now.boot)
    }

    /// Hands members that were looked up to their bus, the oldest first. They stand for their
    /// occurrences also when the epoch is past: the broker may have them. What came back before and
    /// a worker has spoken of since is taken instead: it has arrived (*status first*).
    pub(super) fn publish(
        &mut self,
        at: &Moment<'_>,
        (claim, hand): (ClaimId, &Hand),
        ready: Vec<Taking>,
        back: BTreeSet<(QueueId, ShardId)>,
        out: &mut Vec<Effect>,
    ) {
        let (mut leaving, mut arrived) = (Vec::new(), Vec::new());
        for taking in ready {
            let run = Leaving::new(taking, at.now.boot);
            let attempt = run.taking.popped.source.attempt;
            match self.at_bus.take_late_report(run.of(), attempt) {
                None => leaving.push(run),
                Some(Reported::Nothing) => leaving.push(Leaving { may_have_arrived: true, ..run }),
                Some(reported) => arrived.push(Leaving { reported, ..run }),
            }
        }
        self.journal_passed(at, arrived, out);
        if leaving.is_empty() {
            // They cannot be handed out now: they are not looked up again at once.
            for bus in back {
                self.at_bus.rest(bus, at.now.boot.saturating_add(LEAST_REST));
            }
        } else {
            let mut runs: Vec<_> = leaving.iter().map(Leaving::handed).collect();
            runs.sort_by_key(|run| (run.due, run.of));
            self.at_bus.add(claim, leaving);
            out.push(Effect::Publish { claim, runs });
        }
        for queue in &hand.queues {
            self.may_publish(*queue);
        }
    }
}
