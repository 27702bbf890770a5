//! Schedules and instants as text, for the tests of schedules: how to write one down and how to
//! show what comes of it.

use chrono::DateTime;
use chrono_tz::Tz;
use scheduler0::schedule::{DstRule, Fold, Gap, Millis, Preview, Schedule, parse_zone, preview};

/// The default policy, that of Vixie cron.
pub(super) const VIXIE: DstRule = DstRule { gap: Gap::Next, fold: Fold::First };
/// The policy of robfig/cron: fire exactly when the wall clock matches.
pub(super) const EXACT: DstRule = DstRule { gap: Gap::Skip, fold: Fold::Both };

/// An instant of RFC 3339 text.
pub(super) fn instant(text: &str) -> Millis {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// An instant as RFC 3339 text, or `never`.
pub(super) fn shown(instant: Option<Millis>) -> String {
    instant
        .map_or("never".to_owned(), |at| DateTime::from_timestamp_millis(at).unwrap().to_rfc3339())
}

/// A time zone by its name.
pub(super) fn zone(name: &str) -> Tz {
    parse_zone(name).unwrap()
}

/// The schedule of a spec in a zone.
pub(super) fn cron(spec: &str, tz: &str, dst: DstRule) -> Schedule {
    Schedule::parse(spec, zone(tz), dst, 0).unwrap()
}

/// The first `count` occurrences after `from` in UTC, to the minute or second.
pub(super) fn after(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let list = preview(schedule, 0, instant(from), count);
    let utc = |one: Preview| shown(Some(one.utc)).trim_end_matches(":00+00:00").to_owned();
    list.into_iter().map(utc).collect()
}
