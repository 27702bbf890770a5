//! Payloads as forms have them: text for rules, JSON with all its digits for a JSON Schema.

use super::*;
use crate::app::templates::TemplateForm;
use crate::model::template::{PayloadSchema, Template};
use crate::ui::templates::controls::controls;

fn form_of(schema: PayloadSchema) -> TemplateForm {
    let template = Template { schema, kind: "t".into(), ..Template::default() };
    TemplateForm::of(&template, 1_763_700_000_000).unwrap()
}

fn read(schema: PayloadSchema, fields: &[(&str, &str)]) -> String {
    let asked = form_of(schema);
    let controls = controls(&asked, Tz::UTC).unwrap();
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    payload(&asked.schema, &controls, &Form::of(fields.iter().map(own).collect())).0
}

#[test]
fn what_was_entered_for_rules_is_text_in_the_order_of_the_rules() {
    let rules = r#"{"n": {"type": "uint"}, "parts": {"type": "options", "options": ["x", "y"], "multiple": true},
        "on": {"type": "bool"}, "text": {"type": "string"}, "at": {"type": "datetime"},
        "there": {"type": "datetime", "timezone": "Asia/Tokyo"}}"#;
    let rules = PayloadSchema::Fields(rules.into());
    let fields = [
        ("p.text", "a\r\n\"b\""),
        ("p.n", "007"),
        ("p.parts", "x"),
        ("p.parts", "y"),
        ("p.on", "false"),
        ("p.on", "true"),
        ("p.at", "2026-07-01T12:00"),
        ("z.p.at", "Europe/Berlin"),
        ("p.there", "2026-07-01T12:00"),
        ("other", "x"),
    ];
    let wanted = r#"{"n":"007","parts":["x","y"],"on":"true","text":"a\n\"b\"","at":"2026-07-01T10:00:00Z","there":"2026-07-01T12:00"}"#;
    assert_eq!(read(rules.clone(), &fields), wanted);
    assert_eq!(read(rules.clone(), &[("p.n", "")]), r#"{"n":""}"#);
    assert_eq!(read(rules, &[("p.at", "soon")]), r#"{"at":"soon"}"#, "for the error of the rule");
}

#[test]
fn what_was_entered_for_a_json_schema_has_its_types_and_all_its_digits() {
    let schema = r#"{"properties": {
        "n": {"type": "number"}, "m": {"type": "integer"}, "s": {"type": "string"},
        "kind": {"enum": ["1", 1, null]}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "any": {}, "in": {"type": "object", "properties": {"on": {"type": "boolean"}, "x": {"type": "integer"}}}
    }}"#;
    let schema = PayloadSchema::Json(schema.into());
    let fields = [
        ("p.n", " 1.10 "),
        ("p.m", "many"),
        ("p.s", "7"),
        ("p.kind", "1"),
        ("p.tags", "b"),
        ("p.any", "{\"a\": 12345678901234567890}"),
        ("p.in/on", "false"),
        ("p.in/x", "3"),
    ];
    let wanted = r#"{"n":1.10,"m":"many","s":"7","kind":"1","tags":["b"],"any":{"a": 12345678901234567890},"in":{"on":false,"x":3}}"#;
    assert_eq!(read(schema.clone(), &fields), wanted);
    let nothing = [("p.n", ""), ("p.in/on", "false"), ("p.in/x", " ")];
    assert_eq!(read(schema, &nothing), "{}", "an object of which nothing was entered is left out");
}

#[test]
fn a_field_that_is_gone_is_noticed() {
    let asked = form_of(PayloadSchema::Fields(r#"{"a": {"type": "uint"}}"#.into()));
    let controls = controls(&asked, Tz::UTC).unwrap();
    let form = |name: &str| Form::of(vec![(name.to_owned(), "1".to_owned())]);
    assert_eq!(unknown(&controls, &form("p.a")), None);
    assert_eq!(unknown(&controls, &form("start")), None);
    assert_eq!(unknown(&controls, &form("p.b")), Some("p.b"));
}
