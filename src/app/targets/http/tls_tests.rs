//! TLS of a target: keys that stay with their certificates, and values that are refused.

use serde_json::{Value, json};

use crate::app::targets::http::merge::merged;
use crate::app::targets::http::read::read_target;
use crate::app::targets::http::view::show;
use crate::executor::guard::TargetGuard;
use crate::model::target::HttpTarget;
use crate::secret::{Keys, purpose};

const CA: &str = include_str!("../../../../tests/fixtures/tls/ca.pem");
const CERT: &str = include_str!("../../../../tests/fixtures/tls/client.pem");
const KEY: &str = include_str!("../../../../tests/fixtures/tls/client.key");
const OTHER: &str = include_str!("../../../../tests/fixtures/tls/server.pem");

fn keys() -> Keys {
    Keys::new(&"ab".repeat(32), "node", "pass").unwrap()
}

fn read(given: Value, old: Option<&HttpTarget>) -> Result<HttpTarget, String> {
    read_target(given, &TargetGuard::default(), &keys(), old).map_err(|e| format!("{e:?}"))
}

fn whole() -> Value {
    json!({"url": "https://a.example/", "ca": CA, "clientCert": CERT, "clientKey": KEY})
}

#[test]
fn a_key_is_sealed_and_never_shown() {
    let target = read(whole(), None).unwrap();
    let tls = target.tls.as_deref().unwrap();
    let key = tls.client_key.as_ref().unwrap();
    assert_eq!(keys().open(key, purpose::CLIENT_KEY).unwrap().as_str(), KEY);
    let shown = serde_json::to_value(show(&target)).unwrap();
    assert_eq!((&shown["ca"], &shown["clientCert"]), (&json!(CA), &json!(CERT)));
    assert_eq!(shown["clientKeySet"], true);
    let secret = KEY.lines().nth(1).unwrap();
    for text in [shown.to_string(), serde_json::to_string(&target).unwrap()] {
        assert!(!text.contains(secret), "{text}");
    }
    let plain = read(json!({"url": "http://a/"}), None).unwrap();
    assert!(!serde_json::to_string(&plain).unwrap().contains("tls"), "as older versions wrote it");
}

#[test]
fn a_key_stays_with_its_certificate_and_goes_with_it() {
    let old = read(whole(), None).unwrap();
    let patched = |patch: Value| read(merged(Some(&old), patch).unwrap(), Some(&old));
    assert_eq!(patched(json!({})).unwrap(), old);
    assert_eq!(patched(json!({"url": "https://a.example/y"})).unwrap().tls, old.tls);
    let no_ca = patched(json!({"ca": null})).unwrap().tls.unwrap();
    assert!(no_ca.ca.is_empty() && no_ca.client_key.is_some());
    let only_ca = patched(json!({"clientCert": null})).unwrap().tls.unwrap();
    assert!(only_ca.client_cert.is_empty() && only_ca.client_key.is_none());
    assert_eq!(patched(json!({"clientCert": null, "ca": null})).unwrap().tls, None);
    for patch in [json!({"clientKey": null}), json!({"clientCert": OTHER})] {
        let refused = patched(patch).unwrap_err();
        assert!(refused.contains("http.clientKey"), "{refused}");
    }
}

#[test]
fn what_could_not_be_used_is_refused_when_it_is_set() {
    for (change, field) in [
        (json!({"ca": "hush"}), "http.ca"),
        (json!({"clientCert": "hush"}), "http.clientCert"),
        (json!({"clientKey": "hush"}), "http.clientKey"),
        (json!({"clientCert": OTHER}), "http.clientKey"),
        (json!({"clientCert": ""}), "http.clientCert"),
        (json!({"clientKey": ""}), "http.clientKey"),
        (json!({"url": "http://a.example/"}), "http.ca"),
        (json!({"ca": "x".repeat(40_000)}), "http.ca"),
    ] {
        let mut given = whole();
        for (name, value) in change.as_object().unwrap() {
            given[name] = value.clone();
        }
        let refused = read(given, None).unwrap_err();
        assert!(refused.contains(&format!("field: Some({field:?})")), "{change}: {refused}");
        assert!(!refused.contains("hush"), "{refused}");
    }
}
