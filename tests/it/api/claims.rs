//! Claims and heartbeats of workers at the API: what they refuse and how they wait, and the lists
//! of queues and workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use scheduler0::clock::SystemClock;
use scheduler0::model::attempt::occurrence_id;
use scheduler0::model::run::Occurrence;
use scheduler0::model::run_id::run_id;
use scheduler0::store::meta;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture, poll_interval};

/// A queue of workers; its number.
async fn queue(api: &ApiFixture, name: &str, bus: &str) -> u64 {
    let mut settings = json!({"bus": bus});
    if bus == "rabbitmq" {
        settings["url"] = json!("amqp://me:secret@broker.example.com/");
    }
    let executor = json!({"name": name, "type": "worker", "worker": settings});
    let made = api.post("/api/v1/executors", executor).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    made.json["data"]["id"].as_u64().unwrap()
}

async fn cluster_id(api: &ApiFixture) -> u128 {
    api.cluster().read(meta::cluster_id).await.unwrap().unwrap()
}

async fn claim(api: &ApiFixture, body: Value) -> Answer {
    api.post("/api/v1/workers/claim", body).await
}

#[tokio::test]
async fn a_worker_claims_runs_with_what_it_needs_to_perform_them() {
    let api = ApiFixture::build().await;
    let emails = queue(&api, "emails", "embedded").await;
    let of = api.workers.offer((emails, "emails"), 77, "{\"to\":\"me\"}");
    let body = json!({"workerId": "w-1", "queues": ["emails", "emails"], "max": 10, "wait": "0s",
        "order": "strict", "key": "k", "colour": 1});
    let got = claim(&api, body).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.json);
    assert_eq!(got.header("x-scheduler0-warning"), "unknown fields were ignored: colour");
    let cluster = cluster_id(&api).await;
    let run = json!({
        "id": occurrence_id(cluster, of), "runId": run_id(cluster, of), "attempt": 3,
        "jobId": 77, "externalId": "mine", "projectId": 1, "queue": "emails",
        "scheduledAt": "2025-11-21T04:40:00Z", "dueAt": "2025-11-21T04:40:01Z",
        "data": "{\"to\":\"me\"}", "heartbeatTimeout": "1m",
    });
    assert_eq!(got.json["data"], json!({"runs": [run]}));
    let asked = api.workers.claims().pop().unwrap();
    assert_eq!((asked.worker.as_str(), asked.queues, asked.max), ("w-1", vec![emails], 10));
    assert_eq!(asked.key.as_deref(), Some("k"));

    let none = claim(&api, json!({"workerId": "w", "queues": ["emails"], "wait": 0})).await;
    assert_eq!((none.status, none.body.len()), (StatusCode::NO_CONTENT, 0));
    api.workers.offer((emails, "emails"), 78, "");
    let snake = api.post("/workers/claim", json!({"worker_id": "w", "queues": ["emails"]})).await;
    assert_eq!(snake.json["data"]["runs"][0]["job_id"], 78);
}

#[tokio::test]
async fn a_claim_waits_until_something_comes() {
    let api = Arc::new(ApiFixture::build().await);
    let emails = queue(&api, "emails", "embedded").await;
    let waits = tokio::spawn({
        let api = Arc::clone(&api);
        async move { claim(&api, json!({"workerId": "w", "queues": ["emails"], "wait": 60})).await }
    });
    waiting(&api, 1).await;
    assert!(!waits.is_finished());
    api.workers.offer((emails, "emails"), 77, "");
    let got = waits.await.unwrap();
    assert_eq!(got.json["data"]["runs"][0]["jobId"], 77, "{}", got.json);
}

/// Waits until so many claims wait.
async fn waiting(api: &ApiFixture, count: u64) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let queues = api.get("/api/v1/queues").await.json["data"]["queues"].clone();
        let waiting: u64 =
            queues.as_array().unwrap().iter().filter_map(|q| q["waitingClaims"].as_u64()).sum();
        if waiting == count {
            return;
        }
        assert!(Instant::now() < deadline, "{waiting} wait");
        poll_interval().await;
    }
}

#[tokio::test]
async fn thousands_of_claims_wait_and_the_api_still_answers() {
    let api = Arc::new(ApiFixture::build().await);
    let emails = queue(&api, "emails", "embedded").await;
    let body = json!({"workerId": "w", "queues": ["emails"], "wait": "60s"});
    let claims: Vec<_> = (0..5_000)
        .map(|_| {
            let (api, body) = (Arc::clone(&api), body.clone());
            tokio::spawn(async move { claim(&api, body).await.status })
        })
        .collect();
    waiting(&api, 5_000).await;
    // As many wait as may.
    let full = claim(&api, body.clone()).await;
    assert_eq!((full.status, full.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    for path in ["/projects", "/jobs", "/executions"] {
        assert_eq!(api.get(path).await.status, StatusCode::OK, "{path}");
    }
    api.project().await;
    // A claim that finds something needs no place to wait in.
    let heard = api.post("/workers/w/heartbeat", json!({"runs": [], "wait": 60})).await;
    assert_eq!(heard.status, StatusCode::OK);
    for job in 0..10 {
        api.workers.offer((emails, "emails"), job, "");
    }
    waiting(&api, 4_990).await;
    // The clients go.
    claims.iter().for_each(tokio::task::JoinHandle::abort);
    waiting(&api, 0).await;
}

#[tokio::test]
async fn a_node_that_stops_lets_its_claims_go() {
    let api = Arc::new(ApiFixture::build().await);
    queue(&api, "emails", "embedded").await;
    let claims = [0; 3].map(|_| {
        let api = Arc::clone(&api);
        tokio::spawn(
            async move { claim(&api, json!({"workerId": "w", "queues": ["emails"]})).await },
        )
    });
    waiting(&api, 3).await;
    api.gateway.stop();
    for claim in claims {
        assert_eq!(claim.await.unwrap().status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_claim_that_cannot_be_is_refused_with_the_reason() {
    let api = ApiFixture::build().await;
    queue(&api, "emails", "embedded").await;
    queue(&api, "letters", "rabbitmq").await;
    let hook = json!({"name": "hook", "type": "webhook_url", "webhookUrl": "https://example.com/"});
    assert_eq!(api.post("/executors", hook).await.status, StatusCode::CREATED);
    let of = |queue: &str| json!({"workerId": "w", "queues": [queue], "wait": 0});
    for (body, status, says) in [
        (of("nobody"), 404, "there is no queue nobody"),
        (of("hook"), 404, "there is no queue hook"),
        (of("letters"), 409, "whose bus is embedded"),
        (json!({"queues": ["emails"]}), 400, "workerId must be 1 to 255 bytes"),
        (json!({"workerId": "w"}), 400, "queues must be a list"),
        (json!({"workerId": "w", "queues": ["emails"], "max": 0}), 400, "max must be from 1"),
        (
            json!({"workerId": "w", "queues": ["emails"], "wait": "61s"}),
            400,
            "wait must be from 0s",
        ),
        (json!({"workerId": "w", "queues": ["emails"], "order": "any"}), 400, "order must be fair"),
        (json!([]), 422, "must be a JSON object"),
    ] {
        let refused = claim(&api, body.clone()).await;
        assert_eq!(refused.status, StatusCode::from_u16(status).unwrap(), "{body}");
        let text = String::from_utf8_lossy(&refused.body);
        assert!(text.contains(says), "{body}: {text}");
    }
    assert!(api.workers.claims().is_empty());
}

#[tokio::test]
async fn a_heartbeat_tells_of_runs_and_hears_what_to_stop() {
    let api = ApiFixture::build().await;
    api.own_first_shard().await;
    let cluster = cluster_id(&api).await;
    let of = |job| Occurrence { job, scheduled: 1_763_700_000_000, run: 0 };
    api.workers.forget(of(2));
    let foreign = occurrence_id(cluster ^ (1 << 120), of(1));
    let body = json!({"runs": [
        {"id": occurrence_id(cluster, of(1)), "attempt": 3, "progress": 40, "message": "half"},
        {"id": run_id(cluster, of(2)), "attempt": 1},
        {"id": foreign, "attempt": 1},
        {"id": run_id(cluster, Occurrence { run: 9, ..of(3) }), "attempt": 1},
    ]});
    let heard = api.post("/api/v1/workers/w-1/heartbeat", body).await;
    assert_eq!(heard.status, StatusCode::OK, "{}", heard.json);
    let manual = run_id(cluster, Occurrence { run: 9, ..of(3) });
    let unknown = json!([manual, run_id(cluster, of(2))]);
    assert_eq!(heard.json["data"], json!({"cancel": [], "gone": [foreign], "unknown": unknown}));
    let beat = api.workers.beats().pop().unwrap();
    let told: Vec<_> =
        beat.runs.iter().map(|run| (run.occurrence, run.attempt, run.progress)).collect();
    assert_eq!((beat.worker.as_str(), told), ("w-1", vec![(of(1), 3, Some(40)), (of(2), 1, None)]));

    let run = |run: Value| json!({"runs": [run]});
    for (body, says) in [
        (run(json!({"id": "x", "attempt": 1})), "is none of a run"),
        (run(json!({"attempt": 1})), "id is missing"),
        (run(json!({"id": manual})), "attempt must be the number"),
        (run(json!({"id": manual, "attempt": 1, "progress": 101})), "progress must be from 0"),
        (json!({"runs": 7}), "runs must be a list"),
        (json!({"runs": [], "wait": "2m"}), "wait must be from 0s to 1m"),
    ] {
        let refused = api.post("/workers/w/heartbeat", body.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        let text = String::from_utf8_lossy(&refused.body);
        assert!(text.contains(says), "{body}: {text}");
    }
    let long = format!("/workers/{}/heartbeat", "x".repeat(256));
    assert_eq!(api.post(&long, json!({})).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn queues_and_workers_are_listed() {
    let api = ApiFixture::build().await;
    let (emails, _) = (queue(&api, "emails", "embedded").await, queue(&api, "b", "rabbitmq").await);
    api.workers.offer((emails, "emails"), 1, "");
    api.workers.offer((emails, "emails"), 2, "");
    claim(&api, json!({"workerId": "w-1", "queues": ["emails"], "wait": 0})).await;
    api.post("/workers/w-2/heartbeat", json!({"runs": []})).await;
    let queues = api.get("/api/v1/queues").await.json["data"].clone();
    let shown = json!({"total": 2, "offset": 0, "limit": 50, "queues": [
        {"id": 2, "name": "b", "bus": "rabbitmq", "offers": 0, "taken": 0, "waitingClaims": 0},
        {"id": 1, "name": "emails", "bus": "embedded", "offers": 1, "taken": 7,
            "waitingClaims": 0, "oldestOfferAt": "2025-11-21T04:40:01Z"},
    ]});
    assert_eq!(queues, shown);
    let page = api.get("/queues?limit=1&offset=1").await.json["data"]["queues"].clone();
    assert_eq!((page.as_array().unwrap().len(), &page[0]["name"]), (1, &json!("emails")));
    let mut workers = api.get("/api/v1/workers").await.json["data"].clone();
    assert!(workers["workers"][0]["seenAt"].take().is_string());
    assert!(workers["workers"][1]["seenAt"].take().is_string());
    let shown = json!({"total": 2, "offset": 0, "limit": 50, "workers": [
        {"workerId": "w-1", "nodeId": 1, "queues": ["emails"], "seenAt": null},
        {"workerId": "w-2", "nodeId": 1, "queues": [], "runs": 0, "seenAt": null},
    ]});
    assert_eq!(workers, shown);
    assert_eq!(api.get("/workers?queue=x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn before_the_first_queue_a_claim_is_told_that_there_is_none() {
    // A node alone raises its level as soon as somebody needs that; a queue is the first who does.
    let api = ApiFixture::build_at_level(Arc::new(SystemClock), 3).await;
    let refused = claim(&api, json!({"workerId": "w", "queues": ["emails"], "wait": 0})).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "no queue can exist: {}", refused.json);
}
