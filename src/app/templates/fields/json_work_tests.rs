//! The work that schemas ask for: what grows with each part, and what a payload may cost.

use std::fmt::Write as _;

use serde_json::json;

use super::*;

fn work(schema: &Value, payload: &Value) -> Work {
    Parts::of(schema).unwrap().work(payload)
}

/// Parts that each apply the next one twice.
fn doubling(depth: usize, keyword: &str) -> Value {
    let mut text = String::new();
    for n in 0..depth {
        let next = format!("{{\"$ref\":\"#/$defs/a{}\"}}", n + 1);
        write!(text, "\"a{n}\":{{\"{keyword}\":[{next},{next}]}},").unwrap();
    }
    let text = format!("{{\"$ref\":\"#/$defs/a0\",\"$defs\":{{{text}\"a{depth}\":{{}}}}}}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn parts_that_apply_each_other_twice_are_too_much_work() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        assert_eq!(work(&doubling(6, keyword), &json!({})), Work::Little, "{keyword}");
        assert_eq!(work(&doubling(30, keyword), &json!({})), Work::TooMuch, "{keyword}");
    }
    let again = json!({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
    let mut deep = json!(1);
    for _ in 0..30 {
        deep = json!({"a": deep});
    }
    assert_eq!(work(&again, &deep), Work::TooMuch);
    assert_eq!(work(&again, &json!({"a": {"a": 1}})), Work::Little);
    assert_eq!(work(&json!({"$ref": "#"}), &json!(1)), Work::TooMuch, "a circle");
}

#[test]
fn many_rules_for_many_elements_are_too_much_work() {
    let rules: Vec<_> = (0..1_500).map(|n| json!({"minimum": n})).collect();
    let schema = json!({"items": {"allOf": rules}});
    let list = |n: usize| Value::from(vec![0; n]);
    assert_eq!(work(&schema, &list(3)), Work::Little);
    assert_eq!(work(&schema, &list(20)), Work::Much, "without all errors");
    assert_eq!(work(&schema, &list(1_500)), Work::TooMuch);
    let plain = json!({"items": {"type": "integer"}});
    assert_ne!(work(&plain, &list(30_000)), Work::TooMuch, "64 KB of numbers");
    let large = json!({"items": {"enum": (0..1_000).collect::<Vec<_>>()}});
    assert_eq!(work(&large, &list(1_000)), Work::TooMuch, "an error has a copy of them");
}

#[test]
fn references_lead_to_parts_of_the_schema() {
    let named = json!({"$ref": "#x", "$defs": {"a b": {"$anchor": "x", "type": "string"}}});
    assert!(Parts::of(&named).is_ok());
    assert!(Parts::of(&json!({"$ref": "#/$defs/a%20b", "$defs": {"a b": true}})).is_ok());
    for (schema, says) in [
        (json!({"$ref": "#/$defs/b"}), "refers to #/$defs/b"),
        (json!({"$ref": "other.json"}), "refers to other.json"),
        (json!({"properties": {"a": {"$id": "https://example.com/a"}}}), "has $id within"),
    ] {
        assert!(Parts::of(&schema).unwrap_err().contains(says), "{schema}");
    }
}
