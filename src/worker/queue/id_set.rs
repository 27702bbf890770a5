//! A set of job ids in 8 bytes a run: the members of a schedule group.
//!
//! Jobs that are created together have neighbouring ids. A group of a million such jobs is about
//! sixteen thousand runs; scattered members cost 8 bytes a job. Nothing here knows what the ids
//! mean.

use crate::model::JobId;
use crate::model::members::Members;

/// The longest run: its length takes six bits.
const MOST: u64 = 64;

/// Disjoint runs of ids, ascending; each packed as `first << 6 | length - 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IdSet(Vec<u64>);

fn pack(first: JobId, length: u64) -> u64 {
    first << 6 | (length - 1)
}

fn unpack(run: u64) -> (JobId, u64) {
    (run >> 6, (run & (MOST - 1)) + 1)
}

impl IdSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The runs as (first id, length), ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, u64)> + '_ {
        self.0.iter().map(|run| unpack(*run))
    }

    /// The lowest id; 0 for an empty set.
    pub(super) fn first(&self) -> JobId {
        self.0.first().map_or(0, |run| unpack(*run).0)
    }

    /// The number of ids.
    pub(super) fn len(&self) -> u64 {
        self.iter().map(|(_, length)| length).sum()
    }

    /// The ids in the form of attempt records.
    pub(super) fn members(&self) -> Members {
        Members::from_sorted(self.iter().flat_map(|(first, length)| first..first + length))
    }

    /// The number of bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }

    /// One past the highest id; 0 for an empty set.
    fn end(&self) -> JobId {
        self.0.last().map_or(0, |run| {
            let (first, length) = unpack(*run);
            first + length
        })
    }

    /// Adds an id. Adding ids above all others, the usual case, costs no search.
    pub(super) fn insert(&mut self, id: JobId) {
        if id >= self.end() {
            self.push(id, id + 1);
            return;
        }
        let place = self.0.partition_point(|run| unpack(*run).0 <= id);
        if place > 0 {
            let (first, length) = unpack(self.0[place - 1]);
            if id < first + length {
                return;
            }
            if id == first + length && length < MOST {
                self.0[place - 1] = pack(first, length + 1);
                return;
            }
        }
        self.0.insert(place, pack(id, 1));
    }

    /// Adds `first..end`, which must lie above all ids of the set.
    fn push(&mut self, mut first: JobId, end: JobId) {
        if let Some(run) = self.0.last_mut() {
            let (start, length) = unpack(*run);
            if start + length == first {
                let more = (end - first).min(MOST - length);
                *run = pack(start, length + more);
                first += more;
            }
        }
        while first < end {
            let length = (end - first).min(MOST);
            self.0.push(pack(first, length));
            first += length;
        }
    }

    /// Adds the ids of another set.
    pub(super) fn merge(&mut self, other: &IdSet) {
        if other.0.first().is_none_or(|run| unpack(*run).0 >= self.end()) {
            for (first, length) in other.iter() {
                self.push(first, first + length);
            }
            return;
        }
        let mut both = IdSet(Vec::with_capacity(self.0.len() + other.0.len()));
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let (first, length) = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 <= y.0 => *x,
                (_, Some(y)) => *y,
                (Some(x), None) => *x,
                (None, None) => break,
            };
            if a.next_if_eq(&(first, length)).is_none() {
                b.next();
            }
            let from = first.max(both.end());
            if from < first + length {
                both.push(from, first + length);
            }
        }
        drop((a, b));
        *self = both;
    }

    /// Removes the ids of an ascending list, and says whether any was there.
    pub(super) fn remove(&mut self, ids: &[JobId]) -> bool {
        let Some(lowest) = self.0.first().map(|run| unpack(*run).0) else { return false };
        let ids = &ids[ids.partition_point(|id| *id < lowest)..];
        let ids = &ids[..ids.partition_point(|id| *id < self.end())];
        if !ids.iter().any(|id| self.contains(*id)) {
            return false;
        }
        let mut left = IdSet(Vec::with_capacity(self.0.len() + ids.len()));
        let mut gone = ids.iter().copied().peekable();
        for (mut first, length) in self.iter() {
            let end = first + length;
            while gone.next_if(|id| *id < first).is_some() {}
            while let Some(id) = gone.next_if(|id| *id < end) {
                if first < id {
                    left.push(first, id);
                }
                first = id + 1;
            }
            if first < end {
                left.push(first, end);
            }
        }
        *self = left;
        true
    }

    /// Says whether an id is in the set.
    pub(super) fn contains(&self, id: JobId) -> bool {
        let place = self.0.partition_point(|run| unpack(*run).0 <= id);
        place > 0 && {
            let (first, length) = unpack(self.0[place - 1]);
            id < first + length
        }
    }

    /// Gives back unused memory.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ids(runs: &IdSet) -> Vec<JobId> {
        runs.members().iter().collect()
    }

    #[test]
    fn neighbours_share_a_run() {
        let mut runs = IdSet::default();
        for id in 4_096..4_160 {
            runs.insert(id);
        }
        assert_eq!((runs.0.len(), runs.len()), (1, 64));
    }

    proptest! {
        #[test]
        fn it_is_a_set(first in prop::collection::vec(0_u64..400, 0..200),
                       second in prop::collection::btree_set(0_u64..400, 0..200),
                       gone in prop::collection::btree_set(0_u64..400, 0..100)) {
            let mut runs = IdSet::default();
            let mut model: BTreeSet<JobId> = BTreeSet::new();
            for id in first {
                runs.insert(id);
                model.insert(id);
            }
            prop_assert_eq!(ids(&runs), model.iter().copied().collect::<Vec<_>>());
            let mut more = IdSet::default();
            for id in &second {
                more.insert(*id);
            }
            runs.merge(&more);
            model.extend(&second);
            prop_assert_eq!(ids(&runs), model.iter().copied().collect::<Vec<_>>());
            let any = gone.iter().any(|id| model.contains(id));
            let list: Vec<_> = gone.iter().copied().collect();
            prop_assert_eq!(runs.remove(&list), any);
            model.retain(|id| !gone.contains(id));
            prop_assert_eq!(ids(&runs), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(runs.len() as usize, model.len());
            for id in 0..400 { prop_assert_eq!(runs.contains(id), model.contains(&id)); }
        }
    }
}
