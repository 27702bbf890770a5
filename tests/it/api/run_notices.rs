//! What the owner of a worker's run hears of reports and heartbeats, and the answers to those that
//! come before their run does.

use std::sync::Arc;

use scheduler0::model::execution_id::occurrence_id;
use scheduler0::model::run::Occurrence;
use scheduler0::model::run_report::Said;
use scheduler0::store::meta;
use serde_json::{Value, json};

use crate::harness::{LIMIT, RunsFixture, poll_interval};

async fn id(runs: &RunsFixture, of: Occurrence) -> String {
    let cluster = runs.api.cluster().read(meta::cluster_id).await.unwrap().unwrap();
    occurrence_id(cluster, of)
}

/// Reports of one run as worker `w`; the answer.
async fn report(runs: &RunsFixture, id: &str, state: &str) -> Value {
    let body = json!({"reports": [{"id": id, "state": state, "attempt": 1}]});
    let told = runs.api.post("/api/v1/workers/w/report", body).await;
    told.json["data"]["reports"][0].clone()
}

#[tokio::test]
async fn a_heartbeat_by_the_older_route_goes_to_the_owner() {
    let mut runs = RunsFixture::new().await;
    let of = runs.of(1, 0);
    runs.take(of, "w").await;
    let shown = runs.api.get(&format!("/api/v1/runs/{}", id(&runs, of).await)).await;
    let (id, run_id) = (&shown.json["data"]["id"], &shown.json["data"]["runId"]);
    let path = format!("/api/v1/executions/{}/heartbeat", run_id.as_str().unwrap());
    let told = runs.api.post(&path, json!({})).await;
    assert_eq!((told.status.as_u16(), &told.json["data"]["state"]), (200, &json!("running")));
    assert_eq!(&told.json["data"]["executionId"], id, "by whichever id it was named");
    let beats = runs.api.workers.beats();
    let heard = |worker: &str| {
        let mut own = beats.iter().filter(|beat| beat.worker == worker);
        own.any(|beat| beat.runs.iter().any(|run| (run.occurrence, run.attempt) == (of, 1)))
    };
    assert!(heard("w"), "{beats:?}");
    // Its owner does not know it: the heartbeat does not count.
    runs.api.workers.forget(of);
    assert_eq!(runs.api.post(&path, json!({})).await.status, 503);
    runs.say(of, Said::Cancel { by: None }).await;
    let told = runs.api.post(&path, json!({})).await;
    assert_eq!((told.status.as_u16(), &told.json["data"]["state"]), (200, &json!("cancelling")));
    runs.say(of, Said::Cancelled).await;
    assert_eq!(runs.api.post(&path, json!({})).await.status, 409);
}

#[tokio::test]
async fn a_begin_that_changes_nothing_is_a_sign_of_life_too() {
    let mut runs = RunsFixture::new().await;
    let of = runs.of(1, 0);
    runs.take(of, "w").await;
    let answer = report(&runs, &id(&runs, of).await, "running").await;
    assert_eq!((&answer["status"], &answer["state"]), (&json!(200), &json!("running")));
    let owner = runs.api.workers.clone();
    let heard = async {
        while !owner.reports().iter().any(|told| told.occurrence == of && !told.ends) {
            poll_interval().await;
        }
    };
    tokio::time::timeout(LIMIT, heard).await.unwrap();
}

#[tokio::test]
async fn a_begin_of_what_nobody_claimed_is_answered_with_its_state() {
    let mut runs = RunsFixture::new().await;
    let of = runs.of(1, 0);
    runs.offer(of).await;
    let answer = report(&runs, &id(&runs, of).await, "running").await;
    assert_eq!((&answer["status"], &answer["state"]), (&json!(404), &json!("pending")));
}

#[tokio::test]
async fn reports_on_late_occurrences_of_queues_wait_for_their_records() {
    let mut runs = RunsFixture::at_a_standstill().await;
    let now = runs.api.app.now() / 1_000 * 1_000;
    let late = |job| Occurrence { job, scheduled: now - 48 * 3_600_000, run: 0 };
    let (one, two) = (id(&runs, late(1)).await, id(&runs, late(2)).await);
    let reports = [&one, &two].map(|id| json!({"id": id, "state": "completed", "attempt": 1}));
    let api = Arc::clone(&runs.api);
    let body = json!({"reports": reports});
    let told = tokio::spawn(async move { api.post("/api/v1/workers/w/report", body).await });
    poll_interval().await;
    for job in [1, 2] {
        runs.take(late(job), "w").await;
    }
    let told = tokio::time::timeout(LIMIT, told).await.unwrap().unwrap();
    for answer in told.json["data"]["reports"].as_array().unwrap() {
        assert_eq!((&answer["status"], &answer["state"]), (&json!(200), &json!("completed")));
    }
}
