//! Templates as requests make them: what is refused, with all its fields, and what follows from the
//! flags. The files of the tests are our own, in the form of the original's.

use super::*;
use crate::app::error::ErrorKind;
use crate::app::jobs::input::DefinitionInput;
use crate::app::jobs::test_rules;

fn input(schema: &str, payload: &str) -> TemplateInput<'static> {
    let definition = DefinitionInput {
        callback_url: Some("https://example.com/hook".into()),
        ..DefinitionInput::default()
    };
    TemplateInput {
        kind: Some("send_mail".into()),
        project: Some(1),
        payload_schema: Some(schema.into()),
        payload: Patch::Set(payload.into()),
        target: Some(JobInput { definition, ..JobInput::default() }),
        ..TemplateInput::default()
    }
}

fn made(
    input: &TemplateInput<'_>,
    old: Option<&Template>,
    lenient: bool,
) -> Result<(Template, Vec<String>), Error> {
    let rules = test_rules();
    let mut warnings = Warnings::default();
    let context = Context { rules: &rules, now: 0, lenient };
    let template = input.apply_to(&context, old, &mut warnings)?;
    Ok((template, warnings.lines()))
}

const SCHEMA: &str = r#"{"user_id": {"type":"uint","maxValue":null,"label":"User"},
    "filter":{"type":"options","options":["likes","places"]},"job_type":null}"#;

#[test]
fn a_template_keeps_the_order_of_its_schema_and_has_defaults() {
    let payload = r#"{"user_id": 0, "filter": ["likes"], "job_type": ""}"#;
    let (template, warnings) = made(&input(SCHEMA, payload), None, false).unwrap();
    assert!(template.active && template.user_triggered && !template.reschedule);
    assert_eq!((template.keep_completed, template.data.as_str()), (KEPT, ""));
    let PayloadSchema::Fields(schema) = &template.schema else { panic!("{template:?}") };
    assert!(schema.starts_with(r#"{"user_id":{"#) && schema.ends_with(r#""job_type":null}"#));
    assert_eq!(warnings, Vec::<String>::new());
    let changed = TemplateInput { label: Some("Mail".into()), ..TemplateInput::default() };
    let (changed, _) = made(&changed, Some(&template), false).unwrap();
    assert_eq!(changed, Template { label: "Mail".into(), ..template });
}

#[test]
fn everything_that_is_wrong_with_schema_and_payload_is_said_at_once() {
    let schema = r#"{"a":{"type":"unit"},"b":{"type":"uint","minValue":3,"maxValue":1}}"#;
    let error = made(&input(schema, "{}"), None, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unprocessable);
    let names: Vec<_> = error.fields().keys().map(String::as_str).collect();
    assert_eq!(names, ["payloadSchema.a", "payloadSchema.b"]);
    let defaults = r#"{"a":{"type":"uint","default":-1},"b":{"type":"uint"}}"#;
    let error = made(&input(defaults, r#"{"b":1.5,"c":1}"#), None, false).unwrap_err();
    let names: Vec<_> = error.fields().keys().map(String::as_str).collect();
    assert_eq!(names, ["payload.b", "payload.c", "payloadSchema.a"]);
    let two = TemplateInput { json_schema: Some("{}".into()), ..input(SCHEMA, "{}") };
    let error = made(&two, None, false).unwrap_err();
    assert!(error.fields()["jsonSchema"].contains("give one of them"));
}

#[test]
fn a_default_that_does_not_fit_is_a_warning_only_where_people_can_correct_it() {
    let payload = r#"{"user_id":0,"filter":["likes","activity"],"job_type":""}"#;
    let (_, warnings) = made(&input(SCHEMA, payload), None, true).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("the default of filter must be one of"), "{warnings:?}");
    assert!(made(&input(SCHEMA, payload), None, false).is_err());
    let system = TemplateInput { user_triggered: Some(false), ..input(SCHEMA, payload) };
    let error = made(&system, None, true).unwrap_err();
    assert!(error.fields().contains_key("payload.filter"), "{error:?}");
}

#[test]
fn a_system_template_has_the_data_of_its_instances() {
    let payload = r#"{"filter":["likes"],"user_id":7.0}"#;
    let system = TemplateInput { user_triggered: Some(false), ..input(SCHEMA, payload) };
    let (template, _) = made(&system, None, false).unwrap();
    assert_eq!(template.data, r#"{"user_id":7,"filter":["likes"],"job_type":"send_mail"}"#);
    let missing = TemplateInput { user_triggered: Some(false), ..input(SCHEMA, "{}") };
    let error = made(&missing, None, false).unwrap_err();
    assert_eq!(error.fields()["payload.user_id"], "is required");
    let renamed = TemplateInput { kind: Some("mail".into()), ..TemplateInput::default() };
    let (renamed, _) = made(&renamed, Some(&template), false).unwrap();
    assert!(renamed.data.ends_with(r#""job_type":"mail"}"#), "{}", renamed.data);
}

#[test]
fn without_a_target_a_template_is_inactive() {
    let none = TemplateInput { target: None, ..input(SCHEMA, "{}") };
    let (template, warnings) = made(&none, None, true).unwrap();
    assert!(!template.active && warnings[0].contains("needs a target"), "{warnings:?}");
    let error = made(&TemplateInput { active: Some(true), ..none }, None, true).unwrap_err();
    assert_eq!(error.field_name(), Some("target"));
    let activate = TemplateInput { active: Some(true), ..input(SCHEMA, "{}") };
    assert!(made(&activate, Some(&template), true).unwrap().0.active);
}

#[test]
fn fields_have_bounds() {
    let base = || input(SCHEMA, "{}");
    for (input, field) in [
        (TemplateInput { kind: None, ..base() }, "type"),
        (TemplateInput { kind: Some("a b".into()), ..base() }, "type"),
        (TemplateInput { kind: Some("x".repeat(129)), ..base() }, "type"),
        (TemplateInput { project: None, ..base() }, "projectId"),
        (TemplateInput { label: Some("x".repeat(257)), ..base() }, "label"),
        (TemplateInput { description: Some("\0".into()), ..base() }, "description"),
        (TemplateInput { start_in_seconds: Some(LONGEST_START + 1), ..base() }, "startInSeconds"),
        (TemplateInput { keep_completed: Patch::Set(10_001), ..base() }, "keepCompleted"),
    ] {
        let error = made(&input, None, false).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Invalid, Some(field)));
    }
    let (template, _) = made(&base(), None, false).unwrap();
    let moved = TemplateInput { project: Some(2), ..TemplateInput::default() };
    let error = made(&moved, Some(&template), false).unwrap_err();
    assert_eq!(error.field_name(), Some("projectId"));
    let again = TemplateInput {
        user_triggered: Some(true),
        reschedule: Some(true),
        ..TemplateInput::default()
    };
    let (_, warnings) = made(&again, Some(&template), false).unwrap();
    assert!(warnings[0].contains("until somebody ends it"), "{warnings:?}");
}

#[test]
fn what_an_import_took_with_a_warning_can_be_sent_back_and_changed() {
    let payload = r#"{"user_id":0,"filter":["likes","activity"],"job_type":""}"#;
    let (imported, _) = made(&input(SCHEMA, payload), None, true).unwrap();
    let same = TemplateInput { label: Some("x".into()), ..input(SCHEMA, payload) };
    let (changed, warnings) = made(&same, Some(&imported), false).unwrap();
    assert_eq!(
        (changed.label.as_str(), warnings),
        ("x", vec![]),
        "schema and payload are the same"
    );
    let users = TemplateInput { user_triggered: Some(true), ..TemplateInput::default() };
    assert_eq!(made(&users, Some(&imported), false).unwrap().1, Vec::<String>::new());
    let renamed = TemplateInput { kind: Some("mail".into()), ..TemplateInput::default() };
    let (_, warnings) = made(&renamed, Some(&imported), false).unwrap();
    assert!(warnings[0].contains("the default of filter"), "{warnings:?}");
    let system = TemplateInput { user_triggered: Some(false), ..TemplateInput::default() };
    let error = made(&system, Some(&imported), false).unwrap_err();
    assert!(error.fields().contains_key("payload.filter"), "{error:?}");
    let other = r#"{"user_id":1,"filter":["activity"]}"#;
    let error = made(&input(SCHEMA, other), Some(&imported), false).unwrap_err();
    assert!(error.fields().contains_key("payload.filter"), "another one is checked: {error:?}");
}

#[test]
fn a_default_of_a_json_schema_fits_it() {
    let json = |schema: &str| TemplateInput {
        payload_schema: None,
        json_schema: Some(schema.into()),
        ..input(SCHEMA, "{}")
    };
    let wrong = json(r#"{"properties":{"width":{"type":"integer","default":"x"}}}"#);
    let error = made(&wrong, None, true).unwrap_err();
    assert!(error.fields()["jsonSchema.width"].contains("default does not fit"), "{error:?}");
    let right = json(r#"{"properties":{"width":{"type":"integer","default":8}}}"#);
    made(&right, None, false).unwrap();
}
