//! Recognises schedules in the form of other schedulers, which mean another time here or nothing,
//! so that the error can say what to write. Called by `parse` before it reads the fields.

use super::duration;
use super::error::{Error, shown};
use super::field::Unit;

/// The error for a schedule that is written for another scheduler.
pub(super) fn recognised(text: &str, fields: &[&str]) -> Option<Error> {
    in_brackets(text).or_else(|| in_words(text, fields)).or_else(|| year_last(text, fields))
}

/// `rate(5 minutes)`, `cron(0 12 * * ? *)`, `at(...)`.
fn in_brackets(text: &str) -> Option<Error> {
    let (name, rest) = text.split_once('(')?;
    let inner = rest.strip_suffix(')')?.trim();
    let fix = match name.trim().to_ascii_lowercase().as_str() {
        "rate" => format!("write @every {}", shown(inner)),
        "cron" => {
            let fields: Vec<&str> = inner.split_whitespace().collect();
            let five = if fields.len() == 6 { &fields[..5] } else { &fields[..] };
            format!("write {:?}{}", shown(&five.join(" ")), weekdays(five))
        }
        "at" => "give the instant as at, not as spec".to_owned(),
        _ => return None,
    };
    Some(Error::Foreign { text: shown(text), fix })
}

/// `every 5 minutes`, `5m`, `1h30m`: a period without `@every`.
fn in_words(text: &str, fields: &[&str]) -> Option<Error> {
    let period = match fields {
        [every, ..] if every.eq_ignore_ascii_case("every") => text.trim()[every.len()..].trim(),
        [one] => one,
        _ => return None,
    };
    duration::parse_period(period).ok()?;
    let fix = format!("write @every {}", shown(period));
    Some(Error::Foreign { text: shown(text), fix })
}

/// Recognises six fields of which the last is a year, not the weekday, and the first the minute,
/// not the second: a `?` where only their order has a day, or a year where ours has the weekday.
fn year_last(text: &str, fields: &[&str]) -> Option<Error> {
    let [minute, hour, dom, month, dow, year] = *fields else { return None };
    let marks = |field: &str| field.split(',').any(|item| item.starts_with('?'));
    // Their day fields are at 2 and 4, ours at 3 and 5.
    let theirs = marks(dom) || marks(dow);
    let field = match fields.iter().position(|field| marks(field)) {
        Some(place) if theirs && !marks(minute) && !marks(hour) && place != 3 => Unit::ALL[place],
        _ if is_year(year) => Unit::Dow,
        _ => return None,
    };
    let five = [minute, hour, dom, month, dow];
    let years = if is_year(year) { "; bound the years with startDate and endDate" } else { "" };
    let problem = format!(
        "{:?} looks like a line with the year at its end, where six fields begin with seconds here; \
         write {:?}{years}{}",
        shown(text),
        shown(&five.join(" ")),
        weekdays(&five)
    );
    Some(Error::Field { field: field.name(), problem })
}

/// A year, or a list, range or step of years.
fn is_year(field: &str) -> bool {
    let mut numbers = field.split([',', '-', '/']);
    let year = |text: &str| text.len() == 4 && matches!(text.parse(), Ok(1970..=2199));
    numbers.next().is_some_and(year) && field.split(',').all(|item| item.get(..4).is_some_and(year))
}

/// The advice where numbers of weekdays would move by one.
fn weekdays(five: &[&str]) -> &'static str {
    match five.last() {
        Some(dow) if five.len() == 5 && dow.bytes().any(|b| b.is_ascii_digit()) => {
            ", with weekdays by name: 1 is Sunday there, Monday here"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::super::{DstRule, Schedule};

    #[test]
    fn lines_of_other_schedulers_are_refused_with_what_to_write_here() {
        let year = "looks like a line with the year at its end, where six fields begin with \
                    seconds here; write";
        for (spec, said) in [
            ("0 12 * * ? *", format!("month field: \"0 12 * * ? *\" {year} \"0 12 * * ?\"")),
            ("0 10 * * ? *", format!("month field: \"0 10 * * ? *\" {year} \"0 10 * * ?\"")),
            (
                "0 18 ? * MON-FRI *",
                format!("hour field: \"0 18 ? * MON-FRI *\" {year} \"0 18 ? * MON-FRI\""),
            ),
            (
                "15 10 ? * 6L 2026-2030",
                format!(
                    "hour field: \"15 10 ? * 6L 2026-2030\" {year} \"15 10 ? * 6L\"; bound the \
                     years with startDate and endDate, with weekdays by name: 1 is Sunday there, \
                     Monday here"
                ),
            ),
            (
                "0 9 1 1 * 2027",
                format!(
                    "day-of-week field: \"0 9 1 1 * 2027\" {year} \"0 9 1 1 *\"; bound the years \
                     with startDate and endDate"
                ),
            ),
            (
                "rate(5 minutes)",
                "\"rate(5 minutes)\" is written for another scheduler; write @every 5 minutes"
                    .to_owned(),
            ),
            (
                "cron(0 12 * * ? *)",
                "\"cron(0 12 * * ? *)\" is written for another scheduler; write \"0 12 * * ?\""
                    .to_owned(),
            ),
            (
                "every 15 minutes",
                "\"every 15 minutes\" is written for another scheduler; write @every 15 minutes"
                    .to_owned(),
            ),
            ("5m", "\"5m\" is written for another scheduler; write @every 5m".to_owned()),
            (
                "? * * * *",
                "minute field: \"?\": ? stands in the day fields only; write * for every minute"
                    .to_owned(),
            ),
            ("* * * ? *", "month field: \"?\": ? stands in the day fields only".to_owned()),
            ("? ? ? ? ?", "minute field: \"?\": ? stands".to_owned()),
            ("? ? ? ? ? ?", "second field: \"?\": ? stands".to_owned()),
            ("0 0 12 ?/2 ? *", "month field: \"?\": ? stands".to_owned()),
        ] {
            let error = Schedule::parse(spec, Tz::UTC, DstRule::default(), 0).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with(&said), "{spec}: {error}");
        }
    }

    #[test]
    fn lines_that_are_ours_are_left_alone() {
        for spec in ["0 0 12 ? * MON-FRI", "0 0 12 * * ?", "0 0 ? * 1", "0 0 ?/2 * *", "0 0 ? * ?"]
        {
            assert!(Schedule::parse(spec, Tz::UTC, DstRule::default(), 0).is_ok(), "{spec}");
        }
    }
}
