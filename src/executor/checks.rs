//! Checks of single fields of settings that kinds share. Each names its field in the error. The
//! checks of each kind call them; a null is a field that is left out, and does not come here.

use serde_json::Value;

use crate::delivery::executor::Invalid;
use crate::model::Millis;
use crate::schedule::read_duration;

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
    read_duration(field, value, (0, most)).map_err(|message| Invalid::new(field, message))
}

/// Refuses a text with control characters in it.
pub(super) fn no_controls(field: &'static str, text: &str) -> Result<(), Invalid> {
    if text.chars().any(char::is_control) {
        let message = format!("{field} has control characters in it, such as line ends");
        return Err(Invalid::new(field, message));
    }
    Ok(())
}
