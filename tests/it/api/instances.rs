//! Instances of templates: payloads with all errors at once, jobs that carry them, and their end.

use axum::http::StatusCode;
use scheduler0::model::attempt::{AttemptRecord, Verdict};
use scheduler0::model::time::parse_rfc3339;
use serde_json::{Value, json};

use super::templates::template;
use crate::harness::{ApiFixture, attempt_record};

async fn fixture() -> ApiFixture {
    let api = ApiFixture::build().await;
    let made = api.post("/templates", template(api.project().await)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    api
}

#[tokio::test]
async fn bad_payloads_are_refused_at_their_fields_and_nothing_is_made() {
    let api = fixture().await;
    for (payload, field, says) in [
        (r#"{"user_id":-5}"#, "user_id", "must be 0 or more, got -5"),
        (r#"{"user_id":1.5}"#, "user_id", "must be a whole number, got 1.5"),
        (r#"{"user_id":"x"}"#, "user_id", "must be a whole number, got \"x\""),
        (r#"{"user_id":"5"}"#, "user_id", "must be a whole number"),
        (r#"{"user_id":99999999999999999999}"#, "user_id", "beyond 64 bits"),
        (r#"{"user_id":1,"filter":"colour"}"#, "filter", "must be one of"),
        (r#"{"user_id":1,"userId":1}"#, "userId", "did you mean user_id?"),
        ("{}", "user_id", "is required"),
        (r#"{"user_id":1,"job_type":"other"}"#, "job_type", "is filled with send_mail"),
        ("[]", "payload", "must be a JSON object"),
        ("7", "payload", "must be a JSON object"),
    ] {
        for path in ["/templates/1/validate", "/api/v1/templates/1/instances"] {
            let body = format!("{{\"payload\":{payload}}}");
            let refused = api.send("POST", path, &[], &body).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{payload}");
            let error = &refused.json["error"];
            assert_eq!(error["code"], "payload", "{error}");
            let told = error["fields"][field].as_str().unwrap_or_default();
            assert!(told.contains(says), "{payload}: {error}");
        }
    }
    let both = json!({"payload": {"user_id": -1, "filter": "x", "colour": 1}});
    let refused = api.post("/templates/1/validate", both).await;
    assert_eq!(refused.json["error"]["fields"].as_object().unwrap().len(), 3);
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 0);
    let valid = api.post("/templates/1/validate", json!({"payload": {"user_id": 5.0}})).await;
    assert_eq!(valid.json["data"]["payload"], json!({"user_id": 5, "job_type": "send_mail"}));
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 0, "a check makes nothing");
}

#[tokio::test]
async fn an_instance_is_a_job_that_carries_the_payload_in_the_order_of_the_schema() {
    let api = fixture().await;
    let body = r#"{"payload":{"filter":"likes","user_id":7.0},"startInSeconds":60,
        "externalId":"e","labels":{"user":"7"},"createdBy":"me"}"#;
    let key = [("idempotency-key", "k")];
    let made = api.send("POST", "/api/v1/templates/1/instances", &key, body).await;
    assert_eq!((made.status, made.header("etag")), (StatusCode::CREATED, "\"1\""), "{}", made.json);
    let job = made.json["data"].clone();
    assert_eq!(job["data"], r#"{"filter":"likes","job_type":"send_mail","user_id":7}"#);
    for (field, wanted) in [
        ("after", json!("1m")),
        ("externalId", json!("e")),
        ("labels", json!({"team": "a", "user": "7"})),
        ("template", json!("send_mail")),
        ("templateId", json!(1)),
        ("templateVersion", json!(1)),
        ("createdBy", json!("me")),
        ("retryMax", json!(2)),
    ] {
        assert_eq!(job[field], wanted, "{field}: {job}");
    }
    // The same request again, also when the template has changed since.
    let stricter = json!({"payloadSchema": {"user_id": {"type": "uint", "minValue": 100}},
        "payload": null});
    let changed = api.send("PATCH", "/templates/1", &[], stricter.to_string()).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
    let again = api.send("POST", "/api/v1/templates/1/instances", &key, body).await;
    assert_eq!((again.status, &again.json["data"]["id"]), (StatusCode::CREATED, &job["id"]));
    let taken = json!({"payload": {"user_id": 100}, "externalId": "e"});
    let taken = api.post("/templates/1/instances", taken).await;
    assert_eq!(
        (taken.status, &taken.json["error"]["field"]),
        (StatusCode::CONFLICT, &json!("external_id")),
        "{}",
        taken.json
    );
    // What a job shows can be sent back, and it stays an instance.
    let put = api.put("/api/v1/jobs/1", job).await;
    assert_eq!((put.status, put.header("x-scheduler0-warning")), (StatusCode::OK, ""));
    assert_eq!(put.json["data"]["templateId"], 1);
    let spec = json!({"spec": "@daily"}).to_string();
    let refused = api.send("PATCH", "/jobs/1", &[], &spec).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.json);
    let events = api.get("/api/v1/templates/1/instances?state=live&limit=1").await;
    assert_eq!(events.json["data"]["total"], 1);
    assert_eq!(events.json["data"]["jobs"][0]["template"], "send_mail");
    assert_eq!(api.get("/templates/9/instances").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/templates/1/instances?state=x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_instance_needs_a_template_that_users_trigger() {
    let api = fixture().await;
    let make = async |id: u64, payload: Value| {
        api.post(&format!("/templates/{id}/instances"), json!({"payload": payload})).await
    };
    assert_eq!(make(9, json!({"user_id": 1})).await.status, StatusCode::NOT_FOUND);
    let inactive = api.send("PATCH", "/templates/1", &[], r#"{"active":false}"#).await;
    assert_eq!(inactive.status, StatusCode::OK);
    let refused = make(1, json!({"user_id": 1})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.json["error"]["message"].as_str().unwrap().contains("activate it first"));
    let mut system = template(1);
    system["type"] = "clean_up".into();
    system["userTriggered"] = false.into();
    system["rescheduleAfterTermination"] = true.into();
    assert_eq!(api.post("/templates", system).await.status, StatusCode::CREATED);
    let refused = make(2, json!({"user_id": 1})).await;
    assert!(
        refused.status == StatusCode::CONFLICT
            && refused.json.to_string().contains("keeps one instance by itself"),
        "{}",
        refused.json
    );
    // Its one instance ends at a word, and the next is there.
    let live =
        async || api.get("/api/v1/templates/2/instances?state=live").await.json["data"].clone();
    let first = live().await["jobs"][0]["id"].as_u64().unwrap();
    let ended = api.post(&format!("/jobs/{first}/terminate"), json!({"reason": "enough"})).await;
    assert_eq!(
        (ended.status, &ended.json["data"]["status"]),
        (StatusCode::OK, &json!("completed"))
    );
    let next = live().await;
    assert_eq!((&next["total"], next["jobs"][0]["id"].as_u64() > Some(first)), (&json!(1), true));
    let again = api.post(&format!("/jobs/{first}/terminate"), json!({})).await;
    assert_eq!(again.status, StatusCode::OK, "it is over, which is what was asked for");
    assert_eq!(live().await["total"], 1);
    let last = next["jobs"][0]["id"].as_u64().unwrap();
    api.post(&format!("/jobs/{last}/terminate"), json!({"reschedule": false})).await;
    assert_eq!(live().await["total"], 0);
    let refused = api.delete("/projects/1").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.json);
}

#[tokio::test]
async fn bad_words_about_the_end_of_a_job_are_refused() {
    let api = fixture().await;
    let job = json!({"projectId": 1, "spec": "@daily", "timezone": "UTC",
        "callbackUrl": "https://example.com/hook"});
    assert_eq!(api.post("/jobs", job).await.status, StatusCode::ACCEPTED);
    for (path, body, status) in [
        ("/jobs/1/terminate", "{}", 409),
        ("/jobs/9/terminate", "{}", 404),
        ("/jobs/x/terminate", "{}", 400),
        ("/jobs/1/terminate", r#"{"reschedule":"no"}"#, 400),
        ("/jobs/1/terminate", "[]", 422),
    ] {
        let refused = api.send("POST", path, &[], body).await;
        assert_eq!(refused.status.as_u16(), status, "{path} {body}: {}", refused.json);
    }
    let long = json!({"reason": "x".repeat(201)});
    assert_eq!(api.post("/jobs/1/terminate", long).await.json["error"]["field"], "reason");
}

#[tokio::test]
async fn the_history_of_a_terminated_job_says_so() {
    let api = fixture().await;
    let body = json!({"payload": {"user_id": 1}, "startInSeconds": 3_600});
    let job = api.post("/api/v1/templates/1/instances", body).await.json["data"].clone();
    let id = job["id"].as_u64().unwrap();
    api.post(&format!("/jobs/{id}/terminate"), json!({"reason": "not needed"})).await;
    let list = api.get(&format!("/api/v1/executions?jobId={id}&state=skipped")).await;
    let found = &list.json["data"]["executions"][0];
    assert!(found.to_string().contains("not needed"), "{}", list.json);
    let due = parse_rfc3339(job["nextExecutionDate"].as_str().unwrap()).unwrap();
    // A late answer of the receiver is no second end.
    api.own_first_shard().await;
    let late = AttemptRecord { once: true, ..attempt_record(&[id], due, 1, Verdict::Dead) };
    api.record(0, vec![late]).await;
    let shown = api.get(&format!("/jobs/{id}")).await;
    assert_eq!(shown.json["data"]["status"], "completed");
}
