//! Executors: created, listed, changed and deleted with the fields of the published clients and
//! with ours. Their secrets are never shown.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture};

/// The body of a published client, zero values included.
fn webhook(name: &str) -> Value {
    json!({
        "name": name, "type": "webhook_url", "region": "", "cloudProvider": "",
        "cloudResourceUrl": "", "cloudApiKey": "", "cloudApiSecret": "",
        "webhookUrl": "https://example.com/hook", "webhookSecret": "hunter2-secret-of-sixteen",
        "webhookMethod": "", "createdBy": "me",
    })
}

fn shows_no_secret(answer: &Answer) {
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_published_client_finds_its_fields_again() {
    let api = ApiFixture::build().await;
    let made = api.post("/api/v1/executors", webhook("one")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!((made.header("etag"), made.header("x-scheduler0-warning")), ("\"1\"", ""));
    shows_no_secret(&made);
    let data = &made.json["data"];
    for (field, wanted) in [
        ("id", json!(1)),
        ("name", json!("one")),
        ("type", json!("webhook_url")),
        ("region", json!("")),
        ("webhookUrl", json!("https://example.com/hook")),
        ("webhookMethod", json!("POST")),
        ("webhookSecretSet", json!(true)),
        ("cloudApiKeySet", json!(false)),
        ("createdBy", json!("me")),
        ("version", json!(1)),
    ] {
        assert_eq!(data[field], wanted, "{field}");
    }
    assert!(data["dateCreated"].is_string() && data.get("dateModified").is_none());

    let cloud = json!({"name": "two", "type": "cloud_function", "region": "eu", "cloudProvider":
        "aws", "cloudResourceUrl": "arn:1", "cloudApiKey": "hunter2", "cloudApiSecret": "hunter2b"});
    let cloud = api.post("/executors", cloud).await;
    assert_eq!(cloud.status, StatusCode::CREATED, "{}", cloud.json);
    assert_eq!(cloud.json["data"]["cloud_api_secret_set"], true);
    shows_no_secret(&cloud);

    let list = api.get("/api/v1/executors?limit=10&offset=0&orderBy=name&orderByDirection=desc");
    let list = list.await;
    shows_no_secret(&list);
    let data = &list.json["data"];
    assert_eq!(
        (&data["total"], &data["limit"], &data["offset"]),
        (&json!(2), &json!(10), &json!(0))
    );
    assert_eq!(data["executors"][0]["name"], "two");
    assert_eq!(data["executors"][1]["id"], 1);

    let changed = api
        .put("/api/v1/executors/1", json!({"region": "us", "modifiedBy": "you", "deletedBy": "x"}))
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
    let data = &changed.json["data"];
    assert_eq!((&data["region"], &data["modifiedBy"]), (&json!("us"), &json!("you")));
    assert_eq!(data["webhookSecretSet"], true, "what is not named stays");
    assert_eq!((&data["createdBy"], changed.header("etag")), (&json!("me"), "\"2\""));
    let again = api.put("/api/v1/executors/1", data.clone()).await;
    assert_eq!(again.status, StatusCode::OK, "what a GET shows can be sent back: {}", again.json);
    assert_eq!(again.header("x-scheduler0-warning"), "");
    assert_eq!(again.header("etag"), "\"2\"", "it changes nothing");
    assert_eq!(again.json["data"]["dateModified"], data["dateModified"]);

    let stale = [("if-match", "\"1\"")];
    let stale = api.send("DELETE", "/api/v1/executors/1", &stale, "").await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let gone = api.send("DELETE", "/api/v1/executors/1", &[], "{\"deletedBy\":\"me\"}").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    for (method, path) in [
        ("GET", "/executors/1"),
        ("PUT", "/executors/1"),
        ("DELETE", "/executors/1"),
        ("POST", "/executors/1/rotate-secret"),
    ] {
        let missing = api.send(method, path, &[], "{}").await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{method}");
        assert_eq!(missing.json["data"], "executor does not exist");
    }
}

#[tokio::test]
async fn an_http_target_is_held_whole_and_keeps_its_secret() {
    let api = ApiFixture::build().await;
    let http = json!({"method": "PATCH", "url": "https://example.com/{{jobId}}",
        "headers": {"X-Team": "a"}, "auth": {"type": "bearer", "token": "hunter2"}});
    let body = json!({"name": "one", "http": http, "max_concurrency": 4, "rate_per_second": 20});
    let made = api.post("/executors", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    shows_no_secret(&made);
    let data = &made.json["data"];
    assert_eq!(data["http"]["headers"], json!({"X-Team": "a"}));
    assert_eq!(data["http"]["auth"], json!({"type": "bearer", "token_set": true}));
    assert_eq!((&data["max_concurrency"], &data["rate_per_second"]), (&json!(4), &json!(20)));

    let mut http = data["http"].clone();
    http["method"] = json!("GET");
    let body = json!({"http": http, "max_concurrency": null});
    let changed = api.send("PATCH", "/executors/1", &[], body.to_string()).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
    let data = &changed.json["data"];
    assert_eq!(data["http"]["auth"]["token_set"], true);
    assert_eq!((data.get("max_concurrency"), &data["rate_per_second"]), (None, &json!(20)));
    http["url"] = json!("https://elsewhere.example/");
    let refused = api.put("/executors/1", json!({"http": http})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json["error"]["field"], "http.auth.token", "{}", refused.json);

    let turned = api.put("/executors/1", json!({"webhookUrl": "http://localhost:1/"})).await;
    assert_eq!(turned.status, StatusCode::OK, "{}", turned.json);
    let data = &turned.json["data"];
    assert_eq!((&data["webhook_url"], data.get("http")), (&json!("http://localhost:1/"), None));
}

#[tokio::test]
async fn what_an_executor_cannot_be_is_refused() {
    let api = ApiFixture::build().await;
    let with = |field: &str, value: Value| {
        let mut body = webhook("x");
        body[field] = value;
        body
    };
    let http = json!({"url": "http://localhost:1/"});
    for (body, field) in [
        (with("name", json!(" ")), "name"),
        (with("name", json!(null)), "name"),
        (with("name", json!("x".repeat(257))), "name"),
        (with("type", json!("pigeon")), "type"),
        (with("webhookUrl", json!("")), "webhook_url"),
        (with("webhookUrl", json!("ftp://a/")), "webhook_url"),
        (with("webhookUrl", json!("http://169.254.169.254/")), "webhook_url"),
        (with("webhookUrl", json!("http://a/{{jobId}}")), "webhook_url"),
        (with("webhookMethod", json!("GET")), "webhook_method"),
        (with("webhookSecret", json!("whsec_short")), "webhook_secret"),
        (with("webhookSecret", json!("fifteen letters")), "webhook_secret"),
        (with("webhookSecret", json!(7)), "webhook_secret"),
        (with("http", http.clone()), "http"),
        (with("maxConcurrency", json!(0)), "max_concurrency"),
        (with("ratePerSecond", json!(100_001)), "rate_per_second"),
        (with("ratePerSecond", json!("20")), "rate_per_second"),
        (json!({"name": "x", "type": "container", "http": http}), "http"),
        (json!({"name": "x", "http": {"url": "http://a/", "method": "BREW"}}), "http.method"),
    ] {
        let refused = api.post("/executors", body.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(refused.json["error"]["field"], field, "{}", refused.json);
    }
    assert_eq!(api.get("/executors").await.json["data"]["total"], 0);
    assert_eq!(api.post("/executors", webhook("one")).await.status, StatusCode::CREATED);
    let twice = api.post("/executors", webhook("one")).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert_eq!(api.post("/executors", webhook("two")).await.json["data"]["id"], 2);
    let taken = api.put("/executors/2", json!({"name": "one"})).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let key = [("idempotency-key", "k")];
    let three = webhook("three").to_string();
    let first = api.send("POST", "/executors", &key, &three).await;
    let second = api.send("POST", "/executors", &key, &three).await;
    assert_eq!((first.status, &first.json), (second.status, &second.json));
}

#[tokio::test]
async fn a_lost_update_is_refused() {
    let api = ApiFixture::build().await;
    api.post("/executors", webhook("one")).await;
    let put = async |tag: &str, region: &str| {
        let body = json!({"region": region}).to_string();
        api.send("PUT", "/executors/1", &[("if-match", tag)], body).await
    };
    assert_eq!(put("\"1\"", "a").await.header("etag"), "\"2\"");
    let stale = put("\"1\"", "b").await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(stale.json["error"]["code"], "stale");
    assert_eq!(api.get("/executors/1").await.json["data"]["region"], "a");
    assert_eq!(put("*", "c").await.status, StatusCode::OK);

    // Concurrent changes without a precondition all succeed, and none is lost.
    let bodies = ["region", "cloudProvider", "cloudResourceUrl"];
    let all = bodies.map(|field| api.put("/executors/1", json!({field: field})));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    }
    let data = api.get("/api/v1/executors/1").await.json["data"].clone();
    for field in bodies {
        assert_eq!(data[field], field);
    }
}

#[tokio::test]
async fn a_secret_is_rotated_with_an_overlap_and_shown_once() {
    let api = ApiFixture::build().await;
    api.post("/executors", webhook("one")).await;
    let rotate = "/api/v1/executors/1/rotate-secret";
    let made = api.post(rotate, json!({"overlap": "2h"})).await;
    assert_eq!((made.status, made.header("cache-control")), (StatusCode::OK, "no-store"));
    let secret = made.json["data"]["webhookSecret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert!(made.json["data"]["previousSecretUntil"].is_string());
    assert_eq!(made.header("etag"), "\"2\"");
    let shown = api.get("/api/v1/executors/1").await;
    assert!(!String::from_utf8_lossy(&shown.body).contains(&secret));
    assert!(shown.json["data"]["previousSecretUntil"].is_string());

    let given = json!({"webhookSecret": "hunter2-hunter2-", "overlap": 0});
    let given = api.post(rotate, given).await;
    assert_eq!(given.json["data"]["webhookSecret"], "hunter2-hunter2-");
    assert!(given.json["data"].get("previousSecretUntil").is_none(), "no overlap");
    let same = api.put("/api/v1/executors/1", json!({"webhookSecret": "hunter2-hunter2-"})).await;
    assert!(same.json["data"].get("previousSecretUntil").is_none(), "the same again is no change");
    let other = api.put("/api/v1/executors/1", json!({"webhookSecret": "hunter3-hunter3-"})).await;
    assert!(other.json["data"]["previousSecretUntil"].is_string(), "a day unless asked otherwise");
    let none = api.put("/api/v1/executors/1", json!({"webhookSecret": null})).await;
    assert_eq!(none.json["data"]["webhookSecretSet"], false);

    let key = [("idempotency-key", "k")];
    let first = api.send("POST", rotate, &key, "{}").await;
    let second = api.send("POST", rotate, &key, "{}").await;
    assert!(first.json["data"]["webhookSecret"].is_string());
    assert_eq!(first.json, second.json, "a request repeated does not rotate twice");
    api.post(rotate, json!({})).await;
    let late = api.send("POST", rotate, &key, "{}").await;
    assert!(late.json["data"].get("webhookSecret").is_none(), "it is not the secret any more");

    for bad in [json!({"overlap": "31 days"}), json!({"overlap": "x"}), json!({"overlap": -1})] {
        let refused = api.post(rotate, bad).await;
        assert_eq!(
            (refused.status, &refused.json["error"]["field"]),
            (StatusCode::BAD_REQUEST, &json!("overlap"))
        );
    }
}

#[tokio::test]
async fn an_executor_that_jobs_use_stays() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/executors", webhook("one")).await;
    let job =
        json!({"projectId": project, "spec": "@every 1m", "timezone": "UTC", "executorId": 1});
    let made = api.post("/api/v1/jobs", job).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.json);
    let kept = api.delete("/executors/1").await;
    assert_eq!(kept.status, StatusCode::CONFLICT);
    assert!(kept.json["data"].as_str().unwrap().contains("used by jobs"), "{}", kept.json);
}
