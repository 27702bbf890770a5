//! Why an instant is an occurrence of a schedule, or why it is none: field by field, on the local
//! clock. Called by `explain` in store and api for people; what fires is decided by
//! [`Schedule::next`], with which this agrees.

use chrono::{DateTime, Datelike, FixedOffset, Timelike};
use chrono_tz::Tz;
use serde::Serialize;

use super::describe::{length, words};
use super::field::Unit;
use super::next::Kind;
use super::parse::{Fields, Spec};
use super::preview::{Mark, preview_in, text};
use super::{Millis, Schedule, zone};

/// A condition of a schedule, compared with an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `second`, `minute`, `hour`, `day-of-month`, `month`, `day-of-week`; or `every`, `at`.
    pub name: &'static str,
    /// The value of the instant.
    pub value: String,
    /// The values of the schedule, as written.
    pub wants: String,
    /// The values of the schedule in words.
    pub meaning: String,
    /// Set if the instant's value is one of them.
    pub met: bool,
}

/// An instant as a schedule reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Set if the instant is an occurrence.
    pub due: bool,
    /// The zone in which it was read.
    pub zone: Tz,
    /// The instant on the local clock, RFC 3339.
    pub local: String,
    /// The effect of a change of the clock: `Moved` here out of a gap, or the `First` of two
    /// passes. For an instant that is no occurrence: the `Second` of two passes, of which only the
    /// first counts.
    pub dst: Option<Mark>,
    /// Set if both day fields are restricted, so that one of the two is enough.
    pub either_day: bool,
    /// The conditions, in the order written. An occurrence that was moved does not meet some of
    /// them.
    pub checks: Vec<Check>,
}

/// Reads an instant by a schedule and the spec that it was made of (empty for a one-off). A
/// schedule without a zone is shown in `fallback`; `anchor` is that of [`Schedule::next`].
pub fn read_at(
    spec: &str,
    schedule: &Schedule,
    fallback: Tz,
    anchor: Millis,
    at: Millis,
) -> Reading {
    let zone = schedule.zone().unwrap_or(fallback);
    let found = preview_in(fallback, schedule, anchor, at.saturating_sub(1), 1).pop();
    let found = found.filter(|one| one.utc == at);
    let mut reading = Reading {
        due: found.is_some(),
        zone,
        local: text(at, zone),
        dst: found.and_then(|one| one.dst),
        either_day: false,
        checks: Vec::new(),
    };
    match &schedule.0 {
        Kind::Cron(cron) => {
            let second = at.div_euclid(1_000);
            let table = zone::of(zone);
            let met = cron.meets(second + table.offset(table.index(second))).unwrap_or_default();
            if let (Ok(Spec::Cron { fields, .. }), Some(local)) =
                (Spec::stored(spec), zone::local(at, zone))
            {
                reading.checks = checks(&fields, &local, met);
            }
            reading.either_day = cron.either();
            let whole = at.rem_euclid(1_000) == 0;
            let days = if cron.either() { met[3] || met[5] } else { met[3] && met[5] };
            if !reading.due && whole && days && met[0] && met[1] && met[2] && met[4] {
                reading.dst = Some(Mark::Second);
            }
        }
        Kind::Every { period } => {
            let since = at.saturating_sub(anchor);
            let over = since.rem_euclid(*period);
            let value = match (since, over) {
                (..=0, _) => "not after it began to count".to_owned(),
                (_, 0) => times(since / period),
                (_, over) => format!("{}, and {}", times(since / period), length(over)),
            };
            reading.checks.push(Check {
                name: "every",
                value,
                wants: length(*period),
                meaning: format!("whole multiples of it after {}", text(anchor, zone)),
                met: reading.due,
            });
        }
        Kind::At { .. } | Kind::Once => {
            let instant = match schedule.0 {
                Kind::At { instant } => instant,
                _ => anchor,
            };
            reading.checks.push(Check {
                name: "at",
                value: text(at, zone),
                wants: text(instant, zone),
                meaning: "once, then".to_owned(),
                met: reading.due,
            });
        }
    }
    reading
}

fn checks(fields: &Fields, local: &DateTime<FixedOffset>, met: [bool; 6]) -> Vec<Check> {
    let number = |unit| match unit {
        Unit::Second => local.second(),
        Unit::Minute => local.minute(),
        Unit::Hour => local.hour(),
        Unit::Dom => local.day(),
        Unit::Month => local.month(),
        Unit::Dow => local.weekday().num_days_from_sunday(),
    };
    let check = |unit: Unit| {
        let value = number(unit);
        let name = unit.names().get(value as usize - usize::from(unit == Unit::Month));
        Check {
            name: unit.name(),
            value: name.map_or_else(|| value.to_string(), |name| format!("{value} ({name})")),
            wants: fields.text[unit as usize].clone(),
            meaning: words(unit, fields.items(unit)),
            met: met[unit as usize],
        }
    };
    Unit::ALL.into_iter().skip(6 - fields.given).map(check).collect()
}

/// A number of periods in words.
fn times(n: Millis) -> String {
    format!("{n} {} that", if n == 1 { "time" } else { "times" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{DstRule, parse_at};

    const BERLIN: Tz = Tz::Europe__Berlin;

    fn read(spec: &str, at: &str) -> Reading {
        let schedule = Schedule::parse(spec, BERLIN, DstRule::default(), 0).unwrap();
        let at = parse_at(at, Tz::UTC, DstRule::default()).unwrap();
        read_at(spec, &schedule, BERLIN, 0, at)
    }

    fn unmet(reading: &Reading) -> Vec<String> {
        let unmet = reading.checks.iter().filter(|check| !check.met);
        unmet.map(|c| format!("{} is {}, wants {}", c.name, c.value, c.wants)).collect()
    }

    #[test]
    fn each_field_is_held_against_the_local_clock() {
        for (spec, at, due, problems) in [
            ("0,15 9 * * 1-5", "2026-03-02T08:15:00Z", true, vec![]),
            (
                "0,15 9 * * 1-5",
                "2026-03-01T09:30:00Z",
                false,
                vec![
                    "minute is 30, wants 0,15",
                    "hour is 10, wants 9",
                    "day-of-week is 0 (sunday), wants 1-5",
                ],
            ),
            ("0 0 13 * 5", "2026-03-12T23:00:00Z", true, vec![]),
            ("0 0 12 * 5", "2026-03-12T23:00:00Z", true, vec!["day-of-month is 13, wants 12"]),
            (
                "10 0 0 * feb *",
                "2026-03-12T23:00:10Z",
                false,
                vec!["month is 3 (march), wants feb"],
            ),
        ] {
            let reading = read(spec, at);
            assert_eq!(
                (reading.due, unmet(&reading)),
                (due, problems.into_iter().map(str::to_owned).collect()),
                "{spec} {at}"
            );
        }
        let both = read("0 0 12 * 5", "2026-03-12T23:00:00Z");
        assert!(both.either_day);
        assert_eq!(both.local, "2026-03-13T00:00:00+01:00");
        assert_eq!(both.zone, BERLIN);
    }

    #[test]
    fn what_the_clock_did_is_said() {
        let moved = read("30 2 * * *", "2026-03-29T01:00:00Z");
        assert_eq!((moved.due, moved.dst), (true, Some(Mark::Moved)));
        assert_eq!(unmet(&moved), ["minute is 0, wants 30", "hour is 3, wants 2"]);
        let first = read("30 2 * * *", "2026-10-25T00:30:00Z");
        assert_eq!((first.due, first.dst), (true, Some(Mark::First)));
        let second = read("30 2 * * *", "2026-10-25T01:30:00Z");
        assert_eq!((second.due, second.dst), (false, Some(Mark::Second)));
        assert!(unmet(&second).is_empty());
        let plain = read("30 2 * * *", "2026-06-25T00:30:00Z");
        assert_eq!((plain.due, plain.dst), (true, None));
        assert!(!read("30 2 * * *", "2026-06-25T00:30:00.5Z").due);
    }

    #[test]
    fn periods_are_counted_and_one_offs_compared() {
        let every = Schedule::parse("@every 90s", BERLIN, DstRule::default(), 0).unwrap();
        let read = |at| read_at("@every 90s", &every, Tz::UTC, 10_000, at);
        let told = |at| (read(at).due, read(at).checks[0].value.clone());
        assert_eq!(told(100_000), (true, "1 time that".to_owned()));
        assert_eq!(told(190_000), (true, "2 times that".to_owned()));
        assert_eq!(
            told(200_500),
            (false, "2 times that, and 10 seconds 500 milliseconds".to_owned())
        );
        assert_eq!(told(10_000), (false, "not after it began to count".to_owned()));
        assert_eq!(read(0).checks[0].wants, "1 minute 30 seconds");
        let once = Schedule::once();
        assert!(read_at("", &once, Tz::UTC, 5_000, 5_000).due);
        let other = read_at("", &once, Tz::UTC, 5_000, 6_000);
        assert!(!other.due);
        assert_eq!(other.checks[0].wants, "1970-01-01T00:00:05Z");
    }
}
