//! The senders' view of the engine: which ownership ranges are this node's by the store, and which
//! jobs changed since a request was built. The engine writes it, senders read it from any thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{PoisonError, RwLock};

use super::given_out::Own;
use super::known_changes::KnownChanges;
use crate::model::shard::{Ownership, OwnershipKey, Shard, ShardId};
use crate::model::{JobId, Millis, NodeId};

/// The most changes that are kept. A request that was built before them is built again.
const KEPT: usize = 1_024;

/// A change of more jobs than this counts as a change of all.
const MANY: usize = 4_096;

/// The view; see the head of this file.
#[derive(Default)]
pub(in crate::worker) struct SenderView {
    state: RwLock<State>,
    known_changes: KnownChanges,
}

#[derive(Default)]
struct State {
    node: NodeId,
    ownerships: BTreeMap<OwnershipKey, Ownership>,
    shards: Vec<Shard>,
    /// The number of the newest change.
    edition: u64,
    /// The newest changes: (number, jobs ascending).
    edits: VecDeque<(u64, Vec<JobId>)>,
    /// The number of the newest change of targets.
    targets: u64,
}

impl SenderView {
    /// Takes the shards as the store has them.
    pub(in crate::worker) fn set_shards(&self, node: NodeId, shards: Vec<Shard>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.node = node;
        state.ownerships = shards
            .iter()
            .flat_map(|s| s.ownerships(node).map(|ownership| ((s.id, ownership.epoch), ownership)))
            .collect();
        state.shards = shards;
    }

    /// The ownership ranges of this node.
    pub(in crate::worker) fn ownerships(&self) -> BTreeMap<OwnershipKey, Ownership> {
        self.read(|state| state.ownerships.clone())
    }

    /// The ranges of this node in one shard.
    pub(in crate::worker) fn ownership_keys(&self, shard: ShardId) -> Vec<OwnershipKey> {
        let keys = (shard, 0)..=(shard, u64::MAX);
        self.read(|state| state.ownerships.range(keys).map(|(key, _)| *key).collect())
    }

    /// The bounds of a range, if it is this node's.
    pub(in crate::worker) fn ownership(&self, key: OwnershipKey) -> Option<Ownership> {
        self.read(|state| state.ownerships.get(&key).copied())
    }

    /// The fence of a range, as receivers see it; see [`Shard::fence`].
    pub(in crate::worker) fn fence(&self, (shard, epoch): OwnershipKey) -> u64 {
        self.read(|state| state.shards.get(usize::from(shard)).map_or(epoch, Shard::fence))
    }

    /// The range of this node that a pending row belongs to.
    pub(in crate::worker) fn owner_of_row(
        &self,
        shard: ShardId,
        next_at: Millis,
    ) -> Option<OwnershipKey> {
        self.read(|state| {
            let (node, epoch) = state.shards.get(usize::from(shard))?.holder_of_pending(next_at);
            (node == state.node && epoch > 0).then_some((shard, epoch))
        })
    }

    /// The number of the newest change. To be read before the state that a request is built from.
    pub(in crate::worker) fn edition(&self) -> u64 {
        self.read(|state| state.edition)
    }

    /// Notes changed jobs; an empty list stands for all.
    pub(in crate::worker) fn jobs_changed(&self, mut jobs: Vec<JobId>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.edition += 1;
        if jobs.is_empty() || jobs.len() > MANY {
            state.edits.clear();
            return;
        }
        jobs.sort_unstable();
        let edition = state.edition;
        state.edits.push_back((edition, jobs));
        if state.edits.len() > KEPT {
            state.edits.pop_front();
        }
    }

    /// Notes that settings, pauses or executors changed: a built request may belong elsewhere now.
    pub(in crate::worker) fn targets_changed(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.edition += 1;
        state.targets = state.edition;
    }

    /// Says whether any of these jobs (ascending) may have changed since an edition.
    pub(in crate::worker) fn is_stale(&self, edition: u64, jobs: &[JobId]) -> bool {
        self.read(|state| {
            if state.edition == edition {
                return false;
            }
            // The changes in between are forgotten.
            if state.edits.front().is_none_or(|(oldest, _)| *oldest > edition + 1) {
                return true;
            }
            state.names(edition, jobs)
        })
    }

    /// Says whether any of these jobs (ascending) is known to have changed since an edition.
    /// Forgotten changes do not count: a request that waits long must get through in the end.
    pub(in crate::worker) fn is_changed(&self, edition: u64, jobs: &[JobId]) -> bool {
        self.read(|state| state.edition != edition && state.names(edition, jobs))
    }

    /// As [`SenderView::is_changed`], for whoever asks again and again: `seen` is the edition up to
    /// which nothing had changed, and moves on with each such answer.
    pub(in crate::worker) fn is_changed_since(&self, seen: &mut u64, jobs: &[JobId]) -> bool {
        self.read(|state| {
            if state.edition != *seen && state.names(*seen, jobs) {
                return true;
            }
            *seen = state.edition;
            false
        })
    }

    /// Notes that the due queue has the newest changes of jobs of a shard, from an instant on.
    pub(in crate::worker) fn changes_known(&self, shard: ShardId, jobs: &[JobId], at: Millis) {
        // The newest range is the one that fires what is due from now on.
        if let Some((_, epoch)) = self.ownership_keys(shard).last() {
            self.known_changes.note(jobs.iter().copied(), *epoch, at);
        }
    }

    /// What this node knows of a job of a range.
    pub(super) fn own(&self, key: OwnershipKey, job: JobId) -> Own {
        (self.ownership(key), self.known_changes.of(job))
    }

    fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Says whether a change after an edition names one of these jobs, or targets.
    fn names(&self, edition: u64, jobs: &[JobId]) -> bool {
        if self.targets > edition {
            return true;
        }
        let since = self.edits.iter().rev().take_while(|(number, _)| *number > edition);
        since.flat_map(|(_, ids)| ids).any(|id| jobs.binary_search(id).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_stale_when_one_of_its_jobs_changed_since() {
        let view = SenderView::default();
        let built = view.edition();
        assert!(!view.is_stale(built, &[1, 2]));
        view.jobs_changed(vec![9, 7]);
        assert!(!view.is_stale(built, &[1, 2]));
        assert!(view.is_stale(built, &[1, 7]));
        assert!(!view.is_stale(view.edition(), &[1, 7]));
        view.jobs_changed(Vec::new());
        assert!(view.is_stale(built, &[1, 2]), "anything may have changed");
        let later = view.edition();
        (0..=KEPT as u64).for_each(|job| view.jobs_changed(vec![job + 100]));
        assert!(view.is_stale(later, &[1, 2]), "too long ago to know");
        assert!(!view.is_changed(later, &[1, 2]));
        assert!(view.is_changed(later, &[1, 200]));
        let later = view.edition();
        view.targets_changed();
        assert!(view.is_stale(later, &[1]) && view.is_changed(later, &[1]), "it may go elsewhere");
        let mut seen = view.edition();
        view.jobs_changed(vec![3]);
        assert!(!view.is_changed_since(&mut seen, &[1, 2]));
        assert_eq!(seen, view.edition(), "it is not looked at again");
        view.jobs_changed(vec![2]);
        assert!(view.is_changed_since(&mut seen, &[1, 2]));
        assert!(view.is_changed_since(&mut seen, &[1, 2]), "it stays so");
        let later = view.edition();
        view.jobs_changed(vec![7]);
        assert!(!view.is_stale(later, &[1]) && view.is_changed(later, &[7]));
    }
}
