//! The JSON of a job's field as text, which may hold secrets: that of `http` for instance. Input of
//! jobs holds it, since a request of thousands is told apart by it.

use std::borrow::Cow;
use std::ops::Deref;

use zeroize::Zeroize;

/// JSON as text, borrowed from a request where it stands in it as it is. A text of its own is wiped
/// from memory when it is dropped, and `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JsonText<'a>(Cow<'a, str>);

impl std::fmt::Debug for JsonText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsonText(..)")
    }
}

impl Deref for JsonText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for JsonText<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for JsonText<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl JsonText<'_> {
    /// The same text, borrowed from nothing.
    pub(in crate::app::jobs) fn into_owned(self) -> JsonText<'static> {
        JsonText::from(self.0.to_string())
    }
}

impl Drop for JsonText<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_field_is_not_printed() {
        for text in [JsonText::from("hunter2"), JsonText::from("hunter2".to_owned())] {
            assert_eq!(&*text, "hunter2");
            assert_eq!(format!("{text:?}"), "JsonText(..)");
        }
    }
}
