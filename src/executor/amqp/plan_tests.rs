//! Messages as settings, a job's message and the placeholders make them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::delivery::executor::Fault;
use crate::executor::amqp::validate::validate;
use crate::executor::guard::TargetGuard;
use crate::secret::Keys;

const FILL: Fill<'_> = Fill {
    execution_id: "c1-4d-19aa0",
    job: 77,
    scheduled: 1_763_700_000_000,
    attempt: 2,
    data: "{\"a\":\"b\"}",
    template: "send_mail",
};

fn settings(mut given: Value) -> Settings {
    let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
    for (name, value) in
        [("url", "amqp://u:hunter2@h/v"), ("exchange", "events"), ("routingKey", "a.b")]
    {
        given.as_object_mut().unwrap().entry(name).or_insert(value.into());
    }
    validate(&given, None, &TargetGuard::default(), &keys).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "callers write JSON")]
fn plan(given: Value, message: Option<Value>) -> Result<Plan, Invalid> {
    Plan::new(&settings(given), message.as_ref(), 1_000)
}

fn message(given: Value, own: Option<Value>) -> Message {
    plan(given, own).unwrap().render(&FILL).unwrap()
}

#[test]
fn the_least_settings_make_a_persistent_message_of_the_data() {
    let message = message(json!({}), None);
    let expected = Message {
        job: 77,
        execution: "c1-4d-19aa0".to_owned(),
        routing_key: "a.b".to_owned(),
        properties: Properties {
            content_type: "application/json".to_owned(),
            persistent: true,
            ..Properties::default()
        },
        body: FILL.data.into(),
    };
    assert_eq!(message, expected);
}

#[test]
fn every_field_goes_into_the_message() {
    let given = json!({
        "routingKey": "job.{{jobId}}", "headers": {"n": 1, "t": "{{attempt}}"},
        "body": "<{{data}}>", "contentType": "x/{{attempt}}", "contentEncoding": "gzip",
        "type": "t{{jobId}}", "replyTo": "r{{jobId}}", "correlationId": "{{executionId}}",
        "priority": 9, "expiration": "1m", "persistent": false,
    });
    let message = message(given, None);
    let Value::Object(headers) = json!({"n": 1, "t": "2"}) else { unreachable!() };
    let expected = Properties {
        content_type: "x/2".to_owned(),
        content_encoding: "gzip".to_owned(),
        headers,
        persistent: false,
        priority: Some(9),
        correlation_id: "c1-4d-19aa0".to_owned(),
        reply_to: "r77".to_owned(),
        expiration: Some(60_000),
        timestamp: 0,
        kind: "t77".to_owned(),
    };
    assert_eq!((message.properties, &*message.routing_key), (expected, "job.77"));
    assert_eq!(message.body, "<{\"a\":\"b\"}>");
}

#[test]
fn a_jobs_message_replaces_fields_and_keeps_the_rest() {
    let given = json!({"headers": {"n": 1}, "body": "{{data}}", "priority": 9, "type": "t",
        "declare": {"type": "topic"}});
    let own = json!({"routingKey": "other", "headers": {"m": "{{jobId}}"}, "body": "own"});
    let made = message(given.clone(), Some(own));
    assert_eq!((&*made.routing_key, &made.body[..]), ("other", &b"own"[..]));
    assert_eq!(Value::Object(made.properties.headers), json!({"m": "77"}));
    assert_eq!((made.properties.priority, &*made.properties.kind), (Some(9), "t"));
    let declared = |own: Value| {
        let plan = plan(given.clone(), Some(own)).unwrap();
        (plan.exchange.name, plan.exchange.declare.map(|declare| declare.kind))
    };
    assert_eq!(declared(json!({})), ("events".to_owned(), Some("topic".to_owned())));
    // What the settings declare is their own exchange.
    assert_eq!(declared(json!({"exchange": "others"})), ("others".to_owned(), None));
}

#[test]
fn a_message_that_does_not_fit_its_settings_is_refused_by_its_field() {
    let fanout = json!({"declare": {"type": "fanout"}, "routingKey": ""});
    let topic = json!({"declare": {"type": "topic"}});
    for (given, own, field, part) in [
        (fanout, json!({"exchange": ""}), "message.routingKey", "name of a queue"),
        (topic, json!({"routingKey": ""}), "message.routingKey", "must not be empty"),
        (json!({}), json!({"exchange": "", "routingKey": ""}), "message.routingKey", "queue"),
        (json!({"bodyEncoding": "base64"}), json!({"body": "*"}), "message.body", "base64"),
        (
            json!({"bodyEncoding": "base64"}),
            json!({"body": "{{jobId}}"}),
            "message.body",
            "{{data}} only",
        ),
        (json!({}), json!({"url": "a"}), "message", "has no field url"),
    ] {
        let error = plan(given, Some(own.clone())).unwrap_err();
        assert_eq!(error.field, field, "{own}");
        assert!(error.message.contains(part), "{error}");
        assert!(error.fault != Fault::TooLarge);
    }
    assert!(plan(json!({}), Some(json!({"routingKey": ""}))).is_ok(), "its type is not known");
}

#[test]
fn a_message_that_cannot_be_written_says_why() {
    let error = |given: Value, data: &str| {
        let plan = plan(given, None).unwrap();
        let error = plan.render(&Fill { data, ..FILL }).unwrap_err();
        assert_eq!(plan.check(data), Err(error.clone()));
        error
    };
    let x = |n: usize| "x".repeat(n);
    for (field, given) in [
        ("routingKey", json!({"routingKey": "{{data}}"})),
        ("contentType", json!({"contentType": "{{data}}"})),
        ("contentEncoding", json!({"contentEncoding": "{{data}}"})),
        ("type", json!({"type": "{{data}}"})),
        ("replyTo", json!({"replyTo": "{{data}}"})),
        ("correlationId", json!({"correlationId": "{{data}}"})),
    ] {
        assert_eq!(error(given.clone(), &x(256)), Unrendered::TooLong(field));
        assert_eq!(plan(given, None).unwrap().check(&x(255)), Ok(()), "{field}");
    }
    let headers = error(json!({"headers": {"a": ["{{data}}"]}, "body": ""}), &x(9_000));
    assert!(headers.to_string().contains("8192 bytes"), "{headers}");
    assert_eq!(error(json!({}), &x(1_001)), Unrendered::Body(payload::Error::TooLarge(1_000)));
    let base64 = error(json!({"bodyEncoding": "base64"}), "hunter2!");
    assert!(!base64.to_string().contains("hunter2"), "{base64}");
}

proptest! {
    /// What a check of the data admits is written for every occurrence, whatever its ids.
    #[test]
    fn what_is_admitted_is_written(
        key in "([a-z]{0,60}|\\{\\{(data|jobId|attempt|executionId|scheduledAt)\\}\\}){0,4}",
        header in "([a-z]{0,9}|\\{\\{(data|jobId|executionId)\\}\\}){0,5}",
        body in prop::option::of("([a-z\"]{0,9}|\\{\\{(data|jobId|executionId)\\}\\}){0,5}"),
        data in "[a-z\"\u{1}é]{0,200}",
        job in any::<u64>(),
        attempt in any::<u32>(),
        scheduled in 0_i64..4_102_444_800_000,
    ) {
        let given = json!({"url": "amqp://u:p@h", "exchange": "e", "routingKey": key,
            "headers": {"h": header}, "body": body});
        let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
        let Ok(settings) = validate(&given, None, &TargetGuard::default(), &keys) else {
            return Ok(());
        };
        let plan = Plan::new(&settings, None, 400).unwrap();
        let fill = Fill { job, attempt, scheduled, data: &data, ..FILL };
        let made = plan.render(&fill);
        if plan.check(&data).is_ok() {
            prop_assert!(made.is_ok(), "{:?}", made);
        }
        if let Ok(message) = made {
            prop_assert!(message.routing_key.len() <= LONGEST_SHORT && message.body.len() <= 400);
        }
    }
}
