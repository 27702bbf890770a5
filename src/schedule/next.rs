//! A schedule that is ready to be evaluated: its next and its previous occurrence, and the anchor
//! of `@every`. All other modules work with this type.

use chrono_tz::Tz;

use super::cron::Cron;
use super::parse::Spec;
use super::{DstRule, Error, FIRST, LAST, Millis};

/// A schedule ready to be evaluated. Two schedules are equal when they fire at the same instants
/// by the same rule in the same zone, however they were written (`@daily` is `0 0 * * *`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule(pub(super) Kind);

/// The form of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Cron(Cron),
    Every { period: Millis },
    At { instant: Millis },
    Once,
}

impl Schedule {
    /// Reads a cron spec: five fields as crontab(5), or six with seconds first; `@yearly
    /// @annually @monthly @weekly @daily @midnight @hourly`; `@every <duration>` (whole seconds, at
    /// least one, in the forms of [`super::parse_duration`]); each with an optional `CRON_TZ=Zone `
    /// or `TZ=Zone ` in front, which overrides `zone`.
    ///
    /// `seed` is the job's id: `H` in a field becomes a value that is the same for the same seed
    /// and spread over seeds. Without `H` it changes nothing.
    ///
    /// # Errors
    /// Names the field, says what was understood and how to fix it. A date that never comes
    /// (30 February) is an error.
    pub fn parse(spec: &str, zone: Tz, dst: DstRule, seed: u64) -> Result<Self, Error> {
        Self::build(Spec::parse(spec)?, zone, dst, seed)
    }

    /// Reads the spec of an existing job like [`parse`](Self::parse). A spec that an older version
    /// accepted and that a new job may not have (`@every 500ms`, `1,,2`, `?` as a minute) keeps its
    /// meaning.
    ///
    /// # Errors
    /// The error of [`parse`](Self::parse), if no version up to this one accepted the spec.
    pub fn stored(spec: &str, zone: Tz, dst: DstRule, seed: u64) -> Result<Self, Error> {
        Self::build(Spec::stored(spec)?, zone, dst, seed)
    }

    fn build(spec: Spec, zone: Tz, dst: DstRule, seed: u64) -> Result<Self, Error> {
        Ok(Self(match spec {
            Spec::Every { period } => Kind::Every { period },
            Spec::Cron { fields, zone: own } => {
                Kind::Cron(Cron::build(&fields, own.unwrap_or(zone), dst, seed)?)
            }
        }))
    }

    /// A schedule with exactly one occurrence, at `instant`.
    pub fn at(instant: Millis) -> Self {
        Self(Kind::At { instant })
    }

    /// The schedule of one-offs: exactly one occurrence, at the anchor.
    pub fn once() -> Self {
        Self(Kind::Once)
    }

    /// The first occurrence strictly after `after`, `None` if there is none up to the year 9999.
    ///
    /// `@every` counts from the `anchor` (see [`anchor()`]): its occurrences are `anchor + k *
    /// period` with `k >= 1`. The occurrence of a one-off is the anchor itself. Other schedules
    /// ignore it. Cron occurrences lie on whole seconds.
    pub fn next(&self, anchor: Millis, after: Millis) -> Option<Millis> {
        match &self.0 {
            Kind::Cron(_) if after >= LAST => None,
            Kind::Cron(cron) => {
                let second = after.max(FIRST - 1).div_euclid(1000) + 1;
                Some(cron.next(second)? * 1000).filter(|at| *at <= LAST)
            }
            Kind::Every { period } => {
                let passed = after.saturating_sub(anchor).div_euclid(*period).max(0);
                let at = anchor.checked_add(passed.checked_add(1)?.checked_mul(*period)?)?;
                Some(at).filter(|at| *at > after && *at <= LAST)
            }
            Kind::At { instant } => Some(*instant).filter(|at| *at > after),
            Kind::Once => Some(anchor).filter(|at| *at > after),
        }
    }

    /// The last occurrence at or before `at_or_before`, `None` if there is none; the counterpart
    /// of [`next`](Self::next), with the same `anchor`.
    pub fn prev(&self, anchor: Millis, at_or_before: Millis) -> Option<Millis> {
        match &self.0 {
            Kind::Cron(_) if at_or_before < FIRST => None,
            Kind::Cron(cron) => {
                let second = at_or_before.min(LAST).div_euclid(1000);
                Some(cron.prev(second)? * 1000).filter(|at| *at >= FIRST)
            }
            Kind::Every { period } => {
                let passed = at_or_before.min(LAST).saturating_sub(anchor).div_euclid(*period);
                if passed < 1 { None } else { anchor.checked_add(passed.checked_mul(*period)?) }
            }
            Kind::At { instant } => Some(*instant).filter(|at| *at <= at_or_before),
            Kind::Once => Some(anchor).filter(|at| *at <= at_or_before),
        }
    }

    /// The period of an `@every`, in milliseconds (a multiple of 1,000); `None` for the others.
    pub fn period(&self) -> Option<Millis> {
        match &self.0 {
            Kind::Every { period } => Some(*period),
            _ => None,
        }
    }

    /// Returns whether this is [`Schedule::once`].
    pub fn is_once(&self) -> bool {
        matches!(self.0, Kind::Once)
    }

    /// The zone a cron schedule is read in, the spec's own prefix included; `None` for `@every`
    /// and one-offs, which have none.
    pub fn zone(&self) -> Option<Tz> {
        match &self.0 {
            Kind::Cron(cron) => Some(cron.zone()),
            _ => None,
        }
    }

    /// Returns whether the schedule depends on the seed, that is, uses `H`. A spec that does not
    /// parse depends on nothing.
    pub fn is_seed_dependent(spec: &str) -> bool {
        match Spec::stored(spec) {
            Ok(Spec::Cron { fields, .. }) => fields.uses_hash(),
            _ => false,
        }
    }
}

/// The anchor of a schedule that came into force at `stamp`: for `@every` the stamp rounded up to a
/// whole second, so that jobs created together fall due together; for others the stamp.
pub fn anchor(stamp: Millis, schedule: &Schedule) -> Millis {
    match schedule.period() {
        Some(period) if period >= 1000 => {
            stamp.saturating_add((1000 - stamp.rem_euclid(1000)) % 1000)
        }
        _ => stamp,
    }
}
