//! Checks of single fields of settings that kinds share. Each names its field in the error. The
//! checks of each kind call them; a null is a field that is left out, and does not come here.

use serde_json::Value;

use crate::delivery::executor::Invalid;
use crate::model::Millis;
use crate::schedule::{parse_duration, show_duration};

/// A text.
pub(super) fn text<'v>(field: &'static str, value: &'v Value) -> Result<&'v str, Invalid> {
    value.as_str().ok_or_else(|| Invalid::new(field, format!("{field} must be text")))
}

/// A truth value.
pub(super) fn flag(field: &'static str, value: &Value) -> Result<bool, Invalid> {
    let wrong = || Invalid::new(field, format!("{field} must be true or false"));
    value.as_bool().ok_or_else(wrong)
}

/// A duration of 0 to `most`, in milliseconds: as text, or as a number of seconds.
pub(super) fn duration(
    field: &'static str,
    value: &Value,
    most: Millis,
) -> Result<Millis, Invalid> {
    let invalid = |message: String| Invalid::new(field, message);
    let millis = match value {
        Value::String(text) => {
            parse_duration(text).map_err(|e| invalid(format!("{field} is not understood: {e}")))?
        }
        // The cast cuts a huge number to the largest integer, which is out of bounds.
        Value::Number(number) => {
            number.as_f64().map_or(-1, |seconds| (seconds * 1_000.0).round() as Millis)
        }
        _ => {
            let message = "must be a duration such as 30s or PT20M, or a number of seconds";
            return Err(invalid(format!("{field} {message}")));
        }
    };
    if !(0..=most).contains(&millis) {
        return Err(invalid(format!("{field} must be from 0s to {}", show_duration(most))));
    }
    Ok(millis)
}

/// Refuses a text with control characters in it.
pub(super) fn no_controls(field: &'static str, text: &str) -> Result<(), Invalid> {
    if text.chars().any(char::is_control) {
        let message = format!("{field} has control characters in it, such as line ends");
        return Err(Invalid::new(field, message));
    }
    Ok(())
}
