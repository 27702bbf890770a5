//! The values of a job's fields, as serde reads them: texts that stay borrowed, whole numbers
//! within the store's range, and the JSON of `data`. Only `parse` uses them; it adds place and
//! field to an error about a wrong type.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};
use serde_json::value::RawValue;

/// A text, borrowed where it has no escapes; `None` for null.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned().into()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A whole number from 0 to the store's largest; `None` for null.
pub(crate) struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Number {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, 0 or more")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        if number > i64::MAX as u64 {
            return Err(E::invalid_value(de::Unexpected::Unsigned(number), &self));
        }
        Ok(Some(number))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads `data`: a text as it is, any other value as its JSON without spaces.
pub(crate) fn data<E: de::Error>(raw: &RawValue) -> Result<Option<Cow<'_, str>>, E> {
    let json = raw.get();
    match json.as_bytes().first() {
        Some(b'n') | None => Ok(None),
        Some(b'"') => {
            let inner = &json[1..json.len() - 1];
            if !inner.contains('\\') {
                return Ok(Some(Cow::Borrowed(inner)));
            }
            serde_json::from_str(json).map(|text| Some(Cow::Owned(text))).map_err(E::custom)
        }
        _ => Ok(Some(compact(json))),
    }
}

/// Valid JSON without the spaces between its tokens.
fn compact(json: &str) -> Cow<'_, str> {
    if !json.bytes().any(|b| b.is_ascii_whitespace()) {
        return Cow::Borrowed(json);
    }
    let (mut quoted, mut escaped) = (false, false);
    let kept = json.chars().filter(|c| {
        if !quoted {
            quoted = *c == '"';
            return !c.is_ascii_whitespace();
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = false,
            _ => {}
        }
        true
    });
    Cow::Owned(kept.collect())
}
