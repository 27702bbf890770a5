//! A rolling restart as `docs/operations.md` describes it: three nodes under load are restarted one
//! after the other, while jobs fire and clients write. `upgrade` does the same from the program of
//! an older version to this one.

mod clients;
mod upgrade;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::clients::Clients;
use crate::harness::{
    Arrival, Receiver, TOLERANCE, TestCluster, every_job_again, judge, now, planned,
};

/// The greatest lag of a first attempt while a node is stopped in order, in milliseconds. It is the
/// promise for a killed node (lease + 1 s); a hand-over needs none of it.
const BOUND: i64 = 5_000;

/// Jobs in half of the shards: for each shard four in batches and two with requests of their own.
/// The others are not due for a long time and only fill the shard.
fn jobs(project: u64, receiver: &Receiver) -> Value {
    let job = |n: u64| {
        let spec = match n % 64 {
            0 | 2 | 4 => "@every 1s",
            1 | 3 | 5 => "@every 2s",
            _ => "@every 24h",
        };
        let mut job = json!({
            "projectId": project, "spec": spec, "timezone": "UTC", "data": format!("{{\"n\":{n}}}"),
        });
        if matches!(n % 64, 4..6) {
            job["http"] = json!({"url": receiver.at("/alone")});
        } else {
            job["callbackUrl"] = json!(receiver.url());
        }
        job
    };
    (0..2_048).map(job).collect()
}

/// The greatest lag of a first arrival, of occurrences due after `since`.
fn greatest_lag(arrivals: &[Arrival], since: i64) -> i64 {
    let mut first: BTreeMap<(u64, i64), i64> = BTreeMap::new();
    for a in arrivals.iter().filter(|a| a.scheduled > since) {
        let at = first.entry((a.job, a.scheduled)).or_insert(a.at);
        *at = a.at.min(*at);
    }
    first.iter().map(|((_, due), at)| at - due).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn three_nodes_are_restarted_one_by_one_and_no_client_notices() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let project = cluster.project(leader, "upgraded").await;
    let created = cluster.jobs(leader, &jobs(project, &receiver)).await;
    let due_soon = |job: &&Value| job["spec"] != "@every 24h";
    let firing = planned(&created.iter().filter(due_soon).cloned().collect::<Vec<_>>());
    every_job_again(&receiver, &firing, now()).await;
    let mut clients = Clients::start(&cluster, 16, project);
    clients.each_writes(10).await;

    // The leader is the second one: it hands its leadership over, and its successor is stopped,
    // too.
    let began = now();
    for id in [others[0], leader, others[1]] {
        let stopping = now();
        clients.goes(id);
        assert_eq!(cluster.stop(id).await, Some(0), "node {id}: {}", cluster.log(id));
        let stopped = now();
        clients.each_writes(5).await;
        cluster.restart(id).await;
        clients.comes(id);
        println!(
            "node {id} stopped within {} ms, and was ready {} ms later",
            stopped - stopping,
            now() - stopped
        );
        let log = std::fs::read_to_string(cluster.folder().join(format!("node{id}.log"))).unwrap();
        for step in ["still held", "not yet collected", "still under way"] {
            assert!(!log.contains(step), "node {id} did not stop in order: {log}");
        }
        clients.each_writes(5).await;
    }
    let until = every_job_again(&receiver, &firing, now() + 2_000).await;
    let done = clients.stop().await;
    println!("{}", done.figures());
    done.all_there(&cluster, 1).await;

    let arrivals = receiver.arrivals();
    let found = judge(&firing, &arrivals, 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
    let late = greatest_lag(&arrivals, began);
    println!(
        "{} occurrences, the latest first attempt {late} ms after its instant",
        found.delivered
    );
    assert!(late <= BOUND, "a first attempt came {late} ms late");
    cluster.assert_same_state(1, 3).await;
}
