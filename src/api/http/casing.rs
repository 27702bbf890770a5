//! The two casings of one API. Answers are serialised once, with camelCase names; under the `/`
//! prefix a formatter writes the same names in `snake_case`, byte by byte. In requests a field is
//! known by either name: `app::fields` has that rule.
//!
//! All resources call [`to_json`]. Text *values* are never changed, and neither are names that are
//! the client's own, which the views serialise verbatim.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::model::job::Casing;

/// The one name that is camelCase under every prefix, as in the original.
const UNCHANGED: &str = "timezoneOffset";

/// A value as JSON in a casing.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T, casing: Casing) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_json(&mut out, value, casing);
    out
}

/// Adds a value as JSON in a casing.
pub(crate) fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T, casing: Casing) {
    let written = match casing {
        Casing::Camel => value.serialize(&mut serde_json::Serializer::new(out)),
        Casing::Snake => {
            let formatter = SnakeNames { in_name: false };
            value.serialize(&mut serde_json::Serializer::with_formatter(out, formatter))
        }
    };
    // A Vec takes every write. The only other failure is a map whose keys are not text, and no
    // answer has one.
    written.expect("answers serialise");
}

/// A field's name in a casing, for messages and the `field` of errors.
pub(crate) fn name(camel: &str, casing: Casing) -> String {
    let mut out = Vec::with_capacity(camel.len() + 4);
    match casing {
        Casing::Camel => return camel.to_owned(),
        // Writing to a Vec does not fail.
        Casing::Snake => write_snake(&mut out, camel).unwrap_or_default(),
    }
    String::from_utf8(out).unwrap_or_else(|_| camel.to_owned())
}

struct SnakeNames {
    in_name: bool,
}

impl Formatter for SnakeNames {
    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.in_name = true;
        CompactFormatter.begin_object_key(out, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.in_name = false;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.in_name && fragment != UNCHANGED {
            return write_snake(out, fragment);
        }
        out.write_all(fragment.as_bytes())
    }
}

fn write_snake<W: ?Sized + Write>(out: &mut W, camel: &str) -> io::Result<()> {
    if camel == UNCHANGED {
        return out.write_all(camel.as_bytes());
    }
    let mut rest = camel.as_bytes();
    while let Some(upper) = rest.iter().position(u8::is_ascii_uppercase) {
        out.write_all(&rest[..upper])?;
        out.write_all(&[b'_', rest[upper].to_ascii_lowercase()])?;
        rest = &rest[upper + 1..];
    }
    out.write_all(rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::app::fields::verbatim;

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Shown {
        project_id: u64,
        timezone_offset: i32,
        last_execution_date: Option<String>,
        data: &'static str,
        inner: Vec<Inner>,
        #[serde(serialize_with = "verbatim")]
        own_names: BTreeMap<&'static str, &'static str>,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner {
        lease_ms: u64,
    }

    #[test]
    fn names_change_and_values_do_not() {
        let shown = Shown {
            project_id: 1,
            timezone_offset: -5,
            last_execution_date: None,
            data: "{\"projectId\":\"aB\\n\"}",
            inner: vec![Inner { lease_ms: 2 }],
            own_names: BTreeMap::from([("X-Team", "aB"), ("myTeam", "\"")]),
        };
        let json = |casing| String::from_utf8(to_json(&shown, casing)).unwrap();
        assert_eq!(
            json(Casing::Snake),
            r#"{"project_id":1,"timezoneOffset":-5,"last_execution_date":null,"data":"{\"projectId\":\"aB\\n\"}","inner":[{"lease_ms":2}],"own_names":{"X-Team":"aB","myTeam":"\""}}"#
        );
        assert_eq!(
            json(Casing::Camel),
            r#"{"projectId":1,"timezoneOffset":-5,"lastExecutionDate":null,"data":"{\"projectId\":\"aB\\n\"}","inner":[{"leaseMs":2}],"ownNames":{"X-Team":"aB","myTeam":"\""}}"#
        );
    }

    #[test]
    fn a_name_is_shown_in_the_casing_of_the_prefix() {
        assert_eq!(name("callbackUrl", Casing::Snake), "callback_url");
        assert_eq!(name("timezoneOffset", Casing::Snake), "timezoneOffset");
    }
}
