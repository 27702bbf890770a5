//! Executions: an occurrence with all its attempts, pages by key, and reports of receivers.

use axum::http::StatusCode;
use scheduler0::model::attempt::{AttemptRecord, Verdict};
use scheduler0::model::delivery::Retry;
use scheduler0::model::result_code::ResultCode;
use scheduler0::model::run::Accepted;
use scheduler0::model::time::rfc3339;
use serde_json::{Value, json};

use super::{job, next_of};
use crate::harness::{ApiFixture, attempt_record};

async fn api() -> (ApiFixture, i64) {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/jobs", json!([job(project, ""), job(project, ""), job(project, "")])).await;
    api.own_first_shard().await;
    let at = next_of(&api, 1).await;
    (api, at)
}

/// A run that its receiver accepted, with one retry.
fn accepted(scheduled: i64) -> AttemptRecord {
    let retry = Retry { max: 1, delay: 60_000, factor: 1_000, max_delay: 60_000 };
    let promise = Accepted { run_timeout: None, heartbeat_timeout: Some(600_000), retry };
    AttemptRecord {
        result: ResultCode::Http(202),
        error: None,
        accepted: Some(Box::new(promise)),
        ..attempt_record(&[1], scheduled, 1, Verdict::Running)
    }
}

fn numbers(list: &Value) -> Vec<u64> {
    let list = list["data"]["executions"].as_array().unwrap();
    list.iter().map(|one| one["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_occurrence_is_found_by_attempt_and_by_execution_id() {
    let (api, at) = api().await;
    let retry = Verdict::Retry { at: at + 5_000 };
    api.record(0, vec![attempt_record(&[1, 2, 3], at, 1, retry)]).await;
    let list = api.get("/api/v1/executions?jobId=2").await;
    let attempt = &list.json["data"]["executions"][0];
    assert_eq!((&attempt["response"], &attempt["how"]), (&json!("sorry"), &json!("answer")));
    let (number, text) = (&attempt["id"], attempt["executionId"].as_str().unwrap());
    let shown = api.get(&format!("/api/v1/executions/{number}")).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.json);
    let same = api.get(&format!("/api/v1/executions/{text}")).await;
    assert_eq!(shown.json, same.json);
    let data = &shown.json["data"];
    assert_eq!((&data["state"], &data["jobId"]), (&json!("retrying"), &json!(2)));
    assert_eq!(data["nextAttempt"]["attempt"], 2);
    assert_eq!(data["attempts"], json!([attempt]));

    api.record(1, vec![attempt_record(&[1, 2, 3], at, 2, Verdict::Delivered)]).await;
    let over = api.get(&format!("/executions/{text}")).await;
    let data = &over.json["data"];
    assert_eq!((&data["state"], data.get("next_attempt")), (&json!("delivered"), None));
    assert_eq!(data["attempts"].as_array().unwrap().len(), 2);
    let to_come = text.replace(&format!("{at:x}"), &format!("{:x}", at + 60_000));
    let to_come = api.get(&format!("/executions/{to_come}")).await;
    assert_eq!(to_come.json["data"]["state"], "scheduled");
    let other_cluster = format!("00000001{}", &text[8..]);
    assert_eq!(api.get(&format!("/executions/{other_cluster}")).await.status, 404);
}

#[tokio::test]
async fn pages_by_key_are_whole_while_more_is_recorded() {
    let (api, at) = api().await;
    let done =
        |minute: i64| attempt_record(&[1, 2, 3], at + minute * 60_000, 1, Verdict::Delivered);
    api.record(0, (0..4).map(done).collect()).await;
    let whole = numbers(&api.get("/executions?limit=100").await.json);
    assert_eq!(whole.len(), 12);
    let (mut paged, mut after, mut recorded) = (Vec::new(), String::new(), 4);
    loop {
        let page = api.get(&format!("/executions?limit=5{after}")).await;
        paged.extend(numbers(&page.json));
        let Some(next) = page.json["data"]["next"].as_str() else { break };
        after = format!("&after={next}");
        // Newer executions come before the pages that were read.
        api.record(recorded, vec![done(recorded as i64)]).await;
        recorded += 1;
    }
    assert_eq!(paged, whole);
    for (query, count) in
        [("state=1", 18), ("state=2", 0), ("state=delivered", 18), ("status=running", 0)]
    {
        let found = api.get(&format!("/executions?{query}")).await;
        assert_eq!(found.json["data"]["total"], count, "{query}");
    }
}

#[tokio::test]
async fn receivers_report_on_runs_that_they_accepted() {
    let (api, at) = api().await;
    api.record(0, (0..4).map(|minute| accepted(at + minute * 60_000)).collect()).await;
    let list = api.get("/api/v1/executions?state=running&orderByDirection=asc").await;
    let runs: Vec<_> = list.json["data"]["executions"].as_array().unwrap().iter().collect();
    let ids: Vec<_> = runs.iter().map(|run| run["executionId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 4, "{}", list.json);
    let tell = async |id: &str, what: &str, body: &str| {
        let told = api.send("POST", &format!("/api/v1/executions/{id}/{what}"), &[], body).await;
        (told.status.as_u16(), told.json["data"]["state"].as_str().unwrap_or("").to_owned())
    };
    let state = async |id: &str| {
        let shown = api.get(&format!("/api/v1/executions/{id}")).await;
        shown.json["data"]["state"].as_str().unwrap_or("").to_owned()
    };
    assert_eq!(state(ids[0]).await, "running");
    for (id, what, body, status, now) in [
        (ids[0], "heartbeat", "", 200, "running"),
        (ids[0], "complete", "{}", 200, "delivered"),
        (ids[0], "complete", "", 200, "delivered"),
        (ids[0], "heartbeat", "", 409, ""),
        (ids[0], "fail", "{}", 409, ""),
        (ids[1], "fail", "{\"error\":\"no disk\"}", 200, "retrying"),
        (ids[2], "fail", "{\"error\":{\"code\":5},\"retry\":false}", 200, "dead"),
        (ids[2], "cancel", "", 409, ""),
        (ids[3], "cancel", "", 200, "skipped"),
        (ids[3], "heartbeat", "", 409, ""),
        (ids[3], "fail", "{\"retry\":\"no\"}", 400, ""),
        (ids[3], "fail", "[]", 422, ""),
        ("00000001-1-1", "complete", "", 404, ""),
        ("1", "heartbeat", "", 404, ""),
    ] {
        let told = tell(id, what, body).await;
        assert_eq!(told, (status, now.to_owned()), "{id} {what} {body}");
        if status == 200 {
            assert_eq!(state(id).await, now, "{id} {what} {body}");
        }
    }
    let dead = api.get(&format!("/api/v1/executions/{}", ids[2])).await;
    let end = dead.json["data"]["attempts"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&end["how"], &end["error"]), (&json!("reported"), &json!("{\"code\":5}")));
}

#[tokio::test]
async fn old_history_can_be_dropped_as_the_published_clients_ask() {
    let api = ApiFixture::build().await;
    let path = "/api/v1/executions/cleanup-old-logs";
    let done = api.post(path, json!({"accountId": "1", "retentionMonths": 3})).await;
    assert_eq!((done.status.as_u16(), done.header("x-scheduler0-warning")), (200, ""));
    let message = done.json["data"]["message"].as_str().unwrap();
    assert!(message.starts_with("executions that were due before "), "{message}");
    for (body, status, field) in [
        (json!({}), 400, json!("retentionMonths")),
        (json!({"retentionMonths": 0}), 400, json!("retentionMonths")),
        (json!({"retentionMonths": "3"}), 400, json!("retentionMonths")),
        (json!({"retentionMonths": 999_999}), 400, json!("retentionMonths")),
        (json!({"retentionMonths": 3, "projectId": 1}), 422, Value::Null),
    ] {
        let refused = api.post(path, body.clone()).await;
        let told = (refused.status.as_u16(), &refused.json["error"]["field"]);
        assert_eq!(told, (status, &field), "{body}: {}", refused.json);
    }
}

#[tokio::test]
async fn a_run_that_nothing_bounds_has_no_deadline() {
    let (api, at) = api().await;
    let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
    let silent = Accepted { run_timeout: None, heartbeat_timeout: None, retry };
    let silent = AttemptRecord { accepted: Some(Box::new(silent)), ..accepted(at + 60_000) };
    api.record(0, vec![accepted(at), silent]).await;
    for (scheduled, bounded) in [(at, true), (at + 60_000, false)] {
        let instant = rfc3339(scheduled);
        let why = api.get(&format!("/api/v1/jobs/1/explain?at={instant}")).await.json;
        let (occurrence, summary) = (&why["data"]["occurrence"], why["data"]["summary"].as_str());
        assert_eq!(occurrence["run"]["deadline"].is_string(), bounded, "{why}");
        let said = if bounded { "lost after" } else { "nothing but a report ends it" };
        assert!(summary.unwrap().contains(said), "{why}");
        let id = occurrence["executionId"].as_str().unwrap();
        let shown = api.get(&format!("/api/v1/executions/{id}")).await.json;
        assert_eq!(shown["data"]["running"]["deadline"].is_string(), bounded, "{shown}");
    }
}
