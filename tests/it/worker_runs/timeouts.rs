//! Timeouts of runs: who takes too long is told to stop, and what nobody begins in time ends.

use serde_json::{Value, json};

use super::fixture::QueueCluster;

/// The origins of a run's attempts.
fn origins(run: &Value) -> Vec<&str> {
    run["attempts"].as_array().unwrap().iter().map(|one| one["how"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_cancelled_or_tried_again() {
    let fixture = QueueCluster::start(1).await;
    let terms = json!({"after": "1s", "runTimeout": "1s", "retryOn": []});
    fixture.create(terms).await;
    let run = fixture.claim(1, "slow").await;
    // Its heartbeats do not help it.
    fixture.hears(1, "slow", &run, |heard| heard.cancel == [run.id.clone()]).await;
    fixture.becomes(&run.id, "cancelling").await;
    assert_eq!(fixture.report(1, "slow", &run, "cancelled").await.0, 200);
    let shown = fixture.becomes(&run.id, "cancelled").await;
    assert_eq!(origins(&shown), ["timed_out"], "{shown}");

    let terms = json!({"after": "1s", "runTimeout": "1s", "retryOn": ["timeout"], "retryMax": 1,
                       "retryDelay": "200ms"});
    fixture.create(terms).await;
    let run = fixture.claim(1, "slow").await;
    fixture.hears(1, "slow", &run, |heard| !heard.cancel.is_empty()).await;
    assert_eq!(fixture.report(1, "slow", &run, "cancelled").await.0, 200);
    let again = fixture.claim(1, "quick").await;
    assert_eq!((&again.id, again.attempt), (&run.id, 2));
    assert_eq!(fixture.report(1, "quick", &again, "complete").await.0, 200);
    let shown = fixture.becomes(&run.id, "completed").await;
    assert_eq!(origins(&shown), ["timed_out", "reported"], "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_begins_in_time_ends() {
    let fixture = QueueCluster::start(1).await;
    let job = fixture.create(json!({"after": "1s", "startTimeout": "1s"})).await;
    let ended = fixture.has_runs(job, "cancelled", 1).await;
    assert_eq!(ended[0]["reason"], "not_started", "{ended:?}");
    assert!(ended[0].get("startedAt").is_none() && ended[0].get("worker").is_none(), "{ended:?}");
    assert!(fixture.ask(1, "late", 10, "0s").await.is_empty(), "nobody gets it any more");
    let (status, told) = fixture.cancel(1, ended[0]["id"].as_str().unwrap()).await;
    assert_eq!((status, &told["data"]["state"]), (200, &json!("cancelled")), "{told}");
}
