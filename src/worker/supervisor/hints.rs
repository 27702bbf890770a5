//! Hints: which gateways are told that a queue has something. A lost hint costs time and nothing
//! else: a gateway with workers that wait asks every owner from time to time.
//!
//! A hint counts what claims may get (*hints count what may be had*): of a queue whose
//! `maxConcurrency` is reached that is nothing, and the next hint comes when a run leaves it.

use super::event::{Effect, Moment, QueueId};
use super::state::Supervisor;
use crate::model::{Millis, NodeId};

/// The time for which a gateway that asked for a queue is told of its changes, in milliseconds.
const WATCHES: u64 = 60_000;

impl Supervisor {
    /// The number of occurrences of a queue that claims may get, and the due instant of the oldest;
    /// [`Millis::MAX`] where there are none.
    fn on_hand(&self, queue: QueueId) -> (u64, Millis) {
        let (waiting, oldest) = self.offers.view(queue);
        let count = waiting.min(self.room(queue) as u64);
        if count == 0 || oldest == Millis::MAX { (0, Millis::MAX) } else { (count, oldest) }
    }

    /// Notes the queues with a limit that runs have left in this step: what waits there may be had
    /// now, though nothing was added to it.
    pub(super) fn note_freed(&mut self) {
        let mut freed = self.taken.take_freed();
        freed.append(&mut self.in_hand.take_freed());
        for queue in freed {
            if self.limits.contains_key(&queue) && self.on_hand(queue).0 > 0 {
                self.grew(queue);
            }
        }
    }

    /// Takes in that workers wait at a gateway.
    pub(super) fn want(
        &mut self,
        at: &Moment<'_>,
        (gateway, queue, until): (NodeId, QueueId, u64),
        out: &mut Vec<Effect>,
    ) {
        self.watchers.entry(queue).or_default().insert(gateway, at.now.boot);
        let (count, oldest) = self.on_hand(queue);
        let waiting = self.wants.entry(queue).or_default();
        waiting.retain(|(other, _)| *other != gateway);
        if count > 0 {
            out.push(Effect::Hint { gateway, queue, count, oldest });
        } else {
            waiting.push_back((gateway, until));
        }
    }

    /// Tells one waiting gateway of each queue that got more in this step.
    pub(super) fn hint_waiting(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        for queue in std::mem::take(&mut self.grown_queues) {
            let (count, oldest) = self.on_hand(queue);
            let Some(waiting) = self.wants.get_mut(&queue) else { continue };
            waiting.retain(|(_, until)| *until > at.now.boot);
            if count > 0
                && let Some((gateway, _)) = waiting.pop_front()
            {
                out.push(Effect::Hint { gateway, queue, count, oldest });
            }
            if self.wants.get(&queue).is_some_and(std::collections::VecDeque::is_empty) {
                self.wants.remove(&queue);
            }
        }
    }

    /// Tells all gateways that asked within the last minute what has changed since the last tick.
    pub(super) fn hint_changes(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        let now = at.now.boot;
        self.watchers.retain(|_, watchers| {
            watchers.retain(|_, asked| asked.saturating_add(WATCHES) > now);
            !watchers.is_empty()
        });
        for queue in std::mem::take(&mut self.changed_queues) {
            let (count, oldest) = self.on_hand(queue);
            for gateway in self.watchers.get(&queue).into_iter().flat_map(|all| all.keys()) {
                out.push(Effect::Hint { gateway: *gateway, queue, count, oldest });
            }
        }
    }
}
