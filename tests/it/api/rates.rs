//! Results by the minute: by when they were due, by project, and what is refused.

use std::time::Duration;

use axum::http::StatusCode;
use scheduler0::command::Command;
use scheduler0::model::attempt::{SkipReason, Verdict};
use scheduler0::model::time::rfc3339;
use serde_json::{Value, json};

use super::{job, next_of};
use crate::harness::{ApiFixture, attempt_record, poll_interval};

const MINUTE: i64 = 60_000;

/// A node with three jobs.
async fn api() -> ApiFixture {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/jobs", json!([job(project, ""), job(project, ""), job(project, "")])).await;
    api.own_first_shard().await;
    api
}

fn sum(answer: &Value) -> u64 {
    let points = answer["data"]["points"].as_array().unwrap();
    let counts = points.iter().filter_map(|point| point["results"].as_object());
    counts.flat_map(|counts| counts.values()).map(|count| count.as_u64().unwrap()).sum()
}

/// Waits until the node counts so many results: it follows what is applied.
async fn counted(api: &ApiFixture, path: &str, count: u64) -> Value {
    let found = async {
        loop {
            let answer = api.get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
            if sum(&answer.json) == count {
                return answer.json;
            }
            poll_interval().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), found).await.expect("the results")
}

#[tokio::test]
async fn results_are_counted_by_the_minute_in_which_they_were_due() {
    let api = api().await;
    let at = next_of(&api, 1).await - 10 * MINUTE;
    let skipped = Verdict::Skipped(SkipReason::NotStarted);
    let records = vec![
        attempt_record(&[1, 2, 3], at, 1, Verdict::Delivered),
        attempt_record(&[1], at + MINUTE, 1, Verdict::Retry { at: at + 2 * MINUTE }),
        attempt_record(&[1], at + MINUTE, 2, Verdict::Dead),
        attempt_record(&[2], at + MINUTE, 1, skipped),
        // Too long ago to be shown.
        attempt_record(&[3], at - 200 * MINUTE, 1, Verdict::Delivered),
    ];
    api.record(0, records).await;
    let all = counted(&api, "/api/v1/rates", 6).await;
    let data = &all["data"];
    let points = data["points"].as_array().unwrap();
    assert_eq!(points.len(), 180);
    assert!(points.iter().all(|point| point["results"].is_object()), "all are known");
    let minute = |at: i64| {
        let begin = rfc3339(at.div_euclid(MINUTE) * MINUTE);
        points.iter().find(|point| point["at"] == begin.as_str()).unwrap()["results"].clone()
    };
    let counts = |delivered, failed, dead, skipped| {
        json!({"delivered": delivered, "failed": failed, "dead": dead, "running": 0,
            "skipped": skipped})
    };
    assert_eq!(minute(at), counts(3, 0, 0, 0));
    assert_eq!(minute(at + MINUTE), counts(0, 1, 1, 1));
    let mut of_project = counts(3, 1, 1, 1);
    of_project["projectId"] = json!(1);
    assert_eq!(data["projects"], json!([of_project]));
    assert_eq!(data["others"], counts(0, 0, 0, 0));

    let own = counted(&api, "/rates?project_id=1", 6).await;
    assert!(own["data"].get("projects").is_none() && own["data"].get("others").is_none());
    counted(&api, "/v1/rates?projectId=7", 0).await;
    let (from, until) = (rfc3339(at), rfc3339(at + MINUTE));
    let some = counted(&api, &format!("/v1/rates?from={from}&until={until}"), 6).await;
    assert_eq!(some["data"]["points"].as_array().unwrap().len(), 2);

    // The same as the sums that are read from the store.
    let analytics = format!("/v1/executions/analytics?from={from}&until={until}");
    let stored = api.get(&analytics).await.json["data"]["points"].clone();
    let scheduled: Vec<_> = stored.as_array().unwrap().iter().map(|p| &p["scheduled"]).collect();
    assert_eq!(scheduled, [&json!(3), &json!(3)]);
}

#[tokio::test]
async fn minutes_whose_records_were_dropped_are_in_no_sum() {
    let api = api().await;
    let at = next_of(&api, 1).await - 10 * MINUTE;
    let records = vec![
        attempt_record(&[1, 2, 3], at, 1, Verdict::Delivered),
        attempt_record(&[1], at + MINUTE, 1, Verdict::Dead),
    ];
    api.record(0, records).await;
    counted(&api, "/api/v1/rates", 4).await;
    let retain = Command::Retain { before: at + 1, dead_letters: 0, limit: 1_000 };
    api.cluster().propose(retain).await.unwrap();
    for path in ["/api/v1/rates", "/api/v1/rates?projectId=1"] {
        let data = counted(&api, path, 1).await["data"].clone();
        let points = data["points"].as_array().unwrap();
        assert_eq!(points.len(), 180, "{path}");
        let begin = rfc3339(at.div_euclid(MINUTE) * MINUTE);
        let known = |point: &&Value| point["results"].is_object();
        let first = points.iter().find(known).unwrap()["at"].as_str().unwrap();
        assert!(first > begin.as_str(), "{path}: {first} is known, {begin} was dropped");
        if let Some(of) = data.get("projects") {
            assert_eq!((&of[0]["delivered"], &of[0]["dead"]), (&json!(0), &json!(1)), "{data}");
            assert_eq!(data["others"]["delivered"], 0, "{data}");
        }
    }
}

#[tokio::test]
async fn a_range_that_is_not_kept_by_the_minute_is_refused_with_its_field() {
    let api = ApiFixture::build().await;
    for (query, field) in [
        ("from=2020-01-01T00:00:00Z", "from"),
        ("from=2999-01-01T00:00:00Z", "from"),
        ("from=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z", "until"),
        ("projectId=x", "projectId"),
        ("from=yesterday", "from"),
    ] {
        let answer = api.get(&format!("/v1/rates?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {}", answer.json);
        assert_eq!(answer.json["error"]["field"], field, "{query}: {}", answer.json);
    }
    let unknown = api.get("/v1/rates?buckets=5").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{}", unknown.json);
}
