//! Bounds of schemas and payloads: what would take too much time or memory is refused before, and
//! the value that is checked is the one that is sent.

use std::fmt::Write as _;

use super::defaults::Defaults;
use super::payload::PayloadRules;
use super::schema::Schema;
use super::value::Encoding;
use crate::model::template::PayloadSchema;

fn read(schema: &PayloadSchema, defaults: &str) -> Result<(Schema, Defaults), String> {
    let defaults = Defaults::read(defaults).unwrap();
    let read = Schema::read(schema, &defaults);
    let first = |errors: super::errors::FieldErrors| {
        errors.iter().next().map(|(name, error)| format!("{name} {error}")).unwrap_or_default()
    };
    Ok((read.map_err(first)?, defaults))
}

fn checked(
    schema: &PayloadSchema,
    defaults: &str,
    payload: &str,
) -> Result<String, Vec<(String, String)>> {
    let (schema, defaults) = read(schema, defaults).unwrap();
    let rules = PayloadRules { schema: &schema, defaults: &defaults, kind: "t", now: 0 };
    let owned = |(name, error): (&str, &str)| (name.to_owned(), error.to_owned());
    rules.check(payload, Encoding::Json).map_err(|errors| errors.iter().map(owned).collect())
}

fn json(schema: &str) -> PayloadSchema {
    PayloadSchema::Json(schema.into())
}

/// Parts that each apply the next one twice, or once each by a property.
fn chain(depth: usize, part: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..depth {
        write!(text, "\"a{n}\":{},", part(n + 1)).unwrap();
    }
    format!("{{\"$ref\":\"#/$defs/a0\",\"$defs\":{{{text}\"a{depth}\":{{\"required\":[\"z\"]}}}}}}")
}

#[test]
fn a_schema_whose_parts_apply_each_other_twice_is_refused() {
    let twice = |depth| {
        chain(depth, |next| {
            let next = format!("\"$ref\":\"#/$defs/a{next}\"");
            format!("{{\"allOf\":[{{{next}}},{{\"title\":\"x\",{next}}}]}}")
        })
    };
    for depth in [16, 20, 40] {
        let refused = read(&json(&twice(depth)), "").map(drop).unwrap_err();
        assert!(refused.contains("asks for too much work"), "{depth}: {refused}");
    }
    let errors = checked(&json(&twice(4)), "", "{}").unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].1.starts_with("is required; is required"), "{errors:?}");
}

#[test]
fn a_long_chain_of_references_does_not_end_the_stack() {
    let long = |depth| {
        chain(depth, |next| {
            format!("{{\"properties\":{{\"x\":{{\"$ref\":\"#/$defs/a{next}\"}}}}}}")
        })
    };
    assert!(checked(&json(&long(450)), "", r#"{"x":{"x":1}}"#).is_ok());
    let refused = read(&json(&long(1_000)), "").map(drop).unwrap_err();
    assert!(refused.contains("at most 1000 levels"), "{refused}");
}

#[test]
fn a_payload_that_is_too_much_work_for_its_schema_is_refused() {
    let rules: Vec<_> = (0..1_500).map(|n| format!("{{\"minimum\":{}}}", n + 1)).collect();
    let items = format!("{{\"allOf\":[{}]}}", rules.join(","));
    let schema = json(&format!("{{\"properties\":{{\"list\":{{\"items\":{items}}}}}}}"));
    let list = |n: usize| format!("{{\"list\":[{}]}}", vec!["0"; n].join(","));
    let errors = checked(&schema, "", &list(1_500)).unwrap_err();
    assert!(errors.len() == 1 && errors[0].1.contains("is too much work"), "{errors:?}");
    let errors = checked(&schema, "", &list(20)).unwrap_err();
    assert_eq!((errors.len(), errors[0].0.as_str()), (1, "list/0"), "the first is told");
    assert!(checked(&schema, "", &list(2)).unwrap_err().len() == 2, "all are told");
    let large = json(r#"{"properties":{"list":{"items":{"type":"integer"}}}}"#);
    assert!(checked(&large, "", &list(30_000)).is_ok(), "a valid one is not refused");
}

#[test]
fn a_payload_of_many_unknown_names_is_refused_with_some_of_them() {
    let fields: Vec<_> =
        (0..500).map(|n| format!("\"{}{n}\":{{\"type\":\"bool\"}}", "f".repeat(90))).collect();
    let schema = PayloadSchema::Fields(format!("{{{}}}", fields.join(",")));
    let names = |n: usize| {
        let names: Vec<_> = (0..n).map(|n| format!("\"{n:05}\":1")).collect();
        format!("{{{}}}", names.join(","))
    };
    let errors = checked(&schema, "", &names(20_000)).unwrap_err();
    assert_eq!(errors.len(), 100);
    let helpful = errors.iter().filter(|(_, error)| error.contains("It has")).count();
    assert_eq!(helpful, 10, "the search for the closest name has an end");
    let errors = checked(&schema, "", &names(100_000)).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].1.contains("at most 65536"), "it is not read: {errors:?}");
}

#[test]
fn the_patterns_of_a_schema_share_their_size() {
    let wide = "(?i)\\\\pL{20}";
    let rules = |n: usize| {
        let rule = |n| format!("\"f{n}\":{{\"type\":\"string\",\"pattern\":\"{wide}\"}}");
        let fields: Vec<_> = (0..n).map(rule).collect();
        format!("{{{}}}", fields.join(","))
    };
    let fields = |n| read(&PayloadSchema::Fields(rules(n)), "").map(drop);
    let properties = |n| read(&json(&format!("{{\"properties\":{}}}", rules(n))), "").map(drop);
    fields(1).unwrap();
    properties(1).unwrap();
    let refused = fields(400).unwrap_err();
    assert!(refused.contains("have fewer patterns in the schema"), "{refused}");
    assert!(properties(400).is_err());
    let hidden = rules(400).replace("\"pattern\"", "\"\\u0070attern\"");
    assert!(read(&PayloadSchema::Fields(hidden), "").is_err(), "however its name is written");
    let plain = rules(400).replace(wide, "^[A-Z]{2}[0-9]{6}$");
    read(&PayloadSchema::Fields(plain.clone()), "").unwrap();
    read(&json(&format!("{{\"properties\":{plain}}}")), "").unwrap();
}

#[test]
fn what_is_checked_is_what_is_sent() {
    let deep = |n: usize| format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n));
    let any = json("{}");
    let fields = PayloadSchema::Fields(r#"{"a":{"type":"json"}}"#.into());
    for schema in [&any, &fields] {
        checked(schema, "", &deep(31)).unwrap();
        let errors = checked(schema, "", &deep(32)).unwrap_err();
        assert!(errors[0].1.contains("at most 32 levels"), "{errors:?}");
        let errors = checked(schema, "", r#"{"a":[{"id":-5,"id":7}]}"#).unwrap_err();
        assert!(errors[0].1.contains("has id twice"), "{errors:?}");
    }
}

#[test]
fn an_absent_property_is_filled_by_what_its_schema_takes() {
    let schema = json(
        r##"{"required":["id"],"additionalProperties":false,"properties":{"id":{"type":"integer"},
        "width":{"$ref":"#/$defs/w"},"height":{"$ref":"#/$defs/w"},"name":{"type":"string"}},
        "$defs":{"w":{"type":"integer","minimum":1}}}"##,
    );
    let defaults = r#"{"width":"x","height":3,"id":"y"}"#;
    assert_eq!(checked(&schema, defaults, r#"{"id":1}"#).unwrap(), r#"{"id":1,"height":3}"#);
    let own =
        json(r#"{"properties":{"width":{"type":"integer","default":"x"},"a":{"default":[ 1 ]}}}"#);
    assert_eq!(checked(&own, "", "{}").unwrap(), r#"{"a":[1]}"#);
    let (Schema::Json(read), _) = read(&own, "").unwrap() else { panic!("a JSON Schema") };
    let unfit: Vec<_> = read.unfit_defaults().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(unfit, ["width"]);
}
