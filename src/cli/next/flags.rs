//! The parsed flags of `next`, and two conversions that all of its forms share.

use chrono_tz::Tz;

use crate::clock::{Clock, SystemClock};
use crate::model::Millis;
use crate::schedule::{DstRule, Preview, parse_at};

/// The most occurrences of one question.
pub(super) const MAX_COUNT: usize = 1_000;

/// The flags of `next`, parsed.
pub(super) struct Flags {
    pub(super) zone: Tz,
    pub(super) dst: DstRule,
    pub(super) from: Millis,
    pub(super) count: Option<usize>,
    pub(super) job: u64,
}

/// An instant as people write it, local in the zone where it has no offset; now where it is
/// missing.
pub(super) fn instant(text: Option<&str>, zone: Tz, dst: DstRule) -> Result<Millis, String> {
    let Some(text) = text else { return Ok(SystemClock.wall()) };
    parse_at(text, zone, dst).map_err(|e| e.to_string())
}

/// The local weekday, such as `Mon`.
pub(super) fn weekday(one: &Preview) -> String {
    chrono::DateTime::parse_from_rfc3339(&one.local)
        .map_or_else(|_| String::new(), |local| local.format("%a").to_string())
}
