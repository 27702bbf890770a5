//! Known changes: when this node's due queue took in the newest change of a job. The engine notes
//! them, the request builder asks. What is missing costs a look into the store and a wait, never a
//! wrong answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::job::LATE_CHANGE;
use crate::model::{JobId, Millis};

/// The most changes that are kept: about 4 MB. Of more at a time nothing is noted.
const KEPT: usize = 100_000;

/// The newest change of a job, as this node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownChange {
    /// The epoch under which the node had the job's shard.
    pub(super) epoch: u64,
    /// The instant, in scheduler time, from which on its due queue has the change.
    pub(super) at: Millis,
}

/// The changes that are young enough to matter; see the head of this file.
#[derive(Default)]
pub(super) struct KnownChanges(Mutex<HashMap<JobId, KnownChange>>);

impl KnownChanges {
    /// Notes that the due queue has the newest changes of jobs.
    pub(super) fn note(&self, jobs: impl ExactSizeIterator<Item = JobId>, epoch: u64, at: Millis) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + jobs.len() > KEPT {
            known.retain(|_, change| change.at + LATE_CHANGE > at);
        }
        if known.len() + jobs.len() <= KEPT {
            known.extend(jobs.map(|job| (job, KnownChange { epoch, at })));
        }
    }

    /// The newest change of a job, if it was noted.
    pub(super) fn of(&self, job: JobId) -> Option<KnownChange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&job).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_change_counts_and_old_ones_make_room() {
        let known = KnownChanges::default();
        known.note([1, 2].into_iter(), 3, 1_000);
        known.note([1].into_iter(), 4, 2_000);
        assert_eq!(known.of(1), Some(KnownChange { epoch: 4, at: 2_000 }));
        assert_eq!(known.of(3), None);
        let many: Vec<JobId> = (10..10 + KEPT as u64).collect();
        known.note(many.iter().copied(), 4, 3_000);
        assert_eq!(known.of(10), None, "there is no room");
        known.note(many.iter().copied(), 4, 2_000 + LATE_CHANGE);
        assert_eq!(known.of(1), None, "it is too old to matter");
        assert_eq!(known.of(10), Some(KnownChange { epoch: 4, at: 2_000 + LATE_CHANGE }));
    }
}
