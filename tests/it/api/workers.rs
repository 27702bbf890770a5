//! Queues of workers: executors of type `worker` and the jobs that go there, as clients give, see,
//! patch and may not say them. Nothing is handed out here. The password of a broker is never shown.

use std::sync::Arc;

use axum::http::StatusCode;
use scheduler0::clock::SystemClock;
use serde_json::{Value, json};

use super::amqp::{PASSWORD, job, made, patched, shows_no_password};
use crate::harness::ApiFixture;

/// The settings of a queue on a broker.
fn broker() -> Value {
    json!({
        "bus": "rabbitmq", "url": format!("amqp://app:{PASSWORD}@127.0.0.1:5673/shop"),
        "actions": "exchange", "includeData": true, "heartbeatTimeout": "30s",
    })
}

fn queue(name: &str, settings: &Value) -> Value {
    json!({"name": name, "type": "worker", "worker": settings})
}

/// A fixture with two queues: the first embedded, the second on a broker.
async fn with_queues() -> (ApiFixture, u64) {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    made(&api, "/executors", queue("emails", &json!({}))).await;
    made(&api, "/executors", queue("reports", &broker())).await;
    (api, project)
}

#[tokio::test]
async fn a_queue_is_shown_in_either_casing_and_can_be_sent_back() {
    let (api, _) = with_queues().await;
    let embedded = &api.get("/api/v1/executors/1").await.json["data"];
    assert_eq!(
        (&embedded["type"], &embedded["worker"]),
        (&json!("worker"), &json!({"bus": "embedded"}))
    );
    let camel = api.get("/api/v1/executors/2").await.json["data"]["worker"].clone();
    let wanted = json!({"bus": "rabbitmq", "url": "amqp://app:***@127.0.0.1:5673/shop",
        "passwordSet": true, "actions": "exchange", "includeData": true,
        "heartbeatTimeout": "30s"});
    assert_eq!(camel, wanted);
    let snake = api.get("/executors/2").await.json["data"]["worker"].clone();
    assert_eq!(
        (&snake["include_data"], &snake["heartbeat_timeout"]),
        (&json!(true), &json!("30s"))
    );
    for (prefix, shown) in [("", snake), ("/api/v1", camel)] {
        let body = json!({"name": "reports", "worker": shown});
        let back = api.put(&format!("{prefix}/executors/2"), body).await;
        assert_eq!(back.status, StatusCode::OK, "{prefix}: {}", back.json);
        assert_eq!(back.header("etag"), "\"1\"", "it changes nothing");
        assert_eq!(back.header("x-scheduler0-warning"), "");
    }
    let change = json!({"worker": {"heartbeat_timeout": "0s", "actions": null},
        "max_concurrency": 5});
    let data = patched(&api, "/executors/2", change).await;
    let worker = &data["worker"];
    assert_eq!((&worker["heartbeat_timeout"], &worker["actions"]), (&json!("0s"), &json!("queue")));
    assert_eq!((&worker["password_set"], &data["max_concurrency"]), (&json!(true), &json!(5)));
    let data = patched(&api, "/executors/2", json!({"worker": {"bus": "embedded"}})).await;
    assert_eq!(data["worker"], json!({"bus": "embedded", "heartbeat_timeout": "0s"}));
}

#[tokio::test]
async fn jobs_say_how_workers_perform_them_and_show_it() {
    let (api, project) = with_queues().await;
    let every = json!({"executorId": 1, "overlap": "queue", "maxQueue": 10, "startTimeout": "5m",
        "runTimeout": "2h", "heartbeatTimeout": "30s", "cancelTimeout": "1m", "retryOn": ["lost"],
        "workerName": "nightly"});
    let jobs = json!([
        job(project, &every),
        job(project, &json!({"executorId": 1})),
        job(project, &json!({"executorId": 2, "externalId": "report"})),
        job(
            project,
            &json!({"executorId": 2, "workerName": "named", "allowConcurrentRuns": false})
        ),
    ]);
    let all = made(&api, "/api/v1/jobs", jobs).await;
    for (field, value) in every.as_object().unwrap() {
        assert_eq!(all[0][field], *value, "{field}");
    }
    assert!(all.as_array().unwrap().iter().all(|job| job["executionType"] == "worker"), "{all}");
    assert_eq!((&all[3]["overlap"], all[3].get("maxQueue")), (&json!("queue"), None));
    for id in 1..=4 {
        for prefix in ["", "/v1", "/api/v1"] {
            let path = format!("{prefix}/jobs/{id}");
            let shown = api.get(&path).await.json["data"].clone();
            let back = api.put(&path, shown).await;
            assert_eq!(back.status, StatusCode::OK, "{}", back.json);
            assert_eq!(
                back.header("etag"),
                "\"1\"",
                "what is shown can be sent back: {}",
                back.json
            );
        }
    }
    let snake = &api.get("/jobs/1").await.json["data"];
    assert_eq!((&snake["start_timeout"], &snake["max_queue"]), (&json!("5m"), &json!(10)));
    let change = json!({"max_queue": 0, "retry_on": [], "worker_name": null});
    let data = patched(&api, "/jobs/1", change).await;
    assert_eq!((&data["max_queue"], &data["retry_on"]), (&json!(0), &json!([])));
    assert_eq!((data.get("worker_name"), &data["overlap"]), (None, &json!("queue")));
    let data = patched(&api, "/jobs/1", json!({"overlap": null, "start_timeout": null})).await;
    assert_eq!((data.get("overlap"), data.get("start_timeout")), (None, None));

    let named = format!("/projects/{project}/jobs/by-external-id/mine");
    let body = json!({"spec": "@daily", "timezone": "UTC", "executorId": 2, "maxQueue": 3});
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let upserted = api.put(&named, body.clone()).await;
        assert_eq!(upserted.status, status, "{}", upserted.json);
        assert_eq!(upserted.header("etag"), "\"1\"", "the same again changes nothing");
    }
}

#[tokio::test]
async fn type_and_bus_of_a_queue_stay_while_jobs_use_it() {
    let (api, project) = with_queues().await;
    made(&api, "/jobs", json!([job(project, &json!({"executorId": 1}))])).await;
    let webhook = json!({"type": "webhook_url", "webhookUrl": "http://127.0.0.1:1/"});
    for (body, said) in [
        (webhook.clone(), "type cannot change while jobs use"),
        (json!({"worker": broker()}), "bus cannot change while jobs use"),
    ] {
        let refused = api.put("/executors/1", body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.json);
        let text = refused.json["data"].as_str().unwrap();
        assert!(text.contains(said), "{text}");
        shows_no_password(&refused);
    }
    assert_eq!(api.delete("/jobs/1").await.status, StatusCode::NO_CONTENT);
    let moved = api.put("/executors/1", json!({"worker": broker()})).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.json);
    let signed = json!({"name": "s", "webhookUrl": "http://127.0.0.1:1/", "ratePerSecond": 5,
        "webhookSecret": format!("whsec_{}", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")});
    made(&api, "/executors", signed).await;
    let turned = api.put("/api/v1/executors/3", queue("s", &json!({}))).await;
    assert_eq!(turned.status, StatusCode::OK, "{}", turned.json);
    assert_eq!(turned.json["data"].get("ratePerSecond"), None, "it goes with the type");
    assert_eq!(api.put("/executors/3", webhook).await.status, StatusCode::OK);
}

/// Requests to `/executors` that are wrong in one field: the status, the field, a word of the fix.
fn wrong_queues() -> Vec<(Value, u16, &'static str, &'static str)> {
    let with = |field: &str, value: Value| {
        let mut settings = broker();
        settings[field] = value;
        queue("x", &settings)
    };
    let beside = |field: &str, value: Value| {
        let mut body = queue("x", &json!({}));
        body[field] = value;
        body
    };
    vec![
        (queue("x", &json!(5)), 400, "worker", "object"),
        (beside("worker", json!(null)), 400, "worker", "leave it out"),
        (with("colour", json!(1)), 400, "worker", "colour"),
        (queue("x", &json!([])), 400, "worker", "object"),
        (with("bus", json!("kafka")), 400, "worker.bus", "embedded or rabbitmq"),
        (with("bus", json!("http")), 400, "worker.bus", "embedded or rabbitmq"),
        (with("bus", json!(1)), 400, "worker.bus", "embedded or rabbitmq"),
        (with("bus", json!("embedded")), 422, "worker.url", "set worker.bus to rabbitmq"),
        (with("url", json!(null)), 400, "worker.url", "required"),
        (with("url", json!("http://a/")), 400, "worker.url", "amqp"),
        (with("url", json!("amqp://a:hunter2@169.254.169.254/")), 400, "worker.url", ""),
        (with("url", json!("amqp://a:***@b/")), 400, "worker.url", "needs the password"),
        (with("ca", json!("no pem")), 400, "worker.ca", ""),
        (with("actions", json!("topic")), 400, "worker.actions", "queue or exchange"),
        (with("includeData", json!(1)), 400, "worker.include_data", "true or false"),
        (with("url", json!(5)), 400, "worker.url", "text"),
        (with("actions", json!(["queue"])), 400, "worker.actions", "queue or exchange"),
        (with("includeData", json!("yes")), 400, "worker.include_data", "true or false"),
        (with("heartbeatTimeout", json!("soon")), 400, "worker.heartbeat_timeout", "duration"),
        (with("heartbeatTimeout", json!(-1)), 400, "worker.heartbeat_timeout", ""),
        (with("heartbeatTimeout", json!("-5s")), 400, "worker.heartbeat_timeout", ""),
        (with("heartbeatTimeout", json!("400d")), 400, "worker.heartbeat_timeout", ""),
        (with("heartbeatTimeout", json!([])), 400, "worker.heartbeat_timeout", ""),
        (beside("name", json!("")), 400, "name", "required"),
        (beside("name", json!(7)), 400, "name", ""),
        (beside("name", json!("x".repeat(257))), 400, "name", "256"),
        (beside("maxConcurrency", json!("many")), 400, "max_concurrency", ""),
        (beside("maxConcurrency", json!(10_001)), 400, "max_concurrency", "10000"),
        (beside("ratePerSecond", json!(5)), 422, "rate_per_second", "maxConcurrency"),
        (beside("maxConcurrency", json!(0)), 400, "max_concurrency", "from 1"),
        (
            beside("webhookSecret", json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
            422,
            "webhook_secret",
            "leave it out",
        ),
        (
            beside("webhookUrl", json!("http://127.0.0.1:1/")),
            400,
            "webhook_url",
            "stands in worker",
        ),
        (beside("type", json!("pigeon")), 400, "type", "worker"),
    ]
}

#[tokio::test]
async fn each_wrong_field_is_named_with_its_fix() {
    let (api, project) = with_queues().await;
    made(&api, "/executors", json!({"name": "web", "webhookUrl": "http://127.0.0.1:1/"})).await;
    for (body, status, field, said) in wrong_queues() {
        let refused = api.post("/executors", body.clone()).await;
        assert_eq!(refused.status.as_u16(), status, "{body}: {}", refused.json);
        assert_eq!(refused.json["error"]["field"], field, "{body}: {}", refused.json);
        let text = refused.json["error"]["message"].as_str().unwrap();
        assert!(text.contains(said), "{body}: {text}");
        shows_no_password(&refused);
    }
    let rotated = api.post("/executors/1/rotate-secret", json!({})).await;
    assert_eq!(rotated.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", rotated.json);
    let http = json!({"url": "http://127.0.0.1:1/"});
    for (more, status, field, said) in [
        (json!({"executorId": "one"}), 400, "executor_id", ""),
        (json!({"executorId": 99}), 400, "executor_id", "does not exist"),
        (json!({"executorId": 1, "startTimeout": "soon"}), 400, "start_timeout", "understood"),
        (json!({"executorId": 1, "startTimeout": 0}), 400, "start_timeout", "from 1ms"),
        (json!({"executorId": 1, "startTimeout": -5}), 400, "start_timeout", ""),
        (json!({"executorId": 1, "startTimeout": "10000h"}), 400, "start_timeout", ""),
        (json!({"executorId": 1, "startTimeout": true}), 400, "start_timeout", "duration"),
        (json!({"executorId": 1, "cancelTimeout": "-1m"}), 400, "cancel_timeout", ""),
        (json!({"executorId": 1, "cancelTimeout": {}}), 400, "cancel_timeout", "duration"),
        (json!({"executorId": 1, "heartbeatTimeout": "1x"}), 400, "heartbeat_timeout", ""),
        (json!({"executorId": 1, "heartbeatTimeout": 0}), 400, "heartbeat_timeout", "from 1ms"),
        (json!({"executorId": 1, "retryOn": "lost"}), 400, "retry_on", "list of lost"),
        (json!({"executorId": 1, "retryOn": [1]}), 400, "retry_on", "list of lost"),
        (json!({"executorId": 1, "maxQueue": -1}), 400, "max_queue", "0 (no bound)"),
        (json!({"executorId": 1, "maxQueue": "5"}), 400, "max_queue", "0 (no bound)"),
        (json!({"executorId": 1, "maxQueue": 1_000_001}), 400, "max_queue", "1000000"),
        (json!({"executorId": 1, "workerName": ""}), 400, "worker_name", "1 to 231"),
        (json!({"executorId": 1, "workerName": 5}), 400, "worker_name", "text"),
        (json!({"executorId": 1, "workerName": "a\nb"}), 400, "worker_name", "leave them out"),
        (json!({"executorId": 1, "overlap": true}), 400, "overlap", "queue_one, queue or"),
        (json!({"executorId": 1, "overlap": "Queue"}), 400, "overlap", "queue_one, queue or"),
        (
            json!({"executorId": 1, "allowConcurrentRuns": "no"}),
            400,
            "allow_concurrent_runs",
            "true or false",
        ),
        (
            json!({"executorId": 1, "allowConcurrentRuns": 0}),
            400,
            "allow_concurrent_runs",
            "true or false",
        ),
        (
            json!({"executorId": 1, "allowConcurrentRuns": false, "overlap": "queue"}),
            422,
            "allow_concurrent_runs",
            "give one of them",
        ),
        (json!({"executorId": 1, "cancelTimeout": 0}), 400, "cancel_timeout", "from 1ms"),
        (json!({"executorId": 1, "runTimeout": -1}), 400, "run_timeout", ""),
        (json!({"executorId": 1, "heartbeatTimeout": []}), 400, "heartbeat_timeout", "duration"),
        (json!({"executorId": 1, "retryOn": ["gone"]}), 400, "retry_on", "lost, failed, timeout"),
        (json!({"executorId": 1, "maxQueue": 1.5}), 400, "max_queue", "0 (no bound)"),
        (json!({"executorId": 1, "workerName": "x".repeat(232)}), 400, "worker_name", "231"),
        (json!({"executorId": 1, "overlap": "later"}), 400, "overlap", "queue"),
        (json!({"executorId": 1, "message": {}}), 422, "message", "of type worker"),
        (json!({"executorId": 2}), 422, "worker_name", "externalId"),
        (json!({"executorId": 2, "externalId": "x".repeat(232)}), 422, "external_id", "workerName"),
        (json!({"executorId": 3, "startTimeout": 5}), 422, "start_timeout", "type worker"),
        (json!({"http": http, "workerName": "n"}), 422, "worker_name", "type worker"),
        (json!({"http": http, "maxQueue": 5}), 422, "max_queue", "overlap queue"),
        (json!({"executorId": 3, "overlap": "queue"}), 422, "overlap", "queue of workers"),
        (
            json!({"worker": {}, "callbackUrl": "http://127.0.0.1:1/", "retryOn": []}),
            422,
            "retry_on",
            "type worker",
        ),
    ] {
        let refused = api.post("/jobs", json!([job(project, &more)])).await;
        assert_eq!(refused.status.as_u16(), status, "{more}: {}", refused.json);
        assert_eq!(refused.json["error"]["field"], field, "{more}: {}", refused.json);
        assert_eq!(refused.json["error"]["index"], 0);
        let text = refused.json["error"]["message"].as_str().unwrap();
        assert!(text.contains(said), "{more}: {text}");
    }
    made(&api, "/jobs", json!([job(project, &json!({"executorId": 2, "externalId": "e"}))])).await;
    let nameless = api.send("PATCH", "/jobs/1", &[], r#"{"externalId":null}"#).await;
    assert_eq!(nameless.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nameless.json);
    let moved = json!({"executorId": 3, "startTimeout": null}).to_string();
    assert_eq!(api.send("PATCH", "/jobs/1", &[], moved).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_node_that_is_too_old_is_named_before_anything_is_written() {
    let api = ApiFixture::build_at_level(Arc::new(SystemClock), 3).await;
    let project = api.project().await;
    let http = json!({"http": {"url": "http://127.0.0.1:1/"}});
    made(&api, "/jobs", json!([job(project, &http)])).await;
    let waits = json!({"http": {"url": "http://127.0.0.1:1/"}, "overlap": "queue"});
    for (method, path, body) in [
        ("POST", "/executors", queue("emails", &json!({}))),
        ("POST", "/executors", queue("emails", &broker())),
        ("POST", "/jobs", json!([job(project, &waits)])),
        ("PATCH", "/jobs/1", json!({"allowConcurrentRuns": false})),
    ] {
        let refused = api.send(method, path, &[], body.to_string()).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{body}: {}", refused.json);
        assert_eq!(refused.json["error"]["code"], "upgrade_pending", "{body}");
        let text = refused.json["error"]["message"].as_str().unwrap();
        assert!(text.contains("node 1"), "{body}: {text}");
        shows_no_password(&refused);
    }
    assert_eq!(api.get("/executors").await.json["data"]["total"], 0);
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 1);
    assert_eq!(api.get("/jobs/1").await.header("etag"), "\"1\"");
}
