//! The newest answer of a quorum, carried over from the runtime's monotonic clock, in which
//! openraft notes it, to the boot clock, in which leases are counted. The two clocks differ by the
//! time the machine has slept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// Each of the roundings to whole milliseconds may make an instant look later than it was.
const ROUNDING: i64 = 3;

/// The difference of the two clocks, sampled regularly.
pub(in crate::cluster) struct BootOffset {
    clock: Arc<dyn Clock>,
    base: Instant,
    /// boot - monotonic, at the last two samples. A sleep makes it larger; an instant noted before
    /// the sleep must be carried over with the smaller one.
    samples: Mutex<[i64; 2]>,
}

impl BootOffset {
    pub(in crate::cluster) fn new(clock: Arc<dyn Clock>) -> Self {
        let offset = clock.boot() as i64;
        Self { clock, base: Instant::now(), samples: Mutex::new([offset; 2]) }
    }

    fn monotonic(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.base).as_millis() as i64
    }

    /// Takes a sample. With one every half second, an instant older than two samples is stale for
    /// every use anyway.
    pub(in crate::cluster) fn sample(&self) {
        let offset = self.clock.boot() as i64 - self.monotonic(Instant::now());
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        *samples = [samples[1], offset];
    }

    /// The boot-clock milliseconds of the instant that was `ago` by the monotonic clock; never
    /// later than it was.
    pub(in crate::cluster) fn boot_ago(&self, ago: Duration) -> u64 {
        let at = self.monotonic(Instant::now()) - ago.as_millis() as i64 - ROUNDING;
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = samples[0].min(samples[1]);
        (at + offset).max(0) as u64
    }

    /// The boot clock now.
    pub(in crate::cluster) fn now(&self) -> u64 {
        self.clock.boot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;

    #[test]
    fn an_instant_from_before_a_sleep_stays_before_it() {
        let clock = TestClock::new(0);
        let offset = BootOffset::new(clock.clone());
        let before = Instant::now();
        let was = offset.boot_ago(before.elapsed());
        // The machine sleeps: the boot clock goes on, the monotonic one does not.
        clock.advance(Duration::from_mins(1));
        offset.sample();
        let is = offset.boot_ago(before.elapsed());
        assert!(is.abs_diff(was) <= 1, "rounded: {is}, {was}");
        assert!(offset.now() >= was + 60_000);
        offset.sample();
        let after = offset.boot_ago(Duration::ZERO);
        assert!(after >= was + 59_000, "two samples later the sleep is known: {after}");
    }
}
