//! Forecasts and the next occurrences among all jobs.

use axum::http::StatusCode;
use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use super::job;
use crate::harness::{ApiFixture, PATIENCE, now, poll_interval};

fn with(project: u64, fields: &Value) -> Value {
    let mut job = job(project, "");
    job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    job
}

#[tokio::test]
async fn a_forecast_counts_what_is_planned_and_leaves_out_what_is_paused() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let day = rfc3339(now() - now().rem_euclid(86_400_000) + 86_400_000);
    let next = rfc3339(parse_rfc3339(&day).unwrap() + 86_400_000);
    let nine = with(project, &json!({"spec": "0 9 * * *", "timezone": "UTC"}));
    let minutely = with(project, &json!({"spec": "@every 1m"}));
    let off = with(project, &json!({"spec": "@every 1s", "status": "inactive"}));
    let made = api.post("/v1/jobs", json!([nine, nine, minutely, off])).await;
    assert!(made.status.is_success(), "{}", made.json);
    let path = format!("/v1/forecast?from={day}&until={next}&projectId={project}");
    let found = api.get(&path).await;
    let data = &found.json["data"];
    assert_eq!((&data["bucketMs"], &data["leftOutJobs"]), (&json!(3_600_000), &json!(0)));
    let counts: Vec<u64> =
        data["counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    assert_eq!((counts.len(), counts[9], counts[8]), (24, 62, 60), "{data}");
    assert_eq!(data["total"], 2 + 24 * 60);

    let upcoming = api.get("/v1/upcoming?limit=2").await;
    let next = &upcoming.json["data"]["upcoming"];
    assert_eq!(next.as_array().unwrap().len(), 2, "{}", upcoming.json);
    let of = |spec: &str| next.as_array().unwrap().iter().find(|one| one["spec"] == spec).unwrap();
    assert_eq!((&of("@every 1m")["jobs"], &of("@every 1m")["jobId"]), (&json!(1), &json!(3)));
    assert_eq!((&of("0 9 * * *")["jobs"], &of("0 9 * * *")["jobId"]), (&json!(2), &json!(1)));

    assert_eq!(api.post(&format!("/projects/{project}/pause"), json!({})).await.status, 200);
    // What was read a moment ago may be shown once more.
    let paused = async {
        while api.get(&path).await.json["data"]["total"] != 0 {
            poll_interval().await;
        }
    };
    tokio::time::timeout(PATIENCE, paused).await.expect("nothing is planned in a pause");
}

#[tokio::test]
async fn a_stretch_that_cannot_be_forecast_is_refused_with_its_field() {
    let api = ApiFixture::build().await;
    for (query, field) in [
        ("buckets=0", "buckets"),
        ("buckets=99999", "buckets"),
        ("from=2001-01-01&until=2001-01-02", "from"),
        ("from=2201-01-01&until=2201-01-02", "from"),
        ("from=2090-01-02&until=2090-01-01", "until"),
        ("until=2090-01-01", "until"),
        ("from=never", "from"),
    ] {
        let answer = api.get(&format!("/v1/forecast?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {}", answer.json);
        assert_eq!(answer.json["error"]["field"], field, "{query}: {}", answer.json);
    }
    let none = api.get("/upcoming?project_id=77").await;
    assert_eq!(none.json["data"]["upcoming"], json!([]));
}
