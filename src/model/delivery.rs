//! How an occurrence is tried: retries and their delays, lateness, overlap. What a job says, over
//! what its project says, over what the configuration says.
//!
//! `api` reads these from requests, `worker` resolves and follows them, `command::apply` reads
//! [`Retry`] when a run is reported as failed. Pure, in whole numbers, so that every node gets the
//! same delays.

use serde::{Deserialize, Serialize};

use super::Millis;

/// The longest delay between two attempts unless somebody says otherwise: an hour, in milliseconds.
pub const LONGEST_DELAY: Millis = 3_600_000;

/// How often, how soon and how long an occurrence is tried; what is `None` is somebody else's to
/// say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Retries after the first attempt. Of a project only: a job has `JobShape::retry_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max: Option<u32>,
    /// Before the first retry, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<Millis>,
    /// By what each further delay grows, in thousandths: 2,000 doubles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_factor: Option<u32>,
    /// The longest delay, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max_delay: Option<Millis>,
    /// How long an attempt may take, answer included, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
}

impl Delivery {
    /// What holds where this says nothing.
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

/// Retries, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retry {
    /// Retries after the first attempt.
    pub max: u32,
    /// Before the first one, in milliseconds.
    pub delay: Millis,
    /// By what each further delay grows, in thousandths; at least 1,000.
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

/// What becomes of occurrences that could not fire in time: the nodes were down, the destination
/// had no place. Within the grace all of them fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Misfire {
    /// Which of them fire.
    #[serde(skip_serializing_if = "is_default")]
    pub policy: MisfirePolicy,
    /// How late is not yet too late, in milliseconds; `None` takes the configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<Millis>,
    /// Nothing later than this is made up, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Millis>,
    /// With `all`: at most so many are made up, the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// With `all`, at most so many occurrences are made up unless the job says otherwise.
pub const MISFIRE_MAX: u32 = 100;

/// Which of several occurrences that are too late fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MisfirePolicy {
    /// The newest; the rest is skipped.
    #[default]
    Latest,
    /// All, oldest first.
    All,
    /// None that is past the grace.
    Skip,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What an occurrence does while the one before it is under way (sent, accepted, or between two
/// attempts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It does not care.
    #[default]
    Allow,
    /// It is skipped.
    Skip,
    /// It waits; one that waits already gives way to it.
    QueueOne,
    /// It takes the other's place, which is cancelled.
    CancelPrevious,
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
    fn the_nearer_word_counts() {
        let job = Delivery { retry_delay: Some(1), ..Delivery::default() };
        let project = Delivery { retry_delay: Some(2), timeout: Some(3), ..Delivery::default() };
        let both = job.or(project);
        assert_eq!((both.retry_delay, both.timeout, both.retry_max), (Some(1), Some(3), None));
    }
}
