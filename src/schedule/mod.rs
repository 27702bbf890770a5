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
//! list of intervals with one UTC offset each; every interval owns a piece of local time, and the
//! DST rule only decides where that piece begins (see `zone`). So "next" is a walk over intervals
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
mod duration_value;
mod error;
mod explain;
mod field;
mod foreign;
mod jitter;
mod lint;
mod month;
mod next;
mod parse;
mod prefix;
mod preview;
mod zone;

use serde::{Deserialize, Serialize};

pub use at::{names_its_offset, parse_at, parse_at_marked};
pub use describe::{Field, describe, describe_after, describe_at, fields};
pub use duration::{parse_duration, show_duration};
pub use duration_value::read_duration;
pub use error::Error;
pub use explain::{Check, Reading, read_at};
pub use jitter::{Jittered, delayed};
pub use lint::warnings;
pub use next::{Schedule, anchor};
pub use preview::{Mark, Preview, asked_anchor, preview, preview_in};
pub use zone::parse_zone;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
pub type Millis = i64;

/// The first instant that schedules know: 0001-01-01T00:00:00Z.
const FIRST: Millis = -62_135_596_800_000;
/// The last instant that schedules know: 9999-12-31T23:59:59.999Z, the end of RFC 3339.
pub const LAST: Millis = 253_402_300_799_999;

/// The treatment of a fixed hour in a local time that the clock skips in spring.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Gap {
    /// Fires once, at the first instant after the gap (Vixie cron's rule).
    #[default]
    Next,
    /// The job does not fire that day.
    Skip,
}

/// The treatment of a fixed hour in a local time that the clock shows twice in autumn.
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
