//! Projects: defaults for their jobs, secrets, pauses.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::ApiFixture;

#[tokio::test]
async fn defaults_for_jobs_are_set_kept_and_taken_away() {
    let api = ApiFixture::build().await;
    let body = json!({"name": "p", "description": "d", "retryMax": 7, "retryDelay": "10s",
        "retryFactor": 1.5, "retryMaxDelay": 3600, "timeout": "PT20S"});
    let made = api.post("/api/v1/projects", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!(made.header("x-scheduler0-warning"), "");
    let settings = |data: &Value| {
        let fields = ["retryMax", "retryDelay", "retryFactor", "retryMaxDelay", "timeout"];
        fields.map(|field| data[field].clone())
    };
    let shown = settings(&made.json["data"]);
    assert_eq!(shown, [json!(7), json!("10s"), json!(1.5), json!("1h"), json!("20s")]);
    assert_eq!(made.json["data"]["webhookSecretSet"], false);
    assert_eq!(made.json["data"]["status"], "active");

    let body = json!({"description": "new", "retry_max": 0, "timeout": null}).to_string();
    for method in ["PUT", "PATCH"] {
        let changed = api.send(method, "/api/v1/projects/1", &[], &body).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
        let data = &changed.json["data"];
        assert_eq!((&data["name"], &data["description"]), (&json!("p"), &json!("new")));
        assert_eq!(settings(data), [json!(0), json!("10s"), json!(1.5), json!("1h"), json!(null)]);
    }
    let whole = api.get("/projects/1").await.json["data"].clone();
    assert_eq!(whole["retry_max_delay"], "1h");
    let again = api.put("/projects/1", whole.clone()).await;
    assert_eq!(again.header("x-scheduler0-warning"), "", "what a GET shows can be sent back");
    assert_eq!(again.json["data"]["retry_factor"], whole["retry_factor"]);

    for (field, value) in [
        ("retryMax", json!(101)),
        ("retryMax", json!("3")),
        ("retryDelay", json!(-1)),
        ("retryDelay", json!("soon")),
        ("retryFactor", json!(0.5)),
        ("retryFactor", json!("2")),
        ("retryMaxDelay", json!("9000 hours")),
        ("timeout", json!(0)),
        ("timeout", json!("25h")),
        ("webhookSecret", json!("whsec_x")),
        ("status", json!("asleep")),
        ("pauseUntil", json!("tomorrow")),
        ("pauseUntil", json!("2020-01-01T00:00:00Z")),
    ] {
        let body = json!({"description": "lost", field: value});
        let refused = api.put("/api/v1/projects/1", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{field}: {value}");
        assert_eq!(refused.json["error"]["field"], field, "{}", refused.json);
    }
    assert_eq!(api.get("/projects/1").await.json["data"]["description"], "new");

    // Concurrent changes are all kept.
    let all = [json!({"retryMax": 5}), json!({"timeout": "9s"}), json!({"retryDelay": "8s"})];
    let all = all.map(|body| api.put("/api/v1/projects/1", body));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    }
    let data = api.get("/api/v1/projects/1").await.json["data"].clone();
    assert_eq!(settings(&data)[..2], [json!(5), json!("8s")]);
    assert_eq!(data["timeout"], "9s");
}

#[tokio::test]
async fn a_projects_secret_is_rotated_and_shown_once() {
    let api = ApiFixture::build().await;
    let body = json!({"name": "p", "description": "d", "webhookSecret": "hunter2-hunter2-"});
    let made = api.post("/api/v1/projects", body).await;
    assert_eq!(made.json["data"]["webhookSecretSet"], true);
    assert!(!String::from_utf8_lossy(&made.body).contains("hunter2"));
    let key = [("idempotency-key", "k")];
    let rotate = "/api/v1/projects/1/rotate-secret";
    let first = api.send("POST", rotate, &key, "{\"overlap\":\"1h\"}").await;
    let second = api.send("POST", rotate, &key, "{\"overlap\":\"1h\"}").await;
    assert_eq!((first.status, first.header("cache-control")), (StatusCode::OK, "no-store"));
    assert_eq!(first.json, second.json);
    assert!(first.json["data"]["webhookSecret"].as_str().unwrap().starts_with("whsec_"));
    let shown = api.get("/projects").await;
    let shown = &shown.json["data"]["projects"][0];
    assert!(shown.get("webhook_secret").is_none() && shown["previous_secret_until"].is_string());
    let gone = api.put("/projects/1", json!({"webhookSecret": null})).await;
    assert_eq!(gone.json["data"]["webhook_secret_set"], false);
    assert_eq!(api.post("/projects/9/rotate-secret", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_change_goes_through_for_the_version_it_names() {
    let api = ApiFixture::build().await;
    let body = json!({"name": "p", "description": "d"});
    let made = api.post("/api/v1/projects", body).await;
    assert_eq!((made.header("etag"), &made.json["data"]["version"]), ("\"1\"", &json!(1)));
    let ask = async |method: &str, path: &str, tag: &str, body: Value| {
        api.send(method, path, &[("if-match", tag)], body.to_string()).await
    };
    let one = "/api/v1/projects/1";
    let paused = json!({"description": "x", "status": "inactive"});
    let changed = ask("PATCH", one, "\"1\"", paused.clone()).await;
    assert_eq!((changed.status, changed.header("etag")), (StatusCode::OK, "\"2\""));
    let data = &changed.json["data"];
    assert_eq!((&data["description"], &data["status"]), (&json!("x"), &json!("inactive")));
    let late = json!({"description": "lost", "status": "active", "timeout": "9s"});
    for (method, path, body) in [
        ("PUT", one, late.clone()),
        ("PATCH", one, late),
        ("PATCH", one, json!({"status": "inactive"})),
        ("POST", "/api/v1/projects/1/rotate-secret", json!({})),
        ("DELETE", one, json!({})),
    ] {
        let stale = ask(method, path, "\"1\"", body).await;
        assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{method} {path}");
    }
    let same = ask("PATCH", one, "\"2\"", json!({"status": "inactive"})).await;
    assert_eq!((same.status, same.header("etag")), (StatusCode::OK, "\"2\""), "it is so already");
    assert_eq!(same.json["data"], changed.json["data"]);
    assert_eq!(api.get(one).await.header("etag"), "\"2\"");
    let gone = ask("DELETE", one, "\"2\"", json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_project_is_paused_and_resumed() {
    let api = ApiFixture::build().await;
    api.project().await;
    let state = async || {
        let data = api.get("/api/v1/projects/1").await.json["data"].clone();
        let list = api.get("/api/v1/projects").await.json["data"]["projects"][0].clone();
        assert_eq!(list, data);
        (data["status"].as_str().unwrap().to_owned(), data["pauseUntil"].clone())
    };
    let paused = |until: Value| ("inactive".to_owned(), until);
    let active = ("active".to_owned(), Value::Null);
    let until = "2099-01-01T00:00:00Z";
    for (method, path, body, expected) in [
        ("POST", "/projects/1/pause", json!({}), paused(json!(null))),
        ("POST", "/projects/1/pause", json!({"until": until}), paused(json!(until))),
        ("POST", "/projects/1/resume", json!({"modifiedBy": "me"}), active.clone()),
        ("POST", "/projects/1/resume", json!({}), active.clone()),
        ("PUT", "/projects/1", json!({"status": "inactive"}), paused(json!(null))),
        ("PUT", "/projects/1", json!({"pause_until": until}), paused(json!(until))),
        ("PATCH", "/projects/1", json!({"description": "x"}), paused(json!(until))),
        ("PATCH", "/projects/1", json!({"status": "active"}), active.clone()),
    ] {
        let answer = api.send(method, path, &[], body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {path} {body}: {}", answer.json);
        assert_eq!(state().await, expected, "{method} {path} {body}");
    }
    let both = json!({"status": "active", "pauseUntil": until});
    for (path, body, field) in [
        ("/api/v1/projects/1/pause", json!({"until": "2020-01-01T00:00:00Z"}), "until"),
        ("/api/v1/projects/1/pause", json!({"until": 5}), "until"),
    ] {
        let refused = api.post(path, body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json["error"]["field"]),
            (400, &json!(field))
        );
    }
    assert_eq!(api.put("/projects/1", both).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(api.post("/projects/9/pause", json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.post("/projects/9/resume", json!({})).await.status, StatusCode::NOT_FOUND);
    let body = json!({"name": "later", "description": "d", "status": "inactive"});
    let born = api.post("/projects", body).await;
    assert_eq!((born.status.as_u16(), &born.json["data"]["status"]), (201, &json!("inactive")));
}
