//! Durations as people and programs write them: Go (`1h30m`), ISO 8601 (`PT20M`), plain words (`2
//! mins`). `@every` takes the Go form only; `after` and delays take them all. Called by `parse` and
//! by whoever reads a delay; a month or a year is no duration here and is refused.

use super::Millis;
use super::error::{Error, shown};

/// Reads a duration, in milliseconds, rounded down; a day is 24 hours.
///
/// # Errors
/// Says what was not understood: no unit, a negative value, a month or a year, garbage.
pub fn parse_duration(text: &str) -> Result<Millis, Error> {
    let text = text.trim();
    let refuse = |problem: String| Error::Duration { text: shown(text), problem };
    if text.len() > 200 {
        return Err(refuse("it is too long".to_owned()));
    }
    let millis = match go(text) {
        Ok(nanos) => nanos / 1_000_000,
        // ISO 8601 and people's words follow with the jiff crate.
        Err(problem) => return Err(refuse(problem)),
    };
    if millis < 0 || text.starts_with('-') {
        return Err(refuse("it is negative; write a duration of zero or more".to_owned()));
    }
    Ok(millis)
}

/// Go's `time.ParseDuration`, in nanoseconds: an optional sign, then numbers with an optional
/// fraction, each with a unit `ns us µs ms s m h`; or a bare `0`. The error is the problem and the
/// fix.
pub(super) fn go(text: &str) -> Result<i64, String> {
    const FIX: &str = "write numbers with units h, m, s or ms, as in 1h30m or 90s";
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(format!("it holds no number; {FIX}"));
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
            return Err(format!("{:?} does not begin with a number; {FIX}", shown(rest)));
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
            "" => return Err(format!("{whole:?} has no unit; {FIX}")),
            _ => return Err(format!("{:?} is no unit here; {FIX}", shown(name))),
        };
        let too_long = || "it is longer than 292 years".to_owned();
        if whole.len() > 20 {
            return Err(too_long());
        }
        total += whole.parse::<i128>().unwrap_or(0) * unit;
        // Beyond 18 places nothing is left of an hour's nanosecond.
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
