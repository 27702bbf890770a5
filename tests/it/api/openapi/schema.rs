//! A value against a schema of the document. A field that the schema does not name is a fault,
//! unless the schema allows others: so answers show which fields are not described.

use serde_json::Value;

/// The faults of a value by a schema, each with its place.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { document, found: &mut found }.value(schema, value, "");
    found
}

struct Check<'a> {
    document: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn fault(&mut self, place: &str, what: impl std::fmt::Display) {
        self.found.push(format!("{place}: {what}"));
    }

    fn value(&mut self, schema: &Value, value: &Value, place: &str) {
        if let Some(name) = schema["$ref"].as_str() {
            let named = self.document.pointer(name.trim_start_matches('#'));
            let named = named.unwrap_or_else(|| panic!("{name} is not there"));
            self.value(named, value, place);
            return;
        }
        for several in ["anyOf", "oneOf"] {
            if let Some(schemas) = schema[several].as_array() {
                let fits = |one: &Value| faults(self.document, one, value).is_empty();
                if !schemas.iter().any(fits) {
                    self.fault(place, format!("{value} is none of {several}"));
                }
                return;
            }
        }
        if let Some(constant) = schema.get("const")
            && constant != value
        {
            self.fault(place, format!("{value} is not {constant}"));
        }
        if let Some(known) = schema["enum"].as_array()
            && !known.contains(value)
            && !value.is_null()
        {
            self.fault(place, format!("{value} is none of {known:?}"));
        }
        let kinds = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        let fits = kinds.contains(&kind(value)) || (kinds == ["number"] && value.is_number());
        if !fits {
            self.fault(place, format!("{value} is no {kinds:?}"));
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, place),
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.value(&schema["items"], item, &format!("{place}[{at}]"));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, schema: &Value, fields: &serde_json::Map<String, Value>, place: &str) {
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().unwrap();
            if !fields.contains_key(name) {
                self.fault(place, format!("{name} is missing"));
            }
        }
        let others = &schema["additionalProperties"];
        let Some(known) = schema["properties"].as_object() else { return };
        for (name, value) in fields {
            match known.get(name) {
                Some(one) => self.value(one, value, &format!("{place}.{name}")),
                None if others.is_object() || *others == true => {}
                None => self.fault(place, format!("{name} is not in the schema")),
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn a_value_that_does_not_fit_is_found_out() {
    let document = serde_json::json!({"components": {"schemas": {"One": {
        "type": "object", "required": ["id"],
        "properties": {"id": {"type": "integer"}, "at": {"type": ["string", "null"]}},
    }}}});
    let schema =
        serde_json::json!({"type": "array", "items": {"$ref": "#/components/schemas/One"}});
    let of = |value| faults(&document, &schema, &value);
    assert!(of(serde_json::json!([{"id": 1}, {"id": 2, "at": null}])).is_empty());
    let found = of(serde_json::json!([{"at": 1}, {"id": "x", "more": 1}, 7]));
    let wanted = ["[0]: id is missing", "[0].at: 1 is no", "[1].id: \"x\"", "[1]: more", "[2]: 7"];
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found}");
    }
}
