//! The audit over HTTP: each write has a row of who did it and no secret, rows are found and paged,
//! and an export can be checked.

use axum::http::StatusCode;
use scheduler0::command::LEVEL;
use scheduler0::model::audit_chain::{Broken, ExportCheck, ExportEnd};
use serde_json::{Value, json};

use super::job;
use crate::harness::{ApiFixture, poll_interval};

/// A part of each secret of these tests.
const CANARY: &str = "canary-7f3a";

/// A node whose cluster writes an audit.
async fn api() -> ApiFixture {
    let api = ApiFixture::build().await;
    while api.cluster().level() < LEVEL {
        poll_interval().await;
    }
    api
}

/// The rows of a page.
async fn rows(api: &ApiFixture, query: &str) -> Vec<Value> {
    let answer = api.get(&format!("/v1/audit?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    answer.json["data"]["audit"].as_array().unwrap().clone()
}

/// The only new row since so many rows.
async fn row_after(api: &ApiFixture, before: usize) -> Value {
    let rows = rows(api, "limit=1000").await;
    assert_eq!(rows.len(), before + 1, "{rows:?}");
    rows[0].clone()
}

async fn export(api: &ApiFixture, query: &str) -> Vec<String> {
    let answer = api.get(&format!("/v1/audit/export{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("cache-control"), "no-store");
    String::from_utf8(answer.body).unwrap().lines().map(str::to_owned).collect()
}

fn check(lines: &[String]) -> Result<ExportEnd, Broken> {
    let mut check = ExportCheck::default();
    lines.iter().try_for_each(|line| check.line(line))?;
    check.end()
}

#[tokio::test]
async fn each_write_of_each_noun_has_one_row_and_none_shows_a_secret() {
    let api = api().await;
    let target = json!({
        "method": "POST", "url": "http://a.example/b", "body": CANARY,
        "secretHeaders": {"X-Api-Key": CANARY}, "auth": {"type": "bearer", "token": CANARY},
    });
    let mut http_job = job(1, CANARY);
    http_job.as_object_mut().unwrap().remove("callback_url");
    http_job["http"] = target.clone();
    let executor = json!({
        "name": "e", "type": "webhook_url", "createdBy": "me", "http": target,
        "webhookSecret": format!("{CANARY}-0123456789"),
    });
    let template = json!({
        "projectId": 1, "type": "mail", "label": "Mail", "startInSeconds": 3600,
        "userTriggered": true, "payload": {}, "target": {"callbackUrl": "http://a.example/t"},
    });
    let steps: Vec<(&str, &str, Value, &str, &str, &str)> = vec![
        ("POST", "/projects", json!({"name": "p", "description": "d"}), "create", "project", "1"),
        ("PUT", "/projects/1", json!({"description": "e"}), "update", "project", "1"),
        ("POST", "/projects/1/pause", json!({}), "pause", "project", "1"),
        ("POST", "/projects/1/resume", json!({}), "resume", "project", "1"),
        ("POST", "/projects/1/rotate-secret", json!({}), "update", "project", "1"),
        ("POST", "/jobs", json!([http_job]), "create", "job", "1"),
        ("POST", "/jobs", json!([job(1, "a"), job(1, "b")]), "create", "job", "2-3"),
        ("PATCH", "/jobs/1", json!({"data": format!("{CANARY} 2")}), "update", "job", "1"),
        ("POST", "/jobs/2/pause", json!({}), "pause", "job", "2"),
        ("POST", "/jobs/2/resume", json!({}), "resume", "job", "2"),
        ("POST", "/jobs/2/run", json!({}), "run", "job", "2"),
        ("DELETE", "/jobs/2", json!(null), "delete", "job", "2"),
        ("POST", "/executors", executor, "create", "executor", "1"),
        ("POST", "/executors/1/rotate-secret", json!({}), "update", "executor", "1"),
        ("DELETE", "/executors/1", json!(null), "delete", "executor", "1"),
        ("POST", "/templates", template, "create", "template", "1"),
        ("DELETE", "/templates/1", json!(null), "delete", "template", "1"),
        ("POST", "/credentials", json!({"name": "ci"}), "create", "credential", "1"),
        ("POST", "/credentials/1/rotate", json!({}), "rotate", "credential", "1"),
        ("PATCH", "/credentials/1", json!({"name": "cd"}), "update", "credential", "1"),
        (
            "POST",
            "/credentials/1/archive",
            json!({"archivedBy": "me"}),
            "archive",
            "credential",
            "1",
        ),
        ("DELETE", "/credentials/1", json!(null), "delete", "credential", "1"),
        ("POST", "/sessions/end", json!({}), "end", "session", "operator"),
        ("DELETE", "/projects/1?cascade=true", json!(null), "delete", "project", "1"),
    ];
    for (at, (method, path, body, action, noun, object)) in steps.into_iter().enumerate() {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = api.send(method, &format!("/v1{path}"), &[], &body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.json);
        let row = row_after(&api, at).await;
        let named = [&row["action"], &row["noun"], &row["object"]];
        assert_eq!(named, [action, noun, object], "{method} {path}: {row}");
        assert_eq!(row["actor"], json!({"kind": "operator"}), "{row}");
        assert_eq!((&row["nodeId"], &row["accountId"]), (&json!(1), &json!(1)), "{row}");
    }
    let lines = export(&api, "").await.join("\n");
    assert!(!lines.contains(CANARY), "a secret is in the audit: {lines}");
}

#[tokio::test]
async fn a_key_is_named_and_a_refused_or_repeated_request_has_no_row() {
    let api = api().await;
    let made =
        api.post("/v1/credentials", json!({"name": "ci", "scopes": ["projects:write"]})).await;
    let text = |name: &str| made.json["data"][name].as_str().unwrap().to_owned();
    let (key, secret) = (text("apiKey"), text("apiSecret"));
    let pair = [("x-api-key", &*key), ("x-secret-key", &*secret), ("idempotency-key", "once")];
    let body = json!({"name": "p", "description": "d"}).to_string();
    for _ in 0..2 {
        let answer = api.send_bare("POST", "/v1/projects", &pair, body.clone()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    }
    let row = row_after(&api, 1).await;
    assert_eq!(row["actor"], json!({"kind": "key", "id": "1", "name": "ci"}));
    assert_eq!(row["detail"]["changes"]["name"], json!({"new": "p"}));
    // A name that is taken, a route without its scope, a wrong secret.
    let answer = api.post("/v1/projects", json!({"name": "p", "description": "d"})).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.json);
    let answer = api.send_bare("POST", "/v1/jobs", &pair[..2], "[]").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let wrong = [("x-api-key", &*key), ("x-secret-key", "wrong")];
    let answer = api.send_bare("POST", "/v1/projects", &wrong, body).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    row_after(&api, 1).await;
    // Who reads it needs its scope.
    for path in ["/v1/audit", "/v1/audit/export"] {
        let answer = api.send_bare("GET", path, &pair[..2], "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.json["missing_scopes"], json!(["audit:read"]));
    }
    row_after(&api, 1).await;
}

#[tokio::test]
async fn rows_are_found_and_paged_by_key() {
    let api = api().await;
    let project = api.project().await;
    for n in 0..5 {
        api.post("/v1/jobs", json!([job(project, &n.to_string())])).await;
    }
    api.delete("/v1/jobs/3").await;
    let found = rows(&api, "object=3&noun=job").await;
    let actions: Vec<_> = found.iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["delete", "create"]);
    for (query, count) in [
        ("noun=project", 1),
        ("action=create", 6),
        ("action=create&noun=job", 5),
        ("actor=operator", 7),
        ("actor=key", 0),
        ("projectId=1", 7),
        ("projectId=2", 0),
        ("from=2020-01-01", 7),
        ("until=2020-01-01", 0),
        ("object=77", 0),
    ] {
        assert_eq!(rows(&api, query).await.len(), count, "{query}");
    }
    let mut seen = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = api.get(&format!("/audit?{query}")).await.json["data"].clone();
        assert!(page["audit"].as_array().unwrap().len() <= 2 && page["limit"] == 2);
        seen.extend(
            page["audit"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()),
        );
        assert!(page["audit"][0].is_null() || page["audit"][0]["node_id"] == 1);
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&after={next}");
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first: {seen:?}");
    for (query, field) in [
        ("limit=0", "limit"),
        ("after=x", "after"),
        ("from=soon", "from"),
        ("projectId=-1", "projectId"),
    ] {
        let answer = api.get(&format!("/v1/audit?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.json["error"]["field"], field, "{query}");
    }
    let long = format!("/v1/audit?actor={}", "x".repeat(600));
    assert_eq!(api.get(&long).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_export_can_be_checked_and_goes_on_behind_another_one() {
    let api = api().await;
    let project = api.project().await;
    // More than a piece of an export.
    for n in 0..520 {
        let answer = api.post("/v1/jobs", json!([job(project, &n.to_string())])).await;
        assert!(answer.status.is_success(), "{}", answer.json);
    }
    let mut lines = export(&api, "").await;
    let end = check(&lines).unwrap();
    assert_eq!(end.rows, 522, "with the row of the export itself");
    assert!(lines[522].contains("\"action\":\"export\""), "{}", lines[522]);
    let more = export(&api, &format!("?after={}", end.last)).await;
    assert_eq!(check(&more).unwrap().rows, 1);
    assert!(more[0].contains(&format!("\"chain\":\"{}\"", end.head)), "{}", more[0]);
    lines[7] = lines[7].replace("\"count\":1", "\"count\":2");
    assert!(matches!(check(&lines), Err(Broken::Row { line: 8, .. })));
    let answer = api.get("/v1/audit/export?after=7").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.json);
    assert_eq!(answer.json["error"]["field"], "after");
}

#[tokio::test]
async fn a_cluster_below_its_level_has_no_rows() {
    let clock = std::sync::Arc::new(scheduler0::clock::SystemClock);
    let api = ApiFixture::build_at_level(clock, LEVEL - 1).await;
    api.project().await;
    assert_eq!(rows(&api, "").await, Vec::<Value>::new());
    let end = check(&export(&api, "").await).unwrap();
    assert_eq!((end.rows, end.last), (0, 0), "also an export has none");
}
