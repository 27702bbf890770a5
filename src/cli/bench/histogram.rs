//! A histogram of lags in milliseconds, which many tasks may write at once. The oracle fills it; it
//! never allocates after it was made.

use std::sync::atomic::{AtomicU64, Ordering};

/// Values below this have a bucket each, in milliseconds; above it a bucket is 3 % wide.
const EXACT: u64 = 64;
/// The buckets between a value and its double.
const STEPS: u64 = EXACT / 2;
/// The number of buckets, which reach to 2^32 ms.
const BUCKETS: usize = (EXACT + 26 * STEPS) as usize;

/// Counts of milliseconds in buckets that grow with the value.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Vec<AtomicU64>,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, max: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a value so many times.
    pub(super) fn observe(&self, ms: u64, times: u64) {
        if times > 0 {
            self.buckets[bucket(ms)].fetch_add(times, Ordering::Relaxed);
            self.max.fetch_max(ms, Ordering::Relaxed);
        }
    }

    /// The value that `per_mille` of a thousand values do not exceed: the upper bound of its
    /// bucket, and never more than the maximum. 0 of an empty histogram.
    pub(super) fn quantile(&self, per_mille: u64) -> u64 {
        let counts: Vec<u64> = self.buckets.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let rank = (counts.iter().sum::<u64>() * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        let found = counts.iter().position(|n| {
            seen += n;
            seen >= rank
        });
        found.map_or(0, bound).min(self.max())
    }

    /// The greatest value counted.
    pub(super) fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }
}

fn bucket(ms: u64) -> usize {
    if ms < EXACT {
        return ms as usize;
    }
    let exponent = 63 - u64::from(ms.leading_zeros()); // at least 6
    let step = (ms >> (exponent - 5)) & (STEPS - 1);
    ((EXACT + (exponent - 6) * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let (exponent, step) = ((bucket - EXACT) / STEPS + 6, (bucket - EXACT) % STEPS);
    ((STEPS + 1 + step) << (exponent - 5)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_bounds_and_are_narrow() {
        for ms in (0..9_000).chain([1_000_000, u64::from(u32::MAX)]) {
            let own = bucket(ms);
            assert!(ms <= bound(own), "{ms}");
            assert!(own == 0 || ms > bound(own - 1), "{ms}");
            assert!(bound(own) - ms <= ms / 32, "{ms}: {}", bound(own));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_count_from_below_and_stop_at_the_greatest() {
        let lag = Histogram::default();
        assert_eq!((lag.quantile(500), lag.max()), (0, 0));
        lag.observe(2, 500);
        lag.observe(7, 490);
        lag.observe(40, 9);
        lag.observe(1_001, 1);
        let found = [500, 501, 990, 991, 999, 1_000].map(|q| lag.quantile(q));
        assert_eq!(found, [2, 7, 7, 40, 40, 1_001]);
    }
}
