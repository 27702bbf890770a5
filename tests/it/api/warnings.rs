//! Warnings beside an answer: in the header and in the body.

use serde_json::{Value, json};

use super::job;
use crate::harness::ApiFixture;

const UNKNOWN: &str = "unknown fields were ignored: retries";

fn with_a_typo(mut body: Value) -> Value {
    body["retries"] = 3.into();
    body
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_named_in_the_body_under_every_prefix() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let key = [("idempotency-key", "k")];
    let prefer = [("prefer", "return=representation")];
    let named = |name: &str| with_a_typo(json!({"name": name, "description": "d"}));
    for (method, path, headers, body, status) in [
        ("POST", "/projects", &[][..], named("a"), 201),
        ("POST", "/api/v1/projects", &[][..], named("b"), 201),
        ("POST", "/jobs", &[][..], with_a_typo(job(project, "")), 202),
        (
            "POST",
            "/v1/jobs",
            &[][..],
            json!([job(project, ""), with_a_typo(job(project, ""))]),
            202,
        ),
        ("POST", "/api/v1/jobs", &prefer[..], with_a_typo(job(project, "")), 201),
        ("POST", "/credentials", &key[..], with_a_typo(json!({})), 201),
        ("PATCH", "/jobs/1", &[][..], with_a_typo(json!({"data": "d"})), 200),
        ("POST", "/jobs/1/pause", &[][..], with_a_typo(json!({})), 200),
        ("POST", "/jobs/1/run", &[][..], with_a_typo(json!({})), 202),
        ("POST", "/schedules/preview", &[][..], with_a_typo(json!({"spec": "@daily"})), 200),
    ] {
        let answer = api.send(method, path, headers, body.to_string()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.json);
        assert_eq!(answer.json["warnings"], json!([UNKNOWN]), "{method} {path}: {}", answer.json);
        assert_eq!(answer.json["success"], true);
        assert_eq!(answer.header("x-scheduler0-warning"), UNKNOWN, "{method} {path}");
    }
    let put = with_a_typo(json!({
        "spec": "@daily", "timezone": "UTC", "callbackUrl": "http://localhost:3000/"}));
    for status in [201, 200] {
        let path = "/projects/1/jobs/by-external-id/nightly";
        let answer = api.put(path, put.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.json);
        assert_eq!(answer.json["warnings"], json!([UNKNOWN]), "{}", answer.json);
    }
    for answer in [api.post("/jobs", job(project, "")).await, api.get("/jobs/1").await] {
        assert!(answer.json.get("warnings").is_none(), "{}", answer.json);
    }
    let refused = api.post("/jobs", with_a_typo(json!({"spec": "x"}))).await;
    assert!(refused.json.get("warnings").is_none(), "{}", refused.json);
    let both = json!({"projectId": project, "spec": "@daily", "timezone": "UTC", "executorId": 7,
        "callbackUrl": "http://localhost:3000/"});
    let both = api.post("/jobs", both).await;
    let ignored = "job executorId was ignored: callbackUrl is given too, and counts alone";
    assert_eq!(both.json["warnings"], json!([ignored]), "{}", both.json);
}
