//! The runs that somebody has, of the shards whose present epoch is this node's: worker, attempt
//! and the last sign of life. Pure data; `silence` judges, the other files fill it.
//!
//! A run takes less than 200 bytes: workers and terms are shared.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::event::QueueId;
use super::missed_time::HeardAt;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_terms::RunTerms;
use crate::model::shard::{ShardId, shard_of};

/// What the store has of a taken run, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing that is known: the run is only journaled.
    Missing,
    /// Its record came, and was not read. What is recorded is mostly named by a change of its own.
    Unread,
    /// It was read since: what the store says of it is newer than what this process knows.
    Read,
}

/// A run that somebody has.
#[derive(Clone, Debug)]
pub(super) struct TakenRun {
    pub(super) attempt: u32,
    /// Empty while it is not known.
    pub(super) worker: Arc<str>,
    pub(super) terms: Arc<RunTerms>,
    pub(super) phase: Phase,
    /// The last sign of life.
    pub(super) heard: HeardAt,
    /// The full timeout counts: its worker was heard since the claim, or the run was read.
    pub(super) has_spoken: bool,
    /// What the store has of it.
    pub(super) record: Record,
    /// Its worker reported an end; the report is on its way.
    pub(super) said_end: bool,
}

/// All taken runs.
#[derive(Default)]
pub(super) struct TakenRuns {
    runs: BTreeMap<Occurrence, TakenRun>,
    counts: BTreeMap<QueueId, usize>,
    /// The queues that runs have left since this was asked last.
    freed: BTreeSet<QueueId>,
    workers: BTreeSet<Arc<str>>,
    /// The last terms of each queue, by the names of jobs at its bus.
    terms: BTreeMap<QueueId, BTreeMap<String, Arc<RunTerms>>>,
    /// When to look at a run; the true deadline may be later. A run may have left meanwhile.
    deadlines: BinaryHeap<Reverse<(u64, Occurrence)>>,
    /// What is journaled and not recorded, by sequence number.
    journaled: BTreeMap<u64, Vec<Occurrence>>,
    /// What was recorded since the last two looks, and may not have been read since.
    unread: [Vec<Occurrence>; 2],
}

impl TakenRuns {
    pub(super) fn get(&self, of: Occurrence) -> Option<&TakenRun> {
        self.runs.get(&of)
    }

    pub(super) fn get_mut(&mut self, of: Occurrence) -> Option<&mut TakenRun> {
        self.runs.get_mut(&of)
    }

    /// The number of runs of a queue.
    pub(super) fn count(&self, queue: QueueId) -> usize {
        self.counts.get(&queue).copied().unwrap_or(0)
    }

    /// The number of runs of each queue that has any.
    pub(super) fn counts(&self) -> impl Iterator<Item = (QueueId, usize)> {
        self.counts.iter().filter(|(_, count)| **count > 0).map(|(queue, count)| (*queue, *count))
    }

    /// The number of runs of each queue by phase: published, running, to be stopped. It looks at
    /// all runs.
    pub(super) fn phases(&self) -> BTreeMap<QueueId, [u64; 3]> {
        let mut found: BTreeMap<QueueId, [u64; 3]> = BTreeMap::new();
        for run in self.runs.values() {
            let [published, running, cancelling] = found.entry(run.terms.executor).or_default();
            *match run.phase {
                Phase::Pending => published,
                Phase::Running => running,
                Phase::Cancelling => cancelling,
            } += 1;
        }
        found
    }

    /// Adds a run, or replaces that of its occurrence, and looks at it at an instant.
    pub(super) fn put(&mut self, of: Occurrence, run: TakenRun, look_at: u64) {
        self.remove(of);
        *self.counts.entry(run.terms.executor).or_default() += 1;
        if run.terms.heartbeat_timeout.is_some() {
            self.deadlines.push(Reverse((look_at, of)));
        }
        self.runs.insert(of, run);
    }

    pub(super) fn remove(&mut self, of: Occurrence) -> Option<TakenRun> {
        let run = self.runs.remove(&of)?;
        if let Some(count) = self.counts.get_mut(&run.terms.executor) {
            *count -= 1;
        }
        self.freed.insert(run.terms.executor);
        Some(run)
    }

    /// The queues that runs have left since the last call.
    pub(super) fn take_freed(&mut self) -> BTreeSet<QueueId> {
        std::mem::take(&mut self.freed)
    }

    /// The occurrences of a shard.
    pub(super) fn of_shard(&self, shard: ShardId) -> Vec<Occurrence> {
        self.runs.keys().filter(|of| shard_of(of.job) == shard).copied().collect()
    }

    /// The one copy of a worker's name.
    pub(super) fn worker(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.workers.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.workers.insert(Arc::clone(&name));
        name
    }

    /// Forgets workers and terms that no run has.
    pub(super) fn drop_idle(&mut self) {
        self.workers.retain(|worker| Arc::strong_count(worker) > 1);
        self.terms.retain(|_, its| {
            its.retain(|_, terms| Arc::strong_count(terms) > 1);
            !its.is_empty()
        });
    }

    /// A copy of terms that is shared with the last run of their queue and name, if they are
    /// alike.
    pub(super) fn shared(&mut self, terms: &RunTerms) -> Arc<RunTerms> {
        let its = self.terms.entry(terms.executor).or_default();
        match its.get(&terms.name) {
            Some(known) if **known == *terms => Arc::clone(known),
            _ => {
                let terms = Arc::new(terms.clone());
                its.insert(terms.name.clone(), Arc::clone(&terms));
                terms
            }
        }
    }

    /// The next run to look at, if its time has come.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Occurrence> {
        let Reverse((at, _)) = self.deadlines.peek()?;
        if *at > now {
            return None;
        }
        self.deadlines.pop().map(|Reverse((_, of))| of)
    }

    /// Looks at a run at an instant.
    pub(super) fn look_at(&mut self, of: Occurrence, at: u64) {
        self.deadlines.push(Reverse((at, of)));
    }

    /// Notes that runs are in the own journal under a sequence number.
    pub(super) fn note_journaled(&mut self, seq: u64, of: Occurrence) {
        self.journaled.entry(seq).or_default().push(of);
    }

    /// Notes that the own journal is recorded up to a sequence number.
    pub(super) fn note_recorded(&mut self, upto: u64) {
        let later = self.journaled.split_off(&upto.saturating_add(1));
        let recorded = std::mem::replace(&mut self.journaled, later);
        for of in recorded.into_values().flatten() {
            let Some(run) = self.runs.get_mut(&of).filter(|run| run.record == Record::Missing)
            else {
                continue;
            };
            run.record = Record::Unread;
            self.unread[0].push(of);
        }
    }

    /// The runs that were recorded before the last call and have not been read since: no change has
    /// named them, and what the store says of them is not known.
    pub(super) fn take_unread(&mut self) -> Vec<Occurrence> {
        let new = std::mem::take(&mut self.unread[0]);
        let mut old = std::mem::replace(&mut self.unread[1], new);
        let is_unread = |run: &TakenRun| run.record == Record::Unread;
        old.retain(|of| self.runs.get(of).is_some_and(is_unread));
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Retry;
    use crate::model::run_terms::BusKind;

    #[test]
    fn terms_are_shared_by_the_runs_of_a_name() {
        let mut runs = TakenRuns::default();
        let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
        let terms = |name: &str| {
            let terms = RunTerms::new(BusKind::Rabbitmq, 9, retry);
            RunTerms { name: name.into(), ..terms }
        };
        let (first, other) = (runs.shared(&terms("a")), runs.shared(&terms("b")));
        assert!(Arc::ptr_eq(&first, &runs.shared(&terms("a"))));
        assert!(Arc::ptr_eq(&other, &runs.shared(&terms("b"))));
        drop((first, other));
        runs.drop_idle();
        assert!(runs.terms.is_empty(), "no run has them");
    }

    #[test]
    fn a_run_takes_less_than_200_bytes() {
        // A B-tree of random keys is two thirds full; a heap is at least half full.
        let entry = size_of::<(Occurrence, TakenRun)>() * 3 / 2;
        let deadline = size_of::<Reverse<(u64, Occurrence)>>() * 2;
        assert!(entry + deadline < 200, "{entry} + {deadline}");
    }
}
