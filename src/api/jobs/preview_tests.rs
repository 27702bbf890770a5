//! Previews without a node: what is asked, what is answered, what is refused and why.

use serde_json::{Value, json};

use super::*;
use crate::model::job::Casing;
use crate::model::time::parse_rfc3339;

/// The answer as JSON, or the envelope of the refusal.
fn context(body: &Value) -> Result<Value, Error> {
    let now = parse_rfc3339("2026-11-20T20:00:00.250Z").unwrap();
    let mut fields = Fields::parse(body.to_string().as_bytes())?;
    let shown = PreviewView::of(read_preview(&mut fields, now)?.preview()?);
    Ok(serde_json::from_slice(&respond::envelope(&shown, Casing::Snake)).unwrap())
}

/// UTC and mark of each occurrence.
fn instants(body: &Value) -> Vec<(String, Value)> {
    let answer = context(body).unwrap();
    let list = answer["data"]["occurrences"].as_array().unwrap();
    list.iter().map(|o| (o["utc"].as_str().unwrap().to_owned(), o["dst"].clone())).collect()
}

fn one(utc: &str, mark: impl Into<Value>) -> Vec<(String, Value)> {
    vec![(utc.to_owned(), mark.into())]
}

#[test]
fn occurrences_lie_after_from_or_after_now() {
    let now = instants(&json!({"spec": "@every 1m", "count": 1}));
    assert_eq!(now, one("2026-11-20T20:01:00Z", Value::Null));
    let exact = json!({"spec": "0 9 * * *", "from": "2026-01-01T09:00:00Z", "count": 1});
    assert_eq!(instants(&exact), one("2026-01-02T09:00:00Z", Value::Null));
    let local = json!({"spec": "0 9 * * *", "timezone": "Asia/Tokyo", "from": "2026-01-01T08:59",
        "count": 1});
    assert_eq!(instants(&local), one("2026-01-01T00:00:00Z", Value::Null));
    assert_eq!(instants(&json!({"spec": "* * * * *"})).len(), 10);
    assert_eq!(instants(&json!({"spec": "* * * * *", "count": 1_000})).len(), 1_000);
    assert_eq!(instants(&json!({"spec": "* * * * *", "count": 0})), []);
    assert_eq!(instants(&json!({"spec": "* * * * *", "from": "9999-12-31T23:59:00Z"})), []);
}

#[test]
fn one_offs_come_once_and_say_what_the_clock_did() {
    let berlin = |at: &str, from: &str| {
        instants(&json!({"at": at, "timezone": "Europe/Berlin", "from": from}))
    };
    let spring = berlin("2026-03-29T02:30", "2026-03-01T00:00:00Z");
    assert_eq!(spring, one("2026-03-29T01:00:00Z", "moved"));
    let autumn = berlin("2026-10-25T02:30", "2026-03-01T00:00:00Z");
    assert_eq!(autumn, one("2026-10-25T00:30:00Z", "first"));
    assert_eq!(berlin("2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"), [], "strictly after");

    let after = |after: &str| instants(&json!({"after": after, "from": "2026-01-01T00:00:00Z"}));
    for text in ["20m", "PT20M", "20 mins"] {
        assert_eq!(after(text), one("2026-01-01T00:20:00Z", Value::Null), "{text}");
    }
    assert_eq!(after("0s"), one("2026-01-01T00:00:00Z", Value::Null));
    let answer = context(&json!({"after": "1h30m"})).unwrap();
    assert_eq!(answer["data"]["description"], "Once, 1 hour 30 minutes after it is set");
    assert_eq!(answer["data"]["occurrences"][0]["utc"], "2026-11-20T21:30:01Z");
    assert_eq!(answer["data"]["fields"][0]["name"], "after");
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let now = 0;
    let warned = |body: Value| {
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        read_preview(&mut fields, now).unwrap().warnings()
    };
    let said = warned(json!({"spec": "0 */24 * * *"}));
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("spec: hour field: the step of \"*/24\" is larger"), "{said:?}");
    assert!(warned(json!({"spec": "0 */12 * * *"})).is_empty());
    assert!(warned(json!({"after": "90m"})).is_empty());
}

#[test]
fn what_lies_after_2100_is_in_summer_time_too() {
    let body = json!({"spec": "0 12 1 7 *", "timezone": "Europe/Berlin",
        "from": "2100-01-01T00:00:00Z", "count": 1});
    let answer = context(&body).unwrap();
    let first = &answer["data"]["occurrences"][0];
    assert_eq!(first["utc"], "2100-07-01T10:00:00Z");
    assert_eq!(first["local"], "2100-07-01T12:00:00+02:00");
    let at = json!({"at": "2100-07-01T12:00:00", "timezone": "Europe/Berlin"});
    let answer = context(&at).unwrap();
    assert_eq!(answer["data"]["occurrences"][0]["utc"], "2100-07-01T10:00:00Z");
    let sentence = "Once, on Thursday 1 July 2100 at 12:00:00, Europe/Berlin time";
    assert_eq!(answer["data"]["description"], sentence);
}

#[test]
fn what_depends_on_the_job_says_so() {
    let answer = context(&json!({"spec": "H * * * *"})).unwrap();
    assert!(answer["data"]["description"].as_str().unwrap().ends_with("those of job 0)"));
}

#[test]
fn a_refusal_names_the_field_and_what_was_understood() {
    for (body, field, said) in [
        (json!({}), "spec", "found none"),
        (json!({"spec": null}), "spec", "found none"),
        (json!({"spec": "@daily", "after": "1h"}), "after", "found spec and after"),
        (json!({"spec": "@daily", "at": "x", "after": "y"}), "at", "found spec and at and after"),
        (json!({"spec": ""}), "spec", "empty"),
        (json!({"spec": 5}), "spec", "must be text"),
        (json!({"spec": "61 * * * *"}), "spec", "minute field: 61"),
        (json!({"spec": "0 0 30 2 *"}), "spec", "never comes"),
        (json!({"spec": "* *"}), "spec", "found 2 fields"),
        (json!({"spec": "@every -1m"}), "spec", "\"-1m\" is not valid: it is negative"),
        (json!({"spec": "@every 59.9s"}), "spec", "write 59s or 60s"),
        (json!({"spec": "0 10 * * ? *"}), "spec", "looks like a line with the year at its end"),
        (json!({"spec": "+5 * * * *"}), "spec", "minute field: \"+5\" has a sign"),
        (json!({"spec": "@daily", "timezone": "GMT+3"}), "timezone", "is Etc/GMT-3"),
        (json!({"at": "tomorrow"}), "at", "\"tomorrow\""),
        (json!({"after": "1 month"}), "after", "months"),
        (json!({"after": "2 days", "from": "9999-12-31T00:00:00Z"}), "after", "48 hours"),
        (json!({"spec": "@daily", "timezone": "Paris"}), "timezone", "Europe/Paris"),
        (json!({"spec": "@daily", "from": "then"}), "from", "\"then\""),
        (json!({"spec": "@daily", "count": 1_001}), "count", "at most 1000"),
        (json!({"spec": "@daily", "count": 1.5}), "count", "whole number"),
        (json!({"spec": "@daily", "count": "5"}), "count", "whole number"),
        (json!({"spec": "@daily", "dst": "skip"}), "dst", "gap (next, skip)"),
        (json!({"spec": "@daily", "dst": {"gap": "jump"}}), "dst", "`jump`"),
        (json!({"spec": "@daily", "dst": {"overlap": 1}}), "dst", "`overlap`"),
    ] {
        let refused = format!("{:?}", context(&body).unwrap_err().into_unprocessable());
        assert!(refused.contains("kind: Unprocessable"), "{body}: {refused}");
        assert!(refused.contains(&format!("field: Some({field:?})")), "{body}: {refused}");
        let plain = refused.replace('\\', "");
        assert!(plain.contains(said), "{body}: {refused}");
    }
}
