//! Worker processes at real nodes: what falls due anywhere is claimed at any node, once, and signs
//! of life reach the owner of a run from any node.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{TestCluster, now};

/// A cluster with a queue and a project; their ids.
async fn start(nodes: u64) -> (TestCluster, u64, u64) {
    let settings = [("SCHEDULER0_EXECUTION_LOG_FETCH_INTERVAL_SECONDS", "0.2")];
    let cluster = TestCluster::start_with(nodes, &settings).await;
    if nodes == 1 {
        cluster.settled(1, &[1]).await;
    } else {
        // The leader owns nothing.
        cluster.settled_roles().await;
    }
    let queue = json!({"name": "emails", "type": "worker", "worker": {"bus": "embedded"}});
    let (status, body) = cluster.post(1, "/api/v1/executors", &queue).await;
    assert_eq!(status, 201, "{body}");
    let project = cluster.project(nodes, "workers").await;
    (cluster, body["data"]["id"].as_u64().unwrap(), project)
}

/// Creates one-offs of all shards that are due together.
async fn one_offs(cluster: &TestCluster, queue: u64, project: u64, count: u64) -> Vec<u64> {
    let at = scheduler0::model::time::rfc3339(now() + 2_000);
    let job = |n: u64| {
        json!({"projectId": project, "executorId": queue, "timezone": "UTC", "at": at,
            "data": format!("mail {n}")})
    };
    let mut ids = Vec::new();
    for part in (0..count).collect::<Vec<_>>().chunks(1_000) {
        let jobs: Vec<Value> = part.iter().map(|n| job(*n)).collect();
        let made = cluster.jobs(1, &jobs.into()).await;
        ids.extend(made.iter().map(|job| job["id"].as_u64().unwrap()));
    }
    ids
}

/// Claims at a node until nothing comes for a while; the runs.
async fn work(cluster: &TestCluster, node: u64, worker: &str, max: u64) -> Vec<Value> {
    let body = json!({"workerId": worker, "queues": ["emails"], "max": max, "wait": "5s"});
    let mut runs = Vec::new();
    loop {
        let (status, answer) = cluster.post(node, "/api/v1/workers/claim", &body).await;
        match status {
            200 => runs.extend(answer["data"]["runs"].as_array().unwrap().clone()),
            204 => return runs,
            other => panic!("{other}: {answer}"),
        }
    }
}

/// A whole number in the metrics of a node; `None` where it is not shown.
async fn metric(cluster: &TestCluster, node: u64, name: &str) -> Option<u64> {
    let shown = cluster.http().get(cluster.url(node, "/metrics")).send().await.unwrap();
    let shown = shown.text().await.unwrap();
    let line = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// The queue, as a node sees it.
async fn queue_at(cluster: &TestCluster, node: u64) -> Value {
    cluster.get(node, "/api/v1/queues").await["queues"][0].clone()
}

#[tokio::test]
async fn workers_at_three_nodes_get_each_run_once() {
    let (cluster, queue, project) = start(3).await;
    // Runs of 64 ids belong to one shard: these are of all nodes.
    let jobs = one_offs(&cluster, queue, project, 4_200).await;
    let workers = (0..9_u64).map(|n| {
        let cluster = &cluster;
        async move {
            let (node, name) = (n % 3 + 1, format!("w-{n}"));
            let runs = work(cluster, node, &name, [1, 50, 1_000][n as usize / 3]).await;
            (node, name, runs)
        }
    });
    let got = join_all(workers).await;
    let mut by_job: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (_, worker, runs) in &got {
        for run in runs {
            let job = run["jobId"].as_u64().unwrap();
            by_job.entry(job).or_default().push(worker);
            assert_eq!((&run["queue"], &run["attempt"]), (&json!("emails"), &json!(1)));
        }
    }
    let doubled: Vec<_> = by_job.iter().filter(|(_, workers)| workers.len() > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert!(by_job.into_keys().eq(jobs.iter().copied()), "some were never handed out");

    // Each node sees the sum.
    for node in 1..=3 {
        let shown = queue_at(&cluster, node).await;
        assert_eq!((&shown["offers"], &shown["taken"]), (&json!(0), &json!(4_200)), "{node}");
    }
    // Heartbeats go to another node than the claims went to.
    for (node, worker, runs) in &got {
        let alive = |run: &Value| json!({"id": run["runId"], "attempt": run["attempt"]});
        let body = json!({"runs": runs.iter().map(alive).collect::<Vec<_>>()});
        let path = format!("/api/v1/workers/{worker}/heartbeat");
        let (status, heard) = cluster.post(node % 3 + 1, &path, &body).await;
        assert_eq!(status, 200, "{heard}");
        assert_eq!(heard["data"], json!({"cancel": [], "gone": [], "unknown": []}), "{worker}");
    }
    let beats = [1, 2, 3].map(|node| metric(&cluster, node, "scheduler0_beats_total"));
    let beats: u64 = join_all(beats).await.into_iter().flatten().sum();
    assert_eq!(beats, 4_200, "each owner took in those of its runs");
    let seen = cluster.get(3, "/api/v1/workers").await;
    assert_eq!(seen["total"], 9);
    let runs: u64 =
        seen["workers"].as_array().unwrap().iter().filter_map(|it| it["runs"].as_u64()).sum();
    assert_eq!(runs, 4_200, "{seen}");
}

#[tokio::test]
async fn a_waiting_heartbeat_hears_of_a_cancel_that_another_node_was_asked_for() {
    let (cluster, queue, project) = start(3).await;
    one_offs(&cluster, queue, project, 1).await;
    let runs = work(&cluster, 2, "w", 1).await;
    let id = runs[0]["id"].as_str().unwrap().to_owned();
    // The record of the claim is on its way into the store.
    cluster
        .wait_until("the run is in the store", async |cluster: &TestCluster| {
            let path = format!("/api/v1/executions/{id}");
            let response = cluster.http().get(cluster.url(3, &path)).send().await.ok()?;
            let body: Value = response.json().await.ok()?;
            (body["data"]["state"] == "running").then_some(())
        })
        .await;
    let beat = json!({"runs": [{"id": id, "attempt": 1}], "wait": "60s"});
    let waits = cluster.post(3, "/api/v1/workers/w/heartbeat", &beat);
    let cancel = async {
        cluster
            .wait_until("the heartbeat has come", async |cluster: &TestCluster| {
                let seen = cluster.get(1, "/api/v1/workers").await;
                (seen["workers"][0]["runs"] == 1).then_some(())
            })
            .await;
        cluster.post(1, &format!("/api/v1/executions/{id}/cancel"), &json!({})).await
    };
    let ((status, heard), (cancelled, body)) = tokio::join!(waits, cancel);
    assert!(matches!(cancelled, 200 | 202), "{body}");
    assert_eq!((status, &heard["data"]["cancel"]), (200, &json!([id])), "{heard}");
    // It reports that it has stopped, and is told once more that the run is gone.
    let other = json!({"runs": [{"id": id, "attempt": 2}]});
    let (_, heard) = cluster.post(1, "/api/v1/workers/w/heartbeat", &other).await;
    assert_eq!(heard["data"]["cancel"], json!([]), "of another attempt nothing is known");
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_its_place_and_a_node_that_stops_lets_clients_go() {
    let (mut cluster, _, _) = start(1).await;
    let ask = |cluster: &TestCluster| {
        let body = json!({"workerId": "w", "queues": ["emails"], "wait": "60s"});
        let request = cluster.http().post(cluster.url(1, "/api/v1/workers/claim")).json(&body);
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    };
    let waiting = async |count: u64| {
        let shown = async |cluster: &TestCluster| {
            (queue_at(cluster, 1).await["waitingClaims"] == count).then_some(())
        };
        cluster.wait_until("so many wait", shown).await;
    };
    let gone = ask(&cluster);
    waiting(1).await;
    gone.abort();
    waiting(0).await;
    let stays = ask(&cluster);
    waiting(1).await;
    let counted = async |cluster: &TestCluster| {
        (metric(cluster, 1, "scheduler0_claim_parked").await == Some(1)).then_some(())
    };
    cluster.wait_until("the claim is in the metrics", counted).await;
    assert_eq!(cluster.stop(1).await, Some(0));
    assert_eq!(stays.await.unwrap(), 204);
}
