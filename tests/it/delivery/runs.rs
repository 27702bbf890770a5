//! Runs that a receiver accepts and reports on later: overlap, reports through any node, silence, and
//! a leader that dies while they are under way.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::{Stage, Word};
use crate::cluster::Cluster;
use crate::oracle::Arrival;
use crate::receiver::{Mood, now};

/// Takes what comes, to report on it later.
pub(super) fn accepts() -> Response {
    (StatusCode::ACCEPTED, [("scheduler-async", "true")]).into_response()
}

impl Stage {
    /// Waits until a node shows an execution in a state.
    pub(super) async fn becomes(&self, node: u64, execution: &str, state: &str) {
        let path = format!("/api/v1/executions/{execution}");
        let what = format!("{execution} becomes {state} on node {node}");
        let is = async |c: &Cluster| {
            let answer = c.http().get(c.url(node, &path)).send().await.ok()?;
            let body: serde_json::Value = answer.json().await.ok()?;
            (body["data"]["state"] == state).then_some(())
        };
        self.cluster.wait_until(&what, is).await;
    }

    /// Reports on an execution through a node; the status.
    async fn report(&self, node: u64, execution: &str, what: &str) -> u16 {
        let path = format!("/api/v1/executions/{execution}/{what}");
        self.cluster.post(node, &path, &json!({})).await.0
    }

    /// The arrivals of a job, in order.
    fn of(&self, job: u64) -> Vec<Arrival> {
        self.receiver.arrivals().into_iter().filter(|a| a.job == job).collect()
    }

    /// Waits until so many requests of a job came.
    async fn came(&self, job: u64, count: usize) -> Vec<Arrival> {
        let enough = |seen: &[Arrival]| seen.iter().filter(|a| a.job == job).count() >= count;
        self.arrives(&format!("{count} requests of job {job}"), enough).await;
        self.of(job)
    }

    /// Waits until the ledger has so many occurrences of a job skipped for a reason.
    async fn skips(&self, job: u64, reason: &str, count: usize) -> BTreeMap<i64, Word> {
        let node = self.others[1];
        let found = async |_: &Cluster| {
            let ledger = self.ledger(node, job, now() - 600_000, now()).await;
            let is = |(state, why): &&Word| state == "skipped" && why == reason;
            (ledger.values().filter(is).count() >= count).then_some(ledger)
        };
        self.cluster.wait_until(&format!("{count} skipped: {reason}"), found).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_way_holds_its_place_when_the_leader_dies() {
    let mut stage = Stage::set().await;
    stage.receiver.script(|_| Some(accepts()));
    let [node, other] = stage.others;
    let terms =
        |overlap: &str| json!({"spec": "@every 1s", "overlap": overlap, "runTimeout": "5m"});
    let skip = stage.create(node, stage.single("/skip", terms("skip"))).await;
    let queue = stage.create(node, stage.single("/queue", terms("queue_one"))).await;
    let first_skip = stage.came(skip, 1).await[0].clone();
    let first_queue = stage.came(queue, 1).await[0].clone();
    stage.becomes(other, &first_skip.execution_id, "running").await;
    stage.becomes(other, &first_queue.execution_id, "running").await;
    stage.skips(skip, "overlap", 1).await;
    stage.skips(queue, "overlap", 1).await;

    stage.cluster.kill(stage.leader);
    let next = stage.next_leader(node, stage.leader).await;
    let follower = if next == node { other } else { node };
    assert_eq!(stage.report(follower, &first_skip.execution_id, "heartbeat").await, 200);
    stage.skips(skip, "overlap", 6).await;
    stage.skips(queue, "overlap", 6).await;
    assert_eq!((stage.of(skip).len(), stage.of(queue).len()), (1, 1), "they wait or are skipped");

    // The end of a run lets the next one go.
    assert_eq!(stage.report(follower, &first_skip.execution_id, "complete").await, 200);
    assert_eq!(stage.report(next, &first_queue.execution_id, "complete").await, 200);
    let freed = now();
    let seen = stage.came(skip, 2).await;
    assert_ne!(seen[1].execution_id, seen[0].execution_id);
    assert!(seen[1].scheduled > freed - 1_500, "nothing waited: {seen:?}");
    let seen = stage.came(queue, 2).await;
    assert!(seen[1].scheduled <= freed && seen[1].scheduled > freed - 4_000, "it waited: {seen:?}");
    stage.becomes(node, &first_skip.execution_id, "delivered").await;
    stage.becomes(other, &first_queue.execution_id, "delivered").await;
    assert_eq!(stage.report(node, &first_skip.execution_id, "complete").await, 200, "told twice");
    assert_eq!(stage.report(node, &first_skip.execution_id, "fail").await, 409, "it is over");
    stage.cluster.restart(stage.leader).await;
    stage.alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_end_a_run_and_silence_loses_it() {
    let stage = Stage::set().await;
    stage.receiver.script(|_| Some(accepts()));
    let [node, other] = stage.others;
    let terms = json!({"after": "1s", "retryMax": 3, "retryDelay": "200ms", "runTimeout": "5m"});
    let reported = stage.create(node, stage.single("/reported", terms.clone())).await;
    let terms = super::with(terms, json!({"heartbeatTimeout": "1s"}));
    let silent = stage.create(node, stage.single("/silent", terms)).await;
    let terms = json!({"spec": "@every 1s", "overlap": "cancel_previous"});
    let pushed = stage.create(node, stage.single("/pushed", terms)).await;

    // The receiver gives back its first attempt, and is done with the second.
    let first = stage.came(reported, 1).await[0].clone();
    stage.becomes(other, &first.execution_id, "running").await;
    assert_eq!(stage.report(other, &first.execution_id, "fail").await, 200);
    let seen = stage.came(reported, 2).await;
    assert_eq!((&seen[1].execution_id, seen[1].attempt), (&first.execution_id, 2));
    stage.becomes(stage.leader, &first.execution_id, "running").await;
    assert_eq!(stage.report(stage.leader, &first.execution_id, "complete").await, 200);
    stage.becomes(node, &first.execution_id, "delivered").await;

    // Nobody hears of it: it is lost, and tried again under the same id.
    let seen = stage.came(silent, 2).await;
    assert_eq!((&seen[1].execution_id, seen[1].attempt), (&seen[0].execution_id, 2));
    assert!(seen[1].at - seen[0].at >= 1_000, "not before its heartbeat was missed: {seen:?}");
    let path = format!("/api/v1/executions/{}", seen[0].execution_id);
    let lost = async |c: &Cluster| {
        let found = c.get(node, &path).await;
        found["attempts"].as_array()?.iter().any(|a| a["how"] == "lost").then_some(())
    };
    stage.cluster.wait_until("the books say lost", lost).await;
    let completed = async |_: &Cluster| {
        (stage.report(other, &seen[0].execution_id, "complete").await == 200).then_some(())
    };
    stage.cluster.wait_until("it is done at last", completed).await;
    stage.becomes(node, &seen[0].execution_id, "delivered").await;
    for job in [reported, silent] {
        let shown = stage.cluster.get(node, &format!("/api/v1/jobs/{job}")).await;
        assert_eq!(shown["status"], "completed", "{shown}");
    }

    // Each occurrence takes the place of the one before.
    stage.skips(pushed, "cancelled", 2).await;
    let seen = stage.came(pushed, 3).await;
    assert!(seen.iter().all(|a| a.attempt == 1), "a cancelled run is not tried again: {seen:?}");
    assert_eq!(stage.report(node, &seen[0].execution_id, "complete").await, 409);
    assert_eq!(stage.report(other, &seen[0].execution_id, "heartbeat").await, 409);
    stage.post(node, &format!("/api/v1/jobs/{pushed}/pause"), json!({})).await;
    stage.alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executing_node_dies_as_a_run_begins_that_cancels_another() {
    let mut stage = Stage::set().await;
    stage.receiver.script(|_| Some(accepts()));
    let terms = json!({"spec": "@every 3s", "overlap": "cancel_previous", "runTimeout": "5m"});
    let job = stage.create(stage.others[0], stage.single("/pushed", terms)).await;
    let victim = stage.owner(job).await;
    let left: Vec<u64> = stage.others.into_iter().filter(|id| *id != victim).collect();
    let first = stage.came(job, 1).await[0].clone();
    stage.becomes(stage.leader, &first.execution_id, "running").await;

    // The second has taken its place in the books, and is sent, when its node dies.
    stage.receiver.script(|_| None);
    stage.receiver.set(Mood::Hang);
    let second = stage.came(job, 2).await[1].clone();
    stage.becomes(stage.leader, &first.execution_id, "skipped").await;
    stage.cluster.kill(victim);
    stage.receiver.script(|_| Some(accepts()));
    stage.cluster.settled(stage.leader, &left).await;
    assert_eq!(stage.report(stage.leader, &first.execution_id, "complete").await, 409);
    // Whoever has its shard now makes it up, or has begun a later one in its place; and goes on.
    let later = now();
    let goes_on = |seen: &[Arrival]| seen.iter().any(|a| a.scheduled > later);
    stage.arrives("the next owner goes on", goes_on).await;
    stage.cluster.restart(victim).await;
    stage.post(left[0], &format!("/api/v1/jobs/{job}/pause"), json!({})).await;
    let until = now();

    // In the end one run is under way, and all before it were cancelled for the next.
    for node in 1..=3 {
        let alone = async |_: &Cluster| {
            let ledger = stage.ledger(node, job, first.scheduled, until).await;
            assert!(ledger.values().all(|(state, _)| state != "missing"), "{ledger:?}");
            let of = |name: &str| ledger.values().filter(|(state, _)| state == name).count();
            (of("running") == 1 && of("skipped") == ledger.len() - 1).then_some(ledger)
        };
        let ledger = stage.cluster.wait_until("one run is under way", alone).await;
        for at in [first.scheduled, second.scheduled] {
            assert_eq!(ledger[&at], ("skipped".to_owned(), "cancelled".to_owned()), "{ledger:?}");
        }
        assert!(ledger.values().all(|(_, why)| why.is_empty() || why == "cancelled"), "{ledger:?}");
    }
    let taken = stage.of(job).into_iter().filter(|a| a.accepted).map(|a| a.execution_id);
    let mut ended = Vec::new();
    for id in taken.collect::<BTreeSet<_>>() {
        ended.push(stage.report(left[0], &id, "complete").await);
    }
    assert_eq!(ended.iter().filter(|status| **status == 200).count(), 1, "{ended:?}");
    stage.alike().await;
}
