//! Previews of schedules, and the next occurrences of a job.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::job;
use crate::harness::ApiFixture;

fn column<'a>(data: &'a Value, name: &str) -> Vec<&'a str> {
    let list = data["occurrences"].as_array().unwrap();
    list.iter().map(|occurrence| occurrence[name].as_str().unwrap_or("")).collect()
}

#[tokio::test]
async fn a_schedule_is_previewed_under_every_prefix() {
    let api = ApiFixture::build().await;
    for prefix in ["", "/v1", "/api/v1"] {
        let body = json!({
            "spec": "30 2 * * *", "timeZone": "Europe/Berlin", "from": "2026-10-24T12:00:00Z",
            "dst": {"fold": "both"}, "count": 3, "colour": 1,
        });
        let answer = api.post(&format!("{prefix}/schedules/preview"), body).await;
        assert_eq!(answer.status, StatusCode::OK, "{prefix}: {}", answer.json);
        assert_eq!(answer.header("x-scheduler0-warning"), "unknown fields were ignored: colour");
        let data = &answer.json["data"];
        assert_eq!(data["description"], "At 02:30");
        assert_eq!(
            data["fields"][0],
            json!({"name": "minute", "text": "30", "meaning": "at minute 30"})
        );
        assert_eq!(
            column(data, "utc"),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(column(data, "dst"), ["first", "second", ""]);
        assert_eq!(data["occurrences"][0]["local"], "2026-10-25T02:30:00+02:00");
        assert!(data["occurrences"][2]["dst"].is_null());
    }
    let spring = |gap: &str| {
        json!({"spec": "30 2 * * *", "timezone": "Europe/Berlin", "from": "2026-03-28T12:00:00Z",
            "dst": {"gap": gap}, "count": 1})
    };
    for (gap, utc, mark) in
        [("next", "2026-03-29T01:00:00Z", "moved"), ("skip", "2026-03-30T00:30:00Z", "skipped")]
    {
        let answer = api.post("/schedules/preview", spring(gap)).await;
        let data = &answer.json["data"];
        assert_eq!((column(data, "utc"), column(data, "dst")), (vec![utc], vec![mark]));
    }

    let bad = api.post("/schedules/preview", json!({"spec": "61 * * * *"})).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bad.json["error"]["field"], "spec");
    assert!(bad.json["data"].as_str().unwrap().contains("minute field: 61"), "{}", bad.json);
    assert_eq!(api.send("POST", "/schedules/preview", &[], "{").await.status, 400);
    assert_eq!(api.get("/schedules/preview").await.status, StatusCode::METHOD_NOT_ALLOWED);

    api.pressure.set_disk(true);
    let asked = api.post("/schedules/preview", json!({"after": "20m"})).await;
    assert_eq!(asked.status, StatusCode::OK, "it writes nothing");
    assert_eq!(asked.json["data"]["occurrences"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_shows_its_next_occurrences_within_its_bounds() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let mut bounded = job(project, "");
    bounded["spec"] = json!("0 9 * * *");
    bounded["start_date"] = json!("2099-03-01T14:00:00Z");
    bounded["end_date"] = json!("2099-03-03T14:00:00Z");
    let mut hashed = job(project, "");
    hashed["spec"] = json!("H H * * *");
    let body = json!([job(project, ""), bounded, hashed, job(project, "")]);
    let made = api.post("/jobs", body).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.json);
    let over = json!({"end_date": "2001-01-01T00:00:00Z"}).to_string();
    let over = api.send("PATCH", "/jobs/4", &[], over).await;
    assert_eq!(over.status, StatusCode::OK, "an end that has passed ends a job: {}", over.json);

    let every = api.get("/jobs/1/next").await.json["data"].clone();
    let shown = api.get("/jobs/1").await.json["data"].clone();
    let list = column(&every, "utc");
    assert_eq!(list.len(), 10);
    // A minute may pass between the two requests.
    assert!(list[..2].contains(&shown["next_execution_date"].as_str().unwrap()), "{every}");
    assert!(list.is_sorted() && every["occurrences"][0]["dst"].is_null());
    assert!(column(&every, "local").iter().all(|l| l.ends_with("-05:00") || l.ends_with("-04:00")));
    let whole = api.get("/v1/jobs/1/next?count=1000&consistency=linearizable").await;
    assert_eq!(column(&whole.json["data"], "utc").len(), 1_000);

    // Both ends are included: 09:00 in New York is 14:00 UTC in winter.
    for prefix in ["", "/v1", "/api/v1"] {
        let within = api.get(&format!("{prefix}/jobs/2/next")).await;
        assert_eq!(
            column(&within.json["data"], "utc"),
            ["2099-03-01T14:00:00Z", "2099-03-02T14:00:00Z", "2099-03-03T14:00:00Z"]
        );
    }
    let own = api.get("/jobs/3/next?count=1").await.json["data"].clone();
    let shown = api.get("/jobs/3").await.json["data"].clone();
    assert_eq!(column(&own, "utc"), [shown["next_execution_date"].as_str().unwrap()]);
    assert_eq!(api.get("/jobs/4/next").await.json["data"]["occurrences"], json!([]));

    api.put("/jobs/1", json!({"status": "inactive"})).await;
    assert_eq!(api.get("/jobs/1/next").await.json["data"]["occurrences"], json!([]));
    let refused = api.get("/jobs/1/next?count=1001").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json["error"]["field"], "count");
    assert_eq!(api.get("/jobs/77/next").await.json["data"], "job cannot be found");
}
