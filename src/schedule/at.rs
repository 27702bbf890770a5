//! One-off instants: RFC 3339, or a local date-time that is read in the job's zone. Called by all
//! readers of an `at`; they decide whether it is too far in the past.

use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;

use super::error::{Error, shown};
use super::zone;
use super::{DstRule, FIRST, Gap, LAST, Mark, Millis};

const FORMS: [&str; 4] =
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];

/// Reads an instant: `2026-03-01T09:00:00Z`, `2026-03-01T09:00+01:00`, or, in `zone`,
/// `2026-03-01T09:00:00`, `2026-03-01 09:00`. Seconds may be left out. Milliseconds, rounded down.
///
/// A local time in a gap is the first instant after it, or an error with `gap: skip`; one in a
/// fold is the first of the two (a one-off comes once, also with `fold: both`).
///
/// # Errors
/// Neither form, a local time that does not exist, or a year outside 1 to 9999.
pub fn parse_at(text: &str, zone: Tz, dst: DstRule) -> Result<Millis, Error> {
    parse_at_marked(text, zone, dst).map(|(instant, _)| instant)
}

/// Works like [`parse_at`], and also returns what a change of the clock did to a local time:
/// `Moved` out of a gap, or `First` of the two in a fold. An instant that names its offset has no
/// mark.
///
/// # Errors
/// The errors of [`parse_at`].
pub fn parse_at_marked(
    text: &str,
    zone: Tz,
    dst: DstRule,
) -> Result<(Millis, Option<Mark>), Error> {
    let text = text.trim();
    let refuse = |problem: String| Error::At { text: shown(text), problem };
    let (millis, mark) = if let Some(instant) = with_offset(text) {
        (instant, None)
    } else {
        let local = FORMS
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .ok_or_else(|| {
                refuse(
                    "write RFC 3339 as in 2026-03-01T09:00:00Z, or a local date and time as in 2026-03-01T09:00:00".to_owned(),
                )
            })?
            .and_utc();
        let second = resolve(local.timestamp(), zone, dst).ok_or_else(|| {
            refuse(format!(
                "the clocks of {zone} jump over that time; choose another or set dst.gap to next"
            ))
        })?;
        match second {
            Resolved::At { second, twice } => {
                let millis = second * 1000 + i64::from(local.timestamp_subsec_millis());
                (millis, twice.then_some(Mark::First))
            }
            Resolved::AfterGap(second) => (second * 1000, Some(Mark::Moved)),
        }
    };
    if (FIRST..=LAST).contains(&millis) {
        Ok((millis, mark))
    } else {
        Err(refuse("the year must lie between 1 and 9999".to_owned()))
    }
}

/// Returns whether a text names its distance from UTC, so that it means the same in every zone.
pub fn names_its_offset(text: &str) -> bool {
    with_offset(text.trim()).is_some()
}

/// RFC 3339, with or without seconds.
fn with_offset(text: &str) -> Option<Millis> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_millis());
    }
    // `2026-03-01T09:00` has 16 letters; what follows it is the offset.
    let (minutes, offset) = text.split_at_checked(16)?;
    let whole = offset.starts_with(['Z', 'z', '+', '-']).then(|| format!("{minutes}:00{offset}"));
    Some(DateTime::parse_from_rfc3339(&whole?).ok()?.timestamp_millis())
}

enum Resolved {
    At { second: i64, twice: bool },
    AfterGap(i64),
}

/// The instant of a local second, `None` if it does not exist and the rule does not move it.
fn resolve(local: i64, tz: Tz, dst: DstRule) -> Option<Resolved> {
    let zone = zone::of(tz);
    // No offset reaches a day and a half, so the interval that shows it begins before this.
    let mut i = zone.index(local.saturating_sub(129_600));
    // The loop ends, because the last interval has no end.
    while zone.local_end(i) <= local {
        i += 1;
    }
    if local >= zone.local_begin(i) {
        let twice = i + 1 < zone.len() && local >= zone.local_begin(i + 1);
        Some(Resolved::At { second: local - zone.offset(i), twice })
    } else {
        (dst.gap == Gap::Next).then(|| Resolved::AfterGap(zone.begin(i)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fold;
    use super::*;

    fn at(text: &str) -> String {
        match parse_at(text, Tz::America__New_York, DstRule::default()) {
            Ok(millis) => DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn instants_and_local_times() {
        assert_eq!(at("2026-03-01T09:00:00Z"), "2026-03-01T09:00:00+00:00");
        assert_eq!(at("2026-03-01T09:00:00.250+01:00"), "2026-03-01T08:00:00.250+00:00");
        assert_eq!(at("2026-03-01T09:00Z"), "2026-03-01T09:00:00+00:00");
        assert_eq!(at("2026-03-01 09:00+05:30"), "2026-03-01T03:30:00+00:00");
        assert_eq!(at("2026-03-01T09:00:00"), "2026-03-01T14:00:00+00:00");
        assert_eq!(at("2026-07-01 09:00"), "2026-07-01T13:00:00+00:00");
        assert_eq!(at("2026-07-01T09:00:00.5"), "2026-07-01T13:00:00.500+00:00");
        // A gap from 02:00 to 03:00, a fold from 01:00 to 02:00.
        assert_eq!(at("2026-03-08T02:30:00.5"), "2026-03-08T07:00:00+00:00");
        assert_eq!(at("2026-11-01T01:30"), "2026-11-01T05:30:00+00:00");
        assert_eq!(at("2026-11-01T02:00"), "2026-11-01T07:00:00+00:00");
        // East of Greenwich the local time runs ahead: 03:00 back to 02:00, still 4 April in UTC.
        let fold = parse_at("2026-04-05T02:30", Tz::Pacific__Auckland, DstRule::default());
        assert_eq!(fold, parse_at("2026-04-04T13:30:00Z", Tz::UTC, DstRule::default()));
    }

    #[test]
    fn a_local_time_says_what_the_clock_did_to_it() {
        for (text, mark) in [
            ("2026-03-08T02:30", Some(Mark::Moved)),
            ("2026-03-08T03:00", None),
            ("2026-11-01T00:59:59", None),
            ("2026-11-01T01:00", Some(Mark::First)),
            ("2026-11-01T01:59:59.999", Some(Mark::First)),
            ("2026-11-01T02:00", None),
            ("2026-11-01T01:30:00-05:00", None),
        ] {
            let read = parse_at_marked(text, Tz::America__New_York, DstRule::default());
            assert_eq!(read.unwrap().1, mark, "{text}");
        }
    }

    #[test]
    fn local_times_after_the_year_2100_still_have_summer_time() {
        // The instants of the POSIX rules in the footers of the IANA data's compiled files.
        for (zone, local, instant) in [
            (Tz::Europe__Berlin, "2099-07-01T12:00", "2099-07-01T10:00:00Z"),
            (Tz::Europe__Berlin, "2100-07-01T12:00:00", "2100-07-01T10:00:00Z"),
            (Tz::Europe__Dublin, "2100-07-01T12:00", "2100-07-01T11:00:00Z"),
            (Tz::America__New_York, "2100-07-01T12:00", "2100-07-01T16:00:00Z"),
            (Tz::America__New_York, "2100-12-01T12:00", "2100-12-01T17:00:00Z"),
            (Tz::America__Havana, "2200-06-01T12:00", "2200-06-01T16:00:00Z"),
            (Tz::America__Nuuk, "2400-03-28T12:00", "2400-03-28T13:00:00Z"),
            (Tz::America__Santiago, "9999-01-01T12:00", "9999-01-01T15:00:00Z"),
            (Tz::Australia__Sydney, "2100-01-15T12:00", "2100-01-15T01:00:00Z"),
            (Tz::Australia__Sydney, "2100-07-01T12:00", "2100-07-01T02:00:00Z"),
            (Tz::Australia__Lord_Howe, "2101-12-01T12:00", "2101-12-01T01:00:00Z"),
            (Tz::Pacific__Chatham, "2500-12-25T12:00", "2500-12-24T22:15:00Z"),
            (Tz::Antarctica__Troll, "2222-06-01T12:00", "2222-06-01T10:00:00Z"),
            (Tz::Africa__Cairo, "3000-05-01T12:00", "3000-05-01T09:00:00Z"),
            (Tz::Africa__Casablanca, "2100-07-01T12:00", "2100-07-01T11:00:00Z"),
            (Tz::Asia__Gaza, "2100-07-01T12:00", "2100-07-01T09:00:00Z"),
            (Tz::Asia__Jerusalem, "2100-03-26T12:00", "2100-03-26T09:00:00Z"),
            // A gap and a fold of 2100.
            (Tz::Europe__Berlin, "2100-03-28T02:30", "2100-03-28T01:00:00Z"),
            (Tz::Europe__Berlin, "2100-10-31T02:30", "2100-10-31T00:30:00Z"),
        ] {
            let read = |text| parse_at(text, zone, DstRule::default()).unwrap();
            assert_eq!(read(local), read(instant), "{zone} {local}");
        }
    }

    #[test]
    fn a_time_with_an_offset_is_the_same_everywhere() {
        for (text, named) in [
            ("2026-03-01T09:00:00Z", true),
            (" 2026-03-01T09:00+01:00 ", true),
            ("2026-03-01T09:00z", true),
            ("2026-03-01T09:00:00", false),
            ("2026-03-01 09:00", false),
            ("soon", false),
            ("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", false),
        ] {
            assert_eq!(names_its_offset(text), named, "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_says_why() {
        let skip = DstRule { gap: Gap::Skip, fold: Fold::Both };
        let error = parse_at("2026-03-08T02:30", Tz::America__New_York, skip).unwrap_err();
        assert!(error.to_string().contains("jump over"), "{error}");
        for text in ["", "tomorrow", "2026-13-01T00:00:00Z", "2026-02-30T00:00", "2026-03-01"] {
            assert!(at(text).contains("write RFC 3339"), "{text}");
        }
        assert!(at("+12026-01-01T00:00").contains("year"));
    }
}
