//! A token bucket: it bounds the calls that begin in a second. Pure. `destination_queues` keeps one
//! for each flow with a rate, `destination_limits` one for each destination where the operator set
//! a rate; a call waits where the bucket is empty.

/// The tokens that one call takes: a token is a thousandth of a call.
const CALL: u64 = 1_000;

/// A token bucket. It holds the tokens of a tenth of a second at most, so that hardly more calls
/// than the rate go out in any second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenBucket {
    /// Calls a second, which is tokens a millisecond.
    rate: u64,
    /// Tokens.
    level: u64,
    /// The instant at which the bucket held them, in boot-clock milliseconds.
    at: u64,
}

impl TokenBucket {
    /// A full bucket. A rate of 0 counts as 1.
    pub(super) fn new(rate: u32, now: u64) -> Self {
        let rate = u64::from(rate.max(1));
        Self { rate, level: Self::most(rate), at: now }
    }

    fn most(rate: u64) -> u64 {
        CALL.max(rate * CALL / 10)
    }

    /// The instant at which the next call may go out: `now` if it may go out at once.
    pub(super) fn ready_at(&self, now: u64) -> u64 {
        let level = self.level_at(now);
        now + CALL.saturating_sub(level).div_ceil(self.rate)
    }

    /// Takes the tokens of one call.
    pub(super) fn take(&mut self, now: u64) {
        self.level = self.level_at(now).saturating_sub(CALL);
        self.at = now;
    }

    /// Whether the bucket is like a new one.
    pub(super) fn is_full(&self, now: u64) -> bool {
        self.level_at(now) == Self::most(self.rate)
    }

    fn level_at(&self, now: u64) -> u64 {
        let passed = now.saturating_sub(self.at);
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
                bucket.take(now);
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
        bucket.take(50);
        assert_eq!(bucket.ready_at(50), 50 + 334);
        assert_eq!(bucket.ready_at(300), 50 + 334);
    }
}
