//! A token bucket: it bounds the calls that begin in a second. Pure. `destination_queues` keeps one
//! for each flow with a rate, `destination_limits` one for each destination where the operator set
//! a rate; a call waits where the bucket is empty.
//!
//! A call of several messages has their number as its weight. It goes as soon as there are tokens
//! for one, and leaves a debt that later calls wait for. So a heavy call never waits for tokens
//! that the bucket cannot hold, and the rate holds on average.

/// The tokens that a call takes for each unit of its weight.
const CALL: i64 = 1_000;

/// A token bucket. It holds the tokens of a tenth of a second at most, so that hardly more calls
/// than the rate go out in any second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenBucket {
    /// Calls a second, which is tokens a millisecond.
    rate: i64,
    /// Tokens; less than 0 after a heavy call.
    level: i64,
    /// The instant at which the bucket held them, in boot-clock milliseconds.
    at: u64,
}

impl TokenBucket {
    /// A full bucket. A rate of 0 counts as 1.
    pub(super) fn new(rate: u32, now: u64) -> Self {
        let rate = i64::from(rate.max(1));
        Self { rate, level: Self::most(rate), at: now }
    }

    fn most(rate: i64) -> i64 {
        CALL.max(rate * CALL / 10)
    }

    /// The instant at which the next call may go out: `now` if it may go out at once.
    pub(super) fn ready_at(&self, now: u64) -> u64 {
        let missing = (CALL - self.level_at(now)).max(0).cast_unsigned();
        now + missing.div_ceil(self.rate.cast_unsigned())
    }

    /// Takes the tokens of a call of this weight.
    pub(super) fn take(&mut self, weight: u32, now: u64) {
        self.level = self.level_at(now) - CALL * i64::from(weight);
        self.at = now;
    }

    /// Whether the bucket is like a new one.
    pub(super) fn is_full(&self, now: u64) -> bool {
        self.level_at(now) == Self::most(self.rate)
    }

    fn level_at(&self, now: u64) -> i64 {
        let passed = i64::try_from(now.saturating_sub(self.at)).unwrap_or(i64::MAX);
        self.level.saturating_add(passed.saturating_mul(self.rate)).min(Self::most(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of calls that go out between two instants when there are always more.
    fn calls(bucket: &mut TokenBucket, from: u64, to: u64) -> u64 {
        let mut calls = 0;
        for now in from..to {
            while bucket.ready_at(now) <= now {
                bucket.take(1, now);
                calls += 1;
            }
        }
        calls
    }

    #[test]
    fn hardly_more_than_the_rate_goes_out_in_any_second() {
        for (rate, least, most) in [(1, 1, 2), (3, 3, 4), (100, 100, 110), (5_000, 5_000, 5_500)] {
            let mut bucket = TokenBucket::new(rate, 0);
            let first = calls(&mut bucket, 0, 1_000);
            assert!((least..=most).contains(&first), "{rate}: {first}");
            let later = calls(&mut bucket, 1_000, 11_000);
            assert!((least * 10 - 1..=least * 10 + 1).contains(&later), "{rate}: {later}");
            // Time without calls is not caught up.
            assert!(calls(&mut bucket, 100_000, 101_000) <= most, "{rate}");
        }
    }

    #[test]
    fn an_empty_bucket_names_the_instant_of_the_next_call() {
        let mut bucket = TokenBucket::new(3, 50);
        assert_eq!(bucket.ready_at(50), 50);
        bucket.take(1, 50);
        assert_eq!(bucket.ready_at(50), 50 + 334);
        assert_eq!(bucket.ready_at(300), 50 + 334);
    }

    #[test]
    fn a_heavy_call_goes_at_once_and_is_paid_for_afterwards() {
        let mut bucket = TokenBucket::new(100, 0);
        bucket.take(1_000, 0);
        assert_eq!(bucket.ready_at(0), 9_910, "10 were there, 990 and the next one are missing");
        assert_eq!(bucket.ready_at(9_000), 9_910);
        assert_eq!(calls(&mut bucket, 0, 9_910), 0);
        assert_eq!(calls(&mut bucket, 9_910, 10_910), 100);
        // With no more in a call than begins in a tenth of a second, each second has its rate.
        let mut bucket = TokenBucket::new(50, 0);
        let mut jobs = 0;
        for now in 0..1_000 {
            while bucket.ready_at(now) <= now {
                bucket.take(5, now);
                jobs += 5;
            }
        }
        assert!((50..=60).contains(&jobs), "{jobs}");
    }
}
