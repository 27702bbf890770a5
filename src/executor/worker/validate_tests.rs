//! Settings as clients give them: what is kept, what is shown, and what each wrong field says.

use serde_json::json;

use super::*;
use crate::delivery::executor::Fault;
use crate::secret::purpose;

const PEM: &str = include_str!("../../../tests/fixtures/tls/ca.pem");

fn keys() -> Keys {
    Keys::new(&"ab".repeat(32), "node", "pass").unwrap()
}

fn read(given: &Value, old: Option<&WorkerSettings>) -> Result<WorkerSettings, Invalid> {
    let old = old.map(|old| serde_json::to_value(old).unwrap());
    validate(given, old.as_ref(), &TargetGuard::default(), &keys())
}

/// The least settings of a broker, with some of their fields changed.
#[expect(clippy::needless_pass_by_value, reason = "callers write JSON")]
fn with(changes: Value) -> Value {
    let mut given = json!({"bus": "rabbitmq", "url": "amqp://u:hunter2@h/v"});
    given.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    given
}

#[test]
fn the_least_settings_have_the_defaults_and_a_sealed_password() {
    let least = WorkerSettings { bus: BusKind::Embedded, heartbeat_timeout: None, rabbitmq: None };
    assert_eq!(read(&json!({}), None).unwrap(), least);
    assert_eq!(read(&json!({"bus": null, "url": null}), None).unwrap(), least);
    let settings = read(&with(json!({})), None).unwrap();
    let rabbitmq = settings.rabbitmq.as_ref().unwrap();
    assert_eq!((rabbitmq.actions, rabbitmq.include_data), (Actions::Queue, false));
    let broker = &rabbitmq.broker;
    assert_eq!((&*broker.host, broker.port, &*broker.vhost, &*broker.user), ("h", 5_672, "v", "u"));
    assert_eq!(*keys().open(&broker.password, purpose::PASSWORD).unwrap(), "hunter2");
    let stored = serde_json::to_string(&settings).unwrap();
    assert!(!stored.contains("hunter2") && !format!("{settings:?}").contains("hunter2"));
    assert_eq!(WorkerSettings::read(&serde_json::from_str(&stored).unwrap()).unwrap(), settings);
}

#[test]
fn what_is_shown_can_be_sent_back_and_has_no_password() {
    let every = with(json!({"url": "amqps://u:hunter2@h:5671/v", "ca": PEM, "actions": "exchange",
        "includeData": true, "heartbeatTimeout": "1m30s"}));
    let settings = read(&every, None).unwrap();
    let view = Value::from(show(&settings));
    let wanted = json!({"bus": "rabbitmq", "url": "amqps://u:***@h/v", "passwordSet": true,
        "ca": PEM, "actions": "exchange", "includeData": true, "heartbeatTimeout": "1m30s"});
    assert_eq!(view, wanted);
    assert_eq!(read(&view, Some(&settings)).unwrap(), settings, "the password stays");
    for silence in ["0s", "1ms"] {
        let settings = read(&json!({"heartbeatTimeout": silence}), None).unwrap();
        let view = Value::from(show(&settings));
        assert_eq!(view, json!({"bus": "embedded", "heartbeatTimeout": silence}));
        assert_eq!(read(&view, Some(&settings)).unwrap(), settings);
    }
    assert_eq!(read(&json!({"heartbeatTimeout": 0}), None).unwrap().heartbeat_timeout, Some(0));
}

#[test]
fn a_password_stays_with_its_user_and_address_only() {
    let old = read(&with(json!({})), None).unwrap();
    let kept = read(&with(json!({"url": "amqp://u:***@h/v"})), Some(&old)).unwrap();
    assert_eq!(kept, old);
    for elsewhere in ["amqp://u:***@other/v", "amqp://x:***@h/v", "amqp://u@h/", "amqps://u@h/v"] {
        let error = read(&with(json!({"url": elsewhere})), Some(&old)).unwrap_err();
        assert_eq!((error.field, error.fault), (URL, Fault::Value), "{elsewhere}");
        assert!(error.message.contains("needs the password"), "{error}");
    }
    assert!(read(&with(json!({"url": "amqp://u:***@h/v"})), None).is_err());
}

#[test]
fn the_bus_can_change_and_takes_its_fields_along() {
    let old = read(&with(json!({"heartbeatTimeout": 5})), None).unwrap();
    let mut patched = show(&old);
    patched.insert("bus".to_owned(), "embedded".into());
    let settings = read(&patched.clone().into(), Some(&old)).unwrap();
    let wanted =
        WorkerSettings { bus: BusKind::Embedded, heartbeat_timeout: Some(5_000), rabbitmq: None };
    assert_eq!(settings, wanted);
    patched.insert("includeData".to_owned(), true.into());
    let error = read(&patched.into(), Some(&old)).unwrap_err();
    assert_eq!((error.field, error.fault), (INCLUDE_DATA, Fault::Unfit));
}

#[test]
fn each_wrong_field_is_named_with_its_fix() {
    let pem = json!({"ca": PEM});
    for (given, field, fault, said) in [
        (json!("embedded"), "worker", Fault::Value, "must be an object with bus"),
        (json!([]), "worker", Fault::Value, "must be an object"),
        (json!({"colour": 1}), "worker", Fault::Value, "no field colour: it has bus,"),
        (json!({"bus": "kafka"}), BUS, Fault::Value, "embedded or rabbitmq"),
        (json!({"bus": "http"}), BUS, Fault::Value, "embedded or rabbitmq"),
        (json!({"bus": 1}), BUS, Fault::Value, "embedded or rabbitmq"),
        (json!({"heartbeatTimeout": "soon"}), HEARTBEAT_TIMEOUT, Fault::Value, "not understood"),
        (json!({"heartbeatTimeout": -1}), HEARTBEAT_TIMEOUT, Fault::Value, "from 0s to"),
        (json!({"heartbeatTimeout": "9000h"}), HEARTBEAT_TIMEOUT, Fault::Value, "from 0s to 8784h"),
        (json!({"heartbeatTimeout": true}), HEARTBEAT_TIMEOUT, Fault::Value, "a duration such as"),
        (json!({"url": "amqp://u:p@h"}), URL, Fault::Unfit, "set worker.bus to rabbitmq"),
        (pem.clone(), CA, Fault::Unfit, "set worker.bus to rabbitmq"),
        (json!({"actions": "queue"}), ACTIONS, Fault::Unfit, "set worker.bus to rabbitmq"),
        (json!({"includeData": false}), INCLUDE_DATA, Fault::Unfit, "set worker.bus to rabbitmq"),
        (json!({"bus": "rabbitmq"}), URL, Fault::Value, "amqp://user:password@host:port/vhost"),
        (with(json!({"url": 5})), URL, Fault::Value, "must be text"),
        (with(json!({"url": "http://h/"})), URL, Fault::Value, "amqp:// or amqps://"),
        (with(pem), CA, Fault::Unfit, "begins with amqps://"),
        (with(json!({"ca": "hunter2"})), CA, Fault::Value, "is not valid"),
        (with(json!({"ca": 5})), CA, Fault::Value, "must be text"),
        (with(json!({"actions": "topic"})), ACTIONS, Fault::Value, "queue or exchange"),
        (with(json!({"actions": true})), ACTIONS, Fault::Value, "queue or exchange"),
        (with(json!({"includeData": "yes"})), INCLUDE_DATA, Fault::Value, "true or false"),
    ] {
        let error = read(&given, None).unwrap_err();
        assert_eq!((error.field, error.fault), (field, fault), "{given}: {error}");
        assert!(error.message.contains(said), "{given}: {error}");
        assert!(error.message.starts_with(field), "{given}: {error}");
        assert!(!error.message.contains("hunter2"), "{given}: {error}");
    }
}

#[test]
fn the_guard_of_targets_holds_for_brokers() {
    let guard = TargetGuard { allow_loopback: false, ..TargetGuard::default() };
    let given = with(json!({"url": "amqp://u:hunter2@127.0.0.1/v"}));
    let error = validate(&given, None, &guard, &keys()).unwrap_err();
    assert_eq!(error.field, URL);
    assert!(!error.message.contains("hunter2"), "{error}");
}
