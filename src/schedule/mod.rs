//! Schedules: what a job's `spec` or `at` means, as a pure function from an instant to the next or
//! previous occurrence.
//!
//! ```text
//!   spec ── parse ──> field (items) ──> cron (bit sets on a naive local clock)
//!                                         │
//!   zone (a table of UTC offsets) ────────┴──> Schedule::next / prev (instants)
//!                                                   ├──> jitter (when each is due)
//!   describe (plain English)        preview (a list of occurrences with DST marks)
//! ```
//!
//! A cron schedule is evaluated on a *naive* local clock that knows nothing of zones. The zone is a
//! list of stretches with one UTC offset each; every stretch owns a piece of local time, and the
//! DST rule only decides where that piece begins (see `zone`). So "next" is a walk over stretches
//! that calls the bit sets at most a few times.
//!
//! Called by the API (validation, preview), by the command line, by the worker's due queue and by
//! `explain`. Every node must get the same answer from the same arguments: nothing in this folder
//! looks at a clock, at chance or at the environment, and nothing keeps state apart from the lazily
//! built offset tables, which are a function of the embedded time-zone data.

mod at;
mod before;
mod cron;
mod describe;
mod duration;
mod error;
mod explain;
mod field;
mod foreign;
mod jitter;
mod lint;
mod month;
mod parse;
mod preview;
mod zone;

pub use at::{names_its_offset, parse_at, parse_at_marked};
use chrono_tz::Tz;
pub use describe::{Field, describe, describe_after, describe_at, fields};
pub use duration::parse_duration;
pub use error::Error;
pub use explain::{Check, Reading, read_at};
pub use jitter::Jittered;
pub use lint::warnings;
pub use preview::{Mark, Preview, asked_anchor, preview, preview_in};
use serde::{Deserialize, Serialize};
pub use zone::parse_zone;

use self::cron::Cron;
use self::parse::Spec;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
pub type Millis = i64;

/// The first instant that schedules know: 0001-01-01T00:00:00Z.
const FIRST: Millis = -62_135_596_800_000;
/// The last instant that schedules know: 9999-12-31T23:59:59.999Z, the end of RFC 3339.
pub const LAST: Millis = 253_402_300_799_999;

/// What a fixed hour does in a local time that the clock jumps over in spring.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Gap {
    /// Fires once, at the first instant after the gap (Vixie cron's rule).
    #[default]
    Next,
    /// Does not fire that day.
    Skip,
}

/// What a fixed hour does in a local time that the clock shows twice in autumn.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Fold {
    /// Fires in the first pass only (Vixie cron's rule).
    #[default]
    First,
    /// Fires in both passes.
    Both,
}

/// The daylight-saving rule of a job.
///
/// It applies to schedules with a fixed hour. One whose hour field is a wildcard (`*`, `*/n`,
/// `H/n`) follows elapsed time and fires exactly when its fields match the wall clock, as Vixie
/// cron does; `@every` and one-off instants know no zone.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(default, deny_unknown_fields)]
pub struct DstRule {
    /// Local times that do not exist.
    pub gap: Gap,
    /// Local times that exist twice.
    pub fold: Fold,
}

/// A schedule ready to be evaluated. Two schedules are equal when they fire at the same instants
/// by the same rule in the same zone, however they were written (`@daily` is `0 0 * * *`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Cron(Cron),
    Every { period: Millis },
    At { instant: Millis },
    Once,
}

impl Schedule {
    /// Reads a cron spec: five fields as crontab(5), or six with seconds first; `@yearly
    /// @annually @monthly @weekly @daily @midnight @hourly`; `@every <duration>` (whole seconds, at
    /// least one, in the forms of [`parse_duration`]); each with an optional `CRON_TZ=Zone ` or
    /// `TZ=Zone ` in front, which overrides `zone`.
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

    /// As [`parse`](Self::parse), for the spec of a job that is there: what an older version
    /// accepted and a new job may not have (`@every 500ms`, `1,,2`, `?` as a minute) keeps its
    /// meaning.
    ///
    /// # Errors
    /// As [`parse`](Self::parse): no version accepted it, or only a newer one does.
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
    /// `anchor` is what `@every` counts from (see [`anchor()`]): its occurrences are `anchor + k *
    /// period` with `k >= 1`. A one-off's is the anchor itself. Other schedules ignore it. Cron occurrences lie on whole seconds.
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

    /// Whether it is [`Schedule::once`].
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

    /// Whether the schedule depends on the seed, that is, uses `H`. A spec that does not parse
    /// depends on nothing.
    pub fn is_seed_dependent(spec: &str) -> bool {
        match Spec::stored(spec) {
            Ok(Spec::Cron { fields, .. }) => fields.uses_hash(),
            _ => false,
        }
    }
}

/// What a schedule that came into force at `stamp` counts from: for `@every`, the stamp rounded up
/// to a whole second, so that jobs created together fall due together; for others the stamp.
pub fn anchor(stamp: Millis, schedule: &Schedule) -> Millis {
    match schedule.period() {
        Some(period) if period >= 1000 => {
            stamp.saturating_add((1000 - stamp.rem_euclid(1000)) % 1000)
        }
        _ => stamp,
    }
}
