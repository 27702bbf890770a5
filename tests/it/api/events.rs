//! Requests for the event stream that are refused. The stream itself is in `it/events.rs`.

use axum::http::StatusCode;

use serde_json::json;

use super::job;
use crate::harness::ApiFixture;

#[tokio::test]
async fn a_request_for_events_that_cannot_be_meant_is_refused_with_its_field() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/jobs", json!([job(project, "")])).await;
    for (query, field, says) in [
        ("types=job_created,job_gone", "types", "job_terminated"),
        ("types=hello", "types", "must be some of"),
        ("types=execution", "types", "name it by jobId"),
        ("types=job_created,execution", "types", "name it by jobId"),
        ("types=", "types", "is empty"),
        ("projectId=x", "projectId", "whole number"),
        ("job=-1", "job", "whole number"),
        ("job=1&jobId=1", "jobId", "give one of them"),
        ("project_id=1&project=1", "projectId", "give one of them"),
        ("projectId=99&jobId=1", "projectId", "job 1 is of project 1"),
        ("after=5", "after", "such as 5f3a9c1e-120934.2"),
    ] {
        let answer = api.get(&format!("/api/v1/events?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {}", answer.json);
        let error = &answer.json["error"];
        assert_eq!(error["field"], field, "{query}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{query}: {error}");
    }
    for bad in ["5", "x-1.2", "\u{7e}"] {
        let answer = api.send("GET", "/v1/events", &[("last-event-id", bad)], "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.json["error"]["field"], "Last-Event-ID", "{}", answer.json);
    }
    // This node was given no events to stream.
    let starting = api.get("/events?types=job_created,executions&after=5f3a9c1e-1.0").await;
    assert_eq!(starting.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(starting.header("retry-after"), "1");
}
