//! What a node tells of its offers and runs: for lists, status and figures. Nothing here changes
//! anything.

use std::collections::BTreeMap;

use super::source::QueueId;
use super::state::Supervisor;
use crate::model::Millis;
use crate::model::claim::{LiveRun, QueueCounts};
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;

impl Supervisor {
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
                heard_ms_ago: Some(boot.saturating_sub(run.heard)),
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
        let none = |queue| QueueCounts { queue, offers: 0, taken: 0, oldest: Millis::MAX };
        for queue in self.offers.queues() {
            let (offers, oldest) = self.offers.view(queue);
            all.insert(queue, QueueCounts { offers, oldest, ..none(queue) });
        }
        for (queue, count) in self.taken.counts() {
            all.entry(queue).or_insert_with(|| none(queue)).taken = count as u64;
        }
        for (queue, count) in self.in_hand.counts() {
            all.entry(queue).or_insert_with(|| none(queue)).offers += count as u64;
        }
        all.into_values().collect()
    }

    /// The instants since which the oldest offer of each queue has waited.
    pub(crate) fn waiting_since(&self) -> BTreeMap<QueueId, Millis> {
        self.offers.waiting_since().collect()
    }

    /// Says whether nothing of any shard is on its way: no claim is looked up, nothing waits
    /// outside the journal, and no entry is being written.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.hands.is_empty() && self.appends.is_empty() && self.offers.fresh().next().is_none()
    }
}
