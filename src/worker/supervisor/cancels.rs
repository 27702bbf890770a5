//! Cancels: a worker is asked to stop at once, again at a third and two thirds of the time that it
//! has, and whenever the question may not have reached it.

use std::collections::btree_map::Entry;

use super::event::{Effect, Moment, QueueId};
use super::state::{Asked, Supervisor};
use crate::model::run::{Occurrence, Phase};
use crate::model::shard::{ShardId, shard_of};

/// How often a worker is asked within the cancel timeout.
const TIMES: u64 = 3;

impl Supervisor {
    /// Asks the worker of a run to stop, if the run is to be cancelled and it was not asked yet.
    pub(super) fn note_cancelling(
        &mut self,
        at: &Moment<'_>,
        of: Occurrence,
        out: &mut Vec<Effect>,
    ) {
        let is_to_stop =
            self.taken.get(of).is_some_and(|run| run.phase == Phase::Cancelling && !run.said_end);
        if !is_to_stop {
            self.cancels.remove(&of);
        } else if let Entry::Vacant(entry) = self.cancels.entry(of) {
            entry.insert(Asked { since: at.now.boot, times: 1 });
            self.tell_cancel(of, out);
        }
    }

    fn tell_cancel(&self, of: Occurrence, out: &mut Vec<Effect>) {
        let Some(run) = self.taken.get(of).filter(|run| !run.said_end) else { return };
        out.push(Effect::TellCancel {
            of,
            attempt: run.attempt,
            worker: run.worker.clone(),
            terms: run.terms.clone(),
        });
    }

    /// Asks again where a third of the time has passed.
    pub(super) fn repeat_cancels(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        let mut due = Vec::new();
        for (of, asked) in &mut self.cancels {
            let Some(run) = self.taken.get(*of) else { continue };
            let timeout = run.terms.cancel_timeout.max(0).cast_unsigned();
            let next = asked.since.saturating_add(timeout / TIMES * asked.times);
            if asked.times < TIMES && next <= at.now.boot {
                asked.times += 1;
                due.push(*of);
            }
        }
        for of in due {
            self.tell_cancel(of, out);
        }
    }

    /// Takes in that the bus of a queue came, or went, for a shard. What was asked while it was
    /// away may not have arrived.
    pub(super) fn take_bus(
        &mut self,
        at: &Moment<'_>,
        bus: (QueueId, ShardId),
        up: bool,
        out: &mut Vec<Effect>,
    ) {
        if !up {
            let ranges = self.shards.get(&bus.1);
            if ranges.is_some_and(|ranges| ranges.current.is_some()) {
                self.buses.insert(bus, None);
            } else {
                // Nobody asks for the bus of a shard that is another's.
                self.buses.remove(&bus);
            }
            return;
        }
        self.buses.insert(bus, Some(self.missed.now(at)));
        self.may_publish(bus.0);
        let is_its = |of: &Occurrence| {
            let run = self.taken.get(*of);
            run.is_some_and(|run| (run.terms.executor, shard_of(of.job)) == bus)
        };
        let asked: Vec<_> = self.cancels.keys().copied().filter(is_its).collect();
        for of in asked {
            self.tell_cancel(of, out);
        }
    }

    /// Forgets the buses of a shard that is another's now, as far as they are away. Of the others
    /// it is said that they went when nobody listens to the shard any more.
    pub(super) fn forget_lost_buses(&mut self, shard: ShardId) {
        self.buses.retain(|(_, of), up| *of != shard || up.is_some());
    }
}
