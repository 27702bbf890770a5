//! Jobs that are edited, deleted and paused while their runs are in flight and wait.

use scheduler0::model::time::parse_rfc3339;
use serde_json::{Value, json};

use super::fixture::{Handed, QUEUE, QueueCluster};
use crate::harness::{TestCluster, now};

/// The scheduled instant of a run.
fn at(run: &Handed) -> i64 {
    parse_rfc3339(&run.scheduled_at).unwrap()
}

impl QueueCluster {
    /// Changes a job.
    async fn patch(&self, job: u64, change: Value) {
        let url = self.cluster.url(1, &format!("/api/v1/jobs/{job}"));
        let answer = self.cluster.http().patch(url).json(&change).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
    }

    /// The number of runs that wait for workers, by the supervisors.
    async fn offers(&self) -> u64 {
        let queues = self.cluster.get(1, "/api/v1/queues").await["queues"].clone();
        let queue = queues.as_array().unwrap().iter().find(|queue| queue["name"] == QUEUE);
        queue.unwrap_or_else(|| panic!("{queues}"))["offers"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_handed_out_as_the_job_is_at_that_moment() {
    let fixture = QueueCluster::start(1).await;
    let job = fixture.create(json!({"after": "1s", "data": "old"})).await;
    let waits = fixture.has_runs(job, "pending", 1).await;
    fixture.patch(job, json!({"data": "new"})).await;
    let run = fixture.claim(1, "w").await;
    assert_eq!((waits[0]["id"].as_str(), run.data.as_str()), (Some(run.id.as_str()), "new"));
    // What a worker has keeps its terms, and its end counts.
    fixture.patch(job, json!({"data": "newer", "runTimeout": "1s"})).await;
    let heard = fixture.beat(1, "w", &[&run]).await;
    assert!(heard.cancel.is_empty() && heard.gone.is_empty(), "{heard:?}");
    let shown = fixture.becomes(&run.id, "running").await;
    assert!(shown.get("runTimeout").is_none());
    assert_eq!(fixture.report(1, "w", &run, "complete").await.0, 200);
    fixture.becomes(&run.id, "completed").await;
    assert_eq!(fixture.offers().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_deleted_job_end_and_their_worker_is_told() {
    let fixture = QueueCluster::start(1).await;
    let job = fixture.create(json!({"spec": "@every 1s"})).await;
    let run = fixture.claim(1, "w").await;
    fixture.becomes(&run.id, "running").await;
    fixture.has_runs(job, "pending", 2).await;
    let url = fixture.cluster.url(1, &format!("/api/v1/jobs/{job}"));
    let status = fixture.cluster.http().delete(url).send().await.unwrap().status().as_u16();
    assert_eq!(status, 204);
    fixture.hears(1, "w", &run, |heard| heard.gone == [run.id.clone()]).await;
    let none = async |_: &TestCluster| (fixture.offers().await == 0).then_some(());
    fixture.cluster.wait_until("nothing waits", none).await;
    assert!(fixture.ask(1, "w", 10, "0s").await.is_empty());
    let (status, told) = fixture.report(1, "w", &run, "complete").await;
    assert!(matches!(status, 404 | 409), "{status}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_keeps_what_waits_and_what_is_in_flight() {
    let fixture = QueueCluster::start(1).await;
    let job = fixture.create(json!({"spec": "@every 1s"})).await;
    let run = fixture.claim(1, "w").await;
    fixture.becomes(&run.id, "running").await;
    fixture.has_runs(job, "pending", 2).await;
    fixture.pause(job).await;
    let heard = fixture.beat(1, "w", &[&run]).await;
    assert!(heard.cancel.is_empty() && heard.gone.is_empty(), "{heard:?}");
    assert_eq!(fixture.report(1, "w", &run, "complete").await.0, 200);
    // What was due before is handed out. Nothing new comes.
    let paused = now();
    let rest = fixture.ask(1, "w", 100, "1s").await;
    assert!(rest.len() >= 2, "{rest:?}");
    assert!(rest.iter().all(|run| at(run) < paused), "{rest:?} {paused}");
    assert!(fixture.ask(1, "w", 100, "3s").await.is_empty(), "nothing is due");
    let (status, body) = fixture.post(1, &format!("/jobs/{job}/resume"), json!({})).await;
    assert_eq!(status, 200, "{body}");
    let next = fixture.claim(1, "w").await;
    assert!(at(&next) > paused, "{next:?}");
    fixture.pause(job).await;
}
