//! The fields that few jobs have, read from the JSON that `parse` kept: durations, retries,
//! misfires, overlap, labels. `definition` calls it, once a definition. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::duration;
use crate::app::error::Error;
use crate::app::fields::check_text;
use crate::model::Millis;
use crate::model::delivery::{Misfire, MisfirePolicy, Overlap};
use crate::schedule::DstRule;

/// A day, in milliseconds.
pub(in crate::app::jobs) const DAY: Millis = 86_400_000;
/// The longest delay, grace or timeout of a run: a year, in milliseconds.
pub(in crate::app::jobs) const YEAR: Millis = 366 * DAY;

/// The largest `retryFactor`.
const LARGEST_FACTOR: f64 = 100.0;
/// The most occurrences that `misfire.max` may ask for.
const MOST_MISFIRES: u64 = 10_000;
const MOST_LABELS: usize = 32;
const LONGEST_KEY: usize = 63;
/// The longest value of a label, in bytes.
const LONGEST_VALUE: usize = 255;

/// A duration of at most `most`: a text such as `1h30m`, or seconds.
pub(in crate::app::jobs) fn length(
    field: &'static str,
    json: &str,
    most: Millis,
) -> Result<Millis, Error> {
    duration::read(field, &value(field, json)?, (0, most))
}

/// A duration of at least 1 ms and at most `most`.
pub(in crate::app::jobs) fn timeout(
    field: &'static str,
    json: &str,
    most: Millis,
) -> Result<Millis, Error> {
    duration::read(field, &value(field, json)?, (1, most))
}

/// `retryFactor`, in thousandths.
pub(in crate::app::jobs) fn factor(json: &str) -> Result<u32, Error> {
    const FIELD: &str = "retryFactor";
    match value(FIELD, json)?.as_f64() {
        Some(factor) if (1.0..=LARGEST_FACTOR).contains(&factor) => {
            Ok((factor * 1_000.0).round() as u32)
        }
        _ => {
            let message = format!("job retryFactor must be a number from 1 to {LARGEST_FACTOR}");
            Err(Error::invalid(FIELD, message))
        }
    }
}

/// `misfire`: an object.
pub(in crate::app::jobs) fn misfire(json: &str) -> Result<Misfire, Error> {
    const FIELD: &str = "misfire";
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Given {
        policy: Option<MisfirePolicy>,
        grace: Option<Value>,
        window: Option<Value>,
        max: Option<u64>,
    }
    if !json.starts_with('{') {
        let message = "job misfire must be an object with policy (latest, all, skip), grace, \
                       window and max";
        return Err(Error::invalid(FIELD, message));
    }
    let given: Given = serde_json::from_str(json)
        .map_err(|e| Error::invalid(FIELD, format!("job misfire is not valid: {e}")))?;
    let part = |field: &'static str, value: Option<Value>| {
        value.map(|value| duration::read(field, &value, (0, YEAR))).transpose()
    };
    let max = match given.max {
        Some(max @ 1..=MOST_MISFIRES) => Some(max as u32),
        None => None,
        Some(_) => {
            let message = format!("job misfire.max must be 1 to {MOST_MISFIRES}");
            return Err(Error::invalid(FIELD, message));
        }
    };
    Ok(Misfire {
        policy: given.policy.unwrap_or_default(),
        grace: part("misfire.grace", given.grace)?,
        window: part("misfire.window", given.window)?,
        max,
    })
}

/// `dst`: an object with `gap` and `fold`.
pub(in crate::app::jobs) fn dst(json: &str) -> Result<DstRule, Error> {
    const FIELD: &str = "dst";
    let wrong = |what: &dyn std::fmt::Display| {
        Error::invalid(FIELD, format!("job dst is not valid: {what}"))
    };
    if !json.starts_with('{') {
        return Err(wrong(&"expected an object with gap (next, skip) and fold (first, both)"));
    }
    serde_json::from_str(json).map_err(|e| wrong(&e))
}

/// `overlap`. The bound of a queue is that of `maxQueue`, which `definition` fills in.
pub(in crate::app::jobs) fn overlap(json: &str) -> Result<Overlap, Error> {
    const FIELD: &str = "overlap";
    let known = [
        Overlap::Allow,
        Overlap::Skip,
        Overlap::QueueOne,
        Overlap::queue(None),
        Overlap::CancelPrevious,
    ];
    let given = value(FIELD, json)?;
    let is_it = |known: &Overlap| given.as_str() == Some(known.name());
    known.into_iter().find(is_it).ok_or_else(|| {
        let message = "job overlap must be allow, skip, queue_one, queue or cancel_previous";
        Error::invalid(FIELD, message)
    })
}

/// A truth value.
pub(in crate::app::jobs) fn flag(field: &'static str, json: &str) -> Result<bool, Error> {
    one_of(field, json, "true or false")
}

fn one_of<T: DeserializeOwned>(field: &'static str, json: &str, known: &str) -> Result<T, Error> {
    serde_json::from_str(json)
        .map_err(|_| Error::invalid(field, format!("job {field} must be {known}")))
}

/// `labels`: an object of texts.
pub(in crate::app::jobs) fn labels(json: &str) -> Result<BTreeMap<String, String>, Error> {
    const FIELD: &str = "labels";
    let labels: BTreeMap<String, String> = serde_json::from_str(json).map_err(|e| {
        Error::invalid(FIELD, format!("job labels must be an object of texts: {e}"))
    })?;
    if labels.len() > MOST_LABELS {
        let message = format!("job labels may be at most {MOST_LABELS}");
        return Err(Error::invalid(FIELD, message));
    }
    for (key, value) in &labels {
        check_label(key, value)?;
    }
    Ok(labels)
}

/// Checks the number of labels of a filter: each costs a look at every job that the others leave.
///
/// # Errors
///
/// `Invalid` where there are more than a job can have.
pub fn check_label_count(field: &'static str, count: usize) -> Result<(), Error> {
    if count <= MOST_LABELS {
        return Ok(());
    }
    let message = format!("{field} may name {MOST_LABELS} labels at most: no job has more");
    Err(Error::invalid(field, message))
}

/// Checks one label.
///
/// # Errors
///
/// `Invalid` where it may not be kept.
pub fn check_label(key: &str, value: &str) -> Result<(), Error> {
    const FIELD: &str = "labels";
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(known) {
        let shown: String = key.chars().take(LONGEST_KEY).flat_map(char::escape_default).collect();
        let message = format!(
            "labels: the key {shown} is not valid: use 1 to {LONGEST_KEY} of A-Z a-z 0-9 . _ / -"
        );
        return Err(Error::invalid(FIELD, message));
    }
    check_text(FIELD, value, LONGEST_VALUE)
}

/// The JSON of a field. `parse` has checked its form; numbers may still be too large.
pub(in crate::app::jobs) fn value(field: &'static str, json: &str) -> Result<Value, Error> {
    serde_json::from_str(json)
        .map_err(|e| Error::invalid(field, format!("job {field} is not valid: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_what_is_none_is_refused() {
        let whole = r#"{"policy":"all","grace":"2m","window":3600,"max":5}"#;
        let read = misfire(whole).unwrap();
        let expected = Misfire {
            policy: MisfirePolicy::All,
            grace: Some(120_000),
            window: Some(3_600_000),
            max: Some(5),
        };
        assert_eq!(read, expected);
        assert_eq!(misfire("{}").unwrap(), Misfire::default());
        for bad in [
            "\"all\"",
            r#"{"policy":"some"}"#,
            r#"{"max":0}"#,
            r#"{"max":1000000}"#,
            r#"{"grace":-1}"#,
            r#"{"window":"1 month"}"#,
            r#"{"colour":1}"#,
        ] {
            assert!(misfire(bad).is_err(), "{bad}");
        }
        assert_eq!(factor("1.5").unwrap(), 1_500);
        for bad in ["0.9", "101", "\"2\"", "null", "1e999"] {
            assert!(factor(bad).is_err(), "{bad}");
        }
        assert_eq!(overlap("\"queue_one\"").unwrap(), Overlap::QueueOne);
        assert_eq!(overlap("\"queue\"").unwrap(), Overlap::Queue { most: 1_000 });
        assert!(overlap(r#"{"queue":{"most":5}}"#).is_err());
        assert!(overlap("\"wait\"").is_err() && flag("deleteAfterRun", "1").is_err());
    }

    #[test]
    fn labels_are_few_and_short() {
        let many: BTreeMap<_, _> = (0..33).map(|i| (format!("k{i}"), "v")).collect();
        let many = serde_json::to_string(&many).unwrap();
        assert_eq!(labels(r#"{"team/x":"a b","e":""}"#).unwrap().len(), 2);
        let long = format!(r#"{{"k":"{}"}}"#, "x".repeat(256));
        for bad in [
            "[]",
            r#"{"k":1}"#,
            r#"{"":"v"}"#,
            r#"{"a b":"v"}"#,
            r#"{"k":"a\u0000"}"#,
            &long,
            &many,
        ] {
            assert!(labels(bad).is_err(), "{bad}");
        }
    }
}
