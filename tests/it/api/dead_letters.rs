//! Dead letters: listed with their members, replayed one by one or by filter, purged.

use axum::http::StatusCode;
use scheduler0::model::attempt::Verdict;
use serde_json::{Value, json};

use super::{job, next_of};
use crate::harness::{ApiFixture, attempt_record};

/// A node with three jobs and four dead letters: one of all three jobs, then three of the first
/// one.
async fn api() -> ApiFixture {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/jobs", json!([job(project, ""), job(project, ""), job(project, "")])).await;
    api.own_first_shard().await;
    let at = next_of(&api, 1).await;
    let dead =
        |jobs: &[u64], minute: i64| attempt_record(jobs, at + minute * 60_000, 4, Verdict::Dead);
    let records = vec![dead(&[1, 2, 3], 0), dead(&[1], 1), dead(&[1], 2), dead(&[1], 3)];
    api.record(0, records).await;
    api
}

fn ids(list: &Value) -> Vec<u64> {
    let letters = list["data"]["deadLetters"].as_array().unwrap();
    letters.iter().map(|letter| letter["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn letters_are_listed_with_their_members() {
    let api = api().await;
    let list = api.get("/api/v1/dead-letters").await;
    assert_eq!(list.status, StatusCode::OK);
    assert_eq!((&list.json["data"]["total"], ids(&list.json).len()), (&json!(4), 4));
    assert!(list.json["data"].get("next").is_none(), "that is all");
    let all = ids(&list.json);
    assert!(all.is_sorted_by(|a, b| a > b), "newest first: {all:?}");
    let oldest = &list.json["data"]["deadLetters"][3];
    assert_eq!((&oldest["count"], &oldest["attempts"]), (&json!(3), &json!(4)));
    assert_eq!((&oldest["httpCode"], &oldest["error"]), (&json!(500), &json!("it answered 500")));
    assert_eq!(oldest["members"][2]["jobId"], 3);
    let execution = oldest["members"][1]["executionId"].as_str().unwrap();
    let one = api.get(&format!("/dead-letters/{}", all[3])).await;
    assert_eq!(one.json["data"]["members"].as_array().unwrap().len(), 3);
    let shown = api.get(&format!("/api/v1/executions/{execution}")).await;
    assert_eq!(shown.json["data"]["state"], "dead", "{}", shown.json);
    assert_eq!(shown.json["data"]["deadLetterId"].as_u64(), Some(all[3]));

    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/v1/dead-letters?limit=3{after}")).await;
        paged.extend(ids(&page.json));
        let Some(next) = page.json["data"]["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, all);
    let due = oldest["dueAt"].as_str().unwrap().to_owned();
    for (query, count) in [
        ("jobId=2".to_owned(), 1),
        ("jobId=1".to_owned(), 4),
        ("projectId=9".to_owned(), 0),
        (format!("endDate={due}"), 1),
        (format!("startDate={due}&limit=2&offset=1"), 2),
    ] {
        let found = api.get(&format!("/api/v1/dead-letters?{query}")).await;
        assert_eq!(ids(&found.json).len(), count, "{query}: {}", found.json);
    }
}

#[tokio::test]
async fn letters_are_found_and_taken_back_by_where_their_jobs_go() {
    let api = api().await;
    let before = ids(&api.get("/api/v1/dead-letters").await.json);
    let other = "https://other.example/hook?a=1";
    let moved = json!({"callbackUrl": other});
    let edited = api.send("PATCH", "/api/v1/jobs/2", &[], moved.to_string()).await;
    assert_eq!(edited.status, StatusCode::OK, "{}", edited.json);
    let at = next_of(&api, 1).await;
    api.record(4, vec![attempt_record(&[2], at + 9 * 60_000, 4, Verdict::Dead)]).await;
    let find = async |target: &str, more: &str| {
        let target: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let path = format!("/api/v1/dead-letters?target={target}{more}");
        let found = api.get(&path).await.json;
        (found["data"]["total"].as_u64().unwrap(), ids(&found))
    };
    // Members that went out in one request are where the first of them goes.
    assert_eq!(find("http://localhost:3000/callback", "").await, (4, before.clone()));
    let page = find("http://localhost:3000/callback", "&limit=2&offset=1").await;
    assert_eq!(page, (4, before[1..3].to_vec()));
    let (count, own) = find(other, "").await;
    assert_eq!((count, own.len()), (1, 1));
    assert_eq!(find(other, "&jobId=1").await, (0, vec![]));
    assert_eq!(find("https://other.example/", "").await, (0, vec![]), "no part of it");
    let dry = json!({"target": other, "dryRun": true});
    let counted = api.post("/api/v1/dead-letters/replay", dry).await;
    assert_eq!(counted.json["data"]["letters"], 1, "{}", counted.json);
    let purged = api.post("/dead-letters/purge", json!({"target": other})).await;
    assert_eq!(purged.json["data"]["letters"], 1, "{}", purged.json);
    assert_eq!(ids(&api.get("/api/v1/dead-letters").await.json), before, "the others stay");
    // A letter whose job is gone goes nowhere.
    assert_eq!(api.delete("/jobs/1").await.status, StatusCode::NO_CONTENT);
    assert_eq!(find("http://localhost:3000/callback", "").await, (0, vec![]));
    assert_eq!(api.get("/dead-letters").await.json["data"]["total"], 4);
}

#[tokio::test]
async fn letters_are_taken_back_at_a_rate_or_purged() {
    let api = api().await;
    let all = ids(&api.get("/api/v1/dead-letters?orderByDirection=asc").await.json);
    let letter = api.get(&format!("/api/v1/dead-letters/{}", all[0])).await;
    let execution = letter.json["data"]["members"][0]["executionId"].as_str().unwrap().to_owned();
    let dry = api.post("/api/v1/dead-letters/replay", json!({"all": true, "dryRun": true})).await;
    let data = &dry.json["data"];
    assert_eq!((&data["letters"], &data["occurrences"]), (&json!(4), &json!(6)), "{}", dry.json);
    assert_eq!(api.get("/dead-letters").await.json["data"]["total"], 4, "only counted");

    let one = api.post(&format!("/dead-letters/{}/replay", all[0]), json!({})).await;
    assert_eq!((one.status, &one.json["data"]["occurrences"]), (StatusCode::OK, &json!(3)));
    let again = api.post(&format!("/dead-letters/{}/replay", all[0]), json!({})).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let shown = api.get(&format!("/api/v1/executions/{execution}")).await;
    let data = &shown.json["data"];
    assert_eq!(data["state"], "retrying", "{data}");
    assert_eq!(data["nextAttempt"]["attempt"], 5);
    assert_eq!(data["attempts"].as_array().unwrap().len(), 1);

    let gone = api.delete(&format!("/dead-letters/{}", all[1])).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let nothing = api.post("/dead-letters/replay", json!({"jobId": 3})).await;
    assert_eq!(nothing.json["data"]["letters"], 0);
    for (route, body) in [
        ("purge", json!({})),
        ("replay", json!({})),
        ("replay", json!({"projectId": 0, "dryRun": true})),
        ("replay", json!({"jobId": 1, "all": true})),
    ] {
        let refused = api.post(&format!("/dead-letters/{route}"), body).await;
        assert_eq!(
            (refused.status, &refused.json["error"]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("all"))
        );
    }
    let key = [("idempotency-key", "k")];
    let body = json!({"jobId": 1, "ratePerSecond": 1}).to_string();
    let spread = api.send("POST", "/dead-letters/replay", &key, &body).await;
    let again = api.send("POST", "/dead-letters/replay", &key, &body).await;
    assert_eq!(again.json, spread.json, "answered alike, though the letters are gone");
    let other = api.send("POST", "/dead-letters/replay", &key, "{\"jobId\": 2}").await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", other.json);
    assert_eq!(spread.json["data"]["letters"], 2, "{}", spread.json);
    assert!(spread.json["data"]["until"].is_string());
    assert_eq!(api.get("/dead-letters").await.json["data"]["total"], 0);
    let all = api.post("/dead-letters/purge", json!({"all": true})).await;
    assert_eq!((all.status, &all.json["data"]["letters"]), (StatusCode::OK, &json!(0)));
    for route in ["replay", "purge"] {
        // A filter with a misspelled field would match too many letters.
        let body = json!({"all": true, "startDate": "2026-11-20", "endDte": "2026-11-21"});
        let slip = api.post(&format!("/dead-letters/{route}"), body).await;
        let said = slip.json["error"]["message"].as_str().unwrap_or_default();
        assert!(slip.status.as_u16() == 422 && said.contains("there is no field "), "{said}");
    }
    for (field, value) in [
        ("ratePerSecond", json!(0)),
        ("ratePerSecond", json!("fast")),
        ("dryRun", json!("yes")),
        ("projectId", json!("one")),
        ("startDate", json!("never")),
    ] {
        let refused = api.post("/api/v1/dead-letters/replay", json!({field: value})).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json["error"]["field"]),
            (400, &json!(field))
        );
    }
}
