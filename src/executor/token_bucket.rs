//! So many calls a second: a bucket of leave that fills with time. Pure; `queues` has one for each lane
//! with a rate and waits where it is empty.

/// What one call takes, in thousandths.
const CALL: u64 = 1_000;

/// A bucket. What it holds at most is a tenth of a second's leave, so that hardly more than the rate
/// goes out in any second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenBucket {
    /// Calls a second, which is thousandths a millisecond.
    rate: u64,
    /// Thousandths of calls.
    level: u64,
    /// When it held that much, in boot-clock milliseconds.
    at: u64,
}

impl TokenBucket {
    /// A full one, for a rate of at least 1.
    pub(super) fn new(rate: u32, now: u64) -> Self {
        let rate = u64::from(rate.max(1));
        Self { rate, level: Self::most(rate), at: now }
    }

    fn most(rate: u64) -> u64 {
        CALL.max(rate * CALL / 10)
    }

    /// When the next call may go out: not later than `now` if it may at once.
    pub(super) fn ready_at(&self, now: u64) -> u64 {
        let level = self.level_at(now);
        now + CALL.saturating_sub(level).div_ceil(self.rate)
    }

    /// Takes one call's leave.
    pub(super) fn take(&mut self, now: u64) {
        self.level = self.level_at(now).saturating_sub(CALL);
        self.at = now;
    }

    /// Whether nothing was taken of it lately: a new one is as good.
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

    /// How many calls go out between two instants when there are always more.
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
            // A rest is not made up for.
            assert!(calls(&mut bucket, 100_000, 101_000) <= most, "{rate}");
        }
    }

    #[test]
    fn it_says_when_to_come_back() {
        let mut bucket = TokenBucket::new(3, 50);
        assert_eq!(bucket.ready_at(50), 50);
        bucket.take(50);
        assert_eq!(bucket.ready_at(50), 50 + 334);
        assert_eq!(bucket.ready_at(300), 50 + 334);
    }
}
