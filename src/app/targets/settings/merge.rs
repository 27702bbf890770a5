//! The JSON Merge Patch (RFC 7396) of settings: members that a patch does not name stay as clients
//! see them, and null clears. All names are in camelCase.

use serde_json::{Map, Value};

use crate::delivery::executor::ClientFields;

/// The value that a patch makes of what clients see of the old one.
pub(crate) fn merged(old: Option<Value>, patch: Value, fields: ClientFields) -> Value {
    // Anything but an object is refused where it is read.
    let Value::Object(patch) = patch else { return patch };
    let mut object = match old {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let known = object.remove(&name);
        let value = match value {
            Value::Null => continue,
            value if fields.values.contains(&&*name) => value,
            // Within the client's own names none has a meaning.
            value if fields.maps.contains(&&*name) => merged(known, value, ClientFields::default()),
            value => merged(known, value, fields),
        };
        object.insert(name, value);
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: ClientFields = ClientFields { maps: &["headers"], values: &["body"] };

    #[test]
    fn a_patch_changes_what_it_names_and_null_clears() {
        let old = json!({"url": "a", "key": "k", "declare": {"type": "topic", "durable": true},
            "headers": {"a": 1, "body": {"x": 1}}, "body": "text", "list": [1]});
        let patch = json!({"key": null, "declare": {"durable": null, "internal": true},
            "headers": {"a": null, "b": [2], "body": {"y": 2}}, "body": {"gone": null},
            "list": [2], "new": {"n": {"deep": null, "kept": 1}}});
        let wanted = json!({"url": "a", "declare": {"type": "topic", "internal": true},
            "headers": {"b": [2], "body": {"x": 1, "y": 2}}, "body": {"gone": null},
            "list": [2], "new": {"n": {"kept": 1}}});
        assert_eq!(merged(Some(old), patch, FIELDS), wanted);
    }

    #[test]
    fn a_patch_of_nothing_is_the_whole_and_what_is_no_object_replaces() {
        assert_eq!(merged(None, json!({"a": 1, "b": null}), FIELDS), json!({"a": 1}));
        assert_eq!(merged(Some(json!({"a": 1})), json!(5), FIELDS), json!(5));
    }
}
