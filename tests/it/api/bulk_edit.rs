//! `POST /jobs/edit`: many jobs edited as a patch of each would, shown first, all or none.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::jobs::field;
use crate::harness::{Answer, ApiFixture};

async fn edit(api: &ApiFixture, body: Value) -> Answer {
    api.post("/api/v1/jobs/edit", body).await
}

/// A node with so many jobs at nine o'clock, half of them in Berlin, and one that is called alone.
async fn some(number: u64) -> (ApiFixture, u64) {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let job = |n: u64| {
        let zone = if n.is_multiple_of(2) { "UTC" } else { "Europe/Berlin" };
        json!({"projectId": project, "spec": "0 9 * * *", "timezone": zone,
            "callbackUrl": "http://127.0.0.1:1/", "externalId": format!("n{n}"),
            "labels": {"team": "shop"}, "data": "12345678901234567890"})
    };
    let mut all: Vec<_> = (1..=number).map(job).collect();
    all.push(json!({"projectId": project, "spec": "0 8 * * *", "timezone": "UTC",
        "http": {"url": "http://127.0.0.1:1/"}, "overlap": "skip"}));
    let made = api.post("/api/v1/jobs", json!(all)).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.json);
    (api, project)
}

async fn shown(api: &ApiFixture, id: u64) -> Value {
    api.get(&format!("/api/v1/jobs/{id}")).await.json["data"].clone()
}

#[tokio::test]
async fn an_edit_is_shown_and_then_made_as_it_was_shown() {
    let (api, project) = some(2_500).await;
    let body = |dry_run: bool| {
        json!({"filter": {"projectId": project, "spec": "0 9 * * *"},
            "set": {"spec": "H 9 * * *", "labels": {"team": null, "my_tier": "1"}, "retryMax": 7},
            "dryRun": dry_run, "modifiedBy": "me"})
    };
    let before = shown(&api, 1).await;
    let told = edit(&api, body(true)).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.json);
    let data = &told.json["data"];
    let numbers = |data: &Value| {
        ["matched", "changed", "unchanged", "refused", "definitions"]
            .map(|name| data[name].as_u64().unwrap())
    };
    assert_eq!(numbers(data), [2_500, 2_500, 0, 0, 2]);
    assert_eq!(shown(&api, 1).await, before, "a dry run changes nothing");
    let samples = data["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 10);
    let zones: Vec<_> = samples.iter().map(|one| one["nextBefore"][0]["utc"].clone()).collect();
    assert_ne!(zones[0], zones[1], "jobs of different definitions come first");
    let first = &samples[0];
    let old = json!({"spec": "0 9 * * *", "labels": {"team": "shop"},
        "retryMax": before["retryMax"]});
    let new = json!({"spec": "H 9 * * *", "labels": {"my_tier": "1"}, "retryMax": 7});
    assert_eq!((&first["before"], &first["after"]), (&old, &new));
    assert_eq!((&first["id"], &first["externalId"]), (&json!(1), &json!("n1")));
    assert_eq!(first["nextAfter"].as_array().unwrap().len(), 3);
    // The same under the other prefix, in its casing; names of the client's own stay.
    let plain = api.post("/jobs/edit", body(true)).await;
    let sample = &plain.json["data"]["samples"][0];
    assert_eq!(sample["after"]["labels"], json!({"my_tier": "1"}));
    assert!(sample["after"]["retry_max"] == 7 && sample["next_after"].is_array(), "{sample}");

    let done = edit(&api, body(false)).await;
    assert_eq!(numbers(&done.json["data"]), [2_500, 2_500, 0, 0, 2], "{}", done.json);
    assert!(done.json["data"]["samples"].is_null());
    for id in [1, 2, 1_000, 2_500] {
        let job = shown(&api, id).await;
        assert_eq!((&job["spec"], &job["retryMax"]), (&json!("H 9 * * *"), &json!(7)));
        assert_eq!(job["labels"], json!({"my_tier": "1"}));
        assert_eq!((&job["modifiedBy"], &job["version"]), (&json!("me"), &json!(2)));
        assert_eq!(job["data"], "12345678901234567890");
        if id == 1 {
            let shown_next = &first["nextAfter"][0]["utc"];
            assert_eq!(&job["nextExecutionDate"], shown_next, "it fires when it was shown to");
        }
    }
    assert_eq!(shown(&api, 2_501).await["version"], 1, "the filter does not find it");
    // None has the old schedule any more; by another filter they are so already.
    assert_eq!(numbers(&edit(&api, body(false)).await.json["data"]), [0; 5]);
    let again = json!({"filter": {"projectId": project, "timezone": "UTC"},
        "set": {"retryMax": 7}});
    assert_eq!(numbers(&edit(&api, again).await.json["data"]), [1_251, 1, 1_250, 0, 2]);
}

#[tokio::test]
async fn one_job_that_cannot_be_edited_like_that_keeps_all_as_they_are() {
    let (api, _) = some(4).await;
    let all = |set: Value, dry_run: bool| json!({"all": true, "set": set, "dryRun": dry_run});
    let overlap = json!({"overlap": "queue_one"});
    let refused = edit(&api, all(overlap.clone(), false)).await;
    assert_eq!(field(&refused), (422, "overlap"), "{}", refused.json);
    let message = refused.json["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("4 of 5 jobs cannot be edited like this"), "{message}");
    assert!(message.contains("Job 1: job overlap needs an http target"), "{message}");
    assert_eq!(shown(&api, 5).await["overlap"], "skip");
    let told = edit(&api, all(overlap, true)).await;
    let data = &told.json["data"];
    assert_eq!((&data["refused"], &data["changed"]), (&json!(4), &json!(1)), "{data}");
    let problem = &data["problems"][0];
    let wanted = json!({"code": "unprocessable", "field": "overlap", "jobs": 4, "definitions": 2,
        "jobId": 1, "message": problem["message"]});
    assert_eq!(*problem, wanted);
    assert_eq!(data["samples"][0]["after"], json!({"overlap": "queue_one"}));
    for (set, status, name) in [
        (json!({"spec": "99 * * * *"}), 400, "spec"),
        (json!({"timezone": "Mars"}), 400, "timezone"),
        (json!({"executorId": 77}), 400, "executorId"),
        (json!({"projectId": 77}), 400, "projectId"),
        (json!({"retryMax": 101}), 400, "retryMax"),
        (json!({"callbackUrl": "ftp://x/"}), 400, "callbackUrl"),
        (json!({"status": "inactive"}), 422, "status"),
        (json!({"externalId": "x"}), 422, "externalId"),
        (json!({"pauseUntil": null}), 422, "pauseUntil"),
        (json!({}), 422, "set"),
        (json!({"colour": 1}), 422, "set"),
    ] {
        let refused = edit(&api, all(set.clone(), false)).await;
        assert_eq!(field(&refused), (status, name), "{set}: {}", refused.json);
    }
    for (body, wanted) in [
        (json!({"set": {"jitter": "5s"}}), (422, "filter")),
        (json!({"filter": {}, "set": {"jitter": "5s"}}), (422, "filter")),
        (json!({"filter": {"ids": [1]}}), (422, "set")),
        (json!({"filter": {"spec": 5}, "set": {"jitter": "5s"}}), (400, "spec")),
    ] {
        let refused = edit(&api, body.clone()).await;
        assert_eq!(field(&refused), wanted, "{body}: {}", refused.json);
    }
    for id in 1..=5 {
        assert_eq!(shown(&api, id).await["version"], 1, "nothing was changed");
    }
}

#[tokio::test]
async fn an_edit_under_a_key_is_made_once() {
    let (api, project) = some(3).await;
    let body = json!({"filter": {"projectId": project, "externalIds": ["n1", "n2"]},
        "set": {"after": "1h"}});
    let key = [("idempotency-key", "once")];
    let send =
        async |body: &Value| api.send("POST", "/api/v1/jobs/edit", &key, &body.to_string()).await;
    let first = send(&body).await;
    assert_eq!(first.json["data"]["changed"], 2, "{}", first.json);
    let versions = [shown(&api, 1).await["version"].clone(), shown(&api, 2).await["at"].clone()];
    let again = send(&body).await;
    assert_eq!((again.status, &again.json), (StatusCode::OK, &first.json));
    let now = [shown(&api, 1).await["version"].clone(), shown(&api, 2).await["at"].clone()];
    assert_eq!(now, versions, "the delay counts from the first time");
    let mut other = body.clone();
    other["set"]["after"] = "2h".into();
    assert_eq!(send(&other).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    // A dry run neither needs nor takes the key.
    other["dryRun"] = true.into();
    assert_eq!(send(&other).await.json["data"]["matched"], 2);
}

/// A filter by names of jobs whose edits meet others: what was moved by others is looked at again.
#[tokio::test]
async fn edits_of_many_and_of_one_at_the_same_time_both_count() {
    let (api, project) = some(300).await;
    let labels = json!({"filter": {"projectId": project, "spec": "0 9 * * *"},
        "set": {"labels": {"tier": "1"}}});
    let jitter = json!({"filter": {"projectId": project, "spec": "0 9 * * *"},
        "set": {"jitter": "30s"}});
    let (one, other) = tokio::join!(edit(&api, labels), edit(&api, jitter));
    for done in [&one, &other] {
        assert_eq!(done.json["data"]["changed"], 300, "{}", done.json);
    }
    let list = api.get(&format!("/api/v1/jobs?projectId={project}&limit=300&label=tier=1")).await;
    let jobs = list.json["data"]["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 300);
    assert!(jobs.iter().all(|job| job["jitter"] == "30s"), "both edits hold");
}
