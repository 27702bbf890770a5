//! The members of an offer that wait for a worker: ascending ids in 8 bytes a run, taken from the
//! front. `offers` keeps one for each group; nothing here knows what the ids mean.

use std::collections::VecDeque;

use crate::model::JobId;
use crate::model::members::Members;

/// The longest run: its length takes six bits.
const MOST: u64 = 64;

/// Disjoint runs of ids, ascending; each packed as `first << 6 | length - 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting(VecDeque<u64>);

fn pack(first: JobId, length: u64) -> u64 {
    first << 6 | (length - 1)
}

fn unpack(run: u64) -> (JobId, u64) {
    (run >> 6, (run & (MOST - 1)) + 1)
}

impl Waiting {
    /// The set of these ids, which must ascend; others are left out.
    pub(super) fn from_sorted(ids: impl IntoIterator<Item = JobId>) -> Self {
        let mut runs = VecDeque::new();
        let mut open: Option<(JobId, u64)> = None;
        for id in ids {
            open = match open {
                Some((first, length)) if id == first + length && length < MOST => {
                    Some((first, length + 1))
                }
                Some((first, length)) if id < first + length => Some((first, length)),
                Some((first, length)) => {
                    runs.push_back(pack(first, length));
                    Some((id, 1))
                }
                None => Some((id, 1)),
            };
        }
        runs.extend(open.map(|(first, length)| pack(first, length)));
        runs.shrink_to_fit();
        Self(runs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of ids.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|run| unpack(*run).1).sum()
    }

    /// The lowest id.
    pub(super) fn first(&self) -> Option<JobId> {
        self.0.front().map(|run| unpack(*run).0)
    }

    /// The lowest id above one.
    pub(super) fn after(&self, id: JobId) -> Option<JobId> {
        let next = id.checked_add(1)?;
        let ends_before = |run: &u64| {
            let (first, length) = unpack(*run);
            first + length <= next
        };
        let place = self.0.partition_point(ends_before);
        self.0.get(place).map(|run| unpack(*run).0.max(next))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = JobId> + '_ {
        self.runs().flat_map(|(first, length)| first..first + length)
    }

    /// The runs of neighbouring ids as (first id, length), ascending.
    pub(super) fn runs(&self) -> impl Iterator<Item = (JobId, u64)> + '_ {
        self.0.iter().map(|run| unpack(*run))
    }

    /// The ids in the form of journal entries.
    pub(super) fn members(&self) -> Members {
        Members::from_sorted(self.iter())
    }

    /// Its ids that are not in a list, and those of the list that are not in it. Takes one step for
    /// each id of the two.
    pub(super) fn compared(&self, list: &Members) -> (Vec<JobId>, Vec<JobId>) {
        let (mut missing, mut others) = (Vec::new(), Vec::new());
        let mut own = self.iter().peekable();
        for id in list.iter() {
            while let Some(before) = own.next_if(|own| *own < id) {
                missing.push(before);
            }
            if own.next_if_eq(&id).is_none() {
                others.push(id);
            }
        }
        missing.extend(own);
        (missing, others)
    }

    /// Takes the lowest id.
    pub(super) fn pop(&mut self) -> Option<JobId> {
        let front = self.0.front_mut()?;
        let (first, length) = unpack(*front);
        if length == 1 {
            self.0.pop_front();
        } else {
            *front = pack(first + 1, length - 1);
        }
        Some(first)
    }

    /// The place of the run that holds an id.
    fn place(&self, id: JobId) -> Option<usize> {
        let after = self.0.partition_point(|run| unpack(*run).0 <= id);
        let place = after.checked_sub(1)?;
        let (first, length) = unpack(*self.0.get(place)?);
        (id - first < length).then_some(place)
    }

    pub(super) fn contains(&self, id: JobId) -> bool {
        self.place(id).is_some()
    }

    /// Says whether any id of a range, ends included, is there.
    pub(super) fn has_any(&self, first: JobId, last: JobId) -> bool {
        let after = self.0.partition_point(|run| unpack(*run).0 <= last);
        let before = after.checked_sub(1).and_then(|place| self.0.get(place));
        before.is_some_and(|run| {
            let (start, length) = unpack(*run);
            start + length > first
        })
    }

    /// Takes an id out; says whether it was there.
    pub(super) fn remove(&mut self, id: JobId) -> bool {
        let Some(place) = self.place(id) else { return false };
        let (first, length) = unpack(self.0[place]);
        let (before, behind) = (id - first, first + length - id - 1);
        self.0.remove(place);
        if behind > 0 {
            self.0.insert(place, pack(id + 1, behind));
        }
        if before > 0 {
            self.0.insert(place, pack(first, before));
        }
        true
    }

    /// Puts an id in; says whether it was not there.
    pub(super) fn insert(&mut self, id: JobId) -> bool {
        if self.contains(id) {
            return false;
        }
        let place = self.0.partition_point(|run| unpack(*run).0 < id);
        let before = place.checked_sub(1).map(|at| unpack(self.0[at]));
        match before {
            Some((first, length)) if first + length == id && length < MOST => {
                self.0[place - 1] = pack(first, length + 1);
            }
            _ => self.0.insert(place, pack(id, 1)),
        }
        true
    }

    /// The number of bytes held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_million_neighbours_take_eight_bytes_a_run() {
        let set = Waiting::from_sorted(1..=1_000_000);
        assert_eq!(set.len(), 1_000_000);
        assert!(set.bytes() <= 8 * (1_000_000 / 64 + 1), "{}", set.bytes());
    }

    proptest! {
        #[test]
        fn it_is_a_set_whose_lowest_id_is_taken_first(
            ids in prop::collection::btree_set(0_u64..300, 0..200),
            steps in prop::collection::vec((0_u8..3, 0_u64..300), 0..100),
            other in prop::collection::btree_set(0_u64..300, 0..200),
        ) {
            let mut set = Waiting::from_sorted(ids.iter().copied());
            let mut model: BTreeSet<u64> = ids;
            for (what, id) in steps {
                match what {
                    0 => prop_assert_eq!(set.pop(), model.pop_first()),
                    1 => prop_assert_eq!(set.remove(id), model.remove(&id)),
                    _ => prop_assert_eq!(set.insert(id), model.insert(id)),
                }
                prop_assert_eq!(set.contains(id), model.contains(&id));
                prop_assert_eq!(set.first(), model.first().copied());
                prop_assert_eq!(set.after(id), model.range(id + 1..).next().copied());
                prop_assert_eq!(set.has_any(id, id + 9), model.range(id..=id + 9).next().is_some());
            }
            let list = Members::from_sorted(other.iter().copied());
            let missing = model.difference(&other).copied().collect::<Vec<_>>();
            let others = other.difference(&model).copied().collect::<Vec<_>>();
            prop_assert_eq!(set.compared(&list), (missing, others));
            let ids: Vec<_> = set.iter().collect();
            prop_assert_eq!(ids, model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!((set.len(), set.is_empty()), (model.len() as u64, model.is_empty()));
        }
    }
}
