//! The fields of an `http` object, and the view of them.

use serde_json::{Value, json};

use super::*;
use crate::app::ErrorKind;
use crate::app::targets::http::view::show;
use crate::secret::purpose;

fn keys() -> Keys {
    Keys::new(&"ab".repeat(32), "node", "pass").unwrap()
}

fn read(given: &Value) -> Result<HttpTarget, Error> {
    read_target(given.clone(), &TargetGuard::default(), &keys(), None)
}

fn edit(given: &Value, old: &HttpTarget) -> Result<HttpTarget, Error> {
    read_target(given.clone(), &TargetGuard::default(), &keys(), Some(old))
}

fn shown(target: &HttpTarget) -> Value {
    serde_json::to_value(show(target)).unwrap()
}

fn message(error: &Error) -> String {
    format!("{error:?}")
}

#[test]
fn a_target_is_read_whole_and_shown_without_its_secrets() {
    let given = json!({
        "method": "put", "url": "https://example.com/jobs/{{jobId}}?at={{scheduledAt}}",
        "query": {"try": "{{attempt}}", "n": 1, "myName": true},
        "headers": {"X-Team": "{{executionId}}", "accept": "text/plain"},
        "body": {"data": "{{data}}"}, "success_codes": [204, 200, 204],
        "auth": {"type": "basic", "username": "me", "password": "hunter2"},
    });
    let target = read(&given).unwrap();
    assert_eq!((target.method.as_str(), &target.success_codes[..]), ("PUT", &[200, 204][..]));
    assert_eq!(target.query["n"], "1");
    assert_eq!(target.body.as_deref(), Some(r#"{"data":"{{data}}"}"#));
    let Auth::Basic { password, .. } = &target.auth else { panic!("{target:?}") };
    assert_eq!(*keys().open(password, purpose::PASSWORD).unwrap(), "hunter2");
    assert_eq!(target, read(&given).unwrap(), "the same request is the same target");

    let view = shown(&target);
    assert_eq!(
        view,
        json!({
            "method": "PUT", "url": "https://example.com/jobs/{{jobId}}?at={{scheduledAt}}",
            "query": {"try": "{{attempt}}", "n": "1", "myName": "true"},
            "headers": {"X-Team": "{{executionId}}", "accept": "text/plain"},
            "body": "{\"data\":\"{{data}}\"}", "successCodes": [200, 204],
            "auth": {"type": "basic", "username": "me", "passwordSet": true},
        })
    );
    assert_eq!(edit(&view, &target).unwrap(), target, "what a GET shows can be sent back");
}

#[test]
fn a_url_alone_is_enough() {
    let target = read(&json!({"url": "http://127.0.0.1:9/x", "auth": null})).unwrap();
    assert_eq!((target.method.as_str(), target.body.as_ref()), ("POST", None));
    assert_eq!(
        shown(&target),
        json!({"method": "POST", "url": "http://127.0.0.1:9/x", "auth": {"type": "none"}})
    );
    let bearer = json!({"url": "http://a/", "auth": {"type": "bearer", "token": "t0p"}});
    let bearer = shown(&read(&bearer).unwrap());
    assert_eq!(bearer["auth"], json!({"type": "bearer", "tokenSet": true}));
}

#[test]
fn what_cannot_be_sent_is_refused_with_field_and_fix() {
    let with = |field: &str, value: Value| {
        let mut object = json!({"url": "http://example.com/"});
        object[field] = value;
        object
    };
    let auth = |value: Value| with("auth", value);
    let header = |name: &str, value: &str| with("headers", json!({name: value}));
    for (given, field, words) in [
        (json!([]), "http", "method, url"),
        (json!("http://example.com/"), "http", "object"),
        (json!({}), "http.url", "required"),
        (json!({"url": 1}), "http.url", "text"),
        (with("method", json!("BREW")), "http.method", "GET, POST"),
        (with("method", json!("GET\r\nX: y")), "http.method", "GET, POST"),
        (with("url", json!("ftp://example.com/")), "http.url", "http://"),
        (with("url", json!("http://169.254.169.254/")), "http.url", "link-local"),
        (with("url", json!("http://u:hunter2@example.com/")), "http.url", "user name"),
        (with("url", json!("http://example.com/a b")), "http.url", "%20"),
        (with("url", json!("http://exa\nmple.com/")), "http.url", "control"),
        (with("url", json!("http://{{data}}/")), "http.url", "not in its host"),
        (with("url", json!("http://x.{{jobId}}.com/")), "http.url", "not in its host"),
        (with("url", json!("{{data}}")), "http.url", "not valid"),
        (with("url", json!("http://a/{{secret}}")), "http.url", "{{executionId}}"),
        (with("url", json!(format!("http://a/{}", "x".repeat(2_048)))), "http.url", "2048"),
        (with("query", json!(["a"])), "http.query", "names and texts"),
        (with("query", json!({"a": ["b"]})), "http.query", "names and texts"),
        (with("query", json!({"": "b"})), "http.query", "names"),
        (with("query", json!({"{{data}}": "b"})), "http.query", "values"),
        (with("query", json!({"a": "{{ jobId }}"})), "http.query", "{{ jobId }}"),
        (with("query", json!({"a": "x".repeat(9_000)})), "http.query", "8192 bytes"),
        (header("Content-Length", "5"), "http.headers", "content-length"),
        (header("HOST", "example.com"), "http.headers", "host"),
        (header("Transfer-Encoding", "chunked"), "http.headers", "transfer-encoding"),
        (header("Webhook-Id", "5"), "http.headers", "webhook-id"),
        (header("WEBHOOK-anything", "5"), "http.headers", "webhook-anything"),
        (header("scheduler-fence", "5"), "http.headers", "scheduler-fence"),
        (header("webhook_id", "5"), "http.headers", "webhook_id"),
        (header("Scheduler_Fence", "5"), "http.headers", "scheduler_fence"),
        (header("Content_Length", "5"), "http.headers", "content_length"),
        (header("X-A", "b\r\nX-C: d"), "http.headers", "one line"),
        (header("X-A: b\r\nX-C", "d"), "http.headers", "not the name"),
        (header("X A", "d"), "http.headers", "not the name"),
        (header("X-A", "\u{7}"), "http.headers", "one line"),
        (header("X-A", "{{nope}}"), "http.headers", "{{nope}}"),
        (header("Authorization", "bearer hunter2"), "http.headers", "http.auth"),
        (with("headers", json!({"X-A": "1", "x-a": "2"})), "http.headers", "twice"),
        (with("body", json!("{{jobId")), "http.body", "{{jobId}}"),
        (with("body", json!("{{a}} {{jobId}} {{b}}")), "http.body", "fills in {{a}} {{b}}, only"),
        (with("body", json!("{{a}}")), "http.body", "write {{{{}} where {{ itself"),
        (with("body", json!("a\u{0}b")), "http.body", "control"),
        (with("body", json!("x".repeat(70_000))), "http.body", "65536"),
        (with("successCodes", json!(200)), "http.successCodes", "list"),
        (with("successCodes", json!([99])), "http.successCodes", "100 to 599"),
        (with("successCodes", json!([600])), "http.successCodes", "100 to 599"),
        (with("successCodes", json!(["200"])), "http.successCodes", "100 to 599"),
        (with("colour", json!(1)), "http", "colour"),
        (auth(json!("basic")), "http.auth", "type: basic"),
        (auth(json!({"username": "me", "password": "hunter2"})), "http.auth", "type: basic"),
        (auth(json!({"type": "digest"})), "http.auth", "type: basic"),
        (auth(json!({"type": "none", "token": "hunter2"})), "http.auth", "type: none"),
        (auth(json!({"type": "basic", "username": "me"})), "http.auth.password", "required"),
        (auth(json!({"type": "basic", "password": "hunter2"})), "http.auth", "username"),
        (
            auth(json!({"type": "basic", "username": "m:e", "password": "hunter2"})),
            "http.auth.username",
            "colons",
        ),
        (
            auth(json!({"type": "basic", "username": "me", "password": "hunter2\n"})),
            "http.auth.password",
            "control",
        ),
        (auth(json!({"type": "bearer"})), "http.auth.token", "required"),
        (auth(json!({"type": "bearer", "token": ""})), "http.auth.token", "ASCII"),
        (auth(json!({"type": "bearer", "token": "hunter2 "})), "http.auth.token", "ASCII"),
        (auth(json!({"type": "bearer", "token": 7})), "http.auth", "type: bearer"),
    ] {
        let error = read(&given).expect_err(&given.to_string());
        let text = message(&error);
        let unprocessable =
            ["the sender does", "nobody fills in"].iter().any(|says| text.contains(says));
        let kind = match &given["url"] {
            _ if unprocessable => ErrorKind::Unprocessable,
            url if url == "http://169.254.169.254/" => ErrorKind::TargetNotAllowed,
            _ => ErrorKind::Invalid,
        };
        assert_eq!(error.kind(), kind, "{given}");
        assert!(text.contains(&format!("field: Some(\"{field}\")")), "{given}: {text}");
        assert!(text.contains(words), "{given}: {text}");
        assert!(!text.contains("hunter2"), "{given}: {text}");
    }
    let mut both = header("authorization", "ApiKey x");
    assert!(read(&both).is_ok(), "other schemes have no field of their own");
    both["auth"] = json!({"type": "bearer", "token": "t"});
    assert!(message(&read(&both).unwrap_err()).contains("one of them"));
}

#[test]
fn a_secret_is_kept_for_the_same_user_and_host_only() {
    let basic = |url: &str, user: &str| json!({"url": url, "auth": {"type": "basic", "username": user, "passwordSet": true}});
    let bearer = |url: &str| json!({"url": url, "auth": {"type": "bearer"}});
    let mut first = basic("https://a.example/x", "me");
    first["auth"]["password"] = json!("");
    let old = read(&first).unwrap();
    for (given, kept) in [
        (basic("https://a.example/y?z", "me"), true),
        (basic("https://a.example:443/", "me"), true),
        (basic("https://a.example/x", "you"), false),
        (basic("https://b.example/x", "me"), false),
        (basic("http://a.example/x", "me"), false),
        (bearer("https://a.example/x"), false),
    ] {
        match edit(&given, &old) {
            Ok(target) => assert!(kept && target.auth == old.auth, "{given}"),
            Err(error) => assert!(!kept && message(&error).contains("required"), "{given}"),
        }
    }
    let gone = edit(&json!({"url": "https://a.example/x"}), &old).unwrap();
    assert_eq!(gone.auth, Auth::None, "an edit without auth takes it away");
    let mut first = bearer("https://a.example/x");
    first["auth"]["token"] = json!("t0p");
    let old = read(&first).unwrap();
    assert_eq!(edit(&bearer("https://a.example/"), &old).unwrap().auth, old.auth);
    assert!(edit(&bearer("https://a.example:8443/"), &old).is_err());
}

#[test]
fn secret_headers_are_sealed_kept_by_name_and_never_shown() {
    let given = json!({
        "url": "https://a.example/x", "headers": {"X-Team": "a"},
        "secretHeaders": {"X-Api-Key": "hunter2", "Cookie": "hunter3"},
    });
    let old = read(&given).unwrap();
    let open = |target: &HttpTarget, name: &str| {
        keys().open(&target.secret_headers[name], purpose::HEADER).unwrap().to_string()
    };
    assert_eq!(
        (open(&old, "X-Api-Key"), open(&old, "Cookie")),
        ("hunter2".into(), "hunter3".into())
    );
    let view = shown(&old);
    assert!(!view.to_string().contains("hunter"), "{view}");
    assert_eq!(edit(&view, &old).unwrap(), old, "what a GET shows can be sent back");
    assert_eq!(view["secretHeadersSet"], json!(["Cookie", "X-Api-Key"]));
    let whole = json!({"url": "https://a.example/x", "secretHeaders": {"x-api-key": "new"}});
    let replaced = edit(&whole, &old).unwrap();
    assert_eq!(replaced.secret_headers.len(), 1, "given whole");
    let both = json!({"url": "https://a.example/y", "secretHeadersSet": ["cookie", "X-API-KEY"],
        "secretHeaders": {"x-api-key": "new"}});
    let both = edit(&both, &old).unwrap();
    assert_eq!((open(&both, "x-api-key"), open(&both, "Cookie")), ("new".into(), "hunter3".into()));
    assert!(edit(&json!({"url": "https://a.example/x"}), &old).unwrap().secret_headers.is_empty());

    let with = |field: &str, value: Value| {
        let mut object = json!({"url": "https://a.example/"});
        object[field] = value;
        object
    };
    let secret = |name: &str, value: &str| with("secretHeaders", json!({name: value}));
    let mut twice = secret("X-Team", "hunter2");
    twice["headers"] = json!({"x-team": "a"});
    let mut signed = secret("Authorization", "ApiKey hunter2");
    assert!(read(&signed).is_ok());
    signed["auth"] = json!({"type": "bearer", "token": "t"});
    let many: serde_json::Map<_, _> =
        (0..17).map(|n| (format!("x-{n}"), json!("hunter2"))).collect();
    let long: serde_json::Map<_, _> =
        (0..8).map(|n| (format!("x-{n}"), json!("x".repeat(4_096)))).collect();
    for (given, field, words) in [
        (with("secretHeaders", json!(["hunter2"])), "http.secretHeaders", "names and texts"),
        (with("secretHeaders", json!({"a": {"b": "hunter2"}})), "http.secretHeaders", "texts"),
        (secret("webhook_id", "hunter2"), "http.secretHeaders", "the sender does"),
        (secret("Host", "hunter2"), "http.secretHeaders", "the sender does"),
        (secret("a b", "hunter2"), "http.secretHeaders", "not the name"),
        (secret("x", "hunter2\r\ny: z"), "http.secretHeaders", "one line"),
        (secret("x", ""), "http.secretHeaders", "1 to 4096"),
        (secret("x", &"x".repeat(4_097)), "http.secretHeaders", "1 to 4096"),
        (twice, "http.secretHeaders", "http.headers has it too"),
        (signed, "http.secretHeaders", "one of them"),
        (with("secretHeaders", many.into()), "http.secretHeaders", "16 names"),
        (with("secretHeaders", long.into()), "http.headers", "32768"),
        (with("secretHeadersSet", json!("x")), "http.secretHeadersSet", "list of names"),
        (with("secretHeadersSet", json!(["x"])), "http.secretHeaders", "required"),
    ] {
        let error = read(&given).expect_err(&given.to_string());
        let text = message(&error);
        assert!(text.contains(&format!("field: Some(\"{field}\")")), "{given}: {text}");
        assert!(text.contains(words), "{given}: {text}");
        assert!(!text.contains("hunter"), "{given}: {text}");
    }
    let moved = json!({"url": "https://b.example/x", "secretHeadersSet": ["Cookie"]});
    let text = message(&edit(&moved, &old).unwrap_err());
    assert!(text.contains("cookie is required") && text.contains("same host"), "{text}");
}
