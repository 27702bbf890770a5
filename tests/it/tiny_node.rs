//! A node with the smallest settings: one or two workers, a queue of one, snapshots as often as
//! possible. It fires everything all the same, and a receiver that fails or hangs delays no other
//! one.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use scheduler0::model::time::parse_rfc3339;
use serde_json::Value;

use crate::harness::{
    Arrival, Behavior, PATIENCE, Planned, Receiver, TOLERANCE, TestCluster, every, judge, now,
    planned,
};

/// The settings that the original's README shows.
const README: [(&str, &str); 4] = [
    ("SCHEDULER0_MAX_WORKERS", "1"),
    ("SCHEDULER0_MAX_QUEUE", "1"),
    ("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "1"),
    ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1"),
];

/// Waits until each job was accepted for `times` instants after `since`; returns the last instant
/// up to which that holds for all jobs.
async fn accepted(receiver: &Receiver, jobs: &[Planned], since: i64, times: usize) -> i64 {
    let instants = |arrivals: &[Arrival]| {
        let mut seen: BTreeMap<u64, BTreeSet<i64>> =
            jobs.iter().map(|job| (job.job, BTreeSet::new())).collect();
        for a in arrivals.iter().filter(|a| a.accepted && a.scheduled > since) {
            seen.entry(a.job).or_default().insert(a.scheduled);
        }
        seen
    };
    receiver
        .wait_until(&format!("each job comes {times} times"), PATIENCE, |arrivals| {
            instants(arrivals).values().all(|seen| seen.len() >= times)
        })
        .await;
    let seen = instants(&receiver.arrivals());
    seen.values().filter_map(|instants| instants.last().copied()).min().unwrap()
}

/// Creates jobs one by one, a log entry each.
async fn one_by_one(cluster: &TestCluster, project: u64, url: &str, count: usize) -> Vec<Planned> {
    let asks = (0..count).map(|_| {
        let ask = cluster.http().post(cluster.url(1, "/api/v1/jobs"));
        let ask = ask.header("prefer", "return=representation");
        let ask = ask.json(&every("@every 2s", project, url, 1));
        async move { ask.send().await.unwrap().json::<Value>().await.unwrap() }
    });
    let answers = stream::iter(asks).buffer_unordered(16);
    let created: Vec<Value> = answers.map(|body| body["data"][0].clone()).collect().await;
    planned(&created)
}

/// Waits until the last snapshot is newer than `before`; returns its index.
async fn snapshot_after(cluster: &TestCluster, before: u64) -> u64 {
    cluster
        .wait_until("a newer snapshot", async |c: &TestCluster| {
            let health = c.get(1, "/healthcheck").await;
            let index: u64 = health["raft_stats"]["last_snapshot_index"].as_str()?.parse().ok()?;
            (index > before).then_some(index)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn the_readmes_settings_keep_and_fire_everything() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start_with(1, &README).await;
    let project = cluster.project(1, "small").await;
    let mut jobs = one_by_one(&cluster, project, &receiver.url(), 1_100).await;
    let first = snapshot_after(&cluster, 0).await;
    accepted(&receiver, &jobs, 0, 1).await;
    assert_eq!(cluster.stop(1).await, Some(0), "{}", cluster.log(1));
    cluster.restart(1).await;
    let until = accepted(&receiver, &jobs, now(), 2).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();

    jobs.extend(one_by_one(&cluster, project, &receiver.url(), 1_100).await);
    snapshot_after(&cluster, first).await;
    for _ in 0..2 {
        cluster.kill(1);
        cluster.restart(1).await;
        let there = cluster.get(1, "/api/v1/jobs?limit=1&consistency=linearizable").await;
        assert_eq!(there["total"], jobs.len());
        let until = accepted(&receiver, &jobs, now(), 1).await;
        judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE).assert_sound();
    }
}

/// One receiver fails or hangs; the other gets everything in time and once. When the first one
/// works again, it gets what is due from then on.
async fn the_other_is_served(behavior: Behavior, workers: &str) {
    let (ill, well) = (Receiver::start().await, Receiver::start().await);
    ill.set(behavior);
    let settings = [
        ("SCHEDULER0_MAX_WORKERS", workers),
        ("SCHEDULER0_MAX_QUEUE", "1"),
        ("SCHEDULER0_JOB_EXECUTION_TIMEOUT", "2"),
        ("SCHEDULER0_JOB_EXECUTION_RETRY_MAX", "1"),
        ("SCHEDULER0_JOB_EXECUTION_RETRY_DELAY", "1"),
        // A hanging call fails so late that the breaker might open before any second attempt is
        // over. The other receiver must be served without the breaker, too.
        ("SCHEDULER0_BREAKER_FAILURES", if behavior == Behavior::Hang { "0" } else { "5" }),
    ];
    let cluster = TestCluster::start_with(1, &settings).await;
    let project = cluster.project(1, "neighbours").await;
    let failing = planned(&cluster.jobs(1, &every("@every 1s", project, &ill.url(), 3)).await);
    let jobs = planned(&cluster.jobs(1, &every("@every 1s", project, &well.url(), 256)).await);
    // The first receiver is called before the other one is counted.
    ill.wait_until("the first call", PATIENCE, |arrivals| !arrivals.is_empty()).await;
    let since = ill.arrivals()[0].at;
    let until = accepted(&well, &jobs, since, 6).await;
    let found = judge(&jobs, &well.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();

    // Its calls are recorded as failed, and dead-lettered after the retry.
    let path = format!("/api/v1/executions?jobId={}&status=dead", failing[0].job);
    let dead = cluster
        .wait_until("a dead occurrence", async |c: &TestCluster| {
            c.get(1, &path).await["executions"].as_array()?.first().cloned()
        })
        .await;
    assert_eq!(dead["attempt"], 2, "{dead}");
    assert_eq!(dead["httpCode"], if behavior == Behavior::Fail { 500 } else { 0 }, "{dead}");
    assert!(parse_rfc3339(dead["scheduledAt"].as_str().unwrap()).unwrap() >= failing[0].from);

    ill.set(Behavior::Accept);
    accepted(&ill, &failing, now(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_failing_receiver_does_not_block_another_with_one_worker() {
    the_other_is_served(Behavior::Fail, "1").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_hanging_receiver_does_not_block_another_with_one_worker() {
    the_other_is_served(Behavior::Hang, "1").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_hanging_receiver_does_not_block_another_with_two_workers() {
    the_other_is_served(Behavior::Hang, "2").await;
}
