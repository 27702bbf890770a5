//! Durations as people and programs write them: Go (`1h30m`), ISO 8601 (`PT20M`), plain words (`2
//! mins`). `@every`, `after` and delays accept all of them. Called by `parse` and by all readers of
//! a delay. A month or a year is no duration here and is refused.

use jiff::{Span, SpanRelativeTo};

use super::Millis;
use super::error::{Error, shown};

/// A second in nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// Reads a duration, in milliseconds, rounded down; a day is 24 hours.
///
/// # Errors
/// Says what was not understood: no unit, a negative value, a month or a year, garbage.
pub fn parse_duration(text: &str) -> Result<Millis, Error> {
    let text = text.trim();
    let refuse = |problem: &str| Error::Duration { text: shown(text), problem: problem.to_owned() };
    let nanos = nanos(text)?;
    if nanos < 0 || text.starts_with('-') {
        return Err(refuse("it is negative; write a duration of zero or more"));
    }
    Millis::try_from(nanos / 1_000_000).map_err(|_| refuse("it is too long"))
}

/// A duration as people write it, such as `1h30m`, without parts that are zero.
pub fn show_duration(millis: Millis) -> String {
    if millis <= 0 {
        return "0s".to_owned();
    }
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1_000 % 60, "s"),
        (millis % 1_000, "ms"),
    ];
    let filled = parts.iter().filter(|(n, _)| *n > 0);
    filled.map(|(n, unit)| format!("{n}{unit}")).collect::<Vec<_>>().concat()
}

/// Reads the period of an `@every`, in milliseconds: whole seconds, at least one.
pub(super) fn parse_period(text: &str) -> Result<Millis, Error> {
    if text.starts_with(char::is_whitespace) {
        // robfig/cron and its test vectors refuse it.
        let problem = "it begins with a blank; write one blank after @every".to_owned();
        return Err(Error::Every(Box::new(Error::Duration { text: shown(text), problem })));
    }
    let text = text.trim_end();
    let refuse = |problem: String| Error::Period { text: shown(text), problem };
    let nanos = nanos(text).map_err(|error| Error::Every(Box::new(error)))?;
    let seconds = nanos / SECOND;
    if nanos < 0 || text.starts_with('-') {
        return Err(refuse("it is negative".to_owned()));
    }
    if nanos == 0 {
        return Err(refuse("it is zero".to_owned()));
    }
    if seconds == 0 {
        return Err(refuse("it is shorter than a second".to_owned()));
    }
    if nanos % SECOND != 0 {
        let next = seconds + 1;
        return Err(refuse(format!("it has a fraction of a second, write {seconds}s or {next}s")));
    }
    seconds
        .checked_mul(1_000)
        .and_then(|millis| Millis::try_from(millis).ok())
        .ok_or_else(|| refuse("it is too long".to_owned()))
}

/// A duration in any form, in nanoseconds; may be negative.
fn nanos(text: &str) -> Result<i128, Error> {
    let refuse = |problem: String| Error::Duration { text: shown(text), problem };
    if text.len() > 200 {
        return Err(refuse("it is too long".to_owned()));
    }
    let problem = match go(text) {
        Ok(nanos) => return Ok(nanos.into()),
        Err(problem) => problem,
    };
    let Ok(span) = text.parse::<Span>().or_else(|_| plain(text).parse::<Span>()) else {
        return Err(refuse(format!("{problem}; write 1h30m, PT1H30M or 1 hour 30 minutes")));
    };
    match span.to_duration(SpanRelativeTo::days_are_24_hours()) {
        Ok(length) => Ok(length.as_nanos()),
        Err(_) => {
            Err(refuse("months and years have no fixed length; use weeks or days".to_owned()))
        }
    }
}

/// Words as the library knows them: small letters, no `and`. Single letters stay, so that `5 M`
/// is not taken for minutes.
fn plain(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| *word != "and");
    let small = words.map(|word| {
        let letters = word.chars().filter(char::is_ascii_alphabetic).count();
        if letters > 1 { word.to_ascii_lowercase() } else { word.to_owned() }
    });
    small.collect::<Vec<_>>().join(" ")
}

/// Parses like Go's `time.ParseDuration`, into nanoseconds: an optional sign, then numbers with an
/// optional fraction, each with a unit `ns us µs ms s m h`; or a bare `0`. The error names the
/// problem; the caller adds the fix.
pub(super) fn go(text: &str) -> Result<i64, String> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err("it holds no number".to_owned());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole = digits(&mut rest);
        let fraction = match rest.strip_prefix('.') {
            Some(after) => {
                rest = after;
                digits(&mut rest)
            }
            None => "",
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(format!("{:?} does not begin with a number", shown(rest)));
        }
        let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        let unit: i128 = match name {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("{:?} has no unit", shown(whole))),
            _ => return Err(format!("{:?} is no unit that is known here", shown(name.trim()))),
        };
        let too_long = || "it is longer than 292 years".to_owned();
        if whole.len() > 20 {
            return Err(too_long());
        }
        total += whole.parse::<i128>().unwrap_or(0) * unit;
        // Further places are less than a nanosecond of an hour.
        let places = &fraction[..fraction.len().min(18)];
        total += places.parse::<i128>().unwrap_or(0) * unit / 10_i128.pow(places.len() as u32);
        if total > i128::from(i64::MAX) {
            return Err(too_long());
        }
    }
    Ok(if negative { -total as i64 } else { total as i64 })
}

/// Takes the leading digits off.
fn digits<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_all_their_forms() {
        for (text, millis) in [
            ("20m", 1_200_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("90s", 90_000),
            ("250ms", 250),
            ("1500us", 1),
            ("1500\u{b5}s", 1),
            ("1h1h", 7_200_000),
            ("0", 0),
            ("+5s", 5_000),
            ("PT20M", 1_200_000),
            ("P1DT1H", 90_000_000),
            ("P1W", 604_800_000),
            ("pt1h30m", 5_400_000),
            ("2 mins", 120_000),
            ("1 hour 30 minutes", 5_400_000),
            ("1 hour, 30 minutes", 5_400_000),
            ("1 Hour and 30 Minutes", 5_400_000),
            ("1.5 hours", 5_400_000),
            ("2 days", 172_800_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            (" 10 seconds ", 10_000),
        ] {
            assert_eq!(parse_duration(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn a_period_is_whole_seconds_and_at_least_one() {
        for (text, millis) in [
            ("1s", 1_000),
            ("1000ms", 1_000),
            ("90s", 90_000),
            ("1.5m", 90_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("2 mins", 120_000),
            ("1 hour 30 minutes", 5_400_000),
            ("PT20M", 1_200_000),
            ("1w", 604_800_000),
        ] {
            assert_eq!(parse_period(text), Ok(millis), "{text}");
        }
        for (text, why) in [
            ("0s", "it is zero"),
            ("0", "it is zero"),
            ("PT0S", "it is zero"),
            ("-1m", "it is negative"),
            ("-0s", "it is negative"),
            ("-PT5M", "it is negative"),
            ("5 minutes ago", "it is negative"),
            ("500ms", "it is shorter than a second"),
            ("1us", "it is shorter than a second"),
            ("1ns", "it is shorter than a second"),
            ("1.9s", "it has a fraction of a second, write 1s or 2s"),
            ("1m0.5s", "it has a fraction of a second, write 60s or 61s"),
            ("1s1ns", "it has a fraction of a second, write 1s or 2s"),
            ("1.5 seconds", "it has a fraction of a second, write 1s or 2s"),
        ] {
            let error = parse_period(text).unwrap_err().to_string();
            let rule = "a period is whole seconds, at least 1 s";
            assert_eq!(error, format!("@every: the period {text:?} is not valid: {why}; {rule}"));
        }
        for (text, why) in [("5", "no unit"), ("1 month", "months"), ("", "no number")] {
            let error = parse_period(text).unwrap_err().to_string();
            assert!(error.starts_with("@every: ") && error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, why) in [
            ("", "no number"),
            ("5", "no unit"),
            ("-5m", "negative"),
            ("-PT5M", "negative"),
            ("5 minutes ago", "negative"),
            ("1 month", "months"),
            ("P1Y", "months"),
            ("soon", "\"soon\" does not begin with a number; write 1h30m, PT1H30M"),
            ("1q", "\"q\" is no unit"),
            ("5 M", "\"M\" is no unit"),
            ("9999999999999h", "292 years"),
            ("99999999999999999999999999h", "292 years"),
            ("1h-30m", "is no unit"),
        ] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
