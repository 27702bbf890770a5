//! The executor as the worker and the API have it.

use serde_json::json;

use super::super::fixture::{MAX_BODY, definition, executor, keys, target};
use super::*;
use crate::clock::SystemClock;
use crate::config::EgressProxy;
use crate::delivery::executor::Fault;
use crate::model::target::Configured;

#[test]
fn an_address_has_no_user_and_tells_hosts_ports_and_virtual_hosts_apart() {
    for (url, destination, name) in [
        ("amqp://u:p@Rabbit.Example", "amqp://rabbit.example:5672", "rabbit.example"),
        ("amqps://u:p@r.example/a", "amqps://r.example:5671/a", "r.example/a"),
        ("amqp://u:p@r.example:5671/", "amqp://r.example:5671", "r.example:5671"),
        ("amqp://u:p@[::1]:1/a", "amqp://[::1]:1/a", "[::1]:1/a"),
    ] {
        let address = executor().address(&target(json!({"url": url})));
        let found = (address.destination.as_str(), &*address.name, address.path);
        assert_eq!(found, (destination, name, 0), "{url}");
    }
    let other = Configured { kind: AMQP.to_owned(), settings: json!({}) };
    let address = executor().address(&CallTarget::Settings(Box::new(other)));
    assert_eq!((address.destination.as_str(), &*address.name), ("amqp", "amqp"));
}

#[test]
fn settings_are_stored_with_a_sealed_password_and_shown_without() {
    let executor = executor();
    assert_eq!((executor.kind(), executor.is_for_jobs()), (AMQP, true));
    assert_eq!(executor.local_errors(), [("files", 3)]);
    let given = json!({"url": "amqp://u:hunter2@h/v", "exchange": "e", "routingKey": "r"});
    let stored = executor.validate(&given, None).unwrap();
    let shown = executor.show(&stored);
    assert!(!stored.to_string().contains("hunter2") && !shown.to_string().contains("hunter2"));
    assert_eq!(executor.validate(&shown, Some(&stored)).unwrap(), stored);
    assert_eq!(executor.validate(&shown, None).unwrap_err().field, "amqp.url");
    assert_eq!(executor.show(&json!({"newer": true})), Value::Null);
    // The form in which settings are stored, which later programs read.
    let broker = json!({"tls": false, "host": "h", "port": 5_672, "vhost": "v", "user": "u",
        "password": stored["broker"]["password"]});
    let expected = json!({"broker": broker, "content": {"exchange": "e", "routingKey": "r"},
        "persistent": true, "mandatory": true});
    assert_eq!(stored, expected);
}

#[test]
fn a_node_that_calls_by_a_proxy_only_takes_no_targets() {
    let proxy = EgressProxy::read("http://proxy.example:3128").unwrap();
    let options = Options { proxy: Some(proxy), ..Options::default() };
    let clock = Arc::new(SystemClock);
    let executor = AmqpExecutor::new(&options, PublishMetrics::default(), keys(), clock);
    let given = json!({"url": "amqp://u:p@h/v", "exchange": "e", "routingKey": "r"});
    let error = executor.validate(&given, None).unwrap_err();
    assert_eq!(error.field, AMQP);
    assert!(error.message.contains("EgressProxy is set on this node"), "{}", error.message);
}

#[test]
fn a_message_is_stored_as_it_is_shown() {
    let executor = executor();
    let given = json!({"body": {"a": 1}, "expiration": 90, "priority": null});
    let stored = executor.validate_message(&given).unwrap();
    assert_eq!(stored, json!({"body": "{\"a\":1}", "expiration": "1m30s"}));
    assert_eq!(executor.validate_message(&stored).unwrap(), stored);
    let error = executor.validate_message(&json!({"mandatory": false})).unwrap_err();
    assert_eq!(error.field, "message");
}

#[test]
fn data_that_makes_no_message_is_refused() {
    let executor = executor();
    let check = |changes: Value, message: Option<Value>, data: &str| {
        executor.data_check(&target(changes), &definition(message))?(data)
    };
    let x = |n: usize| "x".repeat(n);
    assert_eq!(check(json!({}), None, &x(MAX_BODY)), Ok(()));
    for (changes, message, data, field, fault) in [
        (json!({}), None, x(MAX_BODY + 1), "data", Fault::TooLarge),
        (json!({"routingKey": "{{data}}"}), None, x(256), "data", Fault::Unfit),
        (json!({}), Some(json!({"correlationId": "{{data}}"})), x(256), "data", Fault::Unfit),
        (json!({"headers": {"a": "{{data}}"}}), None, x(9_000), "data", Fault::Unfit),
        (json!({"bodyEncoding": "base64"}), None, x(5), "data", Fault::Value),
        (
            json!({}),
            Some(json!({"exchange": "", "routingKey": ""})),
            x(1),
            "message.routingKey",
            Fault::Unfit,
        ),
    ] {
        let error = check(changes, message, &data).unwrap_err();
        assert_eq!((error.field, error.fault), (field, fault), "{error}");
    }
    let other = Configured { kind: AMQP.to_owned(), settings: json!({}) };
    let other = CallTarget::Settings(Box::new(other));
    assert_eq!(executor.data_check(&other, &definition(None)).err().unwrap().field, AMQP);
}
