//! Settings as answers show them. The API writes names in the casing of the route's prefix; names
//! that are the client's own are written as they are.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::app::fields::verbatim;
use crate::delivery::executor::ClientFields;

/// Settings, or a part of them, to be serialised.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    value: Value,
    fields: ClientFields,
}

impl Shown {
    /// What an executor shows, with the names in it that are the client's own.
    pub(crate) fn new(value: Value, fields: ClientFields) -> Self {
        Self { value, fields }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Part { value: &self.value, fields: self.fields }.serialize(to)
    }
}

/// A part of the settings, outside of the client's own names.
struct Part<'v> {
    value: &'v Value,
    fields: ClientFields,
}

/// A value that holds names of the client's own.
struct Verbatim<'v>(&'v Value);

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields;
        match self.value {
            Value::Object(object) => {
                let mut map = to.serialize_map(Some(object.len()))?;
                for (name, value) in object {
                    if fields.maps.iter().chain(fields.values).any(|own| own == name) {
                        map.serialize_entry(name, &Verbatim(value))?;
                    } else {
                        map.serialize_entry(name, &Part { value, fields })?;
                    }
                }
                map.end()
            }
            Value::Array(list) => to.collect_seq(list.iter().map(|value| Part { value, fields })),
            other => other.serialize(to),
        }
    }
}

impl Serialize for Verbatim<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        verbatim(self.0, to)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_has_the_members_of_the_value() {
        let fields = ClientFields { maps: &["headers"], values: &["body"] };
        let value = json!({"url": "a", "list": [{"oneName": 1}, null], "on": true,
            "declare": {"autoDelete": true}, "headers": {"X-a_b": {"n": 1}}, "body": {"aB": [1]}});
        let text = serde_json::to_string(&Shown::new(value.clone(), fields)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
