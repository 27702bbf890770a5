//! The runs that workers have claimed at this node, and whether this node's state has them by now.
//! A report on one of them need not be looked up: its record is there, or is on its way. `arrivals`
//! keeps this by the change feed. Pure data.
//!
//! What is known here decides only whether a report waits; what counts the rules of
//! `command::apply` say. A run is forgotten when a change names it after its record: from then on
//! its reports are looked up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::command::Change;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;

/// The most runs that are remembered: some 8 MB. Beyond them the oldest are forgotten.
const MOST: usize = 65_536;
/// The most names of changed runs in each of the two lists that are kept while somebody claims.
const MOST_NAMED: usize = 16_384;

/// The claimed runs of a node.
#[derive(Default)]
pub(super) struct ClaimedRuns {
    runs: HashMap<Occurrence, ClaimedRun>,
    /// In the order in which they were claimed.
    order: BTreeMap<u64, Occurrence>,
    last: u64,
    /// The claims under way.
    claims: usize,
    /// The runs that changes have named lately, in two lists by age. The record of a claim may be
    /// here before the answer to that claim.
    named: [HashSet<Occurrence>; 2],
}

/// A run that a worker has claimed.
struct ClaimedRun {
    number: u64,
    attempt: u32,
    worker: Arc<str>,
    is_recorded: bool,
}

impl ClaimedRuns {
    /// Notes that somebody claims.
    pub(super) fn begin_claim(&mut self) {
        self.claims += 1;
    }

    /// Notes that a claim is over.
    pub(super) fn end_claim(&mut self) {
        self.claims -= 1;
        if self.claims == 0 {
            self.named = Default::default();
        }
    }

    /// Notes the runs that a claim got, each with its attempt.
    pub(super) fn add(&mut self, worker: &str, runs: impl Iterator<Item = (Occurrence, u32)>) {
        let worker: Arc<str> = worker.into();
        for (of, attempt) in runs {
            self.forget(of);
            self.last += 1;
            let is_recorded = self.named.iter().any(|named| named.contains(&of));
            let (number, worker) = (self.last, Arc::clone(&worker));
            self.runs.insert(of, ClaimedRun { number, attempt, worker, is_recorded });
            self.order.insert(number, of);
        }
        while self.runs.len() > MOST
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.runs.remove(&oldest);
        }
    }

    /// Says whether the record of a claimed run has come; `None` for a run of which nothing is
    /// known here, or that is not of this attempt and this worker, as far as they are named.
    pub(super) fn is_recorded(&self, of: Occurrence, attempt: u32, worker: &str) -> Option<bool> {
        let run = self.runs.get(&of)?;
        let fits = (attempt == 0 || attempt == run.attempt)
            && (worker.is_empty() || *worker == *run.worker);
        fits.then_some(run.is_recorded)
    }

    /// Takes a change in.
    pub(super) fn take_change(&mut self, change: &Change) {
        for of in &change.runs {
            match self.runs.get_mut(of) {
                Some(run) if !run.is_recorded => run.is_recorded = true,
                Some(_) => self.forget(*of),
                None => {}
            }
        }
        if !change.crowded.is_empty() {
            let is_crowded = |of: &Occurrence| change.crowded.contains(&shard_of(of.job));
            let some: Vec<_> = self.runs.keys().copied().filter(is_crowded).collect();
            for of in some {
                self.forget(of);
            }
        }
        if self.claims > 0 {
            if self.named[0].len() + change.runs.len() > MOST_NAMED {
                self.named.swap(0, 1);
                self.named[0].clear();
            }
            self.named[0].extend(&change.runs);
        }
    }

    /// Forgets all runs: changes were missed.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.order.clear();
        self.named = Default::default();
    }

    /// Says whether the change feed is to be followed.
    pub(super) fn follows(&self) -> bool {
        self.claims > 0 || !self.runs.is_empty()
    }

    fn forget(&mut self, of: Occurrence) {
        if let Some(run) = self.runs.remove(&of) {
            self.order.remove(&run.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(job: u64) -> Occurrence {
        Occurrence { job, scheduled: 5, run: 0 }
    }

    fn naming(jobs: impl IntoIterator<Item = u64>) -> Change {
        Change { runs: jobs.into_iter().map(of).collect(), ..Change::default() }
    }

    #[test]
    fn a_claimed_run_is_known_from_its_record_to_the_next_change() {
        let mut claimed = ClaimedRuns::default();
        claimed.begin_claim();
        claimed.add("w", [(of(1), 2), (of(2), 1)].into_iter());
        claimed.end_claim();
        assert_eq!(claimed.is_recorded(of(1), 2, "w"), Some(false));
        claimed.take_change(&naming([1, 7]));
        for (attempt, worker) in [(2, "w"), (0, "w"), (2, ""), (0, "")] {
            assert_eq!(claimed.is_recorded(of(1), attempt, worker), Some(true));
        }
        assert_eq!(claimed.is_recorded(of(1), 1, "w"), None, "another attempt");
        assert_eq!(claimed.is_recorded(of(1), 2, "v"), None, "another worker");
        assert_eq!(claimed.is_recorded(of(2), 1, "w"), Some(false));
        assert_eq!(claimed.is_recorded(of(7), 1, "w"), None, "nobody claimed it here");
        claimed.take_change(&naming([1]));
        assert_eq!(claimed.is_recorded(of(1), 2, "w"), None, "it was lost, or is over");
        assert!(claimed.follows());
        claimed.take_change(&Change { crowded: vec![shard_of(2)], ..Change::default() });
        assert!(!claimed.follows());
    }

    #[test]
    fn a_record_may_come_before_the_answer_to_its_claim() {
        let mut claimed = ClaimedRuns::default();
        claimed.begin_claim();
        claimed.take_change(&naming([1]));
        // Others are named in between.
        claimed.take_change(&naming(1_000..1_000 + MOST_NAMED as u64));
        claimed.add("w", [(of(1), 1), (of(2), 1)].into_iter());
        let recorded = [1, 2].map(|job| claimed.is_recorded(of(job), 1, "w"));
        assert_eq!(recorded, [Some(true), Some(false)]);
        claimed.end_claim();
        // Nobody claims: what is named is of no claim.
        claimed.take_change(&naming([3]));
        claimed.begin_claim();
        claimed.add("w", [(of(3), 1)].into_iter());
        assert_eq!(claimed.is_recorded(of(3), 1, "w"), Some(false));
    }

    #[test]
    fn a_node_remembers_so_many_runs() {
        let mut claimed = ClaimedRuns::default();
        for first in (0..MOST as u64 + 1_000).step_by(1_000) {
            claimed.add("w", (first..first + 1_000).map(|job| (of(job), 1)));
        }
        assert!(claimed.runs.len() <= MOST && claimed.order.len() == claimed.runs.len());
        assert_eq!(claimed.is_recorded(of(0), 1, "w"), None);
        assert_eq!(claimed.is_recorded(of(MOST as u64), 1, "w"), Some(false));
        claimed.begin_claim();
        for n in 0..10 {
            claimed.take_change(&naming((0..10_000).map(|job| job + 1_000_000 * n)));
        }
        assert!(claimed.named.iter().all(|named| named.len() <= MOST_NAMED));
        claimed.clear();
        assert_eq!((claimed.runs.len(), claimed.order.len()), (0, 0));
    }
}
