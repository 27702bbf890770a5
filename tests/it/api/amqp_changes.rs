//! Changes of targets of type `amqp` by other names than those that are shown, and those that a
//! node of an older program does not understand.

use std::sync::Arc;

use axum::http::StatusCode;
use scheduler0::clock::SystemClock;
use serde_json::json;

use super::amqp::{PASSWORD, executor, job, made, patched, settings, shows_no_password};
use crate::harness::ApiFixture;

#[tokio::test]
async fn the_other_name_of_the_url_can_be_patched() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    made(&api, "/executors", executor("one", &settings())).await;
    made(&api, "/jobs", json!([job(project, &json!({"amqp": settings()}))])).await;
    let moved = format!("amqp://other:{PASSWORD}@127.0.0.2/bank");
    for path in ["/executors/1", "/jobs/1"] {
        let change = json!({"amqp": {"connection": moved}});
        let data = patched(&api, path, change).await;
        assert_eq!(data["amqp"]["url"], "amqp://other:***@127.0.0.2/bank", "{path}");
        let kept = json!({"amqp": {"connection": "amqp://elsewhere:***@127.0.0.2/bank"}});
        let kept = api.send("PATCH", path, &[], kept.to_string()).await;
        assert_eq!(kept.status, StatusCode::BAD_REQUEST, "{path}: the password goes nowhere else");
        assert_eq!(kept.json["error"]["field"], "amqp.connection", "{}", kept.json);
        let both = json!({"amqp": {"url": "amqp://a/", "connection": "amqp://b/"}});
        let both = api.send("PATCH", path, &[], both.to_string()).await;
        assert_eq!(both.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", both.json);
    }
    let flat = json!({"amqp": {"exchange_type": "fanout", "durable": true}});
    let refused = api.send("PATCH", "/executors/1", &[], flat.to_string()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.json);
    let flat = json!({"amqp": {"declare": null, "exchange_type": "fanout", "durable": true}});
    let data = patched(&api, "/executors/1", flat).await;
    assert_eq!(data["amqp"]["declare"]["type"], "fanout");
}

#[tokio::test]
async fn a_node_that_is_too_old_is_named_before_anything_is_written() {
    let api = ApiFixture::build_at_level(Arc::new(SystemClock), 3).await;
    let project = api.project().await;
    for (path, body) in [
        ("/executors", executor("one", &settings())),
        ("/jobs", json!([job(project, &json!({"amqp": settings()}))])),
    ] {
        let refused = api.post(path, body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{path}: {}", refused.json);
        assert_eq!(refused.json["error"]["code"], "upgrade_pending", "{path}");
        let text = refused.json["error"]["message"].as_str().unwrap();
        assert!(text.contains("node 1"), "{path}: {text}");
    }
    assert_eq!(api.get("/executors").await.json["data"]["total"], 0);
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 0);
    let webhook = json!({"name": "two", "webhookUrl": "http://127.0.0.1:1/"});
    assert_eq!(api.post("/executors", webhook).await.status, StatusCode::CREATED);
    let callback = json!({"callbackUrl": "http://127.0.0.1:1/"});
    made(&api, "/jobs", json!([job(project, &callback)])).await;
    let named = format!("/projects/{project}/jobs/by-external-id/mine");
    let upsert = json!({"spec": "@daily", "timezone": "UTC", "amqp": settings()});
    for (method, path, body) in [
        ("PATCH", "/executors/1", json!({"type": "amqp", "amqp": settings()})),
        ("PUT", "/executors/1", json!({"type": "amqp", "amqp": settings()})),
        ("PATCH", "/jobs/1", json!({"callbackUrl": null, "amqp": settings()})),
        ("PUT", "/jobs/1", json!({"amqp": settings()})),
        ("PUT", &named, upsert),
    ] {
        let refused = api.send(method, path, &[], body.to_string()).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{method} {path}: {}", refused.json);
        assert_eq!(refused.json["error"]["code"], "upgrade_pending", "{method} {path}");
        shows_no_password(&refused);
    }
    assert_eq!(api.get("/executors/1").await.header("etag"), "\"1\"");
    assert_eq!(api.get("/jobs/1").await.header("etag"), "\"1\"");
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 1);
}
