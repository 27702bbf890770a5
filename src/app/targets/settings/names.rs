//! The names of fields within settings. A client writes them in either casing, and the kinds know
//! them in camelCase. Names that are the client's own, such as those of headers, stay as they are.

use serde_json::Value;

use crate::app::error::Error;
use crate::delivery::executor::ClientFields;

/// The longest name that an error shows, in characters.
const LONGEST_SHOWN: usize = 40;

/// Makes the names of a value camelCase. `field` is the field of the request that holds it.
///
/// # Errors
///
/// `Invalid` where an object has a name in both casings.
pub(crate) fn make_camel(
    field: &'static str,
    value: &mut Value,
    fields: ClientFields,
) -> Result<(), Error> {
    let mut twice = None;
    rename(value, fields, &mut twice);
    match twice {
        None => Ok(()),
        Some(name) => {
            let shown: String = name.chars().take(LONGEST_SHOWN).collect();
            let message = format!("{field} has {shown} in both casings: give it once");
            Err(Error::invalid(field, message))
        }
    }
}

/// Renames in place and to the end, so that the whole value is still there to be wiped. A name that
/// is there already goes into `twice`.
fn rename(value: &mut Value, fields: ClientFields, twice: &mut Option<String>) {
    match value {
        Value::Object(object) => {
            for (given, mut value) in std::mem::take(object) {
                let name = camel_name(&given);
                if !fields.maps.iter().chain(fields.values).any(|own| *own == name) {
                    rename(&mut value, fields, twice);
                }
                if object.contains_key(&name) {
                    object.insert(given, value);
                    *twice = Some(name);
                } else {
                    object.insert(name, value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, fields, twice)),
        _ => {}
    }
}

/// `routing_key` as `routingKey`.
fn camel_name(given: &str) -> String {
    let mut name = String::with_capacity(given.len());
    let mut raise = false;
    for c in given.chars() {
        if c == '_' {
            raise = !name.is_empty();
        } else if raise {
            name.extend(c.to_uppercase());
            raise = false;
        } else {
            name.push(c);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: ClientFields = ClientFields { maps: &["headers"], values: &["body"] };

    #[test]
    fn names_are_made_camel_case_but_the_clients_own() {
        let given = json!({
            "routing_key": "a_b", "contentType": "x", "declare": {"auto_delete": true},
            "list": [{"one_name": {"two_names": 1}}],
            "headers": {"x_team": {"in_it": 1}, "X-Other": 2}, "body": {"user_id": [{"a_b": 1}]},
        });
        let wanted = json!({
            "routingKey": "a_b", "contentType": "x", "declare": {"autoDelete": true},
            "list": [{"oneName": {"twoNames": 1}}],
            "headers": {"x_team": {"in_it": 1}, "X-Other": 2}, "body": {"user_id": [{"a_b": 1}]},
        });
        for (mut given, wanted) in [
            (given, wanted.clone()),
            (wanted.clone(), wanted),
            (json!("some_text"), json!("some_text")),
        ] {
            make_camel("own", &mut given, FIELDS).unwrap();
            assert_eq!(given, wanted);
        }
    }

    #[test]
    fn a_name_in_both_casings_is_refused() {
        let mut given = json!({"declare": {"auto_delete": "one", "autoDelete": "two"}});
        let error = make_camel("own", &mut given, FIELDS).unwrap_err();
        assert_eq!(given["declare"].as_object().unwrap().len(), 2, "nothing escapes the wiping");
        assert_eq!(error.field_name(), Some("own"));
        assert!(error.message().contains("autoDelete in both casings"), "{error}");
    }

    #[test]
    fn odd_names_stay_names() {
        for (given, wanted) in
            [("", ""), ("_", ""), ("_a", "a"), ("a_", "a"), ("a__b", "aB"), ("a_ä", "aÄ")]
        {
            assert_eq!(camel_name(given), wanted, "{given}");
        }
    }
}
