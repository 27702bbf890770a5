//! Jobs whose runs must not overlap, and jobs of which only some runs may wait.

use serde_json::{Value, json};

use super::fixture::QueueCluster;
use crate::harness::TestCluster;

impl QueueCluster {
    /// Waits until so many occurrences of a job were skipped for this reason.
    async fn skips(&self, job: u64, reason: &str, count: usize) -> Vec<Value> {
        let found = async |_: &TestCluster| {
            let mut runs = self.runs(1, job, "skipped").await;
            runs.retain(|run| run["reason"] == reason);
            Some(runs).filter(|runs| runs.len() >= count)
        };
        self.cluster.wait_until(&format!("{count} skipped: {reason}"), found).await
    }

    /// Pauses a job, so that nothing more of it falls due.
    pub(super) async fn pause(&self, job: u64) {
        let (status, body) = self.post(1, &format!("/jobs/{job}/pause"), json!({})).await;
        assert_eq!(status, 200, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_falls_due_beside_a_run_is_skipped_where_it_must_not_overlap() {
    let fixture = QueueCluster::start(1).await;
    let job = fixture.create(json!({"spec": "@every 1s", "overlap": "skip"})).await;
    let first = fixture.claim(1, "w").await;
    fixture.skips(job, "overlap", 2).await;
    assert!(fixture.ask(1, "other", 10, "0s").await.is_empty(), "one at a time");
    assert_eq!(fixture.report(1, "w", &first, "complete").await.0, 200);
    let next = fixture.claim(1, "other").await;
    assert!(next.scheduled_at > first.scheduled_at, "{first:?} {next:?}");
    assert_eq!(next.attempt, 1);
    fixture.pause(job).await;
    assert_eq!(fixture.report(1, "other", &next, "complete").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_queue_come_one_by_one_in_their_order_and_no_more_than_may() {
    let fixture = QueueCluster::start(1).await;
    let terms = json!({"spec": "@every 1s", "overlap": "queue", "maxQueue": 1});
    let job = fixture.create(terms).await;
    let first = fixture.claim(1, "w").await;
    let queued = fixture.has_runs(job, "queued", 1).await;
    fixture.skips(job, "queue_full", 2).await;
    assert_eq!(fixture.runs(1, job, "queued").await.len(), 1, "one waits");
    assert!(fixture.ask(1, "other", 10, "0s").await.is_empty(), "one at a time");
    // A run that is given back keeps its place.
    assert_eq!(fixture.report(1, "w", &first, "release").await.0, 200);
    let again = fixture.claim(1, "other").await;
    assert_eq!((&again.id, again.attempt), (&first.id, 2));
    assert_eq!(fixture.report(1, "other", &again, "complete").await.0, 200);
    let next = fixture.claim(1, "other").await;
    assert_eq!(queued[0]["id"], next.id.as_str(), "the one that waited is the next");
    fixture.pause(job).await;
    assert_eq!(fixture.report(1, "other", &next, "complete").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_workers_no_more_runs_wait_than_may() {
    let fixture = QueueCluster::start(1).await;
    let job = fixture.create(json!({"spec": "@every 1s", "maxQueue": 1})).await;
    let skipped = fixture.skips(job, "queue_full", 3).await;
    let waits = fixture.runs(1, job, "pending").await;
    assert_eq!(waits.len(), 1, "{waits:?}");
    // Newest first: all that were skipped came after the one that waits.
    let oldest = skipped.last().unwrap()["scheduledAt"].as_str().unwrap().to_owned();
    assert!(waits[0]["scheduledAt"].as_str().unwrap() < oldest.as_str(), "{waits:?} {oldest}");
    let run = fixture.claim(1, "w").await;
    assert_eq!(waits[0]["id"], run.id.as_str());
    // There is a place for another one.
    let next = fixture.claim(1, "w").await;
    assert!(next.scheduled_at > run.scheduled_at, "{run:?} {next:?}");
    fixture.pause(job).await;
}
