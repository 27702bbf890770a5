//! Waits that a receiver asked for, and batches whose last attempt fails, as the API and the
//! command line show them afterwards.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use scheduler0::model::time::rfc3339;
use serde_json::{Value, json};

use crate::harness::{Receiver, Request, TestCluster, now};

async fn start() -> (Receiver, TestCluster, u64) {
    let receiver = Receiver::start().await;
    let settings = [("SCHEDULER0_EXECUTION_LOG_FETCH_INTERVAL_SECONDS", "0.2")];
    let cluster = TestCluster::start_with(1, &settings).await;
    let project = cluster.project(1, "waits").await;
    (receiver, cluster, project)
}

/// The executions of a project, once there are `count`.
async fn executions(cluster: &TestCluster, project: u64, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/executions?projectId={project}&limit=100");
    cluster
        .wait_until("all is recorded", async |cluster: &TestCluster| {
            let page = cluster.get(1, &path).await;
            let found = page["executions"].as_array()?.clone();
            (found.len() >= count).then_some(found)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_wait_that_a_receiver_asked_for_is_shown_everywhere() {
    let (receiver, mut cluster, project) = start().await;
    let open = now() + 1_500;
    receiver.script(move |_| {
        let busy = (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "2")]).into_response();
        (now() < open).then_some(busy)
    });
    let at = rfc3339(now() / 1_000 * 1_000);
    let job = json!({"projectId": project, "at": at, "retryMax": 0,
        "http": {"url": receiver.at("/one")}});
    let job = cluster.jobs(1, &json!([job])).await[0]["id"].as_u64().unwrap();
    let pending = format!("/api/v1/jobs/{job}/explain?at=");
    let host = receiver.url();
    let host = host.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let waits = cluster
        .wait_until("the wait is recorded", async |cluster: &TestCluster| {
            let found = cluster.get(1, &format!("{pending}{at}")).await;
            let waits = found["occurrence"]["pending"]["waitsFor"].as_str()?.to_owned();
            Some((waits, found["summary"].as_str()?.to_owned()))
        })
        .await;
    assert_eq!(waits.0, format!("asked to wait by {host}"));
    assert!(waits.1.ends_with(&waits.0), "{waits:?}");
    let done = executions(&cluster, project, 1).await.remove(0);
    assert_eq!((&done["status"], &done["attempt"]), (&json!("delivered"), &json!(1)));
    let waited = done["waited"].as_str().unwrap().to_owned();
    let why = format!(": was asked to wait by {host}");
    assert!(waited.starts_with("waited ") && waited.ends_with(&why), "{waited}");
    // It is recorded, so a restart does not change it.
    assert_eq!(cluster.stop(1).await, Some(0));
    cluster.restart(1).await;
    let path = format!("/api/v1/executions/{}", done["executionId"].as_str().unwrap());
    let one = cluster.get(1, &path).await;
    assert_eq!(one["attempts"][0]["waited"], waited.as_str());
    let found = cluster.get(1, &format!("{pending}{at}")).await;
    assert!(found["summary"].as_str().unwrap().contains(&waited), "{}", found["summary"]);
    let said = cluster.command(1).args(["list", "executions", "-o", "table"]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&waited), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_job_is_the_only_dead_letter_of_its_batch() {
    let (receiver, cluster, project) = start().await;
    receiver.script(|request: &Request| {
        let poison = request.jobs.iter().any(|job| job["data"] == "poison");
        poison.then(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    });
    let job = |n: usize| {
        let data = if n == 17 { "poison" } else { "fine" };
        json!({"projectId": project, "after": "1s", "callbackUrl": receiver.url(), "data": data,
            "retryMax": 1, "retryDelay": "200ms", "retryFactor": 1})
    };
    cluster.jobs(1, &(0..40).map(job).collect()).await;
    cluster
        .wait_until("all is over", async |cluster: &TestCluster| {
            let path = format!("/api/v1/executions?projectId={project}&status=delivered&limit=1");
            (cluster.get(1, &path).await["total"] == 39).then_some(())
        })
        .await;
    let letters = cluster.get(1, "/api/v1/dead-letters").await;
    let letters = letters["deadLetters"].as_array().unwrap();
    assert_eq!((letters.len(), &letters[0]["count"]), (1, &json!(1)), "{letters:?}");
}
