//! Durations in JSON, as requests and settings give them: a text in any form of `duration`, or a
//! number of seconds (the unit of the configuration). `app` and the kinds of executors read every
//! field with a duration by it, so that all of them refuse the same in the same words.

use serde_json::Value;

use super::Millis;
use super::duration::{parse_duration, show_duration};

/// Reads the duration in a field, in milliseconds, between two bounds.
///
/// # Errors
///
/// The reason, for people; it begins with the name of the field.
pub fn read_duration(
    field: &str,
    value: &Value,
    (least, most): (Millis, Millis),
) -> Result<Millis, String> {
    let millis = match value {
        Value::String(text) => {
            parse_duration(text).map_err(|error| format!("{field} is not understood: {error}"))?
        }
        // The cast cuts a huge number to the largest integer, which is out of bounds.
        Value::Number(number) => {
            number.as_f64().map_or(-1, |seconds| (seconds * 1_000.0).round() as Millis)
        }
        _ => {
            return Err(format!(
                "{field} must be a duration such as 30s, 1h30m or PT20M, or a number of seconds"
            ));
        }
    };
    if !(least..=most).contains(&millis) {
        let (least, most) = (show_duration(least), show_duration(most));
        return Err(format!("{field} must be from {least} to {most}"));
    }
    Ok(millis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lengths_are_read_in_many_forms_and_shown_in_one() {
        let day = (0, 86_400_000);
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
            assert_eq!(read_duration("overlap", &given, day), Ok(millis), "{given}");
            assert_eq!(show_duration(millis), shown);
            assert_eq!(read_duration("overlap", &json!(shown), day), Ok(millis));
        }
        let huge = json!(1e300);
        for (bad, words) in [
            (json!("soon"), "overlap is not understood: "),
            (json!(""), "overlap is not understood: "),
            (json!(-1), "overlap must be from 0s to 24h"),
            (json!("25h"), "overlap must be from 0s to 24h"),
            (huge, "overlap must be from 0s to 24h"),
            (json!([]), "overlap must be a duration such as 30s"),
            (json!(true), "overlap must be a duration such as 30s"),
        ] {
            let error = read_duration("overlap", &bad, day).unwrap_err();
            assert!(error.starts_with(words), "{bad}: {error}");
        }
        let error = read_duration("timeout", &json!(0), (1, 86_400_000)).unwrap_err();
        assert_eq!(error, "timeout must be from 1ms to 24h");
    }
}
