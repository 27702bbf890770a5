//! Durations in requests: `"1h30m"`, `"PT90M"`, `"2 mins"`, or a number of seconds (the
//! configuration's unit). Answers write them as Go does, `"1h30m"`, and requests may repeat that.
//! The API's readers call it, and so do the checks of jobs.

use std::time::Duration;

use serde_json::Value;

use crate::app::error::Error;
use crate::model::Millis;
use crate::schedule::{parse_duration, show_duration as show};

const DAY: Millis = 86_400_000;

/// Reads a duration between `least` and `most`, in milliseconds.
pub(crate) fn read(
    field: &'static str,
    value: &Value,
    (least, most): (Millis, Millis),
) -> Result<Millis, Error> {
    let invalid = |message: String| Error::invalid(field, message);
    let millis = match value {
        Value::String(text) => {
            parse_duration(text).map_err(|e| invalid(format!("{field} is not understood: {e}")))?
        }
        // A number is seconds. The cast cuts a huge number to the largest integer, which is out of
        // bounds.
        Value::Number(number) => {
            number.as_f64().map_or(-1, |seconds| (seconds * 1_000.0).round() as Millis)
        }
        _ => {
            let message = "must be a duration such as 30s, 1h30m or PT20M, or a number of seconds";
            return Err(invalid(format!("{field} {message}")));
        }
    };
    if !(least..=most).contains(&millis) {
        let message = format!("{field} must be from {} to {}", show(least), show(most));
        return Err(invalid(message));
    }
    Ok(millis)
}

/// Reads the `timeout` of attempts, as jobs and projects give it: at most `MaxJobTimeout`.
pub(crate) fn timeout(value: &Value, most: Duration) -> Result<Millis, Error> {
    const FIELD: &str = "timeout";
    let most = most.as_millis() as Millis;
    let millis = read(FIELD, value, (1, most.max(DAY)))?;
    if millis <= most {
        return Ok(millis);
    }
    let most = show(most);
    let message = format!("{FIELD} must be from 1ms to {most}, the MaxJobTimeout of this server");
    Err(Error::invalid(FIELD, message).because(
        "work that takes longer answers 202 with Scheduler-Async: true (http targets), and its \
         runTimeout counts",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::error::ErrorKind;

    #[test]
    fn a_timeout_is_at_most_what_the_operator_allows() {
        let most = Duration::from_mins(5);
        assert_eq!(timeout(&json!("5m"), most).unwrap(), 300_000);
        for given in [json!("5m1s"), json!(301), json!("24h")] {
            let error = format!("{:?}", timeout(&given, most).unwrap_err());
            for part in ["timeout must be from 1ms to 5m", "MaxJobTimeout", "202", "runTimeout"] {
                assert!(error.contains(part), "{given}: {error}");
            }
        }
        for bad in [json!(0), json!("soon"), json!("25h")] {
            assert_eq!(timeout(&bad, most).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn lengths_are_read_in_many_forms_and_shown_in_one() {
        for (given, millis, shown) in [
            (json!("1h30m"), 5_400_000, "1h30m"),
            (json!("PT20M"), 1_200_000, "20m"),
            (json!("2 mins"), 120_000, "2m"),
            (json!("250ms"), 250, "250ms"),
            (json!("61s500ms"), 61_500, "1m1s500ms"),
            (json!(30), 30_000, "30s"),
            (json!(0.25), 250, "250ms"),
            (json!("24h"), 86_400_000, "24h"),
            (json!(0), 0, "0s"),
        ] {
            assert_eq!(read("overlap", &given, (0, 86_400_000)).unwrap(), millis, "{given}");
            assert_eq!(show(millis), shown);
            assert_eq!(read("overlap", &json!(shown), (0, 86_400_000)).unwrap(), millis);
        }
        let huge = json!(1e300);
        for bad in [json!("soon"), json!(""), json!(-1), json!("25h"), json!([]), huge, json!(true)]
        {
            let error = read("overlap", &bad, (0, 86_400_000)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
            assert!(format!("{error:?}").contains("overlap"), "{bad}: {error:?}");
        }
        let error = read("timeout", &json!(0), (1, 86_400_000)).unwrap_err();
        assert!(format!("{error:?}").contains("timeout must be from 1ms to 24h"), "{error:?}");
    }
}
