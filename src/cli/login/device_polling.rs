//! The pauses between questions of the device flow (RFC 8628, section 3.5). Pure.

use std::time::Duration;

/// The pause where the provider names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest pause, whatever the provider says.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// What `slow_down` adds to the pause for good.
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest pause after questions without an answer.
const LONGEST_INTERVAL: Duration = Duration::from_mins(1);

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Nobody has entered the code yet (`authorization_pending`).
    Pending,
    /// The questions come too fast (`slow_down`).
    TooFast,
    /// There was no answer at all.
    Nothing,
}

/// The pauses of one login.
#[derive(Debug)]
pub(super) struct Polling {
    interval: Duration,
    /// The end of the code, in milliseconds of the boot clock.
    ends: u64,
}

impl Polling {
    /// Begins at `now`, in milliseconds of the boot clock, with what the provider says in seconds.
    pub(super) fn begin(interval: Option<u64>, expires_in: u64, now: u64) -> Self {
        let interval = interval.map_or(DEFAULT_INTERVAL, Duration::from_secs);
        let interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        Self { interval, ends: now.saturating_add(expires_in.saturating_mul(1_000)) }
    }

    /// The pause before the first question.
    pub(super) fn first_pause(&self) -> Duration {
        self.interval
    }

    /// The pause before the next question; `None` once the code is over.
    pub(super) fn next_pause(&mut self, said: Unanswered, now: u64) -> Option<Duration> {
        match said {
            Unanswered::Pending => {}
            Unanswered::TooFast => self.interval += SLOW_DOWN,
            Unanswered::Nothing => self.interval = (self.interval * 2).min(LONGEST_INTERVAL),
        }
        (now < self.ends).then_some(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_down_adds_five_seconds_for_good_and_silence_doubles_the_pause() {
        let seconds = Duration::from_secs;
        let mut polling = Polling::begin(Some(2), 600, 1_000);
        assert_eq!(polling.first_pause(), seconds(2));
        assert_eq!(polling.next_pause(Unanswered::Pending, 3_000), Some(seconds(2)));
        assert_eq!(polling.next_pause(Unanswered::TooFast, 5_000), Some(seconds(7)));
        assert_eq!(polling.next_pause(Unanswered::TooFast, 12_000), Some(seconds(12)));
        assert_eq!(polling.next_pause(Unanswered::Pending, 24_000), Some(seconds(12)));
        assert_eq!(polling.next_pause(Unanswered::Nothing, 36_000), Some(seconds(24)));
        assert_eq!(polling.next_pause(Unanswered::Nothing, 60_000), Some(seconds(48)));
        assert_eq!(polling.next_pause(Unanswered::Nothing, 600_999), Some(seconds(60)));
        assert_eq!(polling.next_pause(Unanswered::Pending, 601_000), None);
    }

    #[test]
    fn what_the_provider_leaves_out_or_overdoes_has_bounds() {
        let pause = |interval| Polling::begin(interval, 9, 0).first_pause().as_secs();
        assert_eq!((pause(None), pause(Some(0)), pause(Some(u64::MAX))), (5, 1, 60));
        assert!(Polling::begin(None, u64::MAX, 9).next_pause(Unanswered::Pending, 9).is_some());
    }
}
