//! Features of jobs that the published clients do not use: one-offs, targets, versions, pauses,
//! runs, external ids.

use std::time::Duration;

use axum::http::StatusCode;
use scheduler0::model::time::rfc3339;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture, now};

const TARGET: &str = "http://localhost:3000/callback";

pub(super) fn field(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["error"]["field"].as_str().unwrap_or_default())
}

/// Creates a job; returns it as the API shows it.
async fn make(api: &ApiFixture, job: Value) -> Value {
    let prefer = [("prefer", "return=representation")];
    let made = api.send("POST", "/api/v1/jobs", &prefer, &job.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!(made.header("etag"), "\"1\"");
    made.json["data"][0].clone()
}

#[tokio::test]
async fn a_one_off_is_made_shown_moved_and_refused() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let once = |rest: Value| {
        let mut job = json!({"projectId": project, "callbackUrl": TARGET});
        job.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        job
    };
    let at = make(
        &api,
        once(json!({"at": "2090-01-01 09:00", "timezone": "Asia/Tokyo", "deleteAfterRun": true})),
    )
    .await;
    assert_eq!((&at["at"], &at["spec"]), (&json!("2090-01-01T00:00:00Z"), &json!("")));
    assert_eq!((&at["nextExecutionDate"], &at["deleteAfterRun"]), (&at["at"], &json!(true)));
    let after = make(&api, once(json!({"after": "1 hour 30 minutes"}))).await;
    assert_eq!((&after["after"], &after["timezone"]), (&json!("1h30m"), &json!("UTC")));
    let due = after["nextExecutionDate"].as_str().unwrap();
    assert!(after.get("at").is_none() && due > after["dateCreated"].as_str().unwrap());

    let path = format!("/api/v1/jobs/{}", after["id"]);
    let same = api.put(&path, after.clone()).await;
    assert_eq!(same.json["data"]["nextExecutionDate"], due, "sent back, it stays where it was");
    assert!(same.headers.get("x-scheduler0-warning").is_none());
    let next = api.get(&format!("{path}/next?count=5")).await;
    assert_eq!(next.json["data"]["occurrences"].as_array().unwrap().len(), 1);
    let later = api.send("PATCH", &path, &[], json!({"after": "2h"}).to_string()).await;
    assert!(later.json["data"]["nextExecutionDate"].as_str().unwrap() > due, "{}", later.json);
    let spec = api.send("PATCH", &path, &[], r#"{"spec":"@every 1h"}"#).await;
    assert_eq!((spec.status.as_u16(), &spec.json["data"]["spec"]), (200, &json!("@every 1h")));
    assert!(spec.json["data"].get("after").is_none());

    for (rest, wanted) in [
        (json!({"at": "2020-01-01T00:00:00Z"}), (422, "at")),
        (json!({"at": "2090-01-01T00:00:00"}), (400, "timezone")),
        (json!({"after": 20}), (422, "after")),
        (json!({"after": "1m", "spec": "@daily"}), (422, "after")),
        (json!({}), (400, "spec")),
    ] {
        let refused = api.post("/api/v1/jobs", once(rest.clone())).await;
        assert_eq!(field(&refused), wanted, "{rest}");
    }
}

#[tokio::test]
async fn a_target_of_its_own_keeps_its_secret() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let http = json!({
        "method": "put", "url": "http://localhost:3000/{{jobId}}", "headers": {"X-Team": "aB"},
        "auth": {"type": "basic", "username": "me", "password": "hush"}, "timeout": "5s",
    });
    let job = json!({"projectId": project, "spec": "@daily", "timezone": "UTC", "http": http,
        "overlap": "skip", "labels": {"myTeam": "x"}, "jitter": "10m", "externalId": "one"});
    let made = make(&api, job).await;
    assert!(!made.to_string().contains("hush"));
    assert_eq!(
        made["http"]["auth"],
        json!({"type": "basic", "username": "me", "passwordSet": true})
    );
    assert_eq!((&made["timeout"], &made["overlap"]), (&json!("5s"), &json!("skip")));
    assert!(made["nextDueDate"].as_str() >= made["nextExecutionDate"].as_str());
    let snake = api.get(&format!("/jobs/{}", made["id"])).await;
    let shown = &snake.json["data"];
    assert_eq!(shown["http"]["headers"], json!({"X-Team": "aB"}), "names of the client's own");
    assert_eq!((&shown["labels"], &shown["external_id"]), (&json!({"myTeam": "x"}), &json!("one")));
    assert_eq!(snake.header("etag"), "\"1\"");

    let path = format!("/api/v1/jobs/{}", made["id"]);
    let same = api.put(&path, made.clone()).await;
    assert_eq!(same.status, StatusCode::OK, "what a GET shows can be sent back: {}", same.json);
    assert_eq!(same.json["data"]["http"], made["http"]);
    let moved = json!({"http": {"url": "http://elsewhere/",
        "auth": {"type": "basic", "username": "me"}}});
    let refused = api.send("PATCH", &path, &[], moved.to_string()).await;
    assert_eq!(field(&refused), (400, "http.auth.password"));
    let batched = api.send("PATCH", &path, &[], json!({"callbackUrl": TARGET}).to_string()).await;
    assert_eq!(field(&batched), (422, "overlap"));
    let batched = json!({"callbackUrl": TARGET, "overlap": null}).to_string();
    let batched = api.send("PATCH", &path, &[], batched).await;
    assert!(batched.json["data"].get("http").is_none(), "{}", batched.json);

    let unknown = json!({"projectId": project, "spec": "@daily", "timezone": "UTC",
        "executorId": 9, "callbackUrl": ""});
    let refused = api.post("/api/v1/jobs", json!([unknown])).await;
    assert_eq!(field(&refused), (400, "executorId"));
    assert_eq!(refused.json["error"]["index"], 0);
}

#[tokio::test]
async fn versions_guard_against_lost_updates() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let job = json!({"projectId": project, "spec": "@daily", "timezone": "UTC",
        "callbackUrl": TARGET, "labels": {"a": "b"}, "retryMax": 2, "jitter": 60});
    make(&api, job).await;
    let send = async |method: &str, tag: &str, body: &str| {
        api.send(method, "/api/v1/jobs/1", &[("if-match", tag)], body).await
    };
    let first = send("PATCH", "\"1\"", r#"{"data":"x"}"#).await;
    assert_eq!((first.status, first.header("etag")), (StatusCode::OK, "\"2\""));
    for (method, body) in [("PUT", "{}"), ("PATCH", "{}"), ("DELETE", "")] {
        let stale = send(method, "\"1\"", body).await;
        assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{method}");
        assert_eq!(stale.json["error"]["code"], "stale");
    }
    let kept = &api.get("/api/v1/jobs/1").await.json["data"];
    assert_eq!((&kept["labels"]["a"], &kept["jitter"]), (&json!("b"), &json!("1m")));
    let put = send("PUT", "*", r#"{"spec":"@hourly"}"#).await;
    let shown = &put.json["data"];
    assert_eq!((&shown["spec"], &shown["retryMax"]), (&json!("@hourly"), &json!(2)));
    assert!(shown.get("labels").is_none() && shown.get("jitter").is_none(), "{shown}");
    let cleared = send("PATCH", "\"3\"", r#"{"retryMax":null}"#).await;
    assert_eq!(cleared.json["data"]["retryMax"], 3, "the configuration's");
    assert_eq!(send("DELETE", "\"4\"", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(send("PATCH", "\"4\"", "{}").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_get_shows_is_no_change_when_it_is_put_back() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let jobs = [
        json!({"spec": "@daily", "timezone": "UTC", "jitter": "1h", "labels": {"a": "b"}}),
        json!({"spec": "@every 1m", "timezone": "UTC", "retryMax": 0, "startDate": "2090-01-01T00:00"}),
        json!({"at": "2090-01-01T09:00", "timezone": "Asia/Tokyo"}),
        json!({"after": "1h"}),
    ];
    for mut job in jobs {
        job["projectId"] = project.into();
        job["callbackUrl"] = TARGET.into();
        let path = format!("/api/v1/jobs/{}", make(&api, job).await["id"]);
        for _ in 0..2 {
            let shown = api.get(&path).await;
            let put = api.put(&path, shown.json["data"].clone()).await;
            assert_eq!((put.status, put.header("etag")), (StatusCode::OK, "\"1\""), "{}", put.json);
            assert_eq!(put.json["data"], shown.json["data"]);
        }
    }
    // The shown default does not become the job's own value: it follows the project.
    let path = format!("/api/v1/projects/{project}");
    let edit = api.send("PATCH", &path, &[], r#"{"retryMax": 7}"#).await;
    assert_eq!(edit.status, StatusCode::OK, "{}", edit.json);
    let of = async |job: u64| api.get(&format!("/api/v1/jobs/{job}")).await.json["data"].clone();
    assert_eq!((&of(1).await["retryMax"], &of(2).await["retryMax"]), (&json!(7), &json!(0)));
}

#[tokio::test]
async fn a_job_is_paused_resumed_and_run_out_of_turn() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let job = json!({"projectId": project, "spec": "@every 1m", "timezone": "UTC",
        "callbackUrl": TARGET});
    make(&api, job).await;
    let paused = api.post("/api/v1/jobs/1/pause", json!({"until": "2090-01-01T00:00:00Z"})).await;
    let shown = &paused.json["data"];
    assert_eq!(
        (&shown["status"], &shown["pauseUntil"]),
        (&json!("inactive"), &json!("2090-01-01T00:00:00Z"))
    );
    let next = shown["nextExecutionDate"].as_str().unwrap();
    assert!(next.starts_with("2090-01-01T00:00:"), "after the pause: {next}");
    let back = api.put("/api/v1/jobs/1", shown.clone()).await;
    assert_eq!(back.json["data"]["pauseUntil"], shown["pauseUntil"], "sent back, it is paused");
    let resumed = api.send("POST", "/jobs/1/resume", &[], "").await;
    assert_eq!(resumed.json["data"]["status"], "active");
    assert!(resumed.json["data"].get("pause_until").is_none());
    let paused = api.send("POST", "/jobs/1/pause", &[], "").await;
    assert_eq!(paused.json["data"]["status"], "inactive");
    assert!(paused.json["data"].get("next_execution_date").is_none());
    let past = api.post("/jobs/1/pause", json!({"until": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(field(&past), (422, "until"));

    let key = [("idempotency-key", "k")];
    let ran = api.send("POST", "/api/v1/jobs/1/run", &key, r#"{"force":true}"#).await;
    assert_eq!(ran.status, StatusCode::ACCEPTED);
    let id = ran.json["data"]["executionId"].as_str().unwrap();
    assert!(id.ends_with("-1") && ran.json["data"]["scheduledAt"].is_string(), "{id}");
    let again = api.send("POST", "/api/v1/jobs/1/run", &key, r#"{"force":true}"#).await;
    assert_eq!(again.json, ran.json, "the same request runs it once");
    let other = api.send("POST", "/jobs/1/run", &[], "").await;
    assert_ne!(other.json["data"]["execution_id"], id);
    for (path, body) in [("pause", "{}"), ("resume", ""), ("run", "{}")] {
        let missing = api.send("POST", &format!("/jobs/77/{path}"), &[], body).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(api.post("/jobs/1/run", json!({"force": "yes"})).await.status, 400);
}

#[tokio::test]
async fn a_job_by_the_clients_own_name_is_what_was_last_put() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let path = format!("/api/v1/projects/{project}/jobs/by-external-id/nightly%2Freport");
    let missing = api.get(&path).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let body = json!({"spec": "@daily", "timezone": "UTC", "callbackUrl": TARGET, "data": "x",
        "retryMax": 1});
    let made = api.put(&path, body.clone()).await;
    assert_eq!((made.status, made.header("etag")), (StatusCode::CREATED, "\"1\""));
    assert_eq!(made.json["data"]["externalId"], "nightly/report");
    let id = made.json["data"]["id"].clone();
    api.post(&format!("/jobs/{id}/pause"), json!({})).await;
    let body = json!({"spec": "@hourly", "timezone": "UTC", "callbackUrl": TARGET});
    let same = api.put(&path, body.clone()).await;
    assert_eq!(same.status, StatusCode::OK, "{}", same.json);
    let shown = &same.json["data"];
    assert_eq!(
        (&shown["id"], &shown["spec"], &shown["data"]),
        (&id, &json!("@hourly"), &json!(""))
    );
    assert_eq!((&shown["retryMax"], &shown["status"]), (&json!(3), &json!("inactive")));
    assert_eq!(api.get(&path).await.json["data"]["id"], id);

    let (one, two, three) = tokio::join!(
        api.put(&path, body.clone()),
        api.put(&path, body.clone()),
        api.put(&path, body.clone())
    );
    for answer in [one, two, three] {
        assert_eq!(answer.json["data"]["id"], id, "{}", answer.json);
    }
    let other = format!("/api/v1/projects/{project}/jobs/by-external-id/race");
    let (one, two) = tokio::join!(api.put(&other, body.clone()), api.put(&other, body.clone()));
    assert_eq!(one.json["data"]["id"], two.json["data"]["id"]);
    assert_ne!(one.status, two.status, "one made it, one found it");

    let twice = json!({"projectId": project, "externalId": "race", "spec": "@daily",
        "timezone": "UTC", "callbackUrl": TARGET});
    let taken = api.post("/api/v1/jobs", json!([twice])).await;
    assert_eq!(field(&taken), (409, "externalId"));
    assert_eq!(taken.json["error"]["index"], 0);
    for (body, wanted) in [
        (json!({"spec": "@daily"}), (400, "timezone")),
        (json!({"externalId": "x"}), (422, "externalId")),
        (json!({"projectId": project + 1}), (422, "projectId")),
    ] {
        assert_eq!(field(&api.put(&path, body.clone()).await), wanted, "{body}");
    }
    let stale = api.send("PUT", &path, &[("if-match", "\"1\"")], body.to_string()).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(api.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.delete(&path).await.status, StatusCode::NOT_FOUND);
    let nowhere = "/api/v1/projects/99/jobs/by-external-id/x";
    assert_eq!(field(&api.put(nowhere, body).await), (400, "projectId"));
}

#[tokio::test]
async fn jobs_are_found_by_label_status_and_name_and_changed_together() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let job = |i: usize| {
        let team = if i.is_multiple_of(3) { "a" } else { "b" };
        json!({"projectId": project, "spec": "@every 1h", "timezone": "UTC", "callbackUrl": TARGET,
            "labels": {"team": team, "tier": "x=y"}, "externalId": format!("job {i}")})
    };
    let jobs: Vec<_> = (0..1_500).map(job).collect();
    assert_eq!(api.post("/api/v1/jobs", json!(jobs)).await.status, StatusCode::ACCEPTED);
    let total = async |query: &str| {
        let list = api.get(&format!("/api/v1/jobs?limit=1&{query}")).await;
        list.json["data"]["total"].as_u64().unwrap_or(u64::from(list.status.as_u16()) * 1_000_000)
    };
    let act = async |what: &str, body: Value| {
        let done = api.post(&format!("/api/v1/jobs/{what}"), body).await.json["data"].clone();
        (done["matched"].as_u64().unwrap(), done["changed"].as_u64().unwrap())
    };
    assert_eq!(total("label=team=a").await, 500);
    assert_eq!(total("label=team%3Da&label=tier=x=y").await, 500);
    assert_eq!(total("label=team=c").await, 0);
    assert_eq!(total("externalId=job%207").await, 1);
    assert_eq!(total("label=team").await, 400_000_000);
    assert_eq!(total("status=asleep").await, 400_000_000);

    let team = json!({"labels": {"team": "b"}});
    assert_eq!(act("pause", json!({"filter": team, "dryRun": true})).await, (1_000, 0));
    assert_eq!(total("status=inactive").await, 0);
    let later = json!({"filter": team, "until": "2090-01-01T00:00:00Z"});
    assert_eq!(act("pause", later.clone()).await, (1_000, 1_000));
    assert_eq!(act("pause", later).await, (1_000, 0), "they are paused already");
    assert_eq!(total("status=inactive").await, 1_000);
    assert_eq!(total("status=active&label=team=a").await, 500);
    let one = json!({"filter": {"projectId": project, "externalIds": ["job 1", "job 2", "none"]}});
    assert_eq!(act("resume", one).await, (2, 2));
    assert_eq!(
        act("resume", json!({"filter": {"ids": [5, 6, 77_777], "status": "inactive"}})).await,
        (2, 2)
    );
    assert_eq!(act("delete", json!({"filter": {"status": "inactive"}})).await, (996, 996));
    assert_eq!(total("").await, 504);

    // Under an idempotency key it is done once, although the jobs have changed since.
    let key = [("idempotency-key", "once")];
    let body = json!({"filter": {"labels": {"team": "a"}}}).to_string();
    let pause = "/api/v1/jobs/pause";
    let first = api.send("POST", pause, &key, &body).await;
    assert_eq!(first.json["data"], json!({"matched": 500, "changed": 500, "dryRun": false}));
    assert_eq!(act("resume", json!({"all": true})).await, (504, 500));
    let again = api.send("POST", pause, &key, &body).await;
    assert_eq!((again.status, &again.json), (StatusCode::OK, &first.json));
    assert_eq!(total("status=inactive").await, 0);
    let other = api.send("POST", pause, &key, "{\"all\":true}").await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", other.json);

    for (body, wanted) in [
        (json!({}), (422, "filter")),
        (json!({"filter": {}}), (422, "filter")),
        (json!({"filter": {"label": "x"}}), (422, "filter")),
        (json!({"filter": {"ids": [1]}, "all": true}), (422, "all")),
        (json!({"filter": {"ids": [1]}, "until": "soon"}), (422, "until")),
    ] {
        let refused = api.post("/api/v1/jobs/pause", body.clone()).await;
        assert_eq!(field(&refused), wanted, "{body}");
    }
    assert_eq!(total("").await, 504);
    assert_eq!(act("delete", json!({"all": true})).await, (504, 504));
    assert_eq!(total("").await, 0);
}

/// The first answer may be lost and the second try come late. The job exists, so the second try
/// must succeed although the instant has passed.
#[tokio::test]
async fn a_one_off_that_was_made_is_shown_again_under_its_key_after_its_instant() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let at = now() + 2_000;
    let job = json!([{"projectId": project, "callbackUrl": TARGET, "at": rfc3339(at),
        "misfire": {"policy": "all", "grace": "1ms"}}])
    .to_string();
    let under = |key: &'static str| [("idempotency-key", key), ("prefer", "return=representation")];
    let made = api.send("POST", "/api/v1/jobs", &under("once"), &job).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let mut ticker = tokio::time::interval(Duration::from_millis(50));
    while now() <= at + 1 {
        ticker.tick().await;
    }
    let again = api.send("POST", "/api/v1/jobs", &under("once"), &job).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.json);
    assert_eq!(again.json["data"][0]["id"], made.json["data"][0]["id"]);
    let other = api.send("POST", "/api/v1/jobs", &under("another"), &job).await;
    assert_eq!(field(&other), (422, "at"));
}
