//! The dates of HTTP: the three forms of RFC 9110 5.6.7, all of which a recipient must accept.
//! `retry_after` reads them. Nothing here writes one or looks at a clock.

use chrono::NaiveDateTime;

use crate::model::Millis;

/// A two-digit year that would lie further ahead than this is of the century before.
const FAR_YEARS: i32 = 50;

/// The instant of an HTTP date, seen from `now`; `None` for any other text. The name of the weekday
/// is not compared with the date.
pub(super) fn http_date(text: &str, now: Millis) -> Option<Millis> {
    let (first, rest) = text.trim().split_once(' ')?;
    if !is_weekday(first.trim_end_matches(',')) {
        return None;
    }
    let rest = rest.trim_start();
    let read = |form: &str| NaiveDateTime::parse_from_str(rest, form).ok();
    // IMF-fixdate (Sun, 06 Nov 1994 08:49:37 GMT), then asctime (Sun Nov  6 08:49:37 1994).
    let found = read("%d %b %Y %H:%M:%S GMT").or_else(|| read("%b %e %H:%M:%S %Y"));
    found.or_else(|| rfc850(rest, now)).map(|at| at.and_utc().timestamp_millis())
}

/// Reads the form of RFC 850 (Sunday, 06-Nov-94 08:49:37 GMT) after its weekday.
fn rfc850(rest: &str, now: Millis) -> Option<NaiveDateTime> {
    let (day, rest) = rest.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let (year, time) = rest.split_once(' ')?;
    if year.len() != 2 {
        return None;
    }
    let this = chrono::DateTime::from_timestamp_millis(now)?.format("%Y").to_string();
    let this: i32 = this.parse().ok()?;
    let mut year = this - this.rem_euclid(100) + year.parse::<u8>().map(i32::from).ok()?;
    if year > this + FAR_YEARS {
        year -= 100;
    }
    let text = format!("{day} {month} {year:04} {time}");
    NaiveDateTime::parse_from_str(&text, "%d %b %Y %H:%M:%S GMT").ok()
}

fn is_weekday(name: &str) -> bool {
    const DAYS: [&str; 7] =
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    DAYS.iter().any(|day| *day == name || (name.len() == 3 && day.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_of_a_date_are_read() {
        let then = 784_111_777_000;
        for now in [then - 1_000, then, then + 40 * 365 * 86_400_000] {
            for text in [
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
            ] {
                assert_eq!(http_date(text, now), Some(then), "{text} {now}");
            }
        }
        let now = 1_795_890_000_000; // 2026
        let two_digits = http_date("Saturday, 28-Nov-26 18:38:32 GMT", now);
        assert_eq!(two_digits, http_date("Sat, 28 Nov 2026 18:38:32 GMT", now));
        assert_eq!(
            http_date("Friday, 01-Jan-99 00:00:00 GMT", now),
            http_date("Fri, 01 Jan 1999 00:00:00 GMT", now),
            "more than 50 years ahead is the past"
        );
        for text in ["", "soon", "Sun", "Sun, ", "28 Nov 2026", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(http_date(text, now), None, "{text}");
        }
    }
}
