//! Objects of names and values within a target: query parameters, and the form of headers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::app::error::Error;
use crate::app::fields::check_text;
use crate::app::targets::http::placeholders::check_placeholders;

/// The most headers, and the most query parameters.
const MOST_LINES: usize = 64;
/// All names and values of headers, or of query parameters, in bytes.
const LONGEST_LINES: usize = 8 * 1_024;

/// Reads `query`.
pub(super) fn query(value: Value) -> Result<BTreeMap<String, String>, Error> {
    const FIELD: &str = "http.query";
    let lines = lines(FIELD, value)?;
    for (name, value) in &lines {
        plain_name(FIELD, name)?;
        check_text(FIELD, name, LONGEST_LINES)?;
        check_text(FIELD, value, LONGEST_LINES)?;
    }
    Ok(lines)
}

/// Reads an object of names and values. Numbers and truth values become their text.
pub(super) fn lines(field: &'static str, value: Value) -> Result<BTreeMap<String, String>, Error> {
    let wrong = || Error::invalid(field, format!("{field} must be an object of names and texts"));
    let Value::Object(object) = value else { return Err(wrong()) };
    let mut lines = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(wrong()),
        };
        check_placeholders(field, &value)?;
        bytes += name.len() + value.len();
        lines.insert(name, value);
    }
    if lines.len() > MOST_LINES || bytes > LONGEST_LINES {
        let message =
            format!("{field} may hold {MOST_LINES} names and {LONGEST_LINES} bytes in all");
        return Err(Error::invalid(field, message));
    }
    Ok(lines)
}

/// Refuses a name that is empty or has placeholders in it.
pub(super) fn plain_name(field: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains("{{") {
        let message = format!("{field} needs names without placeholders: they belong into values");
        return Err(Error::invalid(field, message));
    }
    Ok(())
}
