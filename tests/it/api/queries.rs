//! Query parameters: each route knows its own and refuses others, and the same things have the same
//! names on all routes. Also the routes that show a new client where to go.

use axum::http::StatusCode;
use scheduler0::model::attempt::Verdict;
use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use super::{job, next_of};
use crate::harness::{ApiFixture, attempt_record};

const MINUTE: i64 = 60_000;

#[tokio::test]
async fn a_parameter_that_is_unknown_empty_or_doubled_is_refused_on_every_route() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/jobs", json!([job(project, "")])).await;
    for path in [
        "/projects",
        "/projects/1",
        "/projects/1/jobs/by-external-id/x",
        "/jobs",
        "/jobs/1",
        "/jobs/1/next",
        "/jobs/1/explain",
        "/jobs/1/occurrences",
        "/executors",
        "/executors/1",
        "/credentials",
        "/credentials/1",
        "/executions",
        "/executions/1",
        "/executions/totals",
        "/executions/analytics",
        "/dead-letters",
        "/dead-letters/1",
        "/async-tasks/x",
        "/cluster/status",
        "/cluster/members",
    ] {
        for prefix in ["", "/v1", "/api/v1"] {
            let answer = api.get(&format!("{prefix}{path}?staus=inactive")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{prefix}{path}: {}", answer.json);
            let said = answer.json["data"].as_str().unwrap();
            assert!(said.contains("no query parameter staus"), "{path}: {said}");
        }
    }
    for (method, path) in [
        ("POST", "/jobs?dryRun=true"),
        ("POST", "/jobs/1/run?force=true"),
        ("DELETE", "/jobs/1?cascade=true"),
        ("DELETE", "/projects/1?casade=true"),
        ("POST", "/projects/1/pause?until=2090-01-01T00:00:00Z"),
        ("PATCH", "/jobs/1?consistency=linearizable"),
    ] {
        let answer = api.send(method, path, &[], "{}").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path}: {}", answer.json);
    }
    for (query, field) in [
        ("status=", "status"),
        ("externalId=", "externalId"),
        ("projectId=", "projectId"),
        ("label=", "label"),
        ("status=active&status=inactive", "status"),
        ("project_id=1&projectId=1", "projectId"),
    ] {
        let answer = api.get(&format!("/api/v1/jobs?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {}", answer.json);
        assert_eq!(answer.json["error"]["field"], field, "{query}");
    }
    let labels = api.get("/jobs?labels=team%3Dx").await;
    assert!(labels.json["data"].as_str().unwrap().contains("projectId, status, label"));
    for good in [
        "/jobs?label=a=b&label=c=d&accountId=1",
        "/jobs?LIMIT=1&order_by=id&order_direction=asc",
        "/jobs/1/occurrences?start_date=2090-01-01&endDate=2090-01-02&limit=99999",
        "/livez?verbose",
        "/readyz?verbose=1",
    ] {
        assert_eq!(api.get(good).await.status, StatusCode::OK, "{good}");
    }
    let stranger = api.send_bare("GET", "/jobs?staus=x", &[], "").await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "a stranger learns nothing of it");
}

/// A node whose first job has results at three instants.
async fn with_results() -> (ApiFixture, i64) {
    let api = ApiFixture::build().await;
    api.own_first_shard().await;
    let project = api.project().await;
    api.post("/jobs", json!([job(project, ""), job(project, "")])).await;
    let first = next_of(&api, 1).await;
    let results = vec![
        attempt_record(&[1, 2], first, 1, Verdict::Delivered),
        attempt_record(&[1], first + MINUTE, 1, Verdict::Retry { at: first + 2 * MINUTE }),
        attempt_record(&[1], first + MINUTE, 2, Verdict::Dead),
    ];
    api.record(0, results).await;
    (api, first)
}

#[tokio::test]
async fn states_and_stretches_have_the_same_names_everywhere() {
    let (api, first) = with_results().await;
    let total = async |query: &str| {
        let answer = api.get(&format!("/api/v1/executions?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.json);
        answer.json["data"]["total"].as_u64().unwrap()
    };
    for field in ["state", "status"] {
        for (value, wanted) in [
            ("delivered", 2),
            ("success", 2),
            ("1", 2),
            ("failed", 1),
            ("dead", 1),
            ("2", 2),
            ("skipped", 0),
            ("running", 0),
            ("scheduled", 0),
            ("0", 0),
        ] {
            assert_eq!(total(&format!("{field}={value}")).await, wanted, "{field}={value}");
        }
    }
    let (from, until) = (rfc3339(first + 1), rfc3339(first + MINUTE));
    for (from_name, until_name) in
        [("from", "until"), ("startDate", "endDate"), ("from", "endDate")]
    {
        let query = format!("{from_name}={from}&{until_name}={until}");
        assert_eq!(total(&query).await, 2, "{query}");
        for path in ["dead-letters", "jobs/1/occurrences", "executions/analytics"] {
            let answer = api.get(&format!("/api/v1/{path}?{query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}?{query}: {}", answer.json);
        }
    }
    for query in ["from=2090-01-01&startDate=2090-01-01", "state=dead&status=dead", "state=lost"] {
        let answer = api.get(&format!("/api/v1/executions?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
    for names in [["from", "until"], ["startDate", "endDate"]] {
        let body = json!({names[0]: from, names[1]: until, "dryRun": true});
        let sum = api.post("/api/v1/dead-letters/replay", body).await;
        assert_eq!(sum.json["data"]["letters"], 1, "{}", sum.json);
    }
}

#[tokio::test]
async fn analytics_go_by_the_minute_for_a_day_and_by_the_hour_beyond() {
    let (api, first) = with_results().await;
    let points = async |query: &str| {
        let answer = api.get(&format!("/api/v1/executions/analytics?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        let data = answer.json["data"].clone();
        let points = data["points"].as_array().unwrap().clone();
        (data["interval"].clone(), points)
    };
    let some = |point: &Value| {
        ["scheduled", "success", "failed"].map(|name| point[name].as_u64().unwrap())
    };
    let at = |point: &Value| {
        let (date, time) = (point["date"].as_str().unwrap(), point["time"].as_str().unwrap());
        parse_rfc3339(&format!("{date}T{time}Z")).unwrap()
    };
    let (interval, minutes) =
        points(&format!("from={}&until={}", rfc3339(first), rfc3339(first + 2 * MINUTE))).await;
    assert_eq!(interval, "minute");
    let shown: Vec<_> = minutes.iter().map(|point| (at(point), some(point))).collect();
    let begin = first - first.rem_euclid(MINUTE);
    let expected =
        vec![(begin, [2, 2, 0]), (begin + MINUTE, [2, 0, 2]), (begin + 2 * MINUTE, [0, 0, 0])];
    assert_eq!(shown, expected);
    let none = format!("projectId=7&from={}&until={}", rfc3339(first), rfc3339(first));
    assert_eq!(some(&points(&none).await.1[0]), [0, 0, 0]);

    let day = 24 * 60 * MINUTE;
    let range = |length: i64| format!("from={}&until={}", rfc3339(first), rfc3339(first + length));
    let (interval, minutes) = points(&range(day)).await;
    assert_eq!((interval, minutes.len()), (json!("minute"), 1_441));
    let (interval, hours) = points(&range(day + 1_000)).await;
    assert_eq!(interval, "hour");
    assert!(matches!(hours.len(), 25 | 26), "{}", hours.len());
    let sums = hours.iter().map(some).fold([0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
    assert_eq!(sums, [4, 2, 2]);
    let refused = api.get("/executions/analytics?startTime=10:00").await;
    assert_eq!(refused.json["error"]["field"], "start_time", "{}", refused.json);
}

#[tokio::test]
async fn a_stranger_is_shown_where_to_go_and_what_to_send() {
    let api = ApiFixture::build().await;
    for (path, prefix) in [("/", "/api/v1"), ("/v1", "/api/v1"), ("/api/v1", "/api/v1")] {
        let root = api.send_bare("GET", path, &[], "").await;
        assert_eq!(root.status, StatusCode::OK, "{path}: {}", root.json);
        let data = &root.json["data"];
        assert_eq!(data["links"]["api"], prefix);
        assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
        for link in ["docs", "health", "live", "ready", "metrics"] {
            let there = data["links"][link].as_str().unwrap();
            let answer = api.send_bare("GET", there, &[], "").await;
            assert_eq!(answer.status, StatusCode::OK, "{link}: {there}");
        }
    }
    let jobs = api.send_bare("GET", "/docs/jobs.md", &[], "").await;
    assert!(String::from_utf8(jobs.body).unwrap().starts_with("# Jobs"));
    let refused = api.send_bare("GET", "/jobs", &[], "").await;
    assert_eq!(refused.json["data"], "unauthorized requests");
    let said = refused.json["error"]["message"].as_str().unwrap();
    assert!(said.contains("x-api-key and x-secret-key") && said.contains("x-peer"), "{said}");
    assert!(refused.header("www-authenticate").contains("x-api-key x-secret-key"));
}
