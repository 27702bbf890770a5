//! What a node tells of its offers and runs: for lists, status and figures. Nothing here changes
//! anything.

use std::collections::BTreeMap;

use super::event::Moment;
use super::source::QueueId;
use super::state::Supervisor;
use crate::model::Millis;
use crate::model::claim::{HandOutQuestion, HandedOut, LiveRun, QueueCounts};
use crate::model::run::Occurrence;
use crate::model::run_terms::RunTerms;
use crate::model::shard::{ShardId, shard_of};

impl Supervisor {
    /// The terms of a run that somebody has.
    pub(crate) fn terms_of(&self, of: Occurrence) -> Option<&RunTerms> {
        Some(&self.taken.get(of)?.terms)
    }

    /// Says whether it matters how an occurrence has ended, if it has: somebody is known to have it
    /// who has reported no end, or it is about to be handed out. To all others nothing is told of
    /// their end.
    pub(crate) fn asks_for_end(&self, of: Occurrence) -> bool {
        let is_in_hand = self.in_hand.get(of).is_some();
        is_in_hand || self.taken.get(of).is_some_and(|run| !run.said_end)
    }

    /// Says whether an attempt was handed out to a worker. What somebody has is known to whoever
    /// has read the shard; that nobody has it only the owner can say (*only an owner denies*).
    pub(crate) fn handed_out(&self, at: &Moment<'_>, asked: &HandOutQuestion) -> HandedOut {
        let HandOutQuestion { occurrence: of, attempt, ref worker } = *asked;
        let is_it = |its: u32| attempt == 0 || its == attempt;
        if let Some(run) = self.taken.get(of).filter(|run| is_it(run.attempt)) {
            let is_known = !run.worker.is_empty() && !worker.is_empty();
            if !is_known || *run.worker == **worker {
                return HandedOut::Yes;
            }
        }
        // It may leave, or be on its way to the journal.
        let is_in_hand = self.in_hand.get(of).is_some_and(|holding| is_it(holding.attempt));
        if is_in_hand || !self.knows_all_of(at, shard_of(of.job)) {
            return HandedOut::Unknown;
        }
        HandedOut::No
    }

    /// Says whether nothing of a shard can have been handed out that is not known here: the lease
    /// is usable, the shard was read and is not promised away, and no other owner is closing.
    fn knows_all_of(&self, at: &Moment<'_>, shard: ShardId) -> bool {
        let current = self.shards.get(&shard).and_then(|ranges| ranges.current.as_ref());
        at.lease.usable_since().is_some()
            && current.is_some_and(|range| {
                let is_read = range.loaded.is_some() && range.loads == 0;
                is_read && !range.is_closing && !at.lease.is_promised(shard, range.epoch)
            })
    }

    /// The run of an occurrence, or its wait for a worker; `None` for one of which nothing is
    /// known here. `boot` is the instant of the boot clock, in milliseconds.
    pub(crate) fn live(&self, of: Occurrence, boot: u64) -> Option<LiveRun> {
        if let Some(run) = self.taken.get(of) {
            let said = self.progress.get(&of).filter(|said| said.attempt == run.attempt);
            return Some(LiveRun {
                occurrence: of,
                attempt: run.attempt,
                phase: Some(run.phase),
                worker: run.worker.to_string(),
                heard_ms_ago: Some(boot.saturating_sub(run.heard.boot)),
                progress: said.and_then(|said| said.percent),
                message: said.and_then(|said| said.message.clone()),
            });
        }
        let in_hand = self.in_hand.get(of).map(|holding| holding.attempt);
        let waits =
            || self.offers.find(shard_of(of.job), of).map(|(_, group)| group.source.attempt);
        let attempt = in_hand.or_else(waits)?;
        Some(LiveRun {
            occurrence: of,
            attempt,
            phase: None,
            worker: String::new(),
            heard_ms_ago: None,
            progress: None,
            message: None,
        })
    }

    /// The queues of which something waits or somebody has something, by number.
    pub(crate) fn queues(&self) -> Vec<QueueCounts> {
        let mut all: BTreeMap<QueueId, QueueCounts> = BTreeMap::new();
        let none = |queue| QueueCounts {
            queue,
            offers: 0,
            taken: 0,
            oldest: Millis::MAX,
            since: Millis::MAX,
        };
        for queue in self.offers.queues() {
            let (offers, oldest) = self.offers.view(queue);
            all.insert(queue, QueueCounts { offers, oldest, ..none(queue) });
        }
        for (queue, since) in self.offers.waiting_since() {
            all.entry(queue).or_insert_with(|| none(queue)).since = since;
        }
        for (queue, count) in self.taken.counts() {
            all.entry(queue).or_insert_with(|| none(queue)).taken = count as u64;
        }
        for (queue, count) in self.in_hand.counts() {
            all.entry(queue).or_insert_with(|| none(queue)).offers += count as u64;
        }
        all.into_values().collect()
    }

    /// The number of runs of each queue by phase: published, running, to be stopped.
    pub(crate) fn phases(&self) -> BTreeMap<QueueId, [u64; 3]> {
        self.taken.phases()
    }

    /// The instants since which the oldest offer of each queue has waited.
    pub(crate) fn waiting_since(&self) -> BTreeMap<QueueId, Millis> {
        self.offers.waiting_since().collect()
    }

    /// Says whether nothing of any shard is on its way: no claim is looked up, nothing is at its
    /// bus or waits outside the journal, and no entry is being written.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.hands.is_empty()
            && self.at_bus.is_empty()
            && self.appends.is_empty()
            && self.offers.fresh().next().is_none()
    }
}
