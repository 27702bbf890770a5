//! A spec in plain English, whole and field by field. Called by the API's preview and the command
//! line for people to check what they wrote; nothing is ever decided by these words.

mod words;

use chrono_tz::Tz;
use serde::Serialize;

pub(super) use self::words::words;
use self::words::{either, is_any, is_even, listed, points, values};
use super::error::Error;
use super::field::{Item, Unit};
use super::parse::{Fields, Spec};
use super::prefix::{period_text, split_zone};
use super::{Millis, zone};

/// The most clock times that are listed; more are described field by field.
const TIMES: usize = 8;

/// A field of a spec and its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// `second`, `minute`, `hour`, `day-of-month`, `month`, `day-of-week`; or `every`,
    /// `at`, `after`.
    pub name: &'static str,
    /// The text of the field; a descriptor such as `@daily` is written out.
    pub text: String,
    /// The meaning in words.
    pub meaning: String,
}

/// Says in one sentence when a spec fires, such as `At 09:30, on Monday to Friday`. A spec that
/// does not parse gets a sentence that says why.
pub fn describe(spec: &str) -> String {
    let sentence = match Spec::stored(spec) {
        Err(error) => format!("not a schedule: {error}"),
        Ok(Spec::Every { period }) => {
            format!("every {}, counted from when the schedule was set", length(period))
        }
        Ok(Spec::Cron { fields, zone }) => {
            let mut parts = times(&fields);
            parts.extend(days(&fields));
            if !is_any(fields.items(Unit::Month)) {
                parts.push(words(Unit::Month, fields.items(Unit::Month)));
            }
            parts.extend(zone.map(|zone| format!("{zone} time")));
            parts.join(", ")
        }
    };
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), letters.as_str())
    })
}

/// Says in one sentence when a one-off fires: `Once, on Sunday 1 March 2026 at 09:00:00,
/// Europe/Berlin time`.
pub fn describe_at(instant: Millis, zone: Tz) -> String {
    match zone::local(instant, zone) {
        None => "Once, at a time beyond every calendar".to_owned(),
        Some(local) => {
            let time = local.format("on %A %-d %B %Y at %H:%M:%S%.f");
            format!("Once, {time}, {zone} time")
        }
    }
}

/// Says in one sentence when a job fires that is delayed by so many milliseconds: `Once, 20 minutes
/// after it is set`.
pub fn describe_after(delay: Millis) -> String {
    match length(delay).as_str() {
        "" => "Once, as soon as it is set".to_owned(),
        length => format!("Once, {length} after it is set"),
    }
}

/// The fields of a spec with their meanings, in the order written; `@every` has one.
///
/// # Errors
/// As [`Schedule::parse`](super::Schedule::parse), except that impossible dates pass.
pub fn fields(spec: &str) -> Result<Vec<Field>, Error> {
    match Spec::stored(spec)? {
        Spec::Every { period } => {
            let text = period_text(split_zone(spec).1).unwrap_or_default().to_owned();
            Ok(vec![Field { name: "every", text, meaning: format!("every {}", length(period)) }])
        }
        Spec::Cron { fields, .. } => Ok(Unit::ALL
            .into_iter()
            .zip(&fields.text)
            .skip(6 - fields.given)
            .map(|(unit, text)| Field {
                name: unit.name(),
                text: text.clone(),
                meaning: words(unit, fields.items(unit)),
            })
            .collect()),
    }
}

/// Hour, minute and second: clock times if they are few, else a phrase a field.
fn times(fields: &Fields) -> Vec<String> {
    let [second, minute, hour] =
        [Unit::Second, Unit::Minute, Unit::Hour].map(|unit| fields.items(unit));
    let on_the_minute = matches!(second, [Item::Range { lo: 0, hi: 0, .. }]);
    let at = |unit| points(unit, fields.items(unit));
    if let (Some(seconds), Some(minutes), Some(hours)) =
        (at(Unit::Second), at(Unit::Minute), at(Unit::Hour))
        && seconds.len() * minutes.len() * hours.len() <= TIMES
    {
        let mut clock = Vec::new();
        for hour in &hours {
            for minute in &minutes {
                clock.extend(seconds.iter().map(|second| {
                    if on_the_minute {
                        format!("{hour:02}:{minute:02}")
                    } else {
                        format!("{hour:02}:{minute:02}:{second:02}")
                    }
                }));
            }
        }
        return vec![format!("at {}", listed(&clock))];
    }
    let mut parts: Vec<String> = Vec::new();
    if !on_the_minute {
        parts.push(words(Unit::Second, second));
    }
    // Set while each finer field has one value; set if the last phrase is only `every ...`.
    let mut single = is_one(Unit::Second, second);
    let mut goes_on = !parts.is_empty() && (is_any(second) || is_even(Unit::Second, second));
    for (unit, items) in [(Unit::Minute, minute), (Unit::Hour, hour)] {
        let regular = is_any(items) || is_even(unit, items);
        match parts.last_mut() {
            // "Every second" needs no "of every minute" behind it; "at minute 5" does.
            Some(_) if is_any(items) && goes_on => {}
            // A step is a period only of what comes once in each: "at minute 5, every 2 hours".
            Some(last) if !is_any(items) && (last.starts_with("every") || regular && !single) => {
                *last = format!("{last} of {}", values(unit, items));
                goes_on = false;
            }
            _ => {
                parts.push(words(unit, items));
                goes_on = regular;
            }
        }
        single &= is_one(unit, items);
    }
    parts
}

fn is_one(unit: Unit, items: &[Item]) -> bool {
    points(unit, items).is_some_and(|points| points.len() == 1)
}

/// The two day fields: both restricted means either; if one of them begins with `*`, both must
/// match.
fn days(fields: &Fields) -> Option<String> {
    let (dom, dow) = (fields.items(Unit::Dom), fields.items(Unit::Dow));
    let both = fields.is_unrestricted(Unit::Dom) || fields.is_unrestricted(Unit::Dow);
    match (is_any(dom), is_any(dow)) {
        (true, true) => None,
        // Either field is enough, and one of them allows every day.
        (true, false) | (false, true) if !both => None,
        (false, true) => Some(words(Unit::Dom, dom)),
        (true, false) => Some(words(Unit::Dow, dow)),
        (false, false) if both => {
            Some(format!("{}, only if that is {}", words(Unit::Dom, dom), either(Unit::Dow, dow)))
        }
        (false, false) => Some(format!("{} or {}", words(Unit::Dom, dom), words(Unit::Dow, dow))),
    }
}

/// A length in words: `1 hour 30 minutes`; nothing for zero.
pub(super) fn length(mut rest: Millis) -> String {
    let mut parts = Vec::new();
    let units = [("hour", 3_600_000), ("minute", 60_000), ("second", 1_000), ("millisecond", 1)];
    for (name, size) in units {
        match rest / size {
            0 => {}
            1 => parts.push(format!("1 {name}")),
            many => parts.push(format!("{many} {name}s")),
        }
        rest %= size;
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_in_words() {
        for (spec, sentence) in [
            ("* * * * *", "Every minute"),
            ("* * * * * *", "Every second"),
            ("*/10 * * * * *", "Every 10 seconds"),
            ("*/15 * * * *", "Every 15 minutes"),
            ("*/15 9-17 * * 1-5", "Every 15 minutes of hours 9 to 17, on Monday to Friday"),
            ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56, every hour"),
            ("*/40 * * * *", "At minutes 0 and 40, every hour"),
            ("*/90 * * * *", "At minute 0, every hour"),
            ("1-59/2 * * * *", "At every 2nd minute from 1 to 59, every hour"),
            ("*/20 */6 * * *", "Every 20 minutes of hours 0, 6, 12, 18"),
            ("* */8 * * *", "Every minute of hours 0, 8, 16"),
            ("*/20 5 * * *", "Every 20 minutes of hour 5"),
            ("0,30 */6 * * *", "At minutes 0 and 30 of hours 0, 6, 12, 18"),
            ("0 */5 * * *", "At 00:00, 05:00, 10:00, 15:00 and 20:00"),
            ("*/10 */20 * * * *", "Every 10 seconds of minutes 0, 20, 40, every hour"),
            ("*/10 * */12 * * *", "Every 10 seconds of hours 0, 12"),
            ("*/10 0 */12 * * *", "Every 10 seconds of minute 0 of hours 0, 12"),
            ("30 */20 */12 * * *", "At second 30, every 20 minutes of hours 0, 12"),
            ("30 * */12 * * *", "At second 30, every minute of hours 0, 12"),
            ("5 0 */12 * * *", "At second 5, at minute 0, every 12 hours"),
            ("5 * * * *", "At minute 5, every hour"),
            ("30 9 * * mon-fri", "At 09:30, on Monday to Friday"),
            ("0 9,17 * * *", "At 09:00 and 17:00"),
            ("15 0 9 * * *", "At 09:00:15"),
            ("0 */2 * * *", "At minute 0, every 2 hours"),
            ("0 0 1 1 *", "At 00:00, on day 1 of the month, in January"),
            ("0 0 13 * 5", "At 00:00, on day 13 of the month or on Friday"),
            (
                "0 0 */2 * 1",
                "At 00:00, on every 2nd day from 1 to 31 of the month, only if that is Monday",
            ),
            (
                "0 0 15 * */3",
                "At 00:00, on day 15 of the month, only if that is Sunday, Wednesday or Saturday",
            ),
            (
                "0 9 */100,1-7 * MON",
                "At 09:00, on days 1 to 7 of the month, only if that is Monday",
            ),
            ("0 0 1,*/1 * MON", "At 00:00"),
            ("0 0 1,L * *", "At 00:00, on day 1 and the last day of the month"),
            ("0 0 * * MON-SUN", "At 00:00, on Monday to Sunday"),
            ("0 0 1,15 * *", "At 00:00, on days 1 and 15 of the month"),
            ("0 0 L * *", "At 00:00, on the last day of the month"),
            (
                "0 0 LW,15W * ?",
                "At 00:00, on the last Monday-to-Friday day of the month and the Monday-to-Friday day nearest to day 15",
            ),
            ("0 0 * * 5#3", "At 00:00, on the 3rd Friday of the month"),
            ("0 0 * * 7L", "At 00:00, on the last Sunday of the month"),
            ("0 0 * */3 *", "At 00:00, in January, April, July and October"),
            (
                "H H * * *",
                "At a minute from 0 to 59 that the job's id chooses, at an hour from 0 to 23 that the job's id chooses",
            ),
            (
                "H/15 * * * *",
                "At every 15th minute from 0 to 59, begun where the job's id says, every hour",
            ),
            ("59/5 * * * *", "At minute 59, every hour"),
            ("CRON_TZ=Asia/Tokyo @daily", "At 00:00, Asia/Tokyo time"),
            ("@hourly", "At minute 0, every hour"),
            ("@every 1h30m", "Every 1 hour 30 minutes, counted from when the schedule was set"),
        ] {
            assert_eq!(describe(spec), sentence, "{spec}");
        }
        assert!(describe("61 * * * *").starts_with("Not a schedule: minute field: 61 is out"));
    }

    #[test]
    fn one_offs_in_words() {
        assert_eq!(
            describe_at(1_772_352_000_000, Tz::Europe__Berlin),
            "Once, on Sunday 1 March 2026 at 09:00:00, Europe/Berlin time"
        );
        for (delay, sentence) in [
            (0, "Once, as soon as it is set"),
            (250, "Once, 250 milliseconds after it is set"),
            (5_401_000, "Once, 1 hour 30 minutes 1 second after it is set"),
        ] {
            assert_eq!(describe_after(delay), sentence);
        }
    }

    #[test]
    fn fields_in_words() {
        let five = fields("*/5 8-18/2 * jan *").unwrap();
        let told: Vec<_> = five.iter().map(|field| (field.name, field.meaning.as_str())).collect();
        assert_eq!(
            told,
            [
                ("minute", "every 5 minutes"),
                ("hour", "in hours 8, 10, 12, 14, 16 and 18"),
                ("day-of-month", "every day"),
                ("month", "in January"),
                ("day-of-week", "every day of the week"),
            ]
        );
        assert_eq!(fields("0 * * * * *").unwrap().len(), 6);
        let every = &fields("TZ=UTC @every 90s").unwrap()[0];
        assert_eq!(
            (every.text.as_str(), every.meaning.as_str()),
            ("90s", "every 1 minute 30 seconds")
        );
    }
}
