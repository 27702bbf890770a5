//! Sets of jobs and of shards, as facts name them: ranges up to a bound, and beyond it a number and
//! the shards. `event` has them in its facts, and the event stream filters by them.

use super::JobId;
use super::shard::{ShardId, shard_of};

/// The most ranges of jobs that one set names.
pub const MAX_RANGES: usize = 64;

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    /// Adds a shard.
    pub fn add(&mut self, shard: ShardId) {
        self.0 |= 1 << (shard % 64);
    }

    /// Adds all shards of another set.
    pub fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Says whether a shard is in it.
    pub fn contains(self, shard: ShardId) -> bool {
        self.0 & (1 << (shard % 64)) != 0
    }
}

/// Jobs as ranges. Beyond [`MAX_RANGES`] jobs are counted, and their shards are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSet {
    /// The ranges (first id, count), in the order in which they came.
    pub ranges: Vec<(JobId, u64)>,
    /// The number of jobs that are in no range.
    pub more: u64,
    /// The shards of those.
    pub shards: ShardSet,
}

impl JobSet {
    /// The jobs of one range.
    pub fn range(first: JobId, count: u64) -> Self {
        Self { ranges: vec![(first, count)], ..Self::default() }
    }

    /// Adds a range.
    pub fn add(&mut self, first: JobId, count: u64) {
        let named = self.ranges.len();
        match self.ranges.last_mut() {
            Some((start, n)) if *start + *n == first => *n += count,
            _ if named < MAX_RANGES => self.ranges.push((first, count)),
            _ => {
                self.more += count;
                // A shard has the jobs of 64 ids, then comes the next one.
                for id in (first..first + count).step_by(64).chain([first + count - 1]).take(66) {
                    self.shards.add(shard_of(id));
                }
            }
        }
    }

    /// The number of jobs.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(_, n)| n).sum::<u64>() + self.more
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The job, if there is exactly one.
    pub fn single(&self) -> Option<JobId> {
        match self.ranges[..] {
            [(id, 1)] if self.more == 0 => Some(id),
            _ => None,
        }
    }

    /// Says whether a job is in it, or may be: some are only known by their shard.
    pub fn may_contain(&self, job: JobId) -> bool {
        self.ranges.iter().any(|(first, n)| (*first..*first + *n).contains(&job))
            || (self.more > 0 && self.shards.contains(shard_of(job)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_beyond_the_ranges_are_counted_and_may_be_any_of_their_shards() {
        let mut jobs = JobSet::default();
        for n in 0..MAX_RANGES as u64 {
            jobs.add(10_000 + n * 10, 1);
            jobs.add(10_001 + n * 10, 2);
        }
        assert_eq!((jobs.ranges.len(), jobs.len()), (MAX_RANGES, 3 * MAX_RANGES as u64));
        assert!(jobs.may_contain(10_002) && !jobs.may_contain(10_003));
        jobs.add(64, 128);
        assert_eq!((jobs.more, jobs.len()), (128, 3 * MAX_RANGES as u64 + 128));
        assert!(jobs.may_contain(64) && jobs.may_contain(191), "shards 1 and 2");
        assert!(!jobs.may_contain(63) && !jobs.may_contain(192));
        jobs.add(640, 1_000_000);
        assert!((0..64).all(|shard| jobs.shards.contains(shard)));
        assert_eq!(JobSet::range(7, 1).single(), Some(7));
        assert_eq!(JobSet::range(7, 2).single(), None);
        assert_eq!(jobs.single(), None);
    }
}
