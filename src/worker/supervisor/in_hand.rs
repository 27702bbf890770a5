//! The attempts in hand: popped for a claim, and not yet taken or given back. Pure data; `claims`
//! and `journaled` fill it, and everything that lets an occurrence wait asks it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::offers::Popped;
use super::source::{QueueId, Source};
use crate::model::run::Occurrence;
use crate::model::run_terms::RunTerms;
use crate::model::{JobId, Millis};

/// An attempt in hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub(super) attempt: u32,
    epoch: u64,
    queue: QueueId,
    /// It is at its bus, or its *Taken* is on its way to the journal: that counts also when the
    /// epoch is past by then.
    pub(super) is_written: bool,
}

impl Holding {
    /// Says whether the occurrence of a member must not wait beside it. What was popped under
    /// another epoch is dropped when it is looked up, so it stands for nothing.
    pub(super) fn stands_for(&self, source: &Source) -> bool {
        self.attempt >= source.attempt && (self.epoch == source.epoch || self.is_written)
    }

    /// Says whether it stands for a member, but its *Taken* is of another epoch: the watermark of
    /// the present one must not rely on it before it is synced.
    pub(super) fn is_of_other_epoch(&self, source: &Source) -> bool {
        self.stands_for(source) && self.epoch != source.epoch
    }
}

/// A member that is to be handed out under some terms: at its bus, or with its entry on its way to
/// the journal.
#[derive(Clone, Debug)]
pub(super) struct Taking {
    pub(super) popped: Popped,
    pub(super) terms: Arc<RunTerms>,
}

/// All attempts in hand.
#[derive(Default)]
pub(super) struct InHand {
    held: BTreeMap<Occurrence, Holding>,
    counts: BTreeMap<QueueId, usize>,
    /// The queues whose members have left it since this was asked last.
    freed: BTreeSet<QueueId>,
}

impl InHand {
    pub(super) fn get(&self, of: Occurrence) -> Option<&Holding> {
        self.held.get(&of)
    }

    /// Adds a member that was popped, or whose *Taken* is on its way.
    pub(super) fn put(&mut self, popped: &Popped, is_written: bool) {
        let Popped { source, job, .. } = popped;
        let (attempt, epoch, queue) = (source.attempt, source.epoch, source.queue);
        let holding = Holding { attempt, epoch, queue, is_written };
        let before = self.held.insert(source.occurrence(*job), holding);
        if let Some(before) = before {
            self.discount(before.queue);
        }
        *self.counts.entry(queue).or_default() += 1;
    }

    /// Removes a member, unless another attempt of its occurrence has taken its place.
    pub(super) fn remove(&mut self, popped: &Popped) {
        let (of, source) = (popped.source.occurrence(popped.job), &popped.source);
        let is_its =
            |known: &Holding| (known.attempt, known.epoch) == (source.attempt, source.epoch);
        if self.held.get(&of).is_some_and(is_its)
            && let Some(known) = self.held.remove(&of)
        {
            self.discount(known.queue);
        }
    }

    /// The queues whose members have left it since the last call.
    pub(super) fn take_freed(&mut self) -> BTreeSet<QueueId> {
        std::mem::take(&mut self.freed)
    }

    fn discount(&mut self, queue: QueueId) {
        self.freed.insert(queue);
        if let Some(count) = self.counts.get_mut(&queue) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&queue);
            }
        }
    }

    /// The number of attempts of a job that were popped from a queue.
    pub(super) fn of_job(&self, queue: QueueId, job: JobId) -> usize {
        let first = Occurrence { job, scheduled: Millis::MIN, run: 0 };
        let last = Occurrence { job, scheduled: Millis::MAX, run: u64::MAX };
        self.held.range(first..=last).filter(|(_, holding)| holding.queue == queue).count()
    }

    /// The number of attempts that were popped from a queue.
    pub(super) fn count(&self, queue: QueueId) -> usize {
        self.counts.get(&queue).copied().unwrap_or(0)
    }

    /// The same for each queue that has any.
    pub(super) fn counts(&self) -> impl Iterator<Item = (QueueId, usize)> {
        self.counts.iter().map(|(queue, count)| (*queue, *count))
    }
}
