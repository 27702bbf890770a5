//! Time, as everything above `command::apply` sees it: a trait, so that tests make days pass in
//! milliseconds. It owns the difference between a node's wall clock and its scheduler time. It
//! never decides what a difference means (that is `worker::lease` and `coordinator`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::Millis;

/// The part of a small error that scheduler time takes back, in milliseconds a second: half a
/// millisecond a millisecond would be visible in lags, 5 ms a second is not.
const SLEW_MS_PER_S: i64 = 5;
/// An error above this is a step, not a drift: followed when the node is alone, voted on in a
/// cluster.
pub const STEP_MS: i64 = 1_000;

/// The source of time. `wall` is the machine's idea of UTC, `boot` never goes back and counts on
/// while the machine sleeps (`CLOCK_BOOTTIME`).
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, in milliseconds since the Unix epoch.
    fn wall(&self) -> Millis;
    /// Milliseconds of `CLOCK_BOOTTIME`: for leases and timeouts.
    fn boot(&self) -> u64;
    /// Waits until `boot` has reached an instant. May return early; the caller looks again.
    fn sleep_until(&self, boot: u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's clocks.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the wall clock")]
    fn wall(&self) -> Millis {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as Millis)
    }

    fn boot(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
    }

    fn sleep_until(&self, boot: u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        // Rounded up, because a timer that fires a millisecond early would only spin.
        let wait = boot.saturating_sub(self.boot());
        Box::pin(tokio::time::sleep(Duration::from_millis(wait)))
    }
}

/// A clock that a test sets. Sleepers wake when it is moved past their instant.
#[derive(Debug)]
pub struct TestClock {
    /// Both clocks in one value, so that they move at once.
    now: watch::Sender<(Millis, u64)>,
}

impl TestClock {
    /// A clock that shows an instant until it is moved.
    pub fn new(wall: Millis) -> Arc<Self> {
        Arc::new(Self { now: watch::Sender::new((wall, 1_000_000)) })
    }

    /// Lets time pass: both clocks move.
    pub fn advance(&self, by: Duration) {
        let ms = by.as_millis() as u64;
        self.now.send_modify(|(wall, boot)| {
            *wall += ms as Millis;
            *boot += ms;
        });
    }

    /// Sets the wall clock alone, as an operator or NTP would.
    pub fn step(&self, by_ms: i64) {
        self.now.send_modify(|(wall, _)| *wall += by_ms);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Millis {
        self.now.borrow().0
    }

    fn boot(&self) -> u64 {
        self.now.borrow().1
    }

    fn sleep_until(&self, boot: u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut changes = self.now.subscribe();
        Box::pin(async move {
            // The sender lives in the clock. When the clock is gone, its sleepers are gone too.
            let _ = changes.wait_for(|(_, now)| *now >= boot).await;
        })
    }
}

/// Reads both clocks as of one moment. A thread that loses its turn between the two, or a machine
/// that falls asleep there, would take the pause for a step of the wall clock.
fn both(clock: &dyn Clock) -> (u64, Millis) {
    let mut boot = clock.boot();
    loop {
        let wall = clock.wall();
        let after = clock.boot();
        if after <= boot + 1 {
            return (boot, wall);
        }
        boot = after;
    }
}

/// A node's scheduler time: the wall clock at start, carried by the boot clock, so that a step of
/// the wall clock moves nothing by itself; small errors are slewed away.
pub struct SchedulerTime {
    clock: Arc<dyn Clock>,
    base: Mutex<Base>,
    /// Highest value handed out: scheduler time never goes back.
    last: AtomicI64,
}

struct Base {
    /// Scheduler time = boot + offset.
    offset: i64,
    slewed_at: u64,
}

impl SchedulerTime {
    /// Takes the wall clock as it is now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (boot, wall) = both(&*clock);
        let offset = wall - boot as i64;
        Self {
            base: Mutex::new(Base { offset, slewed_at: boot }),
            last: AtomicI64::new(i64::MIN),
            clock,
        }
    }

    /// The clock below.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Scheduler time now; never less than it was before.
    pub fn now(&self) -> Millis {
        let boot = self.clock.boot();
        let now = {
            let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = boot.saturating_sub(base.slewed_at) as i64;
            if passed >= 1_000 {
                let (boot, wall) = both(&*self.clock);
                let error = wall - (boot as i64 + base.offset);
                if error.abs() < STEP_MS {
                    let most = SLEW_MS_PER_S * (passed / 1_000);
                    base.offset += error.clamp(-most, most);
                }
                base.slewed_at = boot;
            }
            boot as i64 + base.offset
        };
        self.last.fetch_max(now, Ordering::SeqCst).max(now)
    }

    /// The wall clock less scheduler time, in milliseconds. More than [`STEP_MS`] is a step, which
    /// the node or the median of the cluster has to judge.
    pub fn error(&self) -> i64 {
        let now = self.now();
        self.clock.wall() - now
    }

    /// Follows a step of the wall clock. Only a node alone does so; in a cluster the median
    /// decides. A step forward takes effect at once. After a step backward, scheduler time stops
    /// until the wall clock has caught up, so that nothing is fired twice. Returns whether there
    /// was a step to follow; a step that is being waited for does not count.
    pub fn follow_wall(&self) -> bool {
        let (boot, wall) = both(&*self.clock);
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let was = std::mem::replace(&mut base.offset, wall - boot as i64);
        base.slewed_at = boot;
        (base.offset - was).abs() >= STEP_MS
    }

    /// The boot-clock instant at which scheduler time reaches `at`, for a sleep.
    pub fn boot_at(&self, at: Millis) -> u64 {
        let now = self.now();
        self.clock.boot() + at.saturating_sub(now).max(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheduler_time_ignores_steps_until_told_and_never_goes_back() {
        let clock = TestClock::new(1_000_000);
        let time = SchedulerTime::new(clock.clone());
        clock.step(3_600_000);
        assert_eq!(time.now(), 1_000_000);
        assert_eq!(time.error(), 3_600_000);
        assert!(time.follow_wall());
        assert_eq!(time.now(), 4_600_000);
        clock.step(-3_600_000);
        assert!(time.follow_wall());
        assert_eq!(time.now(), 4_600_000, "it waits for the wall clock");
        assert!(!time.follow_wall(), "and has no further step to follow");
        clock.advance(Duration::from_secs(3_601));
        assert_eq!(time.now(), 4_601_000);
    }

    #[test]
    fn small_errors_are_slewed_away() {
        let clock = TestClock::new(0);
        let time = SchedulerTime::new(clock.clone());
        clock.step(20);
        for _ in 0..10 {
            clock.advance(Duration::from_secs(1));
            time.now();
        }
        assert_eq!(time.error(), 0);
    }
}
