//! Features: what the jobs of an account may use. Each is a switch of the account. `app` asks for
//! the features that a job needs when it is created or edited, and `command::apply` once more as
//! far as the job's definition alone tells. A job that exists fires whatever is switched off later.

use std::fmt;
use std::ops::BitOr;

use serde::{Deserialize, Serialize};

use super::job::JobDefinition;
use super::time::Millis;

/// The shortest period of a job that needs no [`Feature::SubMinute`].
pub const MINUTE: Millis = 60_000;
/// The longest `runTimeout` of a job that needs no [`Feature::LongRuns`].
pub const LONG_RUN: Millis = 3_600_000;
/// The most bytes of data of a job that needs no [`Feature::LargePayloads`].
pub const LARGE_PAYLOAD: usize = 65_536;

/// One feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Feature {
    /// Schedules with occurrences less than a minute apart.
    SubMinute = 1,
    /// `http` targets: a request of the job's own making for each occurrence.
    HttpTargets = 2,
    /// Targets at loopback and private addresses, as far as their URLs show it.
    PrivateTargets = 3,
    /// Runs with heartbeats, or that may last longer than [`LONG_RUN`].
    LongRuns = 4,
    /// Data of more than [`LARGE_PAYLOAD`] bytes.
    LargePayloads = 5,
}

impl Feature {
    /// All features, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::SubMinute,
        Self::HttpTargets,
        Self::PrivateTargets,
        Self::LongRuns,
        Self::LargePayloads,
    ];

    /// Its number, which published clients name it by.
    pub const fn id(self) -> u64 {
        self as u64
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SubMinute => "sub_minute",
            Self::HttpTargets => "http_targets",
            Self::PrivateTargets => "private_targets",
            Self::LongRuns => "long_runs",
            Self::LargePayloads => "large_payloads",
        }
    }

    /// The feature of a number.
    pub fn of_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.id() == id)
    }

    /// The feature of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }
}

/// A set of features. Its bits are stored: bit n - 1 is that of the feature with number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features(u32);

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// Every feature.
    pub const ALL: Self = Self((1 << Feature::ALL.len()) - 1);

    /// A set by its bits.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set with a feature added.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | 1 << (feature as u8 - 1))
    }

    /// The features of this set that the other one lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True where it has the feature.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & 1 << (feature as u8 - 1) != 0
    }

    /// True where it has no feature.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its features, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.into_iter().filter(move |feature| self.has(*feature))
    }
}

impl BitOr for Features {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        features.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Their names, with commas.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Feature::name).collect();
        f.write_str(&names.join(", "))
    }
}

impl JobDefinition {
    /// The features that a job needs, as far as its definition and its data tell. The seconds of a
    /// cron line, an executor and the address of a target are judged elsewhere.
    pub fn features(&self, data: &str) -> Features {
        let long = self.run_timeout.is_some_and(|timeout| timeout > LONG_RUN)
            || self.heartbeat_timeout.is_some();
        let needed = [
            (Feature::SubMinute, self.period.is_some_and(|period| period < MINUTE)),
            (Feature::HttpTargets, self.http.is_some()),
            (Feature::LongRuns, long),
            (Feature::LargePayloads, data.len() > LARGE_PAYLOAD),
        ];
        needed.into_iter().filter(|(_, needed)| *needed).map(|(feature, _)| feature).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::target::HttpTarget;

    #[test]
    fn each_feature_has_a_number_a_name_and_a_bit() {
        for feature in Feature::ALL {
            assert_eq!(Feature::of_id(feature.id()), Some(feature));
            assert_eq!(Feature::named(feature.name()), Some(feature));
            let set = Features::NONE.with(feature);
            assert!(set.has(feature) && set.iter().eq([feature]), "{feature:?}");
        }
        assert_eq!(Feature::ALL.into_iter().collect::<Features>(), Features::ALL);
        assert_eq!((Feature::of_id(0), Feature::named("x")), (None, None));
        let two = Features::NONE.with(Feature::LongRuns).with(Feature::SubMinute);
        assert_eq!(two.to_string(), "sub_minute, long_runs");
        assert_eq!(Features::ALL.without(two).iter().count(), 3);
    }

    #[test]
    fn a_job_needs_what_its_definition_uses() {
        let bare = JobDefinition::default;
        assert_eq!(bare().features(&"x".repeat(LARGE_PAYLOAD)), Features::NONE);
        let large = "x".repeat(LARGE_PAYLOAD + 1);
        let http = Some(Box::new(HttpTarget::default()));
        for (definition, data, needed) in [
            (JobDefinition { period: Some(MINUTE), ..bare() }, "", None),
            (JobDefinition { period: Some(59_999), ..bare() }, "", Some(Feature::SubMinute)),
            (JobDefinition { http, ..bare() }, "", Some(Feature::HttpTargets)),
            (JobDefinition { run_timeout: Some(LONG_RUN), ..bare() }, "", None),
            (
                JobDefinition { run_timeout: Some(LONG_RUN + 1), ..bare() },
                "",
                Some(Feature::LongRuns),
            ),
            (JobDefinition { heartbeat_timeout: Some(1), ..bare() }, "", Some(Feature::LongRuns)),
            (bare(), &large, Some(Feature::LargePayloads)),
        ] {
            assert_eq!(definition.features(data), needed.into_iter().collect(), "{definition:?}");
        }
    }
}
