//! Inputs as rules and JSON Schemas make them, and what they begin with.

use super::*;
use crate::model::template::{PayloadSchema, Template};

const RULES: &str = r#"{
    "user_id": {"type": "uint", "maxValue": null, "label": "User"},
    "shift": {"type": "int", "range": [-5, 5], "required": false},
    "share": {"type": "number", "minValue": 0.5},
    "code": {"type": "string", "maxLength": 8, "minLength": 2, "pattern": "^[A-Z]+$"},
    "mail": {"type": "string", "format": "email"},
    "text": {"type": "string"},
    "urgent": {"type": "bool", "default": true},
    "kind": {"type": "options", "options": ["a", 2]},
    "parts": {"type": "options", "options": ["x", "y"], "multiple": true},
    "from": {"type": "datetime", "notBefore": "now"},
    "local": {"type": "datetime", "timezone": "Asia/Tokyo"},
    "extra": {"type": "json"},
    "job_type": null
}"#;

fn form_of(schema: PayloadSchema, payload: &str) -> TemplateForm {
    let payload = payload.to_owned();
    let template = Template { schema, payload, kind: "t".into(), ..Template::default() };
    TemplateForm::of(&template, 1_763_700_000_000).unwrap()
}

fn of_rules(payload: &str) -> Vec<Control> {
    let form = form_of(PayloadSchema::Fields(RULES.into()), payload);
    controls(&form, Tz::Europe__Berlin).unwrap()
}

#[test]
fn each_rule_has_the_input_of_its_type() {
    let all = of_rules("");
    let told: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.rule())).collect();
    let wanted = [
        ("user_id", "A whole number, 0 or more."),
        ("shift", "A whole number from -5 to 5."),
        ("share", "A number, 0.5 or more."),
        ("code", "2 to 8 characters. It must match ^[A-Z]+$"),
        ("mail", "An address of mail."),
        ("text", ""),
        ("urgent", ""),
        ("kind", ""),
        ("parts", ""),
        ("from", "Local time in Berlin, not before now."),
        ("local", "Local time in Tokyo."),
        ("extra", "JSON."),
    ];
    assert_eq!(told.len(), wanted.len(), "the rule null has no input: {told:?}");
    for ((name, rule), (wanted_name, wanted_rule)) in told.iter().zip(wanted) {
        assert_eq!((*name, rule.as_str()), (wanted_name, wanted_rule));
    }
    assert_eq!((all[0].label.as_str(), all[0].required), ("User", true));
    assert!(!all[1].required && !all[6].required, "a default makes a field optional");
    assert!(matches!(all[3].kind, Kind::Text { lines: false, .. }));
    assert!(matches!(all[5].kind, Kind::Text { lines: true, .. }));
}

#[test]
fn an_input_begins_with_what_fits_its_rule() {
    let begins = r#"{"user_id": 12345678901234567890, "share": 0.50, "parts": ["y"], "text": "a\nb",
        "from": "2026-07-01T10:00:00Z", "extra": {"a": 1.0}, "code": "too long"}"#;
    let all = of_rules(begins);
    let of = |name: &str| all.iter().find(|one| one.name == name).unwrap().begins.clone();
    assert_eq!(of("user_id"), ["12345678901234567890"], "no number is rounded");
    assert_eq!(of("share"), ["0.50"]);
    assert_eq!(of("parts"), ["y"]);
    assert_eq!(of("text"), ["a\nb"]);
    assert_eq!(of("urgent"), ["true"]);
    assert_eq!(of("from"), ["2026-07-01T12:00:00"], "on the clock of the page");
    assert_eq!(of("extra"), ["{\n  \"a\": 1.0\n}"]);
    assert_eq!(of("code"), [""; 0], "what does not fit is left out");
}

#[test]
fn a_json_schema_gives_inputs_and_objects_give_groups() {
    let schema = r#"{
        "type": "object", "required": ["url", "size"],
        "properties": {
            "url": {"type": "string", "format": "uri", "title": "Picture"},
            "size": {
                "type": "object", "required": ["width"],
                "properties": {"width": {"type": "integer", "minimum": 1}, "a/b": {"type": "boolean"}}
            },
            "tags": {"type": "array", "items": {"enum": ["new", "old"]}},
            "other": {"anyOf": [{"type": "string"}, {"type": "null"}]}
        }
    }"#;
    let form = form_of(PayloadSchema::Json(schema.into()), r#"{"size": {"width": 3}}"#);
    let all = controls(&form, Tz::UTC).unwrap();
    assert_eq!(
        all.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(),
        ["url", "size", "tags", "other"]
    );
    assert_eq!((all[0].label.as_str(), all[0].required), ("Picture", true));
    let Kind::Group(inner) = &all[1].kind else { panic!("{:?}", all[1]) };
    let shown: Vec<_> = inner.iter().map(|one| (one.path.as_str(), one.input.as_str())).collect();
    assert_eq!(shown, [("size/width", "p.size/width"), ("size/a/b", "p.size/a~1b")]);
    assert_eq!((&inner[0].begins[..], inner[0].required), (&["3".to_owned()][..], true));
    assert!(matches!(all[2].kind, Kind::Options { many: true, .. }));
    assert!(matches!(all[3].kind, Kind::Json));
}

#[test]
fn what_has_too_many_fields_or_none_that_is_named_is_entered_as_json() {
    let rules = (0..=MOST_INPUTS).map(|n| format!("\"f{n}\": {{\"type\": \"uint\"}}"));
    let rules = format!("{{{}}}", rules.collect::<Vec<_>>().join(","));
    assert!(controls(&form_of(PayloadSchema::Fields(rules), ""), Tz::UTC).is_none());
    assert!(controls(&form_of(PayloadSchema::Json("{}".into()), ""), Tz::UTC).is_none());
    let none = form_of(PayloadSchema::Fields("{}".into()), "");
    assert!(controls(&none, Tz::UTC).is_some_and(|all| all.is_empty()));
}
