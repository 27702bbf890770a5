//! Job templates: records with versions, and the import of a file in the original's form. The
//! instances are in `instances`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::ApiFixture;

/// A file in the form of the original's `job_templates.json`.
const FILE: &str = include_str!("../../fixtures/templates/job_templates.json");

/// A template that users trigger.
pub(super) fn template(project: u64) -> Value {
    json!({
        "projectId": project, "type": "send_mail", "label": "Mail", "startInSeconds": 5,
        "payloadSchema": {
            "user_id": {"type": "uint", "minValue": 0, "maxValue": null},
            "filter": {"type": "options", "options": ["likes", "places"], "required": false},
            "job_type": null,
        },
        "payload": {"user_id": 0},
        "target": {"callbackUrl": "https://example.com/hook"},
        "job": {"retryMax": 2, "labels": {"team": "a"}},
    })
}

#[tokio::test]
async fn a_template_is_made_changed_and_shown_with_its_versions() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let made = api.post("/api/v1/templates", template(project)).await;
    assert_eq!((made.status, made.header("etag")), (StatusCode::CREATED, "\"1\""), "{}", made.json);
    let data = &made.json["data"];
    for (field, wanted) in [
        ("id", json!(1)),
        ("type", json!("send_mail")),
        ("userTriggered", json!(true)),
        ("rescheduleAfterTermination", json!(false)),
        ("active", json!(true)),
        ("keepCompleted", json!(100)),
        ("payload", json!({"user_id": 0})),
        ("target", json!({"callbackUrl": "https://example.com/hook"})),
        ("job", json!({"retryMax": 2, "labels": {"team": "a"}})),
    ] {
        assert_eq!(data[field], wanted, "{field}");
    }
    let text = String::from_utf8(made.body.clone()).unwrap();
    assert!(text.contains(r#""payloadSchema":{"filter":{"#), "as it was given: {text}");

    let again = api.put("/api/v1/templates/1", data.clone()).await;
    assert_eq!((again.status, again.header("etag")), (StatusCode::OK, "\"1\""), "{}", again.json);
    assert_eq!(again.header("x-scheduler0-warning"), "", "what a GET shows can be sent back");
    let stale = [("if-match", "\"7\"")];
    let body = json!({"label": "Post"}).to_string();
    let refused = api.send("PATCH", "/templates/1", &stale, &body).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    let changed = api.send("PATCH", "/templates/1", &[("if-match", "\"1\"")], &body).await;
    assert_eq!((changed.status, changed.header("etag")), (StatusCode::OK, "\"2\""));
    assert_eq!(changed.json["data"]["label"], "Post");
    assert_eq!(changed.json["data"]["target"]["callback_url"], "https://example.com/hook");

    let versions = api.get("/api/v1/templates/1/versions").await.json["data"].clone();
    let labels: Vec<_> =
        versions["versions"].as_array().unwrap().iter().map(|one| &one["label"]).collect();
    assert_eq!(labels, ["Post", "Mail"]);
    assert_eq!(api.get("/templates/9/versions").await.status, StatusCode::NOT_FOUND);
    let taken = api.post("/templates", template(project)).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let list = api.get("/api/v1/templates?projectId=1&userTriggered=true&type=send_mail").await;
    assert_eq!(
        (&list.json["data"]["total"], list.json["data"]["templates"][0]["id"].as_u64()),
        (&json!(1), Some(1))
    );
    assert_eq!(api.get("/templates?user_triggered=false").await.json["data"]["total"], 0);
    assert_eq!(api.delete("/templates/1").await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.get("/templates/1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_repeated_request_makes_one_template() {
    let api = ApiFixture::build().await;
    let body = template(api.project().await).to_string();
    let key = [("idempotency-key", "k")];
    for _ in 0..2 {
        let made = api.send("POST", "/templates", &key, &body).await;
        assert_eq!((made.status, &made.json["data"]["id"]), (StatusCode::CREATED, &json!(1)));
    }
    assert_eq!(api.get("/templates").await.json["data"]["total"], 1);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_template_is_said_at_its_field() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let with = |name: &str, value: Value| {
        let mut body = template(project);
        body[name] = value;
        body
    };
    for (body, status, field) in [
        (with("type", json!("a b")), 400, "type"),
        (with("projectId", json!(0)), 400, "projectId"),
        (with("startInSeconds", json!(1.5)), 400, "startInSeconds"),
        (with("startInSeconds", json!(99_999_999)), 400, "startInSeconds"),
        (with("keepCompleted", json!(10_001)), 400, "keepCompleted"),
        (with("userTriggered", json!("yes")), 400, "userTriggered"),
        (with("target", json!({"callbackUrl": "nowhere"})), 400, "callbackUrl"),
        (with("target", json!({"spec": "@daily"})), 400, "target"),
        (with("target", json!({})), 400, "target"),
        (with("target", json!(null)), 400, "target"),
        (with("payloadSchema", json!(null)), 400, "payloadSchema"),
        (with("jsonSchema", json!(null)), 400, "jsonSchema"),
        (with("job", json!({"spec": "@daily"})), 400, "job"),
        (with("job", json!({"retryMax": 1_000})), 400, "retryMax"),
        (with("job", json!({"overlap": "skip"})), 422, "overlap"),
        (with("target", json!({"executorId": 9})), 400, "executorId"),
    ] {
        let refused = api.post("/api/v1/templates", body.clone()).await;
        assert_eq!(refused.status.as_u16(), status, "{body}: {}", refused.json);
        let told = refused.json["error"]["field"].as_str().unwrap_or_default();
        assert_eq!(told, field, "{body}: {}", refused.json);
    }
    let mut body = template(project);
    body["payloadSchema"]["user_id"]["minValue"] = json!(-1);
    body["payloadSchema"]["filter"]["options"] = json!([]);
    body["jsonSchema"] = json!({"type": "object"});
    let refused = api.post("/api/v1/templates", body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json["error"]["fields"].as_object().unwrap().len(), 1, "{}", refused.json);
    let mut body = template(project);
    body["payloadSchema"]["user_id"]["minValue"] = json!(-1);
    body["payloadSchema"]["filter"]["options"] = json!([]);
    let refused = api.post("/templates", body).await;
    let fields: Vec<_> = refused.json["error"]["fields"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["payloadSchema.filter", "payloadSchema.user_id"]);
    for (body, status) in [("[]", 422), ("{", 400), ("null", 422), ("{\"type\":1}", 400)] {
        let refused = api.send("POST", "/templates", &[], body).await;
        assert_eq!(refused.status.as_u16(), status, "{body}");
    }
    let unknown = api.post("/templates", with("colour", json!(1))).await;
    assert_eq!(unknown.header("x-scheduler0-warning"), "unknown fields were ignored: colour");
}

#[tokio::test]
async fn a_file_of_the_originals_form_is_imported_as_it_is_and_again() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let path = |query: &str| format!("/api/v1/templates/import?projectId={project}{query}");
    let types = |list: &Value| -> Vec<String> {
        let types = list.as_array().unwrap().iter();
        types.map(|one| one["type"].as_str().unwrap().to_owned()).collect()
    };
    let dry = api.send("POST", &path("&dryRun=true"), &[], FILE).await;
    assert_eq!(dry.status, StatusCode::OK, "{}", dry.json);
    let all = ["nightly_digest_job", "export_job", "welcome_mail_job", "ranking_job"];
    assert_eq!(types(&dry.json["data"]["created"]), all, "in the order of the file");
    assert_eq!(api.get("/templates").await.json["data"]["total"], 0);

    let made = api.send("POST", &path(""), &[], FILE).await;
    let data = &made.json["data"];
    assert_eq!(types(&data["created"]), all, "{data}");
    assert!(data["created"].as_array().unwrap().iter().all(|one| one["active"] == false));
    let warnings = data["warnings"].to_string();
    assert!(warnings.contains("needs a target") && warnings.contains("the default of parts"));
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 0, "nothing runs without a target");

    let executor = json!({"name": "e", "type": "webhook_url",
        "webhookUrl": "https://example.com/hook", "webhookMethod": "POST"});
    assert_eq!(api.post("/executors", executor).await.status, StatusCode::CREATED);
    let again = api.send("POST", &path("&executorId=1"), &[], FILE).await;
    assert_eq!(types(&again.json["data"]["updated"]), all, "{}", again.json);
    let same = api.send("POST", &path("&executorId=1"), &[], FILE).await;
    assert_eq!(types(&same.json["data"]["unchanged"]), all, "{}", same.json);
    let jobs = api.get("/api/v1/jobs").await.json["data"].clone();
    assert_eq!(jobs["total"], 2, "the system templates have one instance each: {jobs}");
    assert_eq!(jobs["jobs"][0]["data"], "{\"accounts\":500}");
    assert_eq!(jobs["jobs"][1]["data"], "{\"account_id\":0,\"job_type\":\"ranking_job\"}");

    for (query, body, status, says) in [
        ("", r#"{"a":{"type":"b"}}"#, 422, "a.type"),
        (
            "",
            r#"{"a":{"type":"a","payload_schema":{"x":{"type":"unit"}}}}"#,
            422,
            "a.payloadSchema.x",
        ),
        ("", r#"{"a":{"type":"a","startInSeconds":"x"}}"#, 400, "in template a"),
        ("&executorId=9", r#"{"a":{"type":"a"}}"#, 400, "executor with id 9"),
        ("&executorId=9&dryRun=true", r#"{"a":{"type":"a"}}"#, 400, "executor with id 9"),
        ("&dryRun=true", r#"{"a":{"type":"a"},"a":{"type":"a"}}"#, 422, "is there twice"),
        ("", r#"{"b":{"type":"b"},"b":{"type":"b"},"a":{"type":"a"}}"#, 422, "is there twice"),
        ("", "[]", 422, "must be a JSON object"),
    ] {
        let refused = api.send("POST", &path(query), &[], body).await;
        assert_eq!(refused.status.as_u16(), status, "{body}: {}", refused.json);
        assert!(refused.json.to_string().contains(says), "{body}: {}", refused.json);
    }
    let missing = api.send("POST", "/templates/import?projectId=999&dryRun=true", &[], FILE).await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST, "{}", missing.json);
    assert!(missing.json.to_string().contains("project with id 999"), "{}", missing.json);
    let nowhere = api.send("POST", "/templates/import", &[], FILE).await;
    assert_eq!(nowhere.json["error"]["field"], "project_id", "{}", nowhere.json);
    assert_eq!(api.get("/templates").await.json["data"]["total"], 4, "nothing half-done");
}

#[tokio::test]
async fn the_secrets_of_a_target_are_not_shown_and_stay() {
    let api = ApiFixture::build().await;
    let mut body = template(api.project().await);
    body["target"] = json!({"http": {"url": "https://example.com/hook",
        "auth": {"type": "bearer", "token": "hunter2"}}});
    let made = api.post("/api/v1/templates", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let data = made.json["data"].clone();
    assert_eq!(data["target"]["http"]["auth"]["tokenSet"], true, "{data}");
    let again = api.put("/api/v1/templates/1", data).await;
    assert_eq!((again.status, again.header("etag")), (StatusCode::OK, "\"1\""), "{}", again.json);
    for path in ["/templates", "/templates/1", "/templates/1/versions"] {
        let shown = String::from_utf8(api.get(path).await.body).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
