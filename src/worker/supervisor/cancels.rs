//! Cancels: a worker is asked to stop at once, again at a third and two thirds of the time that it
//! has, and whenever the question may not have reached it.

use std::collections::btree_map::Entry;

use super::event::{Effect, Moment, QueueId};
use super::state::{Asked, Supervisor};
use crate::model::run::{Occurrence, Phase};

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

    /// Takes in that the bus of a queue came, or went. What was asked while it was away may not
    /// have arrived.
    pub(super) fn take_bus(
        &mut self,
        at: &Moment<'_>,
        queue: QueueId,
        up: bool,
        out: &mut Vec<Effect>,
    ) {
        self.buses.insert(queue, up.then_some(at.now.boot));
        if !up {
            return;
        }
        let of_queue =
            |of: &Occurrence| self.taken.get(*of).is_some_and(|run| run.terms.executor == queue);
        let asked: Vec<_> = self.cancels.keys().copied().filter(of_queue).collect();
        for of in asked {
            self.tell_cancel(of, out);
        }
    }
}
