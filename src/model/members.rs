//! A sorted list of job ids, coded as runs: the members of an execution record.
//!
//! Jobs created together have neighbouring ids and mostly fall due together, so that a batch of
//! hundreds codes to a few bytes. The worker builds lists, store and api read them.

use serde::{Deserialize, Serialize};

use super::JobId;

/// A strictly ascending list of job ids: pairs of LEB128 numbers (gap since the end of the last
/// run, length of the run less one).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members(#[serde(with = "bytes_form")] Vec<u8>);

impl Members {
    /// Codes ids, which must be strictly ascending; others are left out, so that a list can be
    /// decoded whatever it was made of.
    pub fn from_sorted(ids: impl IntoIterator<Item = JobId>) -> Self {
        let mut bytes = Vec::new();
        let mut end = 0; // one past the last run
        let mut run: Option<(JobId, JobId)> = None; // first, one past the last
        for id in ids {
            match run {
                Some((first, next)) if id == next => run = Some((first, next + 1)),
                Some((_, next)) if id < next => {}
                _ => {
                    end = Self::push(&mut bytes, end, run);
                    run = Some((id, id + 1));
                }
            }
        }
        Self::push(&mut bytes, end, run);
        Self(bytes)
    }

    fn push(bytes: &mut Vec<u8>, end: JobId, run: Option<(JobId, JobId)>) -> JobId {
        let Some((first, next)) = run else { return end };
        leb128(bytes, first - end);
        leb128(bytes, next - first - 1);
        next
    }

    /// Takes bytes that [`Members::as_bytes`] gave.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The coded form, as stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The runs as (first id, length), ascending. Damaged bytes end the list.
    pub fn runs(&self) -> impl Iterator<Item = (JobId, u64)> {
        runs(&self.0)
    }

    /// The place of an id in a list that is given as stored, from 0; `None` when it is not in it.
    /// Costs a step a run.
    pub fn place_in(stored: &[u8], id: JobId) -> Option<u64> {
        let mut before = 0;
        for (first, length) in runs(stored).take_while(|(first, _)| *first <= id) {
            if id - first < length {
                return Some(before + (id - first));
            }
            before += length;
        }
        None
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = JobId> {
        self.runs().flat_map(|(first, length)| first..first + length)
    }

    /// The ids above one, ascending. Costs a step a run for those that are passed over.
    pub fn after(&self, id: JobId) -> impl Iterator<Item = JobId> {
        let from = id.saturating_add(1);
        self.runs().flat_map(move |(first, length)| first.max(from)..first + length)
    }

    /// The first and the last id; `None` for an empty list.
    pub fn bounds(&self) -> Option<(JobId, JobId)> {
        let (first, _) = self.runs().next()?;
        let (last, length) = self.runs().last()?;
        Some((first, last + length - 1))
    }

    /// The first `n` ids, or all where there are fewer.
    #[must_use]
    pub fn first(&self, n: u64) -> Members {
        Members::from_sorted(self.iter().take(usize::try_from(n).unwrap_or(usize::MAX)))
    }

    /// The number of ids.
    pub fn len(&self) -> u64 {
        self.runs().map(|(_, length)| length).sum()
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether an id is in the list; takes one step for each run.
    pub fn contains(&self, id: JobId) -> bool {
        Self::place_in(&self.0, id).is_some()
    }

    /// The members that are in both.
    #[must_use]
    pub fn common(&self, other: &Members) -> Members {
        self.without(&self.without(other))
    }

    /// The ids that are not in `other`; takes one step for each id.
    #[must_use]
    pub fn without(&self, other: &Members) -> Members {
        let mut theirs = other.iter().peekable();
        Members::from_sorted(self.iter().filter(|id| {
            while theirs.next_if(|t| t < id).is_some() {}
            theirs.peek() != Some(id)
        }))
    }
}

fn runs(stored: &[u8]) -> impl Iterator<Item = (JobId, u64)> {
    let mut rest = stored;
    let mut end: JobId = 0;
    std::iter::from_fn(move || {
        let gap = read_leb128(&mut rest)?;
        let more = read_leb128(&mut rest)?;
        let first = end.checked_add(gap)?;
        end = first.checked_add(more)?.checked_add(1)?;
        Some((first, more + 1))
    })
}

fn leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_leb128(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (i, byte) in rest.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if byte & 0x80 == 0 {
            *rest = &rest[i + 1..];
            return Some(number);
        }
    }
    None
}

mod bytes_form {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        bytes::Bytes::deserialize(from).map(Vec::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_thousand_neighbours_code_to_a_few_bytes() {
        let list = Members::from_sorted(5_000..6_000);
        assert!(list.as_bytes().len() <= 4, "{}", list.as_bytes().len());
        assert_eq!((list.len(), list.contains(5_999), list.contains(6_000)), (1_000, true, false));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(ids in prop::collection::btree_set(0_u64..10_000, 0..300),
                                  gone in prop::collection::btree_set(0_u64..10_000, 0..300)) {
            let list = Members::from_sorted(ids.iter().copied());
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), ids.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(list.len() as usize, ids.len());
            let left = list.without(&Members::from_sorted(gone.iter().copied()));
            prop_assert_eq!(left.iter().collect::<Vec<_>>(), ids.difference(&gone).copied().collect::<Vec<_>>());
            for id in 0..50 {
                prop_assert_eq!(list.contains(id), ids.contains(&id));
                let place = ids.contains(&id).then(|| ids.range(..id).count() as u64);
                prop_assert_eq!(Members::place_in(list.as_bytes(), id), place);
            }
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let list = Members::from_bytes(bytes);
            let _ = (list.runs().take(100).count(), list.contains(7));
        }
    }
}
