//! JSON as text: the fields of an object in their order, with values that stay as they were given.
//! The readers of templates use it, here and in the API.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// The deepest nesting of a payload or a schema.
pub(crate) const DEEPEST: usize = 32;

/// The fields of an object in the order of its text. A name may be there twice.
#[derive(Debug, Default)]
pub(crate) struct Ordered<'a>(pub(crate) Vec<(String, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Ordered<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    fields.push((name, map.next_value::<&'de RawValue>()?.get()));
                }
                Ok(fields)
            }
        }
        from.deserialize_map(Object).map(Self)
    }
}

impl<'a> Ordered<'a> {
    /// Reads an object.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        let first = text.trim_ascii_start().as_bytes().first();
        if first.is_some_and(|first| *first != b'{') {
            return Err("must be a JSON object".to_owned());
        }
        serde_json::from_str(text).map_err(|error| format!("is not valid JSON: {error}"))
    }

    /// The value of a field; the last one of equal names.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    // A text always serialises.
    serde_json::to_string(text).unwrap_or_default()
}

/// The text of a JSON string; `None` for another value.
pub(crate) fn unquoted(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// An object of fields whose values are JSON.
pub(crate) fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let fields: Vec<_> = fields.map(|(name, json)| format!("{}:{json}", quoted(name))).collect();
    format!("{{{}}}", fields.join(","))
}

/// The parts of a JSON text that are outside of its strings, each with its place.
pub(super) fn outside_strings(json: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quoted, mut escaped) = (false, false);
    json.char_indices().filter(move |(_, c)| {
        if !quoted {
            quoted = *c == '"';
            return !quoted;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = false,
            _ => {}
        }
        false
    })
}

/// Valid JSON without the spaces between its tokens.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    // The places are those of spaces, which are one byte long.
    let mut begin = 0;
    for (place, _) in outside_strings(json).filter(|(_, c)| c.is_ascii_whitespace()) {
        out.push_str(&json[begin..place]);
        begin = place + 1;
    }
    out.push_str(&json[begin..]);
    out
}

/// Says whether objects and lists are nested more than [`DEEPEST`] levels deep.
pub(crate) fn is_too_deep(json: &str) -> bool {
    let mut depth = 0_usize;
    outside_strings(json).any(|(_, c)| {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

/// The first name that an object has twice, at any depth of a valid JSON text.
pub(crate) fn doubled_name(json: &str) -> Option<String> {
    let found = RefCell::new(None);
    let mut from = serde_json::Deserializer::from_str(json);
    let read = Unique(&found).deserialize(&mut from);
    read.err().and(found.into_inner())
}

/// Reads JSON whose objects have each name once. Notes the name that is there twice.
#[derive(Clone, Copy)]
struct Unique<'f>(&'f RefCell<Option<String>>);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                self.0.replace(Some(name));
                return Err(A::Error::custom("a name is there twice"));
            }
            names.insert(name);
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A part of a client's text for an error.
pub(crate) fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

/// The name that is closest to a wrong one, if one is close.
pub(crate) fn closest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let wrong: String = wrong.chars().take(100).collect();
    let near = names.map(|name| (strsim::jaro_winkler(&wrong, name), name));
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_keeps_its_order_and_the_text_of_its_values() {
        let fields = Ordered::read(r#" {"b": 1.50, "a": {"x" : [1, "} "]}, "b": 2} "#).unwrap();
        let names: Vec<_> = fields.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a", "b"]);
        assert_eq!(fields.get("b"), Some("2"));
        assert_eq!(compact(fields.get("a").unwrap()), r#"{"x":[1,"} "]}"#);
        for bad in ["[]", "1", "{", "{\"a\":}", "{} x", ""] {
            assert!(Ordered::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_found_at_any_depth() {
        for (json, name) in [
            (r#"{"a":1,"b":[{"a":null,"c":"a"},{"a":true}]}"#, None),
            (r#"{"user":{"id":-5,"id":7}}"#, Some("id")),
            (r#"[1.5,[{"x":{}},{"y":1,"x":"{}","\u0079":2}]]"#, Some("y")),
            ("7", None),
        ] {
            assert_eq!(doubled_name(json).as_deref(), name, "{json}");
        }
    }

    #[test]
    fn depth_counts_outside_of_strings() {
        let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(!is_too_deep(&deep(DEEPEST)) && is_too_deep(&deep(DEEPEST + 1)));
        assert!(!is_too_deep(&quoted(&deep(DEEPEST + 1))));
    }

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let names = ["user_id", "filter", "job_type"];
        assert_eq!(closest("userid", names.into_iter()), Some("user_id"));
        assert_eq!(closest("zzz", names.into_iter()), None);
    }
}
