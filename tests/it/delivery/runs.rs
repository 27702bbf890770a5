//! Runs that a receiver accepts (202) and reports on later: overlap, reports through any node,
//! silence, and a leader that dies meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::harness::{Arrival, Behavior, DeliveryFixture, LedgerEntry, TestCluster, merged, now};

/// The answer of a receiver that will report later.
pub(super) fn accepts() -> Response {
    (StatusCode::ACCEPTED, [("scheduler-async", "true")]).into_response()
}

impl DeliveryFixture {
    /// Reports on an execution through a node; returns the status.
    async fn report(&self, node: u64, execution: &str, what: &str) -> u16 {
        let path = format!("/api/v1/executions/{execution}/{what}");
        self.cluster.post(node, &path, &json!({})).await.0
    }

    /// The arrivals of a job, in order.
    fn arrivals_of(&self, job: u64) -> Vec<Arrival> {
        self.receiver.arrivals().into_iter().filter(|a| a.job == job).collect()
    }

    /// Waits until `count` requests of a job came; returns them.
    async fn came(&self, job: u64, count: usize) -> Vec<Arrival> {
        let enough = |seen: &[Arrival]| seen.iter().filter(|a| a.job == job).count() >= count;
        self.arrives(&format!("{count} requests of job {job}"), enough).await;
        self.arrivals_of(job)
    }

    /// Waits until the ledger has `count` skips of a job with this reason; returns the ledger.
    async fn skips(&self, job: u64, reason: &str, count: usize) -> BTreeMap<i64, LedgerEntry> {
        let node = self.others[1];
        let found = async |_: &TestCluster| {
            let ledger = self.ledger(node, job, now() - 600_000, now()).await;
            let skipped = ledger.values().filter(|entry| entry.is_skipped(reason)).count();
            (skipped >= count).then_some(ledger)
        };
        self.cluster.wait_until(&format!("{count} skipped: {reason}"), found).await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_run_under_way_holds_its_place_when_the_leader_dies() {
    let mut fixture = DeliveryFixture::start().await;
    fixture.receiver.script(|_| Some(accepts()));
    let [node, other] = fixture.others;
    let terms =
        |overlap: &str| json!({"spec": "@every 1s", "overlap": overlap, "runTimeout": "5m"});
    let skip = fixture.create(node, fixture.single("/skip", terms("skip"))).await;
    let queue = fixture.create(node, fixture.single("/queue", terms("queue_one"))).await;
    let first_skip = fixture.came(skip, 1).await[0].clone();
    let first_queue = fixture.came(queue, 1).await[0].clone();
    fixture.becomes(other, &first_skip.execution_id, "running").await;
    fixture.becomes(other, &first_queue.execution_id, "running").await;
    fixture.skips(skip, "overlap", 1).await;
    fixture.skips(queue, "overlap", 1).await;

    fixture.cluster.kill(fixture.leader);
    let next = fixture.next_leader(node, fixture.leader).await;
    let follower = if next == node { other } else { node };
    assert_eq!(fixture.report(follower, &first_skip.execution_id, "heartbeat").await, 200);
    fixture.skips(skip, "overlap", 6).await;
    fixture.skips(queue, "overlap", 6).await;
    assert_eq!(
        (fixture.arrivals_of(skip).len(), fixture.arrivals_of(queue).len()),
        (1, 1),
        "they wait or are skipped"
    );

    // The end of a run frees the next one.
    assert_eq!(fixture.report(follower, &first_skip.execution_id, "complete").await, 200);
    assert_eq!(fixture.report(next, &first_queue.execution_id, "complete").await, 200);
    let freed = now();
    let seen = fixture.came(skip, 2).await;
    assert_ne!(seen[1].execution_id, seen[0].execution_id);
    assert!(seen[1].scheduled > freed - 1_500, "nothing waited: {seen:?}");
    let seen = fixture.came(queue, 2).await;
    assert!(seen[1].scheduled <= freed && seen[1].scheduled > freed - 4_000, "it waited: {seen:?}");
    fixture.becomes(node, &first_skip.execution_id, "delivered").await;
    fixture.becomes(other, &first_queue.execution_id, "delivered").await;
    assert_eq!(fixture.report(node, &first_skip.execution_id, "complete").await, 200, "told twice");
    assert_eq!(fixture.report(node, &first_skip.execution_id, "fail").await, 409, "it is over");
    fixture.cluster.restart(fixture.leader).await;
    fixture.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn reports_end_a_run_and_silence_loses_it() {
    let fixture = DeliveryFixture::start().await;
    fixture.receiver.script(|_| Some(accepts()));
    let [node, other] = fixture.others;
    let terms = json!({"after": "1s", "retryMax": 3, "retryDelay": "200ms", "runTimeout": "5m"});
    let reported = fixture.create(node, fixture.single("/reported", terms.clone())).await;
    let terms = merged(terms, json!({"heartbeatTimeout": "1s"}));
    let silent = fixture.create(node, fixture.single("/silent", terms)).await;
    let terms = json!({"spec": "@every 1s", "overlap": "cancel_previous"});
    let pushed = fixture.create(node, fixture.single("/pushed", terms)).await;

    // The receiver reports that its first attempt failed and that its second one succeeded.
    let first = fixture.came(reported, 1).await[0].clone();
    fixture.becomes(other, &first.execution_id, "running").await;
    assert_eq!(fixture.report(other, &first.execution_id, "fail").await, 200);
    let seen = fixture.came(reported, 2).await;
    assert_eq!((&seen[1].execution_id, seen[1].attempt), (&first.execution_id, 2));
    fixture.becomes(fixture.leader, &first.execution_id, "running").await;
    assert_eq!(fixture.report(fixture.leader, &first.execution_id, "complete").await, 200);
    fixture.becomes(node, &first.execution_id, "delivered").await;

    // The receiver stays silent: the run is lost, and retried under the same id.
    let seen = fixture.came(silent, 2).await;
    assert_eq!((&seen[1].execution_id, seen[1].attempt), (&seen[0].execution_id, 2));
    assert!(seen[1].at - seen[0].at >= 1_000, "not before its heartbeat was missed: {seen:?}");
    let path = format!("/api/v1/executions/{}", seen[0].execution_id);
    let lost = async |c: &TestCluster| {
        let found = c.get(node, &path).await;
        found["attempts"].as_array()?.iter().any(|a| a["how"] == "lost").then_some(())
    };
    fixture.cluster.wait_until("the run is recorded as lost", lost).await;
    let completed = async |_: &TestCluster| {
        (fixture.report(other, &seen[0].execution_id, "complete").await == 200).then_some(())
    };
    fixture.cluster.wait_until("it is done at last", completed).await;
    fixture.becomes(node, &seen[0].execution_id, "delivered").await;
    for job in [reported, silent] {
        let shown = fixture.cluster.get(node, &format!("/api/v1/jobs/{job}")).await;
        assert_eq!(shown["status"], "completed", "{shown}");
    }

    // Each occurrence replaces the one before.
    fixture.skips(pushed, "cancelled", 2).await;
    let seen = fixture.came(pushed, 3).await;
    assert!(seen.iter().all(|a| a.attempt == 1), "a cancelled run is not tried again: {seen:?}");
    assert_eq!(fixture.report(node, &seen[0].execution_id, "complete").await, 409);
    assert_eq!(fixture.report(other, &seen[0].execution_id, "heartbeat").await, 409);
    fixture.post(node, &format!("/api/v1/jobs/{pushed}/pause"), json!({})).await;
    fixture.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn an_executing_node_dies_as_a_run_begins_that_cancels_another() {
    let mut fixture = DeliveryFixture::start().await;
    fixture.receiver.script(|_| Some(accepts()));
    let terms = json!({"spec": "@every 3s", "overlap": "cancel_previous", "runTimeout": "5m"});
    let job = fixture.create(fixture.others[0], fixture.single("/pushed", terms)).await;
    let victim = fixture.owner(job).await;
    let left: Vec<u64> = fixture.others.into_iter().filter(|id| *id != victim).collect();
    let first = fixture.came(job, 1).await[0].clone();
    fixture.becomes(fixture.leader, &first.execution_id, "running").await;

    // The second run is recorded as its replacement, and is being sent, when the node dies.
    fixture.receiver.script(|_| None);
    fixture.receiver.set(Behavior::Hang);
    let second = fixture.came(job, 2).await[1].clone();
    fixture.becomes(fixture.leader, &first.execution_id, "skipped").await;
    fixture.cluster.kill(victim);
    fixture.receiver.script(|_| Some(accepts()));
    fixture.cluster.settled(fixture.leader, &left).await;
    assert_eq!(fixture.report(fixture.leader, &first.execution_id, "complete").await, 409);
    // The new owner catches it up, or begins a later one in its place, and goes on.
    let later = now();
    let goes_on = |seen: &[Arrival]| seen.iter().any(|a| a.scheduled > later);
    fixture.arrives("the next owner goes on", goes_on).await;
    fixture.cluster.restart(victim).await;
    fixture.post(left[0], &format!("/api/v1/jobs/{job}/pause"), json!({})).await;
    let until = now();

    // In the end one run is under way, and each one before it was cancelled.
    for node in 1..=3 {
        let alone = async |_: &TestCluster| {
            let ledger = fixture.ledger(node, job, first.scheduled, until).await;
            assert!(ledger.values().all(|entry| entry.state != "missing"), "{ledger:?}");
            let of = |name: &str| ledger.values().filter(|entry| entry.state == name).count();
            (of("running") == 1 && of("skipped") == ledger.len() - 1).then_some(ledger)
        };
        let ledger = fixture.cluster.wait_until("one run is under way", alone).await;
        for at in [first.scheduled, second.scheduled] {
            assert!(ledger[&at].is_skipped("cancelled"), "{ledger:?}");
        }
        let fine = |entry: &LedgerEntry| ["", "cancelled"].contains(&&*entry.reason);
        assert!(ledger.values().all(fine), "{ledger:?}");
    }
    let accepted =
        fixture.arrivals_of(job).into_iter().filter(|a| a.accepted).map(|a| a.execution_id);
    let mut ended = Vec::new();
    for id in accepted.collect::<BTreeSet<_>>() {
        ended.push(fixture.report(left[0], &id, "complete").await);
    }
    assert_eq!(ended.iter().filter(|status| **status == 200).count(), 1, "{ended:?}");
    fixture.assert_same_state().await;
}
