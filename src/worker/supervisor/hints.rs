//! Hints: which gateways are told that a queue has something. A lost hint costs time and nothing
//! else: a gateway with workers that wait asks every owner from time to time.

use super::event::{Effect, Moment, QueueId};
use super::state::Supervisor;
use crate::model::NodeId;

/// The time for which a gateway that asked for a queue is told of its changes, in milliseconds.
const WATCHES: u64 = 60_000;

impl Supervisor {
    /// Takes in that workers wait at a gateway.
    pub(super) fn want(
        &mut self,
        at: &Moment<'_>,
        (gateway, queue, until): (NodeId, QueueId, u64),
        out: &mut Vec<Effect>,
    ) {
        self.watchers.entry(queue).or_default().insert(gateway, at.now.boot);
        let waiting = self.wants.entry(queue).or_default();
        waiting.retain(|(other, _)| *other != gateway);
        let (count, oldest) = self.offers.view(queue);
        if count > 0 && oldest < crate::model::Millis::MAX {
            out.push(Effect::Hint { gateway, queue, count, oldest });
        } else {
            waiting.push_back((gateway, until));
        }
    }

    /// Tells one waiting gateway of each queue that got more in this step.
    pub(super) fn hint_waiting(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        for queue in std::mem::take(&mut self.grown_queues) {
            let (count, oldest) = self.offers.view(queue);
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
            let (count, oldest) = self.offers.view(queue);
            for gateway in self.watchers.get(&queue).into_iter().flat_map(|all| all.keys()) {
                out.push(Effect::Hint { gateway: *gateway, queue, count, oldest });
            }
        }
    }
}
