//! The delay of firings: a histogram for Prometheus, and quantiles of the last minutes for the
//! status page. `super::Metrics` holds one; the worker feeds it once for each batch. It never reads
//! a clock: the caller passes the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Quantiles are taken over the last one to two of these, in milliseconds of the boot clock.
const WINDOW_MS: u64 = 60_000;
/// Upper bounds of the histogram's buckets, in milliseconds.
pub(super) const BOUNDS_MS: [u64; 14] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000];
/// The buckets of the histogram, the last one for all beyond the bounds.
pub(super) const BUCKETS: usize = BOUNDS_MS.len() + 1;
/// Fine buckets for quantiles: exact below 16 ms, then eight to a doubling, up to 2^32 ms.
const FINE: usize = 16 + 28 * 8;

/// Lag of firings: a histogram for Prometheus, and recent quantiles for the status page. A batch
/// costs the same as a single job.
#[derive(Clone, Debug, Default)]
pub struct Lag(Arc<LagCounts>);

#[derive(Debug)]
struct LagCounts {
    sum_ms: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    fine: [AtomicU64; FINE],
    window: Mutex<Window>,
}

/// The counts at the last two turns of the window.
#[derive(Debug)]
struct Window {
    turned: u64,
    older: [u64; FINE],
    newer: [u64; FINE],
}

/// Recent lag, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// The median, in milliseconds.
    pub p50: u64,
    /// 99 of 100 were not later than this.
    pub p99: u64,
}

impl Default for LagCounts {
    fn default() -> Self {
        Self {
            sum_ms: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            fine: std::array::from_fn(|_| AtomicU64::new(0)),
            window: Mutex::new(Window { turned: 0, older: [0; FINE], newer: [0; FINE] }),
        }
    }
}

impl Lag {
    /// Counts so many jobs at one lag.
    pub fn observe(&self, lag_ms: u64, jobs: u64) {
        let bucket = BOUNDS_MS.iter().position(|b| lag_ms <= *b).unwrap_or(BOUNDS_MS.len());
        self.0.buckets[bucket].fetch_add(jobs, Ordering::Relaxed);
        self.0.fine[fine_bucket(lag_ms)].fetch_add(jobs, Ordering::Relaxed);
        self.0.sum_ms.fetch_add(lag_ms.saturating_mul(jobs), Ordering::Relaxed);
    }

    /// The counts of the histogram's buckets.
    pub(super) fn buckets(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|i| self.0.buckets[i].load(Ordering::Relaxed))
    }

    /// Quantiles over the last minute or two; `now` is the boot clock in milliseconds.
    pub fn quantiles(&self, now: u64) -> Quantiles {
        let counts: [u64; FINE] = std::array::from_fn(|i| self.0.fine[i].load(Ordering::Relaxed));
        let mut window = self.0.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(window.turned) >= WINDOW_MS {
            window.older = window.newer;
            window.newer = counts;
            window.turned = now;
        }
        let recent: [u64; FINE] =
            std::array::from_fn(|i| counts[i].saturating_sub(window.older[i]));
        let total: u64 = recent.iter().sum();
        let at = |share: u64| {
            let rank = (total * share).div_ceil(100);
            let mut seen = 0;
            let found = recent.iter().position(|n| {
                seen += n;
                seen >= rank
            });
            if total == 0 { 0 } else { found.map_or(0, fine_bound) }
        };
        Quantiles { p50: at(50), p99: at(99) }
    }
}

fn fine_bucket(ms: u64) -> usize {
    if ms < 16 {
        return ms as usize;
    }
    let exponent = 63 - ms.leading_zeros() as usize; // at least 4
    let step = ((ms >> (exponent - 3)) & 7) as usize;
    (16 + (exponent - 4) * 8 + step).min(FINE - 1)
}

/// The highest lag that falls into a fine bucket.
fn fine_bound(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let (exponent, step) = ((bucket - 16) / 8 + 4, (bucket - 16) as u64 % 8);
    ((9 + step) << (exponent - 3)) - 1
}

impl TypedMetric for Lag {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Lag {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = self.0.buckets.iter().map(|b| b.load(Ordering::Relaxed));
        let bounds = BOUNDS_MS.iter().map(|ms| *ms as f64 / 1_000.0).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let total = buckets.iter().map(|(_, n)| n).sum();
        let sum = self.0.sum_ms.load(Ordering::Relaxed) as f64 / 1_000.0;
        encoder.encode_histogram::<NoLabelSet>(sum, total, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_forget_what_is_older_than_two_windows() {
        let lag = Lag::default();
        lag.observe(500, 100);
        assert_eq!(lag.quantiles(WINDOW_MS), Quantiles { p50: 511, p99: 511 });
        lag.observe(4, 100);
        assert_eq!(lag.quantiles(2 * WINDOW_MS), Quantiles { p50: 4, p99: 4 });
        lag.observe(7, 1);
        assert_eq!(lag.quantiles(3 * WINDOW_MS), Quantiles { p50: 7, p99: 7 });
        assert_eq!(lag.quantiles(5 * WINDOW_MS), Quantiles::default());
    }

    #[test]
    fn fine_buckets_hold_their_bounds() {
        for ms in (0..5_000).chain([u64::from(u32::MAX)]) {
            let bucket = fine_bucket(ms);
            assert!(ms <= fine_bound(bucket), "{ms}");
            assert!(bucket == 0 || ms > fine_bound(bucket - 1), "{ms}");
        }
        assert_eq!(fine_bucket(u64::MAX), FINE - 1);
    }
}
