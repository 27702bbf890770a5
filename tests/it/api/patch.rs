//! `PATCH` as a JSON Merge Patch (RFC 7396): it changes only the fields that it names, within
//! objects too. Null removes a field, and hidden secrets stay.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture};

async fn patch(api: &ApiFixture, path: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/merge-patch+json")];
    api.send("PATCH", &format!("/api/v1{path}"), &headers, body.to_string()).await
}

async fn make(api: &ApiFixture, mut job: Value) -> String {
    job["projectId"] = api.project().await.into();
    let made = api.post("/api/v1/jobs", job).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.json);
    "/jobs/1".to_owned()
}

#[tokio::test]
async fn a_patch_of_a_nested_object_leaves_what_it_does_not_name() {
    let api = ApiFixture::build().await;
    let job = make(
        &api,
        json!({
            "spec": "@daily", "timezone": "UTC", "labels": {"team": "shop", "tier": "1"},
            "misfire": {"policy": "all", "max": 500, "grace": "5m"},
            "dst": {"gap": "skip", "fold": "both"}, "timeout": "20s",
            "http": {"url": "http://127.0.0.1:1/a", "method": "PUT", "successCodes": [200],
                "headers": {"X-A": "1", "X-B": "2"}, "query": {"q": "1"}, "body": "kept"},
        }),
    )
    .await;
    let shown = api.get(&format!("/api/v1{job}")).await.json["data"].clone();
    for (body, field, wanted) in [
        (
            json!({"misfire": {"max": 200}}),
            "/misfire",
            json!({"policy": "all", "max": 200, "grace": "5m"}),
        ),
        (
            json!({"misfire": {"grace": null, "policy": null}}),
            "/misfire",
            json!({"policy": "latest", "max": 200}),
        ),
        (json!({"dst": {"fold": "first"}}), "/dst", json!({"gap": "skip", "fold": "first"})),
        (
            json!({"labels": {"tier": "2", "new": "x"}}),
            "/labels",
            json!({"team": "shop", "tier": "2", "new": "x"}),
        ),
        (
            json!({"labels": {"tier": null, "never": null}}),
            "/labels",
            json!({"team": "shop", "new": "x"}),
        ),
        (json!({"labels": {}}), "/labels", json!({"team": "shop", "new": "x"})),
        (
            json!({"http": {"url": "http://127.0.0.1:2/b"}}),
            "/http",
            json!({"url": "http://127.0.0.1:2/b", "method": "PUT", "successCodes": [200],
                "headers": {"X-A": "1", "X-B": "2"}, "query": {"q": "1"}, "body": "kept",
                "auth": {"type": "none"}}),
        ),
        (json!({"http": {"method": "POST"}}), "/http/method", json!("POST")),
        (
            json!({"http": {"headers": {"x-a": "9", "X-B": null}, "query": {"r": "2"}}}),
            "/http/headers",
            json!({"x-a": "9"}),
        ),
        (json!({"http": {"success_codes": null}}), "/http/query", json!({"q": "1", "r": "2"})),
        (json!({"http": {"timeout": null}}), "/timeout", json!(null)),
        (json!({"http": {"body": null}}), "/http/body", json!(null)),
        (json!({"data": {"a": null}}), "/data", json!("{\"a\":null}")),
        (json!({"labels": null}), "/labels", json!(null)),
    ] {
        let answer = patch(&api, &job, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.json);
        let found = answer.json["data"].pointer(field).cloned().unwrap_or_default();
        assert_eq!(found, wanted, "{body}");
    }
    let after = api.get(&format!("/api/v1{job}")).await.json["data"].clone();
    assert_eq!(after["spec"], shown["spec"]);
    assert_eq!(after["http"].get("successCodes"), None);

    // A PUT replaces the whole object.
    let put = json!({"http": {"url": "http://127.0.0.1:1/"}});
    let put = api.put(&format!("/api/v1{job}"), put).await;
    let shown = put.json["data"]["http"].clone();
    let plain = json!({"url": "http://127.0.0.1:1/", "method": "POST", "auth": {"type": "none"}});
    assert_eq!(shown, plain);
}

#[tokio::test]
async fn null_is_refused_where_a_field_must_be() {
    let api = ApiFixture::build().await;
    let job = make(
        &api,
        json!({"spec": "@daily", "timezone": "UTC",
            "http": {"url": "http://127.0.0.1:1/a", "auth": {"type": "bearer", "token": "t0p"}}}),
    )
    .await;
    let executor = json!({"name": "e", "webhookUrl": "http://127.0.0.1:1/"});
    assert_eq!(api.post("/executors", executor).await.status, StatusCode::CREATED);
    for (path, body, field) in [
        (&*job, json!({"projectId": null}), "projectId"),
        (&job, json!({"status": null}), "status"),
        (&job, json!({"spec": null}), "spec"),
        (&job, json!({"timezone": null}), "timezone"),
        (&job, json!({"http": null}), "callbackUrl"),
        (&job, json!({"http": {"url": null}}), "http.url"),
        (&job, json!({"http": {"auth": {"token": null}}}), "http.auth.token"),
        (&job, json!({"http": {"auth": {"type": null}}}), "http.auth.type"),
        (&job, json!({"http": {"url": "http://127.0.0.1:2/a"}}), "http.auth.token"),
        ("/projects/1", json!({"name": null, "description": "lost"}), "name"),
        ("/projects/1", json!({"description": null}), "description"),
        ("/projects/1", json!({"status": null}), "status"),
        ("/executors/1", json!({"name": null}), "name"),
        ("/executors/1", json!({"type": null}), "type"),
        ("/executors/1", json!({"webhookUrl": null}), "webhookUrl"),
    ] {
        let before = api.get(&format!("/api/v1{path}")).await.json["data"].clone();
        let answer = patch(&api, path, body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}: {}", answer.json);
        assert_eq!(answer.json["error"]["field"], field, "{path} {body}: {}", answer.json);
        let after = api.get(&format!("/api/v1{path}")).await.json["data"].clone();
        assert_eq!(before, after, "{path} {body}");
    }
    let same = patch(&api, &job, json!({"http": {"url": "http://127.0.0.1:1/other"}})).await;
    let auth = json!({"type": "bearer", "tokenSet": true});
    assert_eq!(same.json["data"]["http"]["auth"], auth, "{}", same.json);
}

#[tokio::test]
async fn a_patch_of_an_executor_merges_its_http_target_and_keeps_its_secrets() {
    let api = ApiFixture::build().await;
    let made = api.post(
        "/api/v1/executors",
        json!({"name": "e", "region": "eu", "webhookSecret": "hunter2hunter2hunter2", "cloudApiKey": "k",
            "http": {"url": "http://127.0.0.1:1/a", "method": "PUT", "headers": {"X-A": "1"},
                "auth": {"type": "basic", "username": "me", "password": "pw"}}}),
    );
    assert_eq!(made.await.status, StatusCode::CREATED);
    let one = "/executors/1";
    let edited = patch(&api, one, json!({"http": {"url": "http://127.0.0.1:1/b"}})).await;
    let http = json!({"url": "http://127.0.0.1:1/b", "method": "PUT", "headers": {"X-A": "1"},
        "auth": {"type": "basic", "username": "me", "passwordSet": true}});
    assert_eq!(edited.json["data"]["http"], http, "{}", edited.json);
    assert_eq!(edited.json["data"]["webhookSecretSet"], true);
    assert_eq!(edited.json["data"]["cloudApiKeySet"], true);
    let moved = patch(&api, one, json!({"http": {"url": "http://127.0.0.1:2/b"}})).await;
    assert_eq!(moved.json["error"]["field"], "http.auth.password", "{}", moved.json);
    let less = json!({"region": null, "cloudApiKey": null, "http": {"auth": null}});
    let less = patch(&api, one, less).await.json["data"].clone();
    assert_eq!((&less["region"], &less["cloudApiKeySet"]), (&json!(""), &json!(false)));
    assert_eq!(less["http"]["auth"], json!({"type": "none"}));

    let batches = json!({"webhookUrl": "http://127.0.0.1:1/", "webhookMethod": "PUT"});
    let batches = patch(&api, one, batches).await.json["data"].clone();
    assert_eq!((batches.get("http"), &batches["webhookMethod"]), (None, &json!("PUT")));
    let plain = patch(&api, one, json!({"webhookMethod": null})).await.json["data"].clone();
    assert_eq!(plain["webhookMethod"], "POST");
    // A client of the original sends null for fields that it has not set.
    let put = json!({"name": "f", "region": null, "webhookUrl": null});
    let put = api.put("/api/v1/executors/1", put).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.json);
    assert_eq!(put.json["data"]["webhookUrl"], "http://127.0.0.1:1/");
}
