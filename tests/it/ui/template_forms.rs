//! Templates made and changed by their form in the web UI, checked before they are saved, and
//! imported from a file. What is wrong is said at its place.

use axum::http::StatusCode;
use serde_json::json;

use super::browser::{Browser, message, text, value};
use super::pages::check;
use crate::harness::ApiFixture;

/// A file in the form of the original's `job_templates.json`.
const FILE: &str = include_str!("../../fixtures/templates/job_templates.json");

const RULES: &str = r#"{"b": {"type": "uint", "range": [0, 12345678901234567890]}, "a": {"type": "number", "default": 1.50}}"#;
const NEW: [(&str, &str); 14] = [
    ("label", "Send a mail"),
    ("type", "send_mail"),
    ("project", "1"),
    ("description", "one mail"),
    ("by", "people"),
    ("active", "true"),
    ("start", "5"),
    ("kept", "9"),
    ("schema", "fields"),
    ("rules", RULES),
    ("payload", "{\"b\": 7}"),
    ("where", "url"),
    ("url", "http://a.example/"),
    ("job", "{\"retryMax\": 2}"),
];

/// The form with some fields replaced, or added.
fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form = NEW.to_vec();
    form.retain(|(name, _)| changes.iter().all(|(other, _)| other != name));
    form.extend_from_slice(changes);
    form
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_template_is_said_at_its_place_and_nothing_is_lost() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    for (changes, input, says) in [
        (&[("type", "a b")][..], "type", "must be 1 to 128"),
        (&[("type", "")], "type", "type is required"),
        (&[("start", "many")], "start", "startInSeconds"),
        (&[("kept", "10001")], "kept", "at most 10000"),
        (
            &[("rules", "{\"a\": {\"type\": \"uint\", \"minValue\": -1}}")],
            "rules",
            "payloadSchema.a",
        ),
        (&[("rules", "{\"a\": {\"type\": \"colour\"}, \"b\": 7}")], "rules", "payloadSchema.b"),
        (&[("rules", "{\"a\" 1}")], "rules", "not valid JSON"),
        (&[("rules", "{\"type\": 1}"), ("schema", "json")], "rules", "jsonSchema"),
        (&[("payload", "{\"b\": -1}")], "payload", "payload.b"),
        (&[("payload", "[")], "payload", "not valid JSON"),
        (&[("url", "ftp://a.example/")], "url", "http"),
        (&[("url", "")], "url", "without a target"),
        (&[("where", "json"), ("target", "{\"http\": {\"url\": \"x\"}}")], "target", "url"),
        (&[("where", "executor"), ("executor", "9")], "executor", "does not exist"),
        (&[("job", "{\"retryMax\": 1000}")], "job", "at most 100"),
        (&[("job", "{\"spec\": \"@daily\"}")], "job", "takes the policies"),
    ] {
        for action in ["save", "check"] {
            let mut form = with(changes);
            form.push(("action", action));
            let answer = browser.post("/ui/templates/new", &form).await;
            let page = text(&answer);
            assert!(answer.status.is_client_error(), "{changes:?}: {}", answer.status);
            check("/ui/templates/new", &page);
            let said = message(&page, input);
            let is_said = said.to_lowercase().contains(&says.to_lowercase());
            assert!(said.contains("class=\"error\"") && is_said, "{changes:?}: {said}");
            assert_eq!(value(&page, "description"), "one mail");
        }
    }
    assert_eq!(api.get("/templates").await.json["data"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_checked_made_and_changed_with_its_order_and_numbers() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let checked = text(&browser.post("/ui/templates/new", &with(&[("action", "check")])).await);
    assert!(checked.contains("Nothing is saved yet"), "{checked}");
    assert_eq!(value(&checked, "p.b"), "7", "its form is shown beside it");
    assert_eq!(api.get("/templates").await.json["data"]["total"], 0);
    let key = value(&checked, "key").to_owned();
    for _ in 0..2 {
        let form = with(&[("key", &key)]);
        let answer = browser.post("/ui/templates/new", &form).await;
        assert_eq!(answer.header("location"), "/ui/templates/1", "{}", text(&answer));
    }
    let made = api.get("/api/v1/templates/1").await;
    let whole = String::from_utf8(made.body.clone()).unwrap();
    let rules = r#""payloadSchema":{"b":{"type":"uint","range":[0,12345678901234567890]},"a":{"type":"number","default":1.50}}"#;
    assert!(whole.contains(rules), "as it was entered: {whole}");
    let made = &made.json["data"];
    assert_eq!((&made["keepCompleted"], &made["job"]["retryMax"]), (&json!(9), &json!(2)));
    assert_eq!(made["createdBy"], "operator (web)");
    let shown = browser.page("/ui/templates/1").await;
    check("/ui/templates/1", &shown);
    assert!(shown.contains("A whole number from 0 to") && shown.contains("No jobs yet"), "{shown}");

    // The form that is saved as it is shown changes nothing.
    let edit = browser.page("/ui/templates/1/edit").await;
    assert!(edit.contains("12345678901234567890") && edit.contains("1.50"), "{edit}");
    assert_eq!(
        ["type", "url", "version"].map(|name| value(&edit, name)),
        ["send_mail", "http://a.example/", "1"]
    );
    let same = with(&[("version", "1")]);
    let answer = browser.post("/ui/templates/1/edit", &same).await;
    assert_eq!(answer.header("location"), "/ui/templates/1", "{}", text(&answer));
    assert_eq!(api.get("/api/v1/templates/1").await.json["data"]["version"], 1);
    let change = with(&[
        ("version", "1"),
        ("label", "Mail"),
        ("rules", ""),
        ("payload", ""),
        ("job", ""),
        ("url", ""),
        ("by", "system"),
        ("again", "true"),
    ]);
    let answer = browser.post("/ui/templates/1/edit", &change).await;
    assert_eq!(answer.header("location"), "/ui/templates/1", "{}", text(&answer));
    let now = &api.get("/api/v1/templates/1").await.json["data"];
    assert_eq!((&now["payloadSchema"], &now["payload"]), (&json!({}), &json!(null)));
    assert_eq!(now["job"], json!({}));
    assert_eq!(now["target"]["callbackUrl"], "http://a.example/", "an empty target stays");
    assert_eq!(
        (&now["userTriggered"], &now["modifiedBy"]),
        (&json!(false), &json!("operator (web)"))
    );
    let shown = browser.page("/ui/templates/1").await;
    assert!(shown.contains("Version 2") && shown.contains("payloadSchema.a"), "{shown}");
    assert!(shown.contains("<del class=\"break\">Send a mail</del>"), "the difference: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_editors_of_a_template_are_told_and_its_secrets_stay_hidden() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let target =
        r#"{"http": {"url": "http://a.example/", "auth": {"type": "bearer", "token": "hunter2"}}}"#;
    let form = with(&[("where", "json"), ("target", target), ("payload", "{\"b\": 1}")]);
    let answer = browser.post("/ui/templates/new", &form).await;
    assert_eq!(answer.header("location"), "/ui/templates/1", "{}", text(&answer));
    let body = json!({"description": "by ops", "modifiedBy": "ops"}).to_string();
    let changed = api.send("PATCH", "/api/v1/templates/1", &[], body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
    let edit = browser.page("/ui/templates/1/edit").await;
    let shown = browser.page("/ui/templates/1").await;
    assert!(!edit.contains("hunter2") && !shown.contains("hunter2"));
    let shown = edit.split("<textarea id=\"f-target\"").nth(1).unwrap();
    let shown = shown.split('>').nth(1).unwrap().split("</textarea").next().unwrap();
    let shown = shown.replace("&quot;", "\"");
    let late = with(&[("version", "1"), ("where", "json"), ("target", &shown), ("label", "Mine")]);
    let answer = browser.post("/ui/templates/1/edit", &late).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    let page = text(&answer);
    assert!(page.contains("changed while you edited it") && page.contains("by ops"), "{page}");
    assert_eq!((value(&page, "label"), value(&page, "version")), ("Mine", "2"));
    let again = with(&[("version", "2"), ("where", "json"), ("target", &shown), ("label", "Mine")]);
    let answer = browser.post("/ui/templates/1/edit", &again).await;
    assert_eq!(answer.header("location"), "/ui/templates/1", "{}", text(&answer));
    let now = &api.get("/api/v1/templates/1").await.json["data"];
    assert_eq!(now["target"]["http"]["auth"]["tokenSet"], true, "the secret stays: {now}");
    let taken = browser.post("/ui/templates/new", &NEW).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{}", text(&taken));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_looked_at_imported_and_refused_as_a_whole() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let send = async |file: &str, action: &str| {
        let form = [("file", file), ("project", "1"), ("action", action)];
        browser.post("/ui/templates/import", &form).await
    };
    let total = async || api.get("/templates").await.json["data"]["total"].clone();
    let looked = send(FILE, "check").await;
    assert_eq!(looked.status, StatusCode::OK);
    let page = text(&looked);
    check("/ui/templates/import", &page);
    assert!(page.contains("Nothing is imported yet") && page.contains("created"), "{page}");
    assert!(page.contains("needs a target"), "what is worth a look: {page}");
    assert_eq!(total().await, 0);
    let done = text(&send(FILE, "import").await);
    assert!(done.contains("imported:") && done.contains("href=\"/ui/templates/1\""), "{done}");
    let number = total().await;
    assert!(number.as_u64() > Some(1), "{number}");
    let again = text(&send(FILE, "import").await);
    assert!(again.contains("0 created, 0 changed"), "{again}");
    assert_eq!(total().await, number);
    let bad = r#"{"a": {"payload_schema": {"x": {"type": "colour"}}}, "b": {"payload_schema": {"<b>": 7}}}"#;
    let refused = send(bad, "import").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(&refused);
    check("/ui/templates/import", &page);
    for part in ["Nothing was imported", "a.payloadSchema.x", "b.payloadSchema.&lt;b&gt;"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for (file, says) in [
        ("", "choose a file"),
        ("[]", "the file must be a json object"),
        ("{\"a\": {\"startInSeconds\": \"x\"}}", "in template a"),
    ] {
        let answer = send(file, "import").await;
        assert!(answer.status.is_client_error(), "{file}: {}", answer.status);
        let said = message(&text(&answer), "file").to_lowercase();
        assert!(said.contains(says), "{file}: {said}");
    }
    assert_eq!(total().await, number);
}
