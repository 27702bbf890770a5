//! Targets of type `amqp`, in executors and in jobs: what clients give, see, patch and may not say.
//! Nothing is sent here. The password is never shown.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture};

/// The password in the settings of these tests.
pub(super) const PASSWORD: &str = "hunter2";

/// Settings with names of the client's own in them, in which nothing may be renamed.
pub(super) fn settings() -> Value {
    json!({
        "url": format!("amqp://app:{PASSWORD}@127.0.0.1:5673/shop"), "exchange": "orders",
        "routingKey": "new.{{jobId}}", "contentType": "application/json", "priority": 3,
        "headers": {"x-delay": 5, "x_team": "a", "myHeader": {"inIt": [1]}},
        "declare": {"type": "topic", "autoDelete": true, "arguments": {"alternate-exchange": "x",
            "x_own": 1}},
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut settings = settings();
    settings[field] = value;
    settings
}

pub(super) fn executor(name: &str, settings: &Value) -> Value {
    json!({"name": name, "type": "amqp", "amqp": settings})
}

pub(super) fn job(project: u64, more: &Value) -> Value {
    let mut job = json!({"projectId": project, "spec": "@daily", "timezone": "UTC", "data": "{}"});
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    job
}

pub(super) fn shows_no_password(answer: &Answer) {
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains(PASSWORD), "{text}");
}

pub(super) async fn made(api: &ApiFixture, path: &str, body: Value) -> Value {
    let headers = [("prefer", "return=representation")];
    let made = api.send("POST", path, &headers, body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!(made.header("x-scheduler0-warning"), "");
    shows_no_password(&made);
    made.json["data"].clone()
}

pub(super) async fn patched(api: &ApiFixture, path: &str, body: Value) -> Value {
    let answer = api.send("PATCH", path, &[], body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    shows_no_password(&answer);
    answer.json["data"].clone()
}

#[tokio::test]
async fn an_executor_is_shown_in_either_casing_and_can_be_sent_back() {
    let api = ApiFixture::build().await;
    let camel = made(&api, "/api/v1/executors", executor("one", &settings())).await;
    let amqp = &camel["amqp"];
    assert_eq!((&camel["type"], &amqp["exchange"]), (&json!("amqp"), &json!("orders")));
    assert_eq!(amqp["url"], "amqp://app:***@127.0.0.1:5673/shop");
    assert_eq!(
        (&amqp["passwordSet"], &amqp["routingKey"]),
        (&json!(true), &json!("new.{{jobId}}"))
    );
    assert_eq!(amqp["headers"], settings()["headers"]);

    let snake = api.get("/executors/1").await.json["data"]["amqp"].clone();
    assert_eq!(
        (&snake["routing_key"], &snake["password_set"]),
        (&amqp["routingKey"], &json!(true))
    );
    assert_eq!(snake["headers"], settings()["headers"], "names of the client's own stay");
    assert_eq!(snake["declare"]["auto_delete"], true);
    assert_eq!(snake["declare"]["arguments"], settings()["declare"]["arguments"]);

    for (prefix, shown) in [("", snake), ("/api/v1", amqp.clone())] {
        let body = json!({"name": "one", "amqp": shown});
        let back = api.put(&format!("{prefix}/executors/1"), body).await;
        assert_eq!(back.status, StatusCode::OK, "{prefix}: {}", back.json);
        assert_eq!(back.header("etag"), "\"1\"", "it changes nothing");
        assert_eq!(back.header("x-scheduler0-warning"), "");
    }
    let list = api.get("/api/v1/executors").await;
    shows_no_password(&list);
    assert_eq!(list.json["data"]["executors"][0]["amqp"], *amqp);
}

#[tokio::test]
async fn a_patch_of_an_executor_changes_what_it_names_and_keeps_the_password() {
    let api = ApiFixture::build().await;
    made(&api, "/executors", executor("one", &settings())).await;
    let change = json!({"amqp": {"routing_key": "late", "priority": null,
        "headers": {"x_team": null, "more": true}}});
    let data = patched(&api, "/api/v1/executors/1", change).await;
    let amqp = &data["amqp"];
    assert_eq!((&amqp["routingKey"], amqp.get("priority")), (&json!("late"), None));
    assert_eq!(amqp["headers"], json!({"x-delay": 5, "myHeader": {"inIt": [1]}, "more": true}));
    assert_eq!((&amqp["passwordSet"], &data["version"]), (&json!(true), &json!(2)));
    let moved = json!({"amqp": {"url": "amqp://app:***@127.0.0.2/shop"}});
    let moved = api.send("PATCH", "/executors/1", &[], moved.to_string()).await;
    assert_eq!(moved.status, StatusCode::BAD_REQUEST, "the password goes nowhere else");
    assert_eq!(moved.json["error"]["field"], "amqp.url", "{}", moved.json);
    let stale = api.send("PATCH", "/executors/1", &[("if-match", "\"1\"")], "{}").await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_job_holds_settings_itself_or_a_message_for_its_executor() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    made(&api, "/executors", executor("one", &settings())).await;
    let message = json!({"routing_key": "b.{{attempt}}", "headers": {"x_a": 1}});
    let jobs = json!([
        job(project, &json!({"amqp": settings()})),
        job(project, &json!({"executorId": 1, "message": message})),
        job(project, &json!({"executorId": 1, "executionType": "amqp"})),
    ]);
    let all = made(&api, "/api/v1/jobs", jobs).await;
    let amqp = &all[0]["amqp"];
    assert_eq!(amqp["url"], "amqp://app:***@127.0.0.1:5673/shop");
    assert_eq!(amqp["headers"], settings()["headers"]);
    assert!(all.as_array().unwrap().iter().all(|job| job["executionType"] == "amqp"), "{all}");
    let shown = json!({"routingKey": "b.{{attempt}}", "headers": {"x_a": 1}});
    assert_eq!((&all[1]["message"], &all[1]["executorId"]), (&shown, &json!(1)));
    assert_eq!((all[2].get("message"), all[2].get("amqp")), (None, None));

    let list = api.get("/jobs").await;
    shows_no_password(&list);
    let jobs = &list.json["data"]["jobs"];
    let by_id = |id: u64| jobs.as_array().unwrap().iter().find(|job| job["id"] == id).unwrap();
    assert_eq!(by_id(1)["amqp"]["headers"], settings()["headers"]);
    assert_eq!(by_id(2)["message"], json!({"routing_key": "b.{{attempt}}", "headers": {"x_a": 1}}));
    assert_eq!(by_id(2)["execution_type"], "amqp");

    for id in 1..=3 {
        let path = format!("/jobs/{id}");
        let back = api.put(&path, by_id(id).clone()).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.json);
        assert_eq!(back.header("etag"), "\"1\"", "what is shown can be sent back: {}", back.json);
    }
    let data = patched(&api, "/jobs/1", json!({"amqp": {"headers": {"x_team": "b"}}})).await;
    assert_eq!(data["amqp"]["headers"]["x_team"], "b");
    assert_eq!(data["amqp"]["headers"]["x-delay"], 5);
    assert_eq!((&data["amqp"]["password_set"], &data["version"]), (&json!(true), &json!(2)));
    let data = patched(&api, "/jobs/2", json!({"message": {"headers": null, "priority": 7}})).await;
    assert_eq!(data["message"], json!({"routing_key": "b.{{attempt}}", "priority": 7}));
    let data = patched(&api, "/jobs/2", json!({"message": null})).await;
    assert_eq!(data.get("message"), None);

    let named = format!("/projects/{project}/jobs/by-external-id/mine");
    let body = json!({"spec": "@daily", "timezone": "UTC", "amqp": settings()});
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let upserted = api.put(&named, body.clone()).await;
        assert_eq!(upserted.status, status, "{}", upserted.json);
        assert_eq!(upserted.header("etag"), "\"1\"", "the same again changes nothing");
        shows_no_password(&upserted);
    }
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_target() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let key = [("idempotency-key", "once"), ("prefer", "return=representation")];
    let body = |key: &str| {
        json!([job(project, &json!({"amqp": with("routingKey", json!(key))}))]).to_string()
    };
    let first = api.send("POST", "/jobs", &key, body("a")).await;
    let again = api.send("POST", "/jobs", &key, body("a")).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.json["data"][0]["id"], again.json["data"][0]["id"]);
    let other = api.send("POST", "/jobs", &key, body("b")).await;
    assert_eq!(other.json["error"]["code"], "idempotency_key_reused", "{}", other.json);
}

#[tokio::test]
async fn an_executor_keeps_its_type_while_jobs_use_it() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    made(&api, "/executors", executor("one", &settings())).await;
    let webhook = json!({"name": "two", "webhookUrl": "http://127.0.0.1:1/"});
    made(&api, "/executors", webhook).await;
    made(&api, "/jobs", json!([job(project, &json!({"executorId": 1, "message": {}}))])).await;
    made(&api, "/jobs", json!([job(project, &json!({"executorId": 2}))])).await;
    for (id, body) in [
        (1, json!({"type": "webhook_url", "webhookUrl": "http://127.0.0.1:1/"})),
        (2, json!({"type": "amqp", "amqp": settings()})),
    ] {
        let refused = api.put(&format!("/executors/{id}"), body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{id}: {}", refused.json);
        let said = refused.json["data"].as_str().unwrap();
        assert!(said.contains("type cannot change while jobs use"), "{said}");
    }
    for id in 1..=2 {
        assert_eq!(api.delete(&format!("/jobs/{id}")).await.status, StatusCode::NO_CONTENT);
    }
    let turned = api.put("/executors/2", json!({"type": "amqp", "amqp": settings()})).await;
    assert_eq!(turned.status, StatusCode::OK, "{}", turned.json);
    assert_eq!(turned.json["data"]["webhook_url"], "", "it goes with its type");
    let back = json!({"type": "webhook_url", "webhookUrl": "http://127.0.0.1:1/"});
    let back = api.put("/executors/2", back).await;
    assert_eq!((back.status, back.json["data"].get("amqp")), (StatusCode::OK, None));
}

#[tokio::test]
async fn what_does_not_go_with_the_type_is_refused() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    made(&api, "/executors", executor("one", &settings())).await;
    made(&api, "/executors", json!({"name": "two", "webhookUrl": "http://127.0.0.1:1/"})).await;
    let with = |more: Value| {
        let mut body = executor("x", &settings());
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, field, said) in [
        (
            with(json!({"type": "webhook_url", "webhookUrl": "http://127.0.0.1:1/"})),
            "amqp",
            "amqp needs type amqp",
        ),
        (with(json!({"webhookUrl": "http://127.0.0.1:1/"})), "webhook_url", "stands in amqp"),
        (with(json!({"http": {"url": "http://127.0.0.1:1/"}})), "http", "http needs type"),
        (with(json!({"ca": "x"})), "ca", "stands in amqp"),
        (with(json!({"webhookMethod": "PUT"})), "webhook_method", "of type amqp: leave it out"),
        (json!({"name": "x", "amqp": settings()}), "amqp", "amqp needs type amqp"),
        (with(json!({"amqp": null})), "amqp", "amqp is required"),
    ] {
        let refused = api.post("/executors", body.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}: {}", refused.json);
        assert_eq!(refused.json["error"]["field"], field, "{body}: {}", refused.json);
        let text = refused.json["error"]["message"].as_str().unwrap();
        assert!(text.contains(said), "{body}: {text}");
    }
    let own = json!({"amqp": settings()});
    let own_with = |more: Value| {
        let mut own = own.clone();
        own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        own
    };
    for (more, field, said) in [
        (own_with(json!({"overlap": "skip"})), "overlap", "the confirm is the end"),
        (own_with(json!({"runTimeout": "1m"})), "run_timeout", "the confirm is the end"),
        (json!({"executorId": 1, "heartbeatTimeout": 9}), "heartbeat_timeout", "the confirm"),
        (own_with(json!({"executorId": 1})), "executor_id", "found amqp and executorId"),
        (own_with(json!({"callbackUrl": "http://127.0.0.1:1/"})), "amqp", "give one of"),
        (own_with(json!({"message": {}})), "message", "goes with executorId"),
        (json!({"executorId": 2, "message": {}}), "message", "for executors of type amqp"),
        (json!({"executorId": 2, "executionType": "pigeon"}), "execution_type", "use http"),
    ] {
        let refused = api.post("/jobs", json!([job(project, &more)])).await;
        let wanted = if field == "execution_type" { 400 } else { 422 };
        assert_eq!(refused.status.as_u16(), wanted, "{more}: {}", refused.json);
        assert_eq!(refused.json["error"]["field"], field, "{more}: {}", refused.json);
        assert_eq!(refused.json["error"]["index"], 0);
        let text = refused.json["error"]["message"].as_str().unwrap();
        assert!(text.contains(said), "{more}: {text}");
        shows_no_password(&refused);
    }
    made(&api, "/jobs", json!([job(project, &json!({"executorId": 1, "message": {}}))])).await;
    let moved = api.send("PATCH", "/jobs/1", &[], json!({"executorId": 2}).to_string()).await;
    assert_eq!(moved.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", moved.json);
    let text = moved.json["error"]["message"].as_str().unwrap();
    assert!(text.contains("of one that is there, message null clears it"), "{text}");
    let moved = patched(&api, "/jobs/1", json!({"executorId": 2, "message": null})).await;
    assert_eq!((&moved["executor_id"], moved.get("message")), (&json!(2), None));
    let nobody = json!([job(project, &json!({"executorId": 9, "message": {}}))]);
    let nobody = api.post("/jobs", nobody).await;
    assert_eq!(nobody.status, StatusCode::BAD_REQUEST);
    assert_eq!(nobody.json["error"]["field"], "executor_id", "{}", nobody.json);
}

/// Each field wrong once: the status, the field in the error, and a word of the fix.
fn wrong_settings() -> Vec<(Value, u16, &'static str, &'static str)> {
    let long = "x".repeat(300);
    let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("h{n}"), json!(n))).collect();
    let without = |field: &str| {
        let mut settings = settings();
        settings.as_object_mut().unwrap().remove(field);
        settings
    };
    vec![
        (json!(5), 400, "amqp", "object"),
        (json!([]), 400, "amqp", "object"),
        (without("url"), 400, "amqp.url", "required"),
        (without("exchange"), 400, "amqp.exchange", "required"),
        (without("routingKey"), 400, "amqp.routing_key", "required"),
        (with("url", json!(5)), 400, "amqp.url", "text"),
        (with("url", json!("http://a/")), 400, "amqp.url", "amqp"),
        (with("url", json!("amqp://a:99999/")), 400, "amqp.url", "port"),
        (with("url", json!("amqp://169.254.169.254/")), 400, "amqp.url", ""),
        (with("url", json!("amqp://a/v/w")), 400, "amqp.url", ""),
        (with("ca", json!("no pem")), 400, "amqp.ca", ""),
        (with("exchange", json!(long)), 400, "amqp.exchange", "255"),
        (with("exchange", json!("a{{jobId}}")), 422, "amqp.exchange", "placeholder"),
        (with("routingKey", json!(long)), 400, "amqp.routing_key", "255"),
        (with("routingKey", json!("{{nobody}}")), 422, "amqp.routing_key", "{{nobody}}"),
        (with("headers", json!([])), 400, "amqp.headers", "object"),
        (with("headers", json!(many)), 400, "amqp.headers", "64"),
        (with("headers", json!({"a": "x".repeat(9_000)})), 400, "amqp.headers", ""),
        (with("headers", json!({"scheduler-x": 1})), 422, "amqp.headers", "scheduler-"),
        (with("headers", json!({"Webhook-Id": 1})), 422, "amqp.headers", "the sender does"),
        (with("headers", json!({"a": "{{nobody}}"})), 422, "amqp.headers", "{{nobody}}"),
        (with("body", json!("{{nobody}}")), 422, "amqp.body", "{{nobody}}"),
        (with("bodyEncoding", json!("rot13")), 400, "amqp.body_encoding", "base64"),
        (with("contentType", json!(long)), 400, "amqp.content_type", "255"),
        (with("contentEncoding", json!(5)), 400, "amqp.content_encoding", "text"),
        (with("type", json!(long)), 400, "amqp.type", "255"),
        (with("replyTo", json!(long)), 400, "amqp.reply_to", "255"),
        (with("correlationId", json!(long)), 400, "amqp.correlation_id", "255"),
        (with("priority", json!(256)), 400, "amqp.priority", "255"),
        (with("priority", json!(-1)), 400, "amqp.priority", "255"),
        (with("expiration", json!("soon")), 400, "amqp.expiration", ""),
        (with("persistent", json!("yes")), 400, "amqp.persistent", "true"),
        (with("mandatory", json!(1)), 400, "amqp.mandatory", "true"),
        (with("declare", json!(true)), 400, "amqp.declare", "object"),
        (with("declare", json!({"type": "pigeon"})), 400, "amqp.declare", "direct"),
        (with("declare", json!({"type": "topic", "durable": 1})), 400, "amqp.declare", ""),
        (with("colour", json!(1)), 400, "amqp", "colour"),
    ]
}

#[tokio::test]
async fn each_wrong_field_is_named_with_its_fix() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    for (settings, status, field, said) in wrong_settings() {
        let in_executor = api.post("/executors", executor("x", &settings)).await;
        let in_job = api.post("/jobs", json!([job(project, &json!({"amqp": settings}))])).await;
        for refused in [in_executor, in_job] {
            assert_eq!(refused.status.as_u16(), status, "{settings}: {}", refused.json);
            let named = refused.json["error"]["field"].as_str().unwrap();
            assert!(named.starts_with(field), "{settings}: {}", refused.json);
            let text = refused.json["error"]["message"].as_str().unwrap();
            assert!(text.contains(said), "{settings}: {text}");
            shows_no_password(&refused);
        }
    }
}

#[tokio::test]
async fn each_wrong_field_of_a_message_is_named_with_its_fix() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    made(&api, "/executors", executor("one", &settings())).await;
    for (message, status, field, said) in [
        (json!(5), 400, "message", "object"),
        (json!({"url": "amqp://a/"}), 400, "message", "url"),
        (json!({"declare": {}}), 400, "message", "declare"),
        (json!({"exchange": "x".repeat(300)}), 400, "message.exchange", "255"),
        (json!({"routingKey": "{{nobody}}"}), 422, "message.routing_key", "{{nobody}}"),
        (json!({"headers": {"scheduler-x": 1}}), 422, "message.headers", "scheduler-"),
        (json!({"priority": 300}), 400, "message.priority", "255"),
        (json!({"expiration": "soon"}), 400, "message.expiration", ""),
        (json!({"contentType": 5}), 400, "message.content_type", "text"),
        (json!({"correlationId": "x".repeat(300)}), 400, "message.correlation_id", "255"),
    ] {
        let body = json!([job(project, &json!({"executorId": 1, "message": message}))]);
        let refused = api.post("/jobs", body).await;
        assert_eq!(refused.status.as_u16(), status, "{message}: {}", refused.json);
        let named = refused.json["error"]["field"].as_str().unwrap();
        assert!(named.starts_with(field), "{message}: {}", refused.json);
        let text = refused.json["error"]["message"].as_str().unwrap();
        assert!(text.contains(said), "{message}: {text}");
    }
}
