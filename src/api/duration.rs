//! Lengths of time in requests and answers: `"1h30m"`, `"PT90M"`, `"2 mins"`, or a number of seconds
//! (the configuration's unit). Shown as Go writes them, `"1h30m"`, which reads back.

use serde_json::Value;

use super::error::Error;
use crate::model::Millis;
use crate::schedule::parse_duration;

/// Reads a length of time between `least` and `most`, in milliseconds.
pub(super) fn read(
    field: &'static str,
    value: &Value,
    (least, most): (Millis, Millis),
) -> Result<Millis, Error> {
    let invalid = |message: String| Error::invalid(field, message);
    let millis = match value {
        Value::String(text) => {
            parse_duration(text).map_err(|e| invalid(format!("{field} is not understood: {e}")))?
        }
        // From seconds; what does not fit is cut to the ends, which are out of bounds.
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

/// A length of time as people write it, without parts that are zero.
pub(super) fn show(millis: Millis) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
            assert_eq!(error.status(), 400, "{bad}");
            assert!(format!("{error:?}").contains("overlap"), "{bad}: {error:?}");
        }
        let error = read("timeout", &json!(0), (1, 86_400_000)).unwrap_err();
        assert!(format!("{error:?}").contains("timeout must be from 1ms to 24h"), "{error:?}");
    }
}
