//! `explain` of a node: for a job that exists, for a deleted one, and for questions that make no
//! sense.

use axum::http::StatusCode;
use serde_json::json;

use super::job;
use crate::harness::ApiFixture;

#[tokio::test]
async fn a_node_says_why_a_job_is_due_or_not() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let mut daily = job(project, "");
    daily["spec"] = json!("0,15 9 * * 1-5");
    let made = api.post("/jobs", json!([daily, job(project, "")])).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.json);

    // A Monday in New York.
    let due = api.get("/api/v1/jobs/1/explain?at=2099-03-02T14:15:00Z").await;
    assert_eq!(due.status, StatusCode::OK);
    let data = &due.json["data"];
    assert_eq!((&data["due"], &data["state"]), (&json!(true), &json!("future")));
    assert_eq!(data["schedule"]["timezone"], "America/New_York");
    assert_eq!(data["schedule"]["local"], "2099-03-02T09:15:00-05:00");
    assert_eq!(data["occurrence"]["scheduledAt"], "2099-03-02T14:15:00Z");
    assert_eq!(data["previous"], "2099-03-02T14:00:00Z");
    assert_eq!(data["next"], "2099-03-03T14:00:00Z");

    let off = api.get("/jobs/1/explain?at=2099-03-01T14:30:00Z").await;
    let data = &off.json["data"];
    assert_eq!((&data["due"], &data["state"]), (&json!(false), &json!("not_due")));
    let summary = data["summary"].as_str().unwrap();
    for part in ["minute is 30, wants 0,15", "day-of-week is 0 (sunday), wants 1-5"] {
        assert!(summary.contains(part), "{summary}");
    }
    assert_eq!(data["schedule"]["either_day"], false);
    let fields = data["schedule"]["fields"].as_array().unwrap();
    let met: Vec<_> = fields.iter().map(|field| field["met"].as_bool().unwrap()).collect();
    assert_eq!(met, [false, true, true, true, false]);

    let early = api.get("/jobs/1/explain?at=2001-01-01T00:00:00Z").await;
    assert_eq!(early.json["data"]["state"], "not_created");

    let ledger = "/v1/jobs/2/occurrences?from=2099-01-01T00:00:00Z&until=2099-01-01T01:00:00Z";
    let first = api.get(&format!("{ledger}&limit=7")).await.json["data"].clone();
    let shown = first["occurrences"].as_array().unwrap();
    assert_eq!((shown.len(), &shown[0]["state"]), (7, &json!("future")));
    let on = first["nextFrom"].as_str().unwrap();
    let path = format!("/v1/jobs/2/occurrences?from={on}&until=2099-01-01T01:00:00Z");
    let rest = api.get(&path).await.json["data"].clone();
    let whole = api.get(ledger).await.json["data"].clone();
    assert!(rest["nextFrom"].is_null() && whole["nextFrom"].is_null());
    let count = |list: &serde_json::Value| list["occurrences"].as_array().unwrap().len();
    assert_eq!(count(&whole), 7 + count(&rest));

    api.delete("/jobs/2").await;
    let gone = api.get("/jobs/2/explain?at=2099-03-01T14:30:00Z").await;
    assert_eq!(gone.json["data"]["state"], "deleted", "{}", gone.json);
}

#[tokio::test]
async fn a_question_without_sense_is_refused_with_the_field() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/jobs", json!([job(project, "")])).await;
    for (path, status, field) in [
        ("/jobs/1/explain", 400, "at"),
        ("/jobs/1/explain?at=noon", 400, "at"),
        ("/jobs/1/occurrences?limit=0", 400, "limit"),
        ("/jobs/1/occurrences?from=2099-01-02&until=2099-01-01", 400, "until"),
        ("/jobs/1/explain?at=2099-01-01&consistency=some", 400, "consistency"),
    ] {
        let answer = api.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.json);
        assert_eq!(answer.json["error"]["field"], field, "{path}");
    }
    for path in ["/jobs/7/explain?at=2099-01-01", "/jobs/7/occurrences"] {
        let answer = api.get(path).await;
        assert_eq!(answer.json["data"], "job cannot be found", "{path}");
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    // The first and the last instant are answered like others.
    for at in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        assert_eq!(api.get(&format!("/jobs/1/explain?at={at}")).await.status, StatusCode::OK);
    }
}
