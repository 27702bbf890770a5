//! The rules for delivering an occurrence: retries and their delays, lateness, overlap. A job's
//! values override its project's, and those override the configuration's.
//!
//! `api` reads them from requests, `worker` resolves and follows them, and `command::apply` reads
//! [`Retry`] when a run is reported as failed. Everything is pure and in whole numbers, so that
//! every node computes the same delays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Millis;

/// The default of the longest delay between two attempts: an hour, in milliseconds.
pub const LONGEST_DELAY: Millis = 3_600_000;

/// The retry policy of a job or a project. A value that is `None` is taken from the next level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Retries after the first attempt. Only of a project: a job has `JobDefinition::retry_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max: Option<u32>,
    /// The delay before the first retry, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<Millis>,
    /// The factor by which each further delay grows, in thousandths: 2,000 doubles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_factor: Option<u32>,
    /// The longest delay, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max_delay: Option<Millis>,
    /// The longest duration of an attempt, answer included, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
}

impl Delivery {
    /// Fills in the missing values from the next level.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            retry_max: self.retry_max.or(other.retry_max),
            retry_delay: self.retry_delay.or(other.retry_delay),
            retry_factor: self.retry_factor.or(other.retry_factor),
            retry_max_delay: self.retry_max_delay.or(other.retry_max_delay),
            timeout: self.timeout.or(other.timeout),
        }
    }
}

/// A retry policy with all values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retry {
    /// Retries after the first attempt.
    pub max: u32,
    /// The delay before the first retry, in milliseconds.
    pub delay: Millis,
    /// The factor by which each further delay grows, in thousandths; at least 1,000.
    pub factor: u32,
    /// The longest delay, in milliseconds.
    pub max_delay: Millis,
}

impl Retry {
    /// The delay after the `tried`th attempt of a series failed, in milliseconds; `None` when it is
    /// time to give up.
    pub fn after(&self, tried: u32) -> Option<Millis> {
        if tried > self.max {
            return None;
        }
        let mut delay = i128::from(self.delay.max(0));
        let most = i128::from(self.max_delay.max(0));
        for _ in 1..tried {
            if delay >= most || self.factor <= 1_000 {
                break;
            }
            delay = delay * i128::from(self.factor) / 1_000;
        }
        // At most `max_delay`, which is a `Millis`.
        Some(delay.min(most) as Millis)
    }
}

/// A retry comes this much sooner or later than its delay, in thousandths, so that what failed
/// together does not come back together.
const SPREAD: Millis = 200;
/// The most by which a delay may exceed the one that the destination asked for, in milliseconds.
const LATEST_AFTER: Millis = 30_000;

/// A delay between two attempts, 20 % more or less as the seed says, but never more than the
/// longest.
pub fn spread(delay: Millis, longest: Millis, seed: u64) -> Millis {
    let part = delay.max(0) / 1_000 * SPREAD + delay.max(0) % 1_000 * SPREAD / 1_000;
    let least = delay.max(0) - part;
    let most = delay.saturating_add(part).min(longest).max(least);
    least + (seed % (most - least + 1).cast_unsigned()) as Millis
}

/// A delay that a destination asked for, up to 20 % later as the seed says: never sooner.
pub fn spread_after(delay: Millis, seed: u64) -> Millis {
    let most = (delay.max(0) / 1_000 * SPREAD).clamp(0, LATEST_AFTER);
    delay.saturating_add((seed % (most + 1).cast_unsigned()) as Millis)
}

/// A number that is the same for an attempt on every node. It is computed from the execution (of a
/// batch from that of its first job) and the attempt's number.
pub fn seed(job: u64, scheduled: Millis, run: u64, attempt: u32) -> u64 {
    // The steps of splitmix64.
    let mix = |mut x: u64| {
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    mix(mix(mix(job) ^ scheduled.cast_unsigned()) ^ (run << 32 | u64::from(attempt)))
}

/// The misfire policy: which occurrences still fire if they could not fire in time, because the
/// nodes were down or the destination had no place. Within the grace all of them fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Misfire {
    /// The choice of those that fire.
    #[serde(skip_serializing_if = "is_default")]
    pub policy: MisfirePolicy,
    /// The grace, in milliseconds; `None` takes the configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<Millis>,
    /// The greatest age of an occurrence that is caught up, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Millis>,
    /// With `all`: the most occurrences that are caught up, the newest ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// With `all`, the most occurrences that are caught up unless the job says otherwise.
pub const MISFIRE_MAX: u32 = 100;

/// The lateness at which an occurrence still fires as if it were in time, after a restart or a
/// take-over, for jobs that name no grace.
pub const MISFIRE_GRACE: Duration = Duration::from_mins(1);

/// The choice among several occurrences that are too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MisfirePolicy {
    /// The newest; the rest is skipped.
    #[default]
    Latest,
    /// All of them, oldest first.
    All,
    /// None that is past the grace.
    Skip,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The most occurrences of a job that may wait, for a worker or behind another run, where the job
/// names no number.
pub const MAX_WAITING: u32 = 1_000;

/// The overlap policy: what an occurrence does while the previous one is under way (sent, accepted,
/// or between two attempts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The occurrence fires at once.
    #[default]
    Allow,
    /// The occurrence is skipped.
    Skip,
    /// The occurrence waits and replaces another one that waits.
    QueueOne,
    /// The occurrence fires, and the previous run is cancelled.
    CancelPrevious,
    /// The occurrence waits behind those that wait already, in their order.
    Queue {
        /// The most that may wait; what comes beyond is skipped. With 0 nothing may.
        most: u32,
    },
}

impl Overlap {
    /// The name, as requests and answers have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::QueueOne => "queue_one",
            Self::CancelPrevious => "cancel_previous",
            Self::Queue { .. } => "queue",
        }
    }

    /// The policy of a queue of so many; 0 is no bound, `None` [`MAX_WAITING`].
    pub fn queue(max_queue: Option<u32>) -> Self {
        let most = match max_queue.unwrap_or(MAX_WAITING) {
            0 => u32::MAX,
            most => most,
        };
        Self::Queue { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_longest_and_end() {
        let retry = Retry { max: 5, delay: 5_000, factor: 2_000, max_delay: 60_000 };
        let delays: Vec<_> = (1..=6).map(|n| retry.after(n)).collect();
        let expected = [5_000, 10_000, 20_000, 40_000, 60_000].map(Some);
        assert_eq!(delays[..5], expected);
        assert_eq!(delays[5], None);
        let steady = Retry { factor: 1_000, ..retry };
        assert_eq!(steady.after(5), Some(5_000));
        let half = Retry { factor: 1_500, ..retry };
        assert_eq!(half.after(3), Some(11_250));
        let long = Retry { max: u32::MAX, factor: u32::MAX, max_delay: Millis::MAX, ..retry };
        assert_eq!(long.after(u32::MAX), Some(Millis::MAX));
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let delays: Vec<_> =
            (1..=400).map(|job| spread(5_000, 3_600_000, seed(job, 7_000, 0, 1))).collect();
        assert!(delays.iter().all(|delay| (4_000..=6_000).contains(delay)));
        for tenth in 0..10 {
            let range = 4_000 + tenth * 200..4_200 + tenth * 200;
            let there = delays.iter().filter(|delay| range.contains(*delay)).count();
            assert!((20..=60).contains(&there), "{range:?}: {there} of 400");
        }
        assert_eq!(delays[0], spread(5_000, 3_600_000, seed(1, 7_000, 0, 1)), "always the same");
        assert_ne!(seed(1, 7_000, 0, 1), seed(1, 7_000, 0, 2));
        for seed in [0, 1, 399, u64::MAX] {
            assert_eq!(spread(0, 0, seed), 0);
            assert!((8_000..=10_000).contains(&spread(10_000, 10_000, seed)), "the longest holds");
            assert!(spread(Millis::MAX, Millis::MAX, seed) > Millis::MAX / 2);
            assert!(
                (7_000..=8_400).contains(&spread_after(7_000, seed)),
                "never sooner than asked"
            );
            assert!((86_400_000..=86_430_000).contains(&spread_after(86_400_000, seed)));
        }
    }

    #[test]
    fn the_nearer_word_counts() {
        let job = Delivery { retry_delay: Some(1), ..Delivery::default() };
        let project = Delivery { retry_delay: Some(2), timeout: Some(3), ..Delivery::default() };
        let both = job.or(project);
        assert_eq!((both.retry_delay, both.timeout, both.retry_max), (Some(1), Some(3), None));
    }
}
