//! The API of a single node, asked through its router: the requests that each route accepts and
//! refuses, and its answers.

mod accounts;
mod amqp;
mod amqp_changes;
mod audit;
mod bad;
mod bulk_edit;
mod claims;
mod conditions;
mod credentials;
mod dead_letters;
mod events;
mod executions;
mod executors;
mod explain;
mod forecast;
mod instances;
mod jobs;
mod key_terms;
mod late_reports;
mod openapi;
mod pages;
mod patch;
mod projects;
mod queries;
mod rates;
mod rules;
mod run_notices;
mod run_reports;
mod runs;
mod schedules;
mod scopes;
mod template_bounds;
mod templates;
mod warnings;
mod whoami;
mod workers;

use axum::http::StatusCode;
use scheduler0::app::cluster_admin::members::Step;
use scheduler0::app::{Actor, Error, ErrorKind};
use scheduler0::auth::Caller;
use scheduler0::model::scope::Scopes;
use scheduler0::model::time::parse_rfc3339;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture};

/// A job as the program in the README sends it.
fn job(project: u64, data: &str) -> Value {
    json!({
        "spec": "@every 1m", "project_id": project, "execution_type": "http", "data": data,
        "timezone": "America/New_York", "callback_url": "http://localhost:3000/callback",
    })
}

/// The next scheduled instant of a job.
async fn next_of(api: &ApiFixture, id: u64) -> i64 {
    let shown = api.get(&format!("/jobs/{id}")).await.json["data"].clone();
    parse_rfc3339(shown["next_execution_date"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_project_is_the_same_under_three_prefixes() {
    let api = ApiFixture::build().await;
    let made = api
        .post("/projects", json!({"name": "sample project", "description": "d", "colour": 1}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.header("x-scheduler0-warning"), "unknown fields were ignored: colour");
    assert_eq!(made.json["success"], true);
    let id = made.json["data"]["id"].as_u64().unwrap();
    assert!(made.json["data"]["date_created"].as_str().unwrap().ends_with('Z'));
    for (prefix, created) in
        [("", "date_created"), ("/v1", "dateCreated"), ("/api/v1", "dateCreated")]
    {
        let one = api.get(&format!("{prefix}/projects/{id}?consistency=linearizable")).await;
        assert_eq!(one.json["data"]["name"], "sample project", "{prefix}");
        assert!(one.json["data"][created].is_string(), "{prefix}");
        let list = api.get(&format!("{prefix}/projects")).await;
        let data = &list.json["data"];
        assert_eq!(
            (&data["total"], &data["limit"], &data["offset"]),
            (&json!(1), &json!(50), &json!(0)),
            "{prefix}"
        );
        let empty = api.get(&format!("{prefix}/projects?limit=5&offset=5")).await;
        assert_eq!(empty.json["data"]["projects"], json!([]), "{prefix}");
    }
    let twice = api.post("/projects", json!({"name": "sample project", "description": "d"})).await;
    assert_eq!(
        (twice.status, &twice.json["error"]["code"]),
        (StatusCode::CONFLICT, &json!("conflict"))
    );
    let body = json!({"description": "new", "modifiedBy": "me"});
    let changed = api.put(&format!("/api/v1/projects/{id}"), body).await;
    assert_eq!(changed.json["data"]["description"], "new");
    assert_eq!(changed.json["data"]["modifiedBy"], "me");

    assert_eq!(api.post("/jobs", job(id, "")).await.status, StatusCode::ACCEPTED);
    let kept = api.delete(&format!("/projects/{id}")).await;
    assert_eq!(kept.status, StatusCode::CONFLICT);
    assert_eq!(kept.json["data"], "cannot delete project with jobs");
    assert!(kept.json["error"]["message"].as_str().unwrap().contains("cascade=true"));
    let gone = api.delete(&format!("/projects/{id}?cascade=true")).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0));
    let missing = api.get(&format!("/projects/{id}")).await;
    assert_eq!(missing.json["data"], "project does not exist");
}

#[tokio::test]
async fn jobs_are_created_listed_changed_and_deleted() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let batch = json!([job(project, "{\"jobId\":0}"), job(project, "{\"jobId\":1}")]);
    let made = api.post("/jobs", batch).await;
    assert_eq!(made.status, StatusCode::ACCEPTED);
    let location = made.header("location").to_owned();
    assert!(location.starts_with("/async-tasks/"), "{location}");
    let task = api.get(&location).await;
    assert_eq!(
        task.json["data"]["id"], made.json["data"][0],
        "at / it is a list with the task's id"
    );
    assert_eq!(task.json["data"]["state"], 2);
    assert_eq!(task.json["data"]["service"], "create_job");
    assert_eq!(
        format!("/async-tasks/{}", task.json["data"]["requestId"].as_str().unwrap()),
        location
    );
    let output: Value =
        serde_json::from_str(task.json["data"]["output"].as_str().unwrap()).unwrap();
    assert_eq!(output[1]["data"], "{\"jobId\":1}");
    assert_eq!(output[0]["project_id"], project);

    let one = api.get("/jobs/1").await;
    let shown = &one.json["data"];
    assert_eq!(shown["callback_url"], "http://localhost:3000/callback");
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["retry_max"], 3);
    assert!(matches!(shown["timezoneOffset"].as_i64(), Some(-18_000 | -14_400)), "{shown}");
    assert!(shown["next_execution_date"].as_str() > shown["date_created"].as_str());
    let camel = api.get("/api/v1/jobs/1").await;
    assert!(camel.json["data"]["nextExecutionDate"].is_string());

    let third = api.post(
        "/api/v1/jobs",
        json!({"projectId": project, "spec": "0 9 * * *",
        "timezone": "Europe/Berlin", "callbackUrl": "http://localhost:1/", "data": {"a": [1]}}),
    );
    let third = third.await;
    let request = third.json["data"].as_str().unwrap();
    assert_eq!(third.header("location"), format!("/api/v1/async-tasks/{request}"));
    assert_eq!(api.get("/jobs/3").await.json["data"]["data"], "{\"a\":[1]}");

    for (query, ids) in [
        ("", vec![1, 2, 3]),
        ("?limit=1&offset=1", vec![2]),
        ("?orderBy=id&orderByDirection=desc&limit=2", vec![3, 2]),
        ("?order_by=date_created&order_by_direction=DESC", vec![3, 2, 1]),
        ("?project_id=77", vec![]),
        ("?status=inactive", vec![]),
    ] {
        let list = api.get(&format!("/jobs{query}")).await;
        let found: Vec<_> = list.json["data"]["jobs"].as_array().unwrap().iter().collect();
        let found: Vec<_> = found.iter().map(|j| j["id"].as_u64().unwrap()).collect();
        assert_eq!(found, ids, "{query}");
    }

    let body = json!({"spec": "@every 5s", "status": "inactive", "modified_by": "me"});
    let changed = api.put("/jobs/2", body).await;
    assert_eq!(changed.status, StatusCode::OK);
    let shown = &changed.json["data"];
    assert_eq!((&shown["spec"], &shown["status"]), (&json!("@every 5s"), &json!("inactive")));
    assert_eq!(shown["data"], "{\"jobId\":1}", "what is not named stays");
    assert!(shown.get("next_execution_date").is_none(), "a paused job has no next run");
    let whole = api.get("/jobs/2").await.json["data"].clone();
    let again = api.put("/jobs/2", whole).await;
    assert_eq!(again.status, StatusCode::OK, "what a GET shows can be sent back");
    assert!(again.headers.get("x-scheduler0-warning").is_none());

    let gone = api.send("DELETE", "/jobs/2", &[], "{\"deletedBy\":\"me\"}").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(api.get("/jobs/2").await.json["data"], "job cannot be found");
    assert_eq!(api.delete("/jobs/2").await.status, StatusCode::NOT_FOUND);
    let left: Value =
        serde_json::from_str(api.get(&location).await.json["data"]["output"].as_str().unwrap())
            .unwrap();
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_large_request_is_all_or_nothing_and_in_order() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let jobs: Vec<_> = (0..2_500).map(|i| job(project, &i.to_string())).collect();
    let prefer = [("prefer", "return=representation")];
    let made = api.send("POST", "/jobs", &prefer, &json!(jobs).to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.header("preference-applied"), "return=representation");
    let list = made.json["data"].as_array().unwrap();
    assert_eq!(list.len(), 2_500);
    for (i, job) in list.iter().enumerate() {
        assert_eq!(
            (job["id"].as_u64(), job["data"].as_str()),
            (Some(i as u64 + 1), Some(&*i.to_string()))
        );
    }

    let mut jobs: Vec<_> = (0..2_500).map(|i| job(project, &i.to_string())).collect();
    jobs[1_700] = job(999, "");
    let refused = api.post("/jobs", json!(jobs)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.json["data"].as_str().unwrap().contains("999"), "{}", refused.json);
    assert_eq!(refused.json["error"]["index"], 1_700);
    assert_eq!(refused.json["error"]["field"], "project_id");
    jobs[1_700] = json!({"spec": "* * *"});
    let refused = api.post("/api/v1/jobs", json!(jobs)).await;
    assert_eq!(refused.json["error"]["index"], 1_700);
    assert_eq!(api.get("/jobs?limit=1").await.json["data"]["total"], 2_500);
}

#[tokio::test]
async fn the_same_key_does_a_thing_once() {
    let api = ApiFixture::build().await;
    let key = [("idempotency-key", "k1")];
    let project = json!({"name": "p", "description": "d"}).to_string();
    let first = api.send("POST", "/projects", &key, &project).await;
    let second = api.send("POST", "/v1/projects", &key, &project).await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.json["data"]["id"], second.json["data"]["id"]);
    let other = api.send("POST", "/projects", &key, "{\"name\":\"q\",\"description\":\"d\"}").await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.json["error"]["code"], "idempotency_key_reused");

    let project = first.json["data"]["id"].as_u64().unwrap();
    for (n, key) in [(3, "small"), (1_500, "staged")] {
        let key = [("idempotency-key", key)];
        let jobs: Vec<_> = (0..n).map(|_| job(project, "")).collect();
        let body = json!(jobs).to_string();
        let first = api.send("POST", "/jobs", &key, &body).await;
        let second = api.send("POST", "/jobs", &key, &body).await;
        assert_eq!(first.status, StatusCode::ACCEPTED);
        assert_eq!(first.header("location"), second.header("location"), "{n}");
        assert_eq!(first.json, second.json, "{n}");
        let other = api.send("POST", "/jobs", &key, &json!(jobs[1..]).to_string()).await;
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{n}");
    }
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 1_503);

    let first = api.send("POST", "/credentials", &key, "{}").await;
    let second = api.send("POST", "/credentials", &key, "{}").await;
    assert!(first.json["data"]["api_secret"].is_string());
    assert_eq!(first.json["data"], second.json["data"], "the same secret, although it is not kept");
    assert_eq!(api.send("POST", "/projects", &[("idempotency-key", "")], "{}").await.status, 400);
}

#[tokio::test]
async fn operators_see_health_status_and_metrics() {
    let api = ApiFixture::build().await;
    let health = api.send_bare("GET", "/healthcheck", &[], "").await;
    assert_eq!(health.json["data"]["leader_id"], "1");
    assert_eq!(health.json["data"]["raft_stats"]["state"], "Leader");
    let camel = api.send_bare("GET", "/api/v1/healthcheck", &[], "").await;
    assert_eq!(
        camel.json["data"]["raftStats"]["num_peers"],
        health.json["data"]["raft_stats"]["num_peers"]
    );
    for path in ["/livez", "/readyz"] {
        assert_eq!(api.send_bare("GET", path, &[], "").await.status, StatusCode::OK, "{path}");
    }
    api.pressure.set_journal(Some("9 bytes free on the disk".to_owned()));
    let ready = api.send_bare("GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "it fires nothing");
    let why = String::from_utf8_lossy(&ready.body);
    assert!(why.contains("journal") && why.contains("9 bytes free on the disk"), "{why}");
    api.pressure.set_journal(None);
    let metrics = api.send_bare("GET", "/metrics", &[], "").await;
    let text = String::from_utf8(metrics.body).unwrap();
    let line = "scheduler0_http_requests_total{method=\"GET\",route=\"/livez\",status=\"200\"} 1";
    assert!(text.contains(line), "{text}");
    let status = api.get("/api/v1/cluster/status").await;
    assert_eq!(status.json["data"]["ttlMs"], 4_000);
    assert_eq!(api.get("/cluster/status").await.json["data"]["ttl_ms"], 4_000);
    let sum = api.post("/cluster/checksum", json!({})).await;
    assert_eq!(sum.status, StatusCode::SERVICE_UNAVAILABLE, "this node has no source for it");
    let echo = api.send_bare("POST", "/dev/echo", &[], "[1,2]").await;
    assert_eq!(echo.json["data"]["received"], 5);
    let totals = api.get("/api/v1/executions/totals").await;
    assert_eq!(
        totals.json["data"],
        json!({"accountId": 0, "scheduled": 0, "success": 0, "failed": 0})
    );
    let hours = api.get("/executions/analytics?startDate=2026-11-20&startTime=10:00&endDate=2026-11-20&endTime=12:00:00").await;
    let points = hours.json["data"]["points"].as_array().unwrap();
    let times: Vec<_> = points.iter().map(|p| p["time"].as_str().unwrap()).collect();
    assert_eq!((times.len(), times[0], times[120]), (121, "10:00:00", "12:00:00"));
    let none = api.get("/executions?state=1").await;
    assert_eq!(none.json["data"]["executions"], json!([]));
}

#[tokio::test]
async fn a_node_short_of_memory_or_disk_refuses_writes_and_goes_on_reading() {
    let api = ApiFixture::build().await;
    let project = json!({"name": "p", "description": "d"});
    let status =
        |answer: &Answer| (answer.status.as_u16(), answer.headers.contains_key("retry-after"));
    api.pressure.set_memory(true);
    assert_eq!(status(&api.post("/projects", project.clone()).await), (503, true));
    api.pressure.set_disk(true);
    assert_eq!(status(&api.post("/projects", project.clone()).await), (507, true));
    assert_eq!(api.get("/projects").await.status, StatusCode::OK);
    api.pressure.set_disk(false);
    api.pressure.set_memory(false);
    assert_eq!(api.post("/projects", project).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn use_cases_of_the_cluster_refuse_a_client_whoever_calls_them() {
    let api = ApiFixture::build().await;
    let scopes = Scopes::OF_KEYS;
    let (app, client) = (&api.app, Actor::from(Caller::client_of_all(1, 1, scopes)));
    let step = Step::Transfer(None);
    let refused: [(&str, Option<Error>); 8] = [
        ("status", app.get_status(&client).await.err()),
        ("checksums", app.compare_checksums(&client).await.err()),
        ("members", app.list_members(&client).await.err()),
        ("step", app.change_members(&client, step).await.err()),
        ("download", app.download_backup(&client).await.err()),
        ("backup", app.store_backup(&client).await.err()),
        ("inspection", app.inspect_backup(&client, "a.db".to_owned()).await.err()),
        ("progress", app.backup_progress(&client).err()),
    ];
    for (name, error) in refused {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::MissingScopes), "{name}");
    }
    let operator = Actor::from(Caller::Operator);
    assert!(app.get_status(&operator).await.is_ok() && app.backup_progress(&operator).is_ok());
}
