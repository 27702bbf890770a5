//! The rules of fields: one table of rules, one of values, and the rules of absent fields.

use super::defaults::Defaults;
use super::ordered::quoted;
use super::payload::PayloadRules;
use super::rule::Rule;
use super::schema::Schema;
use super::value::Encoding;
use crate::model::Millis;
use crate::model::template::PayloadSchema;
use crate::model::time::parse_rfc3339;

const NOW: &str = "2026-11-30T12:00:00Z";

fn now() -> Millis {
    parse_rfc3339(NOW).unwrap()
}

/// The data that a payload becomes, or its errors.
fn checked(
    schema: &PayloadSchema,
    defaults: &str,
    payload: &str,
    encoding: Encoding,
) -> Result<String, Vec<(String, String)>> {
    let defaults = Defaults::read(defaults).unwrap();
    let schema = Schema::read(schema, &defaults).unwrap();
    let rules =
        PayloadRules { schema: &schema, defaults: &defaults, kind: "send_mail", now: now() };
    let owned = |(name, error): (&str, &str)| (name.to_owned(), error.to_owned());
    rules.check(payload, encoding).map_err(|errors| errors.iter().map(owned).collect())
}

fn fields(schema: &str, payload: &str) -> Result<String, Vec<(String, String)>> {
    checked(&PayloadSchema::Fields(schema.into()), "", payload, Encoding::Json)
}

/// The value that a field takes, or its error.
fn value(rule: &str, json: &str, encoding: Encoding) -> Result<String, String> {
    let schema = PayloadSchema::Fields(format!(r#"{{"f":{rule}}}"#));
    let taken = checked(&schema, "", &format!(r#"{{"f":{json}}}"#), encoding);
    let value = |data: String| {
        let value = data.strip_prefix("{\"f\":").and_then(|rest| rest.strip_suffix('}'));
        value.unwrap_or_default().to_owned()
    };
    taken.map(value).map_err(|errors| errors[0].1.clone())
}

#[test]
fn every_type_takes_what_it_should_and_says_why_it_refuses_the_rest() {
    let uint = r#"{"type":"uint","minValue":0,"maxValue":null}"#;
    let ranged = r#"{"type":"uint","range":[0,1000]}"#;
    let int = r#"{"type":"int","minValue":-5}"#;
    let number = r#"{"type":"number","minValue":0.5,"maxValue":2}"#;
    let string = r#"{"type":"string","minLength":2,"maxLength":4}"#;
    let pattern = r#"{"type":"string","pattern":"^a+$"}"#;
    let one = r#"{"type":"options","options":["red","blue",3]}"#;
    let many = r#"{"type":"options","options":["red","blue",3],"multiple":true}"#;
    let instant = r#"{"type":"datetime","notBefore":"now"}"#;
    let local =
        r#"{"type":"datetime","timezone":"Europe/Berlin","notAfter":"2027-01-01T00:00:00Z"}"#;
    let zoned = r#"{"type":"datetime","timezone":"Europe/Berlin"}"#;
    let large = r#"{"type":"number","maxValue":9007199254740992}"#;
    let exact = r#"{"type":"options","options":[18446744073709551615,0.10,3]}"#;
    let format = |name: &str| format!(r#"{{"type":"string","format":"{name}"}}"#);
    let (email, uri, uuid) = (format("email"), format("uri"), format("uuid"));
    for (rule, json, wanted) in [
        (uint, "5", Ok("5")),
        (uint, "5.0", Ok("5")),
        (uint, "0", Ok("0")),
        (uint, "18446744073709551615", Ok("18446744073709551615")),
        (uint, "18446744073709551616", Err("beyond 64 bits")),
        (uint, "-5", Err("must be 0 or more, got -5")),
        (uint, "1.5", Err("must be a whole number, got 1.5")),
        (uint, "\"x\"", Err("must be a whole number, got \"x\"")),
        (uint, "\"5\"", Err("must be a whole number")),
        (uint, "true", Err("must be a whole number")),
        (uint, "[]", Err("must be a whole number")),
        (uint, "1e2", Ok("100")),
        (uint, "null", Err("is required")),
        (ranged, "1000", Ok("1000")),
        (ranged, "1001", Err("must be at most 1000, got 1001")),
        (int, "-5", Ok("-5")),
        (int, "-6", Err("must be -5 or more")),
        (int, "9223372036854775808", Err("must be at most 9223372036854775807")),
        (number, "0.50", Ok("0.50")),
        (number, "2.1", Err("must be at most 2, got 2.1")),
        (number, "\"1\"", Err("must be a number")),
        (string, "\"ab\"", Ok("\"ab\"")),
        (string, "\"\u{e4}\u{f6}\u{fc}\u{df}\"", Ok("\"\u{e4}\u{f6}\u{fc}\u{df}\"")),
        (string, "\"a\"", Err("must have at least 2 characters, has 1")),
        (string, "\"abcde\"", Err("must have at most 4 characters, has 5")),
        (string, "7", Err("must be text, got 7")),
        (pattern, "\"aaa\"", Ok("\"aaa\"")),
        (pattern, "\"aab\"", Err("must match ^a+$, got aab")),
        (&email, "\"a.b@example.com\"", Ok("\"a.b@example.com\"")),
        (&email, "\"a b@example.com\"", Err("of the format email")),
        (&email, "\"a@b@c\"", Err("of the format email")),
        (&email, "\"a@b..c\"", Err("of the format email")),
        (&uri, "\"https://example.com/\"", Ok("\"https://example.com/\"")),
        (&uri, "\"example.com\"", Err("of the format uri")),
        (
            &uuid,
            "\"67e55044-10b1-426f-9247-bb680e5fe0c8\"",
            Ok("\"67e55044-10b1-426f-9247-bb680e5fe0c8\""),
        ),
        (&uuid, "\"67e5504410b1426f9247bb680e5fe0c8\"", Err("of the format uuid")),
        (r#"{"type":"bool"}"#, "true", Ok("true")),
        (r#"{"type":"bool"}"#, "\"true\"", Err("must be true or false")),
        (one, "\"blue\"", Ok("\"blue\"")),
        (one, "3", Ok("3")),
        (one, "\"3\"", Err("must be one of 3, red, blue, got 3")),
        (one, "\"bluw\"", Err("must be one of blue, ")),
        (one, "[\"blue\"]", Err("must be one of")),
        (many, "[\"blue\", 3]", Ok("[\"blue\",3]")),
        (many, "[]", Ok("[]")),
        (many, "[\"blue\",\"blue\"]", Err("has \"blue\" twice")),
        (many, "[\"green\"]", Err("must be one of red, blue, 3, got green")),
        (many, "\"blue\"", Err("must be a list of options")),
        (instant, "\"2026-12-01T00:00:00Z\"", Ok("\"2026-12-01T00:00:00Z\"")),
        (instant, "\"2026-11-29T00:00:00Z\"", Err("must not be before now")),
        (instant, "\"2026-12-01T00:00:00\"", Err("must be RFC 3339")),
        (local, "\"2026-12-01T00:00:00\"", Ok("\"2026-12-01T00:00:00+01:00\"")),
        (local, "\"2026-12-01T00:00:00-05:00\"", Ok("\"2026-12-01T00:00:00-05:00\"")),
        (zoned, "\"2027-03-28T02:30\"", Err("the clocks of Europe/Berlin jump over that time")),
        (zoned, "\"2027-10-31T02:30\"", Ok("\"2027-10-31T02:30:00+02:00\"")),
        (zoned, "\"soon\"", Err("must be RFC 3339, or local in Europe/Berlin")),
        (large, "9007199254740993", Err("must be at most 9007199254740992")),
        (large, "9007199254740992.0", Ok("9007199254740992.0")),
        (exact, "18446744073709551615", Ok("18446744073709551615")),
        (exact, "0.10", Ok("0.10")),
        (exact, "3.0", Ok("3")),
        (exact, "0.1", Err("must be one of")),
        (local, "\"2027-02-01T00:00:00\"", Err("must not be after 2027-01-01T00:00:00")),
        (r#"{"type":"json"}"#, "{\"a\": [1, null]}", Ok("{\"a\":[1,null]}")),
        (r#"{"type":"json"}"#, "[99999999999999999999]", Err("beyond 64 bits")),
        ("null", "{\"a\": 1}", Ok("{\"a\":1}")),
    ] {
        let taken = value(rule, json, Encoding::Json);
        match (&taken, wanted) {
            (Ok(taken), Ok(wanted)) => assert_eq!(taken, wanted, "{rule} {json}"),
            (Err(error), Err(wanted)) => assert!(error.contains(wanted), "{rule} {json}: {error}"),
            _ => panic!("{rule} {json}: {taken:?}, wanted {wanted:?}"),
        }
    }
}

#[test]
fn a_form_gives_texts_and_json_does_not() {
    for (rule, text, wanted) in [
        (r#"{"type":"uint"}"#, "5", "5"),
        (r#"{"type":"number"}"#, " 0.5 ", "0.5"),
        (r#"{"type":"bool"}"#, "on", "true"),
        (r#"{"type":"options","options":["a",3]}"#, "3", "3"),
        (r#"{"type":"options","options":["a",3],"multiple":true}"#, "a", "[\"a\"]"),
        (r#"{"type":"json"}"#, "{\"a\": 1}", "{\"a\":1}"),
        (r#"{"type":"string"}"#, "5", "\"5\""),
        (r#"{"type":"bool","required":false,"default":true}"#, "", "true"),
    ] {
        assert_eq!(value(rule, &quoted(text), Encoding::Form).unwrap(), wanted, "{rule} {text}");
    }
    for (rule, text) in [
        (r#"{"type":"uint"}"#, "x"),
        (r#"{"type":"json"}"#, "{"),
        (r#"{"type":"number"}"#, "inf"),
        (r#"{"type":"uint"}"#, ""),
    ] {
        assert!(value(rule, &quoted(text), Encoding::Form).is_err(), "{rule} {text}");
    }
}

#[test]
fn all_errors_come_at_once_at_their_fields() {
    let schema = r#"{"user_id":{"type":"uint"},"filter":{"type":"options","options":["a","b"]},
        "name":{"type":"string"}}"#;
    let errors = fields(schema, r#"{"user_id":-5,"filter":"c","colour":1}"#).unwrap_err();
    let names: Vec<_> = errors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["colour", "filter", "name", "user_id"]);
    let slip = fields(schema, r#"{"userid":1,"filter":"a","name":""}"#).unwrap_err();
    assert_eq!(slip[1].0, "userid");
    assert!(slip[1].1.contains("did you mean user_id? It has user_id, filter, name"), "{slip:?}");
    for (payload, name, says) in [
        ("[]", "payload", "must be a JSON object"),
        ("{", "payload", "is not valid JSON"),
        (r#"{"user_id":1,"user_id":2}"#, "user_id", "is there twice"),
    ] {
        let errors = fields(schema, payload).unwrap_err();
        let found = errors.iter().find(|(field, _)| field == name);
        assert!(found.is_some_and(|(_, error)| error.contains(says)), "{payload}: {errors:?}");
    }
}

#[test]
fn an_absent_field_is_refused_or_filled_in_the_order_of_the_schema() {
    let schema = r#"{"z":{"type":"uint","default":7},"a":{"type":"uint","required":false},
        "b":{"type":"uint","required":false},"c":{"type":"uint","required":false},"job_type":null}"#;
    let schema = PayloadSchema::Fields(schema.into());
    let defaults = r#"{"a":3,"b":"wrong","z":1}"#;
    let data = checked(&schema, defaults, "{}", Encoding::Json).unwrap();
    assert_eq!(data, r#"{"z":7,"a":3,"job_type":"send_mail"}"#, "what does not fit fills nothing");
    let given = r#"{"job_type":"","c":1,"z":null}"#;
    let data = checked(&schema, defaults, given, Encoding::Json).unwrap();
    assert_eq!(data, r#"{"z":7,"a":3,"c":1,"job_type":"send_mail"}"#);
    let other = checked(&schema, defaults, r#"{"job_type":"other"}"#, Encoding::Json);
    assert!(other.unwrap_err()[0].1.contains("is filled with send_mail"));
    // A default of the template fills the form only.
    let required = PayloadSchema::Fields(r#"{"a":{"type":"uint"}}"#.into());
    let error = checked(&required, r#"{"a":3}"#, "{}", Encoding::Json).unwrap_err();
    assert_eq!(error, [("a".to_owned(), "is required".to_owned())]);
    let large = format!(r#"{{"a":{}}}"#, quoted(&"x".repeat(70_000)));
    let open = r#"{"a":{"type":"string","maxLength":65536}}"#;
    assert!(fields(open, &large).is_err());
}

#[test]
fn a_rule_that_is_wrong_says_everything_that_is_wrong_with_it() {
    for (rule, says) in [
        ("5", "must be a rule"),
        ("{}", "has no type"),
        (r#"{"type":"unit"}"#, "type unit is not known"),
        (r#"{"type":"uint","minvalu":1}"#, "has no minvalu: did you mean minValue?"),
        (r#"{"type":"uint","pattern":"a"}"#, "has no pattern"),
        (r#"{"type":"uint","minValue":-1}"#, "minValue must be a whole number from 0"),
        (r#"{"type":"uint","minValue":2,"maxValue":1}"#, "minValue 2 is more than maxValue 1"),
        (r#"{"type":"uint","range":[1]}"#, "range must be a list of two numbers"),
        (r#"{"type":"uint","range":[1,2],"minValue":1}"#, "has range beside"),
        (r#"{"type":"number","maxValue":"x"}"#, "maxValue must be a number"),
        (r#"{"type":"string","pattern":"("}"#, "pattern cannot be used"),
        (r#"{"type":"string","pattern":"(a{1000}){1000}"}"#, "pattern cannot be used"),
        (r#"{"type":"string","minLength":9,"maxLength":1}"#, "minLength 9 is more than"),
        (r#"{"type":"string","format":"ip"}"#, "format ip is not known"),
        (r#"{"type":"options"}"#, "has no options"),
        (r#"{"type":"options","options":[]}"#, "options must be a list of 1 to"),
        (r#"{"type":"options","options":[true]}"#, "options must be a list of 1 to"),
        (r#"{"type":"options","options":["a","a"]}"#, "options has a twice"),
        (r#"{"type":"options","options":[1,1.0]}"#, "options has 1.0 twice"),
        (
            r#"{"type":"options","options":[18446744073709551616]}"#,
            "options must be a list of 1 to",
        ),
        (
            r#"{"type":"number","maxValue":9007199254740993}"#,
            "has too many digits: use the type int",
        ),
        (r#"{"type":"datetime","timezone":"Mars"}"#, "timezone is not valid"),
        (r#"{"type":"datetime","notBefore":"soon"}"#, "notBefore must be now, or RFC 3339"),
        (r#"{"type":"bool","required":1}"#, "required must be true or false"),
    ] {
        let wrong = Rule::read(rule).unwrap_err();
        assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{rule}: {wrong:?}");
    }
    let two = Rule::read(r#"{"type":"string","format":"ip","minLength":"x"}"#).unwrap_err();
    assert_eq!(two.len(), 2);
    let snake = Rule::read(r#"{"type":"uint","min_value":1,"max_value":null}"#);
    assert!(snake.is_ok(), "either casing");
}

#[test]
fn a_json_schema_judges_all_fields_and_fills_what_is_not_required() {
    let schema = r#"{"type":"object","required":["id"],"additionalProperties":false,"properties":{
        "name":{"type":"string","pattern":"^a","default":"ab"},"id":{"type":"integer","minimum":0},
        "tags":{"type":"array","items":{"enum":["x","y"]}}}}"#;
    let schema = PayloadSchema::Json(schema.into());
    let of = |payload: &str| checked(&schema, r#"{"tags":["x"]}"#, payload, Encoding::Json);
    assert_eq!(of(r#"{"id": 1}"#).unwrap(), r#"{"name":"ab","id":1,"tags":["x"]}"#);
    let errors = of(r#"{"name":"b","tags":["z"],"colour":1}"#).unwrap_err();
    let names: Vec<_> = errors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["colour", "id", "name", "tags/0"]);
    assert_eq!(errors[1].1, "is required");
    let form = checked(&schema, "", r#"{"id":"7","name":""}"#, Encoding::Form).unwrap();
    assert_eq!(form, r#"{"name":"ab","id":7}"#);
    assert!(of(r#"{"id":99999999999999999999}"#).unwrap_err()[0].1.contains("beyond 64 bits"));
}

#[test]
fn a_json_schema_reaches_nothing_outside_of_itself() {
    let read = |text: &str| {
        Schema::read(&PayloadSchema::Json(text.into()), &Defaults::default())
            .map(drop)
            .map_err(|errors| errors.get("jsonSchema").unwrap_or_default().to_owned())
    };
    read(r##"{"$defs":{"a":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/a"}}}"##).unwrap();
    for text in [
        r#"{"$ref":"http://127.0.0.1:1/schema.json"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r#"{"type":"nonsense"}"#,
        r#"{"pattern":"("}"#,
        r#"{"pattern":"(?=a)"}"#,
        "[]",
    ] {
        let error = read(text).unwrap_err();
        assert!(!error.is_empty() && !error.contains("root:"), "{text}: {error}");
    }
    let deep = format!("{}{}", r#"{"not":"#.repeat(40), "{}") + &"}".repeat(40);
    assert!(read(&deep).unwrap_err().contains("too deep"));
}
