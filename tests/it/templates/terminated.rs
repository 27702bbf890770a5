//! Jobs that are ended before their time: what waits is never sent, and a receiver that works on
//! one hears of it at its next report.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::fixture::Templates;
use crate::harness::{PATIENCE, TestCluster};

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_works_on_an_instance_hears_that_it_was_ended() {
    let fixture = Templates::start(1).await;
    let accepts = |_: &crate::harness::Request| {
        Some((StatusCode::ACCEPTED, [("scheduler-async", "true")]).into_response())
    };
    fixture.receiver.script(accepts);
    let again = json!({"userTriggered": false, "rescheduleAfterTermination": true});
    let template = fixture.template("long", again).await;
    let first = fixture.instances(1, template, "live").await[0];
    let path = format!("/api/v1/runs?jobId={first}&state=running");
    let running = async |cluster: &TestCluster| {
        let list = cluster.get(1, &path).await;
        list["runs"][0]["id"].as_str().map(str::to_owned)
    };
    let execution = fixture.cluster.wait_until("it runs", running).await;
    let beat = format!("/executions/{execution}/heartbeat");
    let (status, told) = fixture.cluster.post(1, &beat, &json!({})).await;
    assert_eq!(status, 200, "{told}");
    let end = format!("/api/v1/jobs/{first}/terminate");
    let (status, ended) = fixture.cluster.post(1, &end, &json!({"reason": "enough"})).await;
    assert_eq!((status, &ended["data"]["status"]), (200, &json!("completed")), "{ended}");
    let (status, told) = fixture.cluster.post(1, &beat, &json!({})).await;
    assert_eq!(status, 409, "{told}");
    assert!(told.to_string().contains("cancelled"), "{told}");
    fixture.next_after(1, template, first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_never_sent_after_its_end() {
    let fixture = Templates::start(1).await;
    let template = fixture.template("later", json!({})).await;
    let soon = json!({"payload": {"n": 1}, "startInSeconds": 3});
    let (ended, other) =
        (fixture.instance(template, soon.clone()).await, fixture.instance(template, soon).await);
    let path = format!("/api/v1/jobs/{ended}/terminate");
    let (status, told) = fixture.cluster.post(1, &path, &json!({})).await;
    assert_eq!(status, 200, "{told}");
    // The other one is due at the same instant.
    let shown = format!("/api/v1/jobs/{other}");
    let over = async |cluster: &TestCluster| {
        (cluster.get(1, &shown).await["status"] == "completed").then_some(())
    };
    fixture.cluster.wait_until("the other one was sent", over).await;
    assert_eq!(fixture.receiver.requests().len(), 1, "within {PATIENCE:?}");
}
