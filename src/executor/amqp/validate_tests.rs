//! Settings as clients give them: what is kept, what is shown, and what each wrong field says.

use serde_json::json;

use super::*;
use crate::delivery::executor::Fault;
use crate::executor::amqp::show::show;
use crate::secret::purpose;

const PEM: &str = include_str!("../../../tests/fixtures/tls/ca.pem");

fn keys() -> Keys {
    Keys::new(&"ab".repeat(32), "node", "pass").unwrap()
}

fn read(given: &Value, old: Option<&Settings>) -> Result<Settings, Invalid> {
    let old = old.map(|old| serde_json::to_value(old).unwrap());
    validate(given, old.as_ref(), &TargetGuard::default(), &keys())
}

/// The least settings, with some of their fields changed.
#[expect(clippy::needless_pass_by_value, reason = "callers write JSON")]
fn with(changes: Value) -> Value {
    let mut given =
        json!({"url": "amqp://u:hunter2@h/v", "exchange": "events", "routingKey": "a.b"});
    given.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    given
}

#[test]
fn the_least_settings_have_the_defaults_and_a_sealed_password() {
    let settings = read(&with(json!({})), None).unwrap();
    assert!(settings.persistent && settings.mandatory && settings.declare.is_none());
    let broker = &settings.broker;
    assert_eq!((&*broker.host, broker.port, &*broker.vhost, &*broker.user), ("h", 5_672, "v", "u"));
    assert_eq!(*keys().open(&broker.password, purpose::PASSWORD).unwrap(), "hunter2");
    let stored = serde_json::to_string(&settings).unwrap();
    assert!(!stored.contains("hunter2") && !format!("{settings:?}").contains("hunter2"));
    let alias = json!({"connection": "amqp://u:hunter2@h/v", "exchange": "events",
        "routingKey": "a.b"});
    assert_eq!(serde_json::to_string(&read(&alias, None).unwrap()).unwrap(), stored);
}

#[test]
fn settings_are_shown_without_the_password_and_written_back_as_they_were() {
    let full = with(json!({
        "url": "amqps://u:hunter2@h:5673/v", "ca": PEM, "exchange": "events",
        "routingKey": "a.{{jobId}}", "headers": {"x-A_b": [1, "{{data}}"]}, "body": {"a": "{{data}}"},
        "contentType": "a/b", "contentEncoding": "gzip", "type": "t", "replyTo": "r",
        "correlationId": "{{executionId}}", "priority": 0, "expiration": "1m30s",
        "persistent": false, "mandatory": false,
        "declare": {"type": "topic", "arguments": {"alternate-exchange": "other"}},
    }));
    let settings = read(&full, None).unwrap();
    let shown = show(&settings);
    let expected = json!({
        "url": "amqps://u:***@h:5673/v", "passwordSet": true, "ca": PEM, "exchange": "events",
        "routingKey": "a.{{jobId}}", "headers": {"x-A_b": [1, "{{data}}"]},
        "body": "{\"a\":\"{{data}}\"}",
        "contentType": "a/b", "contentEncoding": "gzip", "type": "t", "replyTo": "r",
        "correlationId": "{{executionId}}", "priority": 0, "expiration": "1m30s",
        "persistent": false, "mandatory": false,
        "declare": {"type": "topic", "durable": true, "autoDelete": false, "internal": false,
            "arguments": {"alternate-exchange": "other"}},
    });
    assert_eq!(shown, expected);
    let again = read(&shown, Some(&settings)).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&settings).unwrap());
    let base64 = read(&with(json!({"bodyEncoding": "base64", "body": null})), None).unwrap();
    assert_eq!(show(&base64)["bodyEncoding"], json!("base64"));
    assert!(read(&show(&base64), Some(&base64)).unwrap().base64);
}

#[test]
fn a_password_goes_to_no_other_user_or_address() {
    let old = read(&with(json!({})), None).unwrap();
    for kept in ["amqp://u:***@h/v", "amqp://u@h/v", "AMQP://u:***@H:5672/v"] {
        let new = read(&with(json!({"url": kept, "exchange": "other"})), Some(&old)).unwrap();
        assert_eq!(new.broker.password, old.broker.password, "{kept}");
    }
    let new = read(&with(json!({"url": "amqp://u:other@h/v"})), Some(&old)).unwrap();
    assert_ne!(new.broker.password, old.broker.password);
    for moved in [
        "amqps://u:***@h:5672/v",
        "amqp://x:***@h/v",
        "amqp://u:***@other/v",
        "amqp://u:***@h:5673/v",
        "amqp://u:***@h/w",
        "amqp://u:***@h",
    ] {
        let error = read(&with(json!({"url": moved})), Some(&old)).unwrap_err();
        assert_eq!((error.field, error.fault), ("amqp.url", Fault::Value), "{moved}");
        assert!(error.message.contains("needs the password"), "{error}");
    }
    assert!(read(&with(json!({"url": "amqp://u:***@h/v"})), None).is_err(), "nothing to keep");
    let unread = validate(
        &with(json!({"url": "amqp://u:***@h/v"})),
        Some(&json!({"newer": 1})),
        &TargetGuard::default(),
        &keys(),
    );
    assert_eq!(unread.unwrap_err().field, "amqp.url");
}

#[test]
fn the_other_name_of_the_url_changes_the_one_that_is_shown() {
    let old = read(&with(json!({})), None).unwrap();
    let patched = |connection: &str, url: &str| {
        let mut whole = show(&old);
        whole["url"] = json!(url);
        whole["connection"] = json!(connection);
        read(&whole, Some(&old))
    };
    let shown = "amqp://u:***@h/v";
    let moved = patched("amqp://x:hunter3@other/w", shown).unwrap().broker;
    assert_eq!((&*moved.host, &*moved.vhost, &*moved.user), ("other", "w", "x"));
    assert_eq!(*keys().open(&moved.password, purpose::PASSWORD).unwrap(), "hunter3");
    let same = patched("amqp://u@h/v", shown).unwrap().broker;
    assert_eq!(same.password, old.broker.password);
    for (connection, url) in [("amqp://x:***@h/v", shown), ("amqp://h", "amqp://u:new@h/v")] {
        assert_eq!(patched(connection, url).unwrap_err().field, "amqp.connection", "{url}");
    }
}

#[test]
fn every_field_that_is_wrong_is_named_with_what_to_do() {
    let long = "x".repeat(256);
    for (changes, field, part) in [
        (json!({"url": null}), "amqp.url", "is required: amqp://user:password@"),
        (json!({"url": ""}), "amqp.url", "is required"),
        (json!({"url": 5}), "amqp.url", "must be text"),
        (json!({"url": "http://u:hunter2@h"}), "amqp.url", "must begin with amqp://"),
        (json!({"url": "amqp://u:hunter2@169.254.169.254"}), "amqp.url", "not allowed"),
        (json!({"connection": "amqp://h"}), "amqp.connection", "another name of amqp.url"),
        (json!({"url": null, "connection": "x"}), "amqp.connection", "must begin with"),
        (json!({"ca": "hunter2"}), "amqp.ca", "is not valid"),
        (json!({"ca": PEM}), "amqp.ca", "begins with amqps://"),
        (json!({"exchange": null}), "amqp.exchange", "is required"),
        (json!({"exchange": long}), "amqp.exchange", "255 bytes"),
        (json!({"exchange": "a{{data}}"}), "amqp.exchange", "no placeholders"),
        (json!({"exchange": "", "routingKey": ""}), "amqp.routingKey", "name of a queue"),
        (json!({"routingKey": null}), "amqp.routingKey", "is required"),
        (json!({"routingKey": long}), "amqp.routingKey", "255 bytes"),
        (json!({"routingKey": "{{x}}"}), "amqp.routingKey", "nobody fills in {{x}}"),
        (
            json!({"routingKey": "", "declare": {"type": "topic"}}),
            "amqp.routingKey",
            "must not be empty",
        ),
        (json!({"headers": {"scheduler-fence": 1}}), "amqp.headers", "the sender does"),
        (json!({"headers": []}), "amqp.headers", "must be an object"),
        (json!({"body": "{{x}}"}), "amqp.body", "nobody fills in"),
        (json!({"body": "*", "bodyEncoding": "base64"}), "amqp.body", "not base64"),
        (json!({"body": "{{jobId}}", "bodyEncoding": "base64"}), "amqp.body", "{{data}} only"),
        (json!({"bodyEncoding": "hex"}), "amqp.bodyEncoding", "base64 or none"),
        (json!({"contentType": long}), "amqp.contentType", "255 bytes"),
        (json!({"contentEncoding": long}), "amqp.contentEncoding", "255 bytes"),
        (json!({"type": long}), "amqp.type", "255 bytes"),
        (json!({"replyTo": long}), "amqp.replyTo", "255 bytes"),
        (json!({"correlationId": long}), "amqp.correlationId", "255 bytes"),
        (json!({"priority": -1}), "amqp.priority", "0 to 255"),
        (json!({"expiration": "50d"}), "amqp.expiration", "must be from 0s"),
        (json!({"persistent": "yes"}), "amqp.persistent", "true or false"),
        (json!({"mandatory": 1}), "amqp.mandatory", "true or false"),
        (json!({"declare": "topic"}), "amqp.declare", "must be an object"),
        (
            json!({"exchange": "", "declare": {"type": "direct"}}),
            "amqp.declare",
            "default exchange",
        ),
        (json!({"durable": true}), "amqp.durable", "needs amqp.exchangeType"),
        (json!({"routing_key": "a"}), "amqp", "has no field routing_key: it has url"),
        (json!({"password": "hunter2"}), "amqp", "has no field password"),
    ] {
        let error = read(&with(changes.clone()), None).unwrap_err();
        assert_eq!(error.field, field, "{changes}: {error}");
        assert!(error.message.starts_with(field), "{error}");
        assert!(error.message.contains(part) && !error.message.contains("hunter2"), "{error}");
    }
    assert_eq!(read(&json!("amqp://h"), None).unwrap_err().field, "amqp");
}

#[test]
fn an_empty_routing_key_is_for_exchanges_that_may_do_without() {
    for changes in [
        json!({"routingKey": "", "declare": {"type": "fanout"}}),
        json!({"routingKey": "", "declare": {"type": "headers"}}),
        json!({"routingKey": ""}),
        json!({"routingKey": "queue", "exchange": ""}),
    ] {
        assert!(read(&with(changes.clone()), None).is_ok(), "{changes}");
    }
}

#[test]
fn the_flat_fields_of_older_programs_declare_the_exchange() {
    let given = with(json!({"exchangeType": "fanout", "durable": true, "autoDelete": false,
        "internal": false, "noWait": true}));
    let declared = show(&read(&given, None).unwrap())["declare"].clone();
    let expected = json!({"type": "fanout", "durable": true, "autoDelete": false,
        "internal": false});
    assert_eq!(declared, expected);
}

#[test]
fn a_broker_must_be_where_calls_may_go() {
    let guard =
        TargetGuard { allow_loopback: false, allow_private: false, ..TargetGuard::default() };
    for (url, part) in [
        ("amqp://u:hunter2@127.0.0.1/v", "a loopback address"),
        ("amqp://u:hunter2@[::1]/v", "a loopback address"),
        ("amqps://u:hunter2@10.0.0.1/v", "a private address"),
        ("amqp://u:hunter2@metadata.google.internal/v", "metadata"),
    ] {
        let error = validate(&with(json!({"url": url})), None, &guard, &keys()).unwrap_err();
        assert_eq!(error.field, "amqp.url");
        assert!(error.message.contains(part) && !error.message.contains("hunter2"), "{error}");
    }
}
