//! The rules of fields that do not depend on what the fields are of: when two names are one field,
//! and which texts may be kept. The API's readers call it, and so does `targets`.

use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use crate::app::error::Error;

/// A name without its underscores and in lower case, which `projectId`, `project_id` and
/// `ProjectID` share. `None` for a name longer than `N`, which is as long as any known one.
pub(crate) fn canonical<'b, const N: usize>(
    name: &str,
    buffer: &'b mut [u8; N],
) -> Option<&'b str> {
    let mut length = 0;
    for byte in name.bytes().filter(|b| *b != b'_') {
        *buffer.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    std::str::from_utf8(&buffer[..length]).ok()
}

/// Serialises a map whose names are the client's own (headers, labels), so that the API writes them
/// unchanged under every prefix. For `serialize_with`.
pub(crate) fn verbatim<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    // A JSON serialiser writes raw JSON as it stands, past its formatter.
    serde_json::value::to_raw_value(value).map_err(S::Error::custom)?.serialize(to)
}

/// Refuses a text that is too long or has control characters in it, such as NUL. Line ends and tabs
/// may stand in it. `longest` counts bytes.
///
/// # Errors
///
/// `Invalid`, which names the field.
pub(crate) fn check_text(name: &'static str, text: &str, longest: usize) -> Result<(), Error> {
    if text.len() > longest {
        let message = format!("{name} is longer than {longest} bytes");
        return Err(Error::invalid(name, message));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Error::invalid(name, format!("{name} has control characters in it")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_either_casing() {
        for (given, wanted) in [
            ("projectId", Some("projectid")),
            ("project_id", Some("projectid")),
            ("ProjectID", Some("projectid")),
            ("", Some("")),
            ("näme", Some("näme")),
            ("a_name_that_is_far_too_long_to_be_one_of_ours", None),
        ] {
            assert_eq!(canonical(given, &mut [0; 24]), wanted, "{given}");
        }
    }
}
