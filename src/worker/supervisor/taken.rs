//! The runs that somebody has, of the shards whose present epoch is this node's: worker, attempt
//! and the last sign of life. Pure data; `silence` judges, the other files fill it.
//!
//! A run takes less than 200 bytes: workers and terms are shared.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::event::QueueId;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_terms::RunTerms;
use crate::model::shard::{ShardId, shard_of};

/// A run that somebody has.
#[derive(Clone, Debug)]
pub(super) struct TakenRun {
    pub(super) attempt: u32,
    /// Empty while it is not known.
    pub(super) worker: Arc<str>,
    pub(super) terms: Arc<RunTerms>,
    pub(super) phase: Phase,
    /// The last sign of life, by the boot clock, in milliseconds.
    pub(super) heard: u64,
    /// The full timeout counts: its worker was heard since the claim, or the run was read.
    pub(super) has_spoken: bool,
    /// The store has it: what the store says of it is newer than what this process knows.
    pub(super) is_recorded: bool,
    /// Its worker reported an end; the report is on its way.
    pub(super) said_end: bool,
}

/// All taken runs.
#[derive(Default)]
pub(super) struct TakenRuns {
    runs: BTreeMap<Occurrence, TakenRun>,
    counts: BTreeMap<QueueId, usize>,
    workers: BTreeSet<Arc<str>>,
    terms: BTreeMap<QueueId, Arc<RunTerms>>,
    /// When to look at a run; the true deadline may be later. A run may have left meanwhile.
    deadlines: BinaryHeap<Reverse<(u64, Occurrence)>>,
    /// What is journaled and not recorded, by sequence number.
    journaled: BTreeMap<u64, Vec<Occurrence>>,
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
        Some(run)
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

    /// Forgets workers that have no run.
    pub(super) fn drop_idle_workers(&mut self) {
        self.workers.retain(|worker| Arc::strong_count(worker) > 1);
    }

    /// A copy of terms that is shared with the last run of their queue, if they are alike.
    pub(super) fn shared(&mut self, terms: &RunTerms) -> Arc<RunTerms> {
        match self.terms.get(&terms.executor) {
            Some(known) if **known == *terms => Arc::clone(known),
            _ => {
                let terms = Arc::new(terms.clone());
                self.terms.insert(terms.executor, Arc::clone(&terms));
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

    /// Notes that the own journal is recorded up to a sequence number; the runs of which the store
    /// had not been seen to know until now.
    pub(super) fn note_recorded(&mut self, upto: u64) -> Vec<Occurrence> {
        let later = self.journaled.split_off(&upto.saturating_add(1));
        let recorded = std::mem::replace(&mut self.journaled, later);
        let mut unseen = Vec::new();
        for of in recorded.into_values().flatten() {
            let Some(run) = self.runs.get_mut(&of).filter(|run| !run.is_recorded) else { continue };
            run.is_recorded = true;
            unseen.push(of);
        }
        unseen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_takes_less_than_200_bytes() {
        // A B-tree of random keys is two thirds full; a heap is at least half full.
        let entry = size_of::<(Occurrence, TakenRun)>() * 3 / 2;
        let deadline = size_of::<Reverse<(u64, Occurrence)>>() * 2;
        assert!(entry + deadline < 200, "{entry} + {deadline}");
    }
}
