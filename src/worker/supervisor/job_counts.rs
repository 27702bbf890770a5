//! How many occurrences of each job wait, in ranges of neighbouring jobs with the same number:
//! asking takes no step for each group that waits. `offers` keeps one for each queue; nothing here
//! knows what is counted.

use std::collections::BTreeMap;

use crate::model::JobId;

/// Counts by job. An entry holds for all ids from its own up to the next one; below the first
/// entry the count is 0. Neighbouring entries differ.
#[derive(Debug, Default)]
pub(super) struct JobCounts(BTreeMap<JobId, usize>);

impl JobCounts {
    /// The count of a job.
    pub(super) fn get(&self, job: JobId) -> usize {
        self.0.range(..=job).next_back().map_or(0, |(_, count)| *count)
    }

    /// Counts each job of a range once more.
    pub(super) fn add(&mut self, first: JobId, length: u64) {
        self.change(first, length, |count| count + 1);
    }

    /// Counts each job of a range once less.
    pub(super) fn remove(&mut self, first: JobId, length: u64) {
        self.change(first, length, |count| count.saturating_sub(1));
    }

    fn change(&mut self, first: JobId, length: u64, changed: impl Fn(usize) -> usize) {
        let end = first + length;
        for bound in [first, end] {
            let count = self.get(bound);
            self.0.entry(bound).or_insert(count);
        }
        for (_, count) in self.0.range_mut(first..end) {
            *count = changed(*count);
        }
        // Inside the range all differ as before.
        for bound in [end, first] {
            let before = self.0.range(..bound).next_back().map_or(0, |(_, count)| *count);
            if self.0.get(&bound) == Some(&before) {
                self.0.remove(&bound);
            }
        }
    }

    /// The number of entries.
    #[cfg(test)]
    fn entries(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thousand_groups_of_the_same_neighbours_take_two_entries() {
        let mut counts = JobCounts::default();
        for _ in 0..1_000 {
            counts.add(64, 1_000_000);
        }
        assert_eq!((counts.get(63), counts.get(64), counts.get(1_000_063)), (0, 1_000, 1_000));
        assert_eq!((counts.get(1_000_064), counts.entries()), (0, 2));
        for _ in 0..1_000 {
            counts.remove(64, 1_000_000);
        }
        assert_eq!(counts.entries(), 0);
    }

    proptest! {
        #[test]
        fn each_job_is_counted_by_itself(
            ranges in prop::collection::vec((0_u64..100, 1_u64..30, any::<bool>()), 0..80),
        ) {
            let mut counts = JobCounts::default();
            let mut model = [0_usize; 130];
            for (first, length, adds) in ranges {
                if adds {
                    counts.add(first, length);
                } else {
                    counts.remove(first, length);
                }
                for count in &mut model[first as usize..(first + length) as usize] {
                    *count = if adds { *count + 1 } else { count.saturating_sub(1) };
                }
                for (job, count) in (0..).zip(&model) {
                    prop_assert_eq!(counts.get(job), *count);
                }
                prop_assert!(counts.entries() <= 131);
            }
        }
    }
}
