//! Patches of a target: fields that stay, fields that go, and secrets.

use serde_json::json;

use crate::app::error::Error;
use crate::app::targets::http::merge::merged;
use crate::app::targets::http::read::read_target;
use crate::app::targets::http::view::show;
use crate::executor::guard::TargetGuard;
use crate::model::target::HttpTarget;
use crate::secret::Keys;
use serde_json::Value;

fn read(given: Value, old: Option<&HttpTarget>) -> Result<HttpTarget, Error> {
    let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
    read_target(given, &TargetGuard::default(), &keys, old)
}

fn patched(old: &HttpTarget, patch: Value) -> Result<HttpTarget, Error> {
    read(merged(Some(old), patch)?, Some(old))
}

fn old() -> HttpTarget {
    let given = json!({
        "url": "https://a.example/x", "method": "PUT", "query": {"q": "1", "r": "2"},
        "headers": {"X-A": "1", "X-B": "2"}, "body": {"kept": null}, "successCodes": [200],
        "auth": {"type": "basic", "username": "me", "password": "hunter2"},
    });
    read(given, None).unwrap()
}

#[test]
fn what_a_patch_does_not_name_stays_and_null_takes_away() {
    let old = old();
    assert_eq!(patched(&old, json!({})).unwrap(), old);
    let moved = patched(&old, json!({"url": "https://a.example/y"})).unwrap();
    assert_eq!(moved, HttpTarget { url: "https://a.example/y".into(), ..old.clone() });
    let less = json!({"method": null, "query": {"q": null, "s": 3}, "success_codes": null,
        "headers": {"x-a": "9", "X-B": null, "x-c": null}, "body": null, "auth": null});
    let less = patched(&old, less).unwrap();
    let shown = serde_json::to_value(show(&less)).unwrap();
    assert_eq!(
        shown,
        json!({"method": "POST", "url": "https://a.example/x", "query": {"r": "2", "s": "3"},
            "headers": {"x-a": "9"}, "auth": {"type": "none"}})
    );
    let body = patched(&old, json!({"body": {"new": null}})).unwrap().body;
    assert_eq!(body.as_deref(), Some("{\"new\":null}"), "a body is one value");
    assert!(merged(Some(&old), json!([])).unwrap().is_array());
    let first = merged(None, json!({"url": "http://a/", "auth": null, "headers": {"a": null}}));
    assert_eq!(first.unwrap(), json!({"url": "http://a/", "headers": {}}));
}

#[test]
fn a_patch_names_the_secret_headers_that_are_new_or_go() {
    let given = json!({"url": "https://a.example/x", "secretHeaders": {"X-A": "1", "X-B": "2"}});
    let old = read(given, None).unwrap();
    assert_eq!(patched(&old, json!({"method": "PUT"})).unwrap().secret_headers, old.secret_headers);
    let said = json!({"secret_headers": {"x-a": "3", "X-B": null, "X-C": "4"}});
    let new = patched(&old, said).unwrap().secret_headers;
    assert_eq!(new.keys().collect::<Vec<_>>(), ["X-C", "x-a"]);
    assert_ne!(new["x-a"], old.secret_headers["X-A"]);
    let one = patched(&old, json!({"secretHeaders": {"X-B": null}})).unwrap().secret_headers;
    assert_eq!((one.len(), &one["X-A"]), (1, &old.secret_headers["X-A"]));
    let none = patched(&old, json!({"secretHeaders": null})).unwrap();
    assert!(none.secret_headers.is_empty());
    let moved = patched(&old, json!({"url": "https://b.example/x"})).unwrap_err();
    assert!(format!("{moved:?}").contains("http.secretHeaders"), "{moved:?}");
    let again = json!({"url": "https://b.example/x", "secretHeaders": {"X-A": "1", "X-B": null}});
    assert_eq!(patched(&old, again).unwrap().secret_headers.len(), 1);
}

#[test]
fn a_secret_survives_a_patch_but_goes_to_no_other_origin_or_user() {
    let old = old();
    let auth = |said: Value| patched(&old, json!({"auth": said}));
    assert_eq!(auth(json!({})).unwrap(), old);
    assert_eq!(auth(json!({"username": "me"})).unwrap().auth, old.auth);
    let other = auth(json!({"password": "other"})).unwrap().auth;
    assert_ne!(other, old.auth);
    let bearer = auth(json!({"type": "bearer", "token": "t", "username": null})).unwrap();
    let shown = serde_json::to_value(show(&bearer)).unwrap();
    assert_eq!(shown["auth"], json!({"type": "bearer", "tokenSet": true}));
    assert_eq!(auth(json!({"type": "none"})).unwrap().auth, crate::model::target::Auth::None);
    for (patch, field) in [
        (json!({"url": "https://b.example/x"}), "http.auth.password"),
        (json!({"auth": {"username": "you"}}), "http.auth.password"),
        (json!({"auth": {"password": null}}), "http.auth.password"),
        (json!({"auth": {"username": null}}), "http.auth.username"),
        (json!({"auth": {"type": null}}), "http.auth.type"),
        (json!({"auth": {"type": "bearer"}}), "http.auth.token"),
        (json!({"auth": {"type": "bearer", "token": null}}), "http.auth.token"),
        (json!({"url": null}), "http.url"),
    ] {
        let refused = format!("{:?}", patched(&old, patch.clone()).unwrap_err());
        assert!(refused.contains(&format!("field: Some({field:?})")), "{patch}: {refused}");
    }
    let both = json!({"url": "https://b.example/x", "auth": {"password": "new"}});
    assert!(patched(&old, both).is_ok(), "a new secret for a new origin");
}
