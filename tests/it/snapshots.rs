//! Snapshots of a cluster at work: nodes die while one is built, sent or installed.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestCluster};

/// The number of jobs: enough that a snapshot takes a while.
const JOBS: usize = 20_000;
/// The number of deaths in each phase.
const DEATHS: u64 = 3;

/// Writes `count` log entries.
async fn entries(cluster: &TestCluster, count: usize) {
    let tick = |n: usize| {
        let body = json!({"name": format!("entry {n} {:?}", Instant::now()), "description": "-"});
        async move {
            let (status, body) = cluster.post(1, "/api/v1/projects", &body).await;
            assert_eq!(status, 201, "{body}");
        }
    };
    futures_util::stream::iter((0..count).map(tick)).buffer_unordered(64).collect::<Vec<_>>().await;
}

/// An index of a node's Raft, by its name in the health check.
async fn index(cluster: &TestCluster, node: u64, name: &str) -> u64 {
    let health = cluster.get(node, "/healthcheck").await;
    health["raft_stats"][name].as_str().unwrap().parse().unwrap()
}

/// Waits until a file exists whose name begins so, and then for `delay`. Returns false if a
/// snapshot is installed already.
async fn appears(data: &std::path::Path, folder: &str, begins: &str, delay: Duration) -> bool {
    let there = async {
        let mut ticker = tokio::time::interval(Duration::from_millis(1));
        loop {
            ticker.tick().await;
            let files = std::fs::read_dir(data.join(folder)).into_iter().flatten().flatten();
            let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
            if names.any(|name| name.starts_with(begins)) {
                return true;
            }
            if folder.is_empty() && data.join("snapshots/current").exists() {
                return false;
            }
        }
    };
    let there = tokio::time::timeout(PATIENCE, there).await;
    // The delay is no wait for a fact: the node is to die a little later each time.
    tokio::time::sleep(delay).await;
    there.unwrap_or_else(|_| panic!("no {begins} in {} / {folder}", data.display()))
}

/// A cluster that takes snapshots often, with [`JOBS`] jobs; only the `started` first nodes run.
async fn with_snapshot(count: u64, started: u64) -> TestCluster {
    let settings = [
        ("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "1"),
        ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1024"),
    ];
    let cluster = TestCluster::start_some(count, started, &settings).await;
    let project = cluster.project(1, "snapshots").await;
    let job = json!({"projectId": project, "spec": "@every 100h", "timezone": "UTC",
        "callbackUrl": "http://127.0.0.1:9/", "data": "one of many"});
    let body = Value::from(vec![job; 1_000]);
    for _ in 0..JOBS / 1_000 {
        cluster.jobs(1, &body).await;
    }
    cluster
}

/// Asserts that a node shows all jobs.
async fn all_there(cluster: &TestCluster, node: u64) {
    let page = cluster.get(node, "/api/v1/jobs?limit=1&consistency=linearizable").await;
    assert_eq!(page["total"].as_u64(), Some(JOBS as u64));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_node_that_dies_while_it_builds_a_snapshot_starts_again() {
    let mut cluster = with_snapshot(1, 1).await;
    let data = cluster.data_dir(1);
    for death in 0..DEATHS {
        let before = index(&cluster, 1, "last_snapshot_index").await;
        // Writes go on until a snapshot is seen: one may be built between two looks.
        tokio::select! {
            _ = appears(&data, "snapshots", "part-", Duration::from_millis(death * 25)) => {}
            () = async { loop { entries(&cluster, 1_100).await } } => {}
        }
        cluster.kill(1);
        cluster.restart(1).await;
        all_there(&cluster, 1).await;
        assert!(index(&cluster, 1, "last_snapshot_index").await >= before);
        let files: Vec<_> = std::fs::read_dir(data.join("snapshots")).unwrap().flatten().collect();
        assert!(files.len() <= 4, "unfinished files are removed: {files:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn nodes_that_die_while_a_snapshot_is_sent_or_installed_start_again() {
    let mut cluster = with_snapshot(5, 3).await;
    entries(&cluster, 2_600).await;
    let leader = cluster
        .wait_until("the log does not begin at its beginning", async |cluster: &TestCluster| {
            let leader = cluster.leader(1).await?;
            (index(cluster, leader, "last_snapshot_index").await > 1_100).then_some(leader)
        })
        .await;
    // The receiver dies, a little later each time, until the snapshot is installed.
    let data = cluster.data_dir(4);
    let mut deaths = 0;
    for death in 0..DEATHS {
        let delay = Duration::from_millis(death * 10);
        for (folder, file) in [("snapshots", "part-"), ("", "state.db.in")] {
            if data.join("snapshots/current").exists() {
                break;
            }
            cluster.spawn(4);
            appears(&data, folder, file, delay).await;
            cluster.kill(4);
            deaths += 1;
        }
    }
    assert!(deaths > 1, "{deaths}");
    cluster.restart(4).await;
    all_there(&cluster, 4).await;
    // The sender dies: another one sends.
    cluster.spawn(5);
    appears(&cluster.data_dir(5), "snapshots", "part-", Duration::ZERO).await;
    cluster.kill(leader);
    cluster.ready(5).await;
    all_there(&cluster, 5).await;
    cluster.restart(leader).await;
    cluster.assert_same_state(4, 5).await;
}
