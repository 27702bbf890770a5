//! What the audit shows of a change, and what it never shows.

use super::*;

fn shown(old: &Value, new: &Value) -> Value {
    let fields = difference(Some(old), Some(new)).into_iter();
    let parsed =
        |one: FieldChange| (one.field.into_owned(), serde_json::from_str(&one.change).unwrap());
    Value::Object(fields.map(parsed).collect())
}

#[test]
fn fields_that_differ_are_shown_with_their_names() {
    let old = json!({"id": 1, "version": 1, "name": "a", "run_timeout": 5, "same": [1],
                     "labels": {"my_team": "x", "gone": "y"}});
    let new = json!({"id": 1, "version": 2, "name": "b", "run_timeout": null, "same": [1],
                     "labels": {"my_team": "z"}, "delivery": {"retry_max": 3}});
    let expected = json!({
        "delivery.retryMax": {"new": 3},
        "labels.gone": {"old": "y"},
        "labels.my_team": {"old": "x", "new": "z"},
        "name": {"old": "a", "new": "b"},
        "runTimeout": {"old": 5},
    });
    assert_eq!(shown(&old, &new), expected);
    assert_eq!(shown(&old, &old), json!({}));
    let made = difference(None, Some(&json!({"name": "a"})));
    assert_eq!(made, [new_field("name", "a")]);
    let gone = difference(Some(&json!({"name": "a"})), None);
    assert_eq!(gone[0].change, r#"{"old":"a"}"#);
    assert_eq!(new_text("name", "a"), made[0]);
    let digest = difference(None, Some(&json!({"data": "hunter2"})));
    assert_eq!(digest, [new_digest("data", "hunter2")]);
    let address = difference(None, Some(&json!({"url": "http://a?b"})));
    assert_eq!(address, [new_address("url", "http://a?b")]);
}

#[test]
fn a_secret_is_set_changed_or_removed_and_nothing_else() {
    let old = json!({
        "signing": [{"sealed": "S1"}],
        "cloud_api_key": "S2",
        "http": {"secretHeaders": {"X-Api-Key": "S3"}, "auth": {"type": "bearer", "token": "S4"}},
        "settings": {"broker": {"password": "S5", "host": "a"}},
    });
    let new = json!({
        "signing": [{"sealed": "S6"}, {"sealed": "S1"}],
        "http": {"secretHeaders": {"X-Api-Key": "S7"}, "auth": {"type": "basic", "password": "S8"},
                 "tls": {"clientKey": "S9", "ca": "PEM"}},
        "settings": {"broker": {"password": "S0", "host": "b"}, "secret": "S"},
    });
    let changes = shown(&old, &new);
    let expected = json!({
        "cloudApiKey": "removed",
        "http.auth.password": "set",
        "http.auth.token": "removed",
        "http.auth.type": {"old": "bearer", "new": "basic"},
        "http.secretHeaders": "changed",
        "http.tls.ca": {"new": {"bytes": 3, "sha256": changes["http.tls.ca"]["new"]["sha256"]}},
        "http.tls.clientKey": "set",
        "settings.broker.host": {"old": "a", "new": "b"},
        "settings.broker.password": "changed",
        "settings.secret": "set",
        "signing": "changed",
    });
    assert_eq!(changes, expected);
}

#[test]
fn bodies_and_headers_are_shown_by_length_and_digest() {
    // The digest of "hunter2" by another program.
    let hunter2 = json!({"bytes": 7, "sha256": "f52fbd32"});
    let new = json!({
        "data": "hunter2",
        "message": "hunter2",
        "http": {"body": "hunter2", "headers": {"x_y": "hunter2"}, "query": {"key": "hunter2"}},
        "settings": {"content": {"body": "hunter2", "exchange": "e", "list": ["hunter2"], "n": 3}},
    });
    let changes = shown(&json!({}), &new);
    for field in ["data", "message", "http.body", "http.headers.x_y", "http.query.key"] {
        assert_eq!(changes[field], json!({ "new": hunter2 }), "{field}");
    }
    assert_eq!(changes["settings.content.body"], json!({ "new": hunter2 }));
    assert_eq!(changes["settings.content.exchange"], json!({"new": "e"}));
    assert_eq!(changes["settings.content.n"], json!({"new": 3}));
    assert!(!changes.to_string().contains("hunter2"), "{changes}");
}

#[test]
fn an_address_is_shown_without_its_login_and_its_query() {
    let url = |url: &str| {
        shown(&json!({}), &json!({ "callback_url": url }))["callbackUrl"]["new"].clone()
    };
    assert_eq!(url("https://a:1/b/@c"), "https://a:1/b/@c");
    assert_eq!(url("https://me:hunter2@a/b"), "https://***@a/b");
    let with_query = url("https://a/b?key=hunter2#x");
    let with_query = with_query.as_str().unwrap();
    assert!(with_query.starts_with("https://a/b?(14 bytes, "), "{with_query}");
}

#[test]
fn a_long_value_is_cut() {
    let new = json!({"description": "ä".repeat(300), "list": vec!["x"; 300]});
    let changes = shown(&json!({}), &new);
    for field in ["description", "list"] {
        let text = changes[field]["new"].as_str().unwrap();
        assert!(text.len() <= MAX_VALUE && text.ends_with('…'), "{text}");
    }
}
