//! Whole clusters of real processes: they fire, they share the work, and they go on when nodes die.

use std::collections::{BTreeMap, BTreeSet};

use scheduler0::model::shard::shard_of;
use scheduler0::model::time::parse_rfc3339;
use serde_json::{Value, json};

use crate::harness::{
    Behavior, Doubled, FiringCluster, PATIENCE, Receiver, Request, TOLERANCE, TestCluster, every,
    every_job_again, judge, now, planned,
};

/// The shard of a batch: that of its first job.
fn shard(request: &Request) -> u16 {
    shard_of(request.jobs[0]["id"].as_u64().unwrap())
}

fn fence_of(request: &Request) -> u64 {
    request.headers["scheduler-fence"].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_fires() {
    let receiver = Receiver::start().await;
    let cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "one").await;
    let mut created = cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 20)).await;
    created.extend(cluster.jobs(1, &every("*/2 * * * * *", project, &receiver.url(), 3)).await);
    let jobs = planned(&created);
    let until = every_job_again(&receiver, &jobs, now() + 2_000).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
    assert!(found.delivered >= 40, "{found:?}");

    let request = receiver.requests().into_iter().next().unwrap();
    for name in ["scheduler-scheduled-at", "scheduler-attempt", "scheduler-fence", "webhook-id"] {
        assert!(request.headers.contains_key(name), "{name} is missing");
    }
    assert_eq!(request.headers["x-payload-chunk-id"], "0");
    let listed = cluster.get(1, &format!("/api/v1/jobs/{}", jobs[0].job)).await;
    assert!(listed["nextExecutionDate"].is_string() && listed["lastExecutionDate"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_share_the_work_and_the_leader_executes_nothing() {
    let receiver = Receiver::start().await;
    let cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let project = cluster.project(others[0], "shared").await;
    let created =
        cluster.jobs(others[0], &every("@every 2s", project, &receiver.url(), 8_192)).await;
    let jobs = planned(&created);
    let until = every_job_again(&receiver, &jobs, now() + 2_000).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();

    // The nodes that executed one job of each shard.
    let mut nodes = BTreeSet::new();
    for job in jobs.iter().step_by(64) {
        let path = format!("/api/v1/executions?jobId={}", job.job);
        let executed = cluster
            .wait_until("executions are recorded", async |c: &TestCluster| {
                let page = c.get(leader, &path).await;
                let executions = page["executions"].as_array()?.clone();
                (!executions.is_empty()).then_some(executions)
            })
            .await;
        nodes.extend(executed.iter().filter_map(|e| e["nodeId"].as_u64()));
    }
    assert_eq!(nodes, others.iter().copied().collect(), "the leader {leader} executes nothing");
    cluster.assert_same_state(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn killing_the_leader_delays_no_firing() {
    let fixture = FiringCluster::start(4_096).await;
    let FiringCluster { receiver, mut cluster, leader, others, jobs } = fixture;

    cluster.kill(leader);
    let killed = now();
    let next = cluster
        .wait_until("a new leader", async |c: &TestCluster| {
            c.leader(others[0]).await.filter(|l| *l != leader)
        })
        .await;
    let elected = now();
    let until = every_job_again(&receiver, &jobs, elected + 3_000).await;

    // The epochs before the kill: what was due before the election was sent under these.
    let mut before: BTreeMap<u16, u64> = BTreeMap::new();
    let requests = receiver.requests();
    let due =
        |r: &Request| parse_rfc3339(r.headers["scheduler-scheduled-at"].to_str().unwrap()).unwrap();
    for request in requests.iter().filter(|r| r.at < killed) {
        before.insert(shard(request), fence_of(request));
    }
    for request in requests.iter().filter(|r| due(r) > killed && due(r) <= elected) {
        let shard = shard(request);
        assert_eq!(fence_of(request), before[&shard], "shard {shard} goes on under its old owner");
    }
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();

    cluster.restart(leader).await;
    let owners: Vec<u64> = (1..=3).filter(|id| *id != next).collect();
    cluster.settled(next, &owners).await;
    let until = every_job_again(&receiver, &jobs, now()).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_killed_executing_node_loses_nothing() {
    let fixture = FiringCluster::start(4_096).await;
    let FiringCluster { receiver, mut cluster, leader, others, jobs } = fixture;

    cluster.kill(others[0]);
    cluster.settled(leader, &others[1..]).await;
    let until = every_job_again(&receiver, &jobs, now() + 1_000).await;
    // What the dead node had sent and not yet reported is sent again under the same id: sound, and
    // doubled at most there.
    judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE).assert_sound();

    cluster.restart(others[0]).await;
    cluster.settled(leader, &others).await;
    let back = now();
    let until = every_job_again(&receiver, &jobs, back + 2_000).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    let late: Vec<&Doubled> = found.doubled.iter().filter(|doubled| doubled.at > back).collect();
    assert!(late.is_empty(), "a rejoining node doubles nothing: {late:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_frozen_node_wakes_up_fenced() {
    let fixture = FiringCluster::start(4_096).await;
    let FiringCluster { receiver, cluster, leader, others, jobs } = fixture;

    cluster.freeze(others[0]);
    cluster.settled(leader, &others[1..]).await;
    every_job_again(&receiver, &jobs, now() + 1_000).await;
    // By now each shard has sent something under its present owner.
    let newest = receiver.requests().iter().fold(BTreeMap::new(), |mut newest, request| {
        let fence = newest.entry(shard(request)).or_insert(0);
        *fence = fence_of(request).max(*fence);
        newest
    });
    let woken = now();
    cluster.unfreeze(others[0]);
    cluster.settled(leader, &others).await;
    let until = every_job_again(&receiver, &jobs, now() + 2_000).await;
    judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE).assert_sound();
    let requests = receiver.requests();
    let stale = requests.iter().filter(|r| r.at > woken && fence_of(r) < newest[&shard(r)]);
    // Only requests that were past their lease check when the node froze may still come: MaxWorkers
    // at most.
    assert!(stale.count() <= 64, "a node whose lease ran out goes on firing");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn all_killed_and_restarted_lose_nothing_acknowledged() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let project = cluster.project(2, "phoenix").await;
    let created = cluster.jobs(3, &every("@every 1s", project, &receiver.url(), 500)).await;
    let jobs = planned(&created);
    every_job_again(&receiver, &jobs, now()).await;
    // These are acknowledged right before the kill.
    let last = cluster.jobs(1, &every("@every 2s", project, &receiver.url(), 500)).await;
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.spawn(id);
    }
    for id in 1..=3 {
        cluster.ready(id).await;
    }
    let mut all = jobs;
    all.extend(planned(&last));
    for id in 1..=3 {
        let page = cluster.get(id, "/api/v1/jobs?limit=1").await;
        assert_eq!(page["total"], 1_000, "node {id}");
    }
    let until = every_job_again(&receiver, &all, now() + 1_000).await;
    judge(&all, &receiver.arrivals(), 0, until, TOLERANCE).assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_callback_is_retried_and_survives_its_node() {
    let receiver = Receiver::start().await;
    receiver.set(Behavior::Fail);
    let settings = [
        ("SCHEDULER0_JOB_EXECUTION_RETRY_DELAY", "1"),
        ("SCHEDULER0_JOB_EXECUTION_RETRY_MAX", "30"),
    ];
    let mut cluster = TestCluster::start_with(1, &settings).await;
    let project = cluster.project(1, "stubborn").await;
    let created = cluster.jobs(1, &every("@every 1h", project, &receiver.url(), 1)).await;
    let job = created[0]["id"].as_u64().unwrap();
    // An edit makes the job due soon.
    let (status, body) = {
        let url = cluster.url(1, &format!("/api/v1/jobs/{job}"));
        let response =
            cluster.http().put(url).json(&json!({"spec": "* * * * * *"})).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(status, 200, "{body}");
    receiver.wait_until("a first attempt", PATIENCE, |a| !a.is_empty()).await;
    // The failed attempt is recorded before the node dies.
    cluster
        .wait_until("the failure is recorded", async |c: &TestCluster| {
            let page = c.get(1, &format!("/api/v1/executions?jobId={job}")).await;
            page["total"].as_u64().filter(|n| *n > 0)
        })
        .await;
    let first = receiver.arrivals()[0].execution_id.clone();
    cluster.kill(1);
    receiver.set(Behavior::Accept);
    cluster.restart(1).await;
    receiver
        .wait_until("the first occurrence is delivered after all", PATIENCE, |arrivals| {
            arrivals.iter().any(|a| a.accepted && a.execution_id == first)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_graceful_stop_hands_over_and_doubles_nothing() {
    let fixture = FiringCluster::start(2_048).await;
    let FiringCluster { receiver, mut cluster, leader, others, jobs } = fixture;
    for id in [others[0], others[1], leader] {
        assert_eq!(cluster.stop(id).await, Some(0), "node {id}: {}", cluster.log(id));
        cluster.restart(id).await;
    }
    let until = every_job_again(&receiver, &jobs, now() + 2_000).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_is_refused() {
    let cluster = TestCluster::start(1).await;
    let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_scheduler0"));
    second
        .args(["start", "--weak"])
        .env_clear()
        .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
        .env("SCHEDULER0_AUTH_USERNAME", "admin")
        .env("SCHEDULER0_AUTH_PASSWORD", "admin-password")
        .env("SCHEDULER0_PORT", "0")
        .env("SCHEDULER0_RAFT_ADDRESS", "127.0.0.1:0")
        .env("SCHEDULER0_DATA_DIR", cluster.data_dir(1));
    let output = tokio::time::timeout(
        PATIENCE,
        tokio::task::spawn_blocking(move || second.output().unwrap()),
    )
    .await
    .expect("it does not run on")
    .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another") || said.contains("in use"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn dev_shows_a_job_firing_unasked() {
    use tokio::io::AsyncBufReadExt;

    let folder = tempfile::tempdir().unwrap();
    let mut dev = tokio::process::Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["dev", "--port", "0", "--raft-address", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(dev.stdout.take().unwrap()).lines();
    let shown = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap();
    let shown = shown.expect("dev runs on");
    assert!(shown.contains("job 1") && shown.contains("delivered"), "{shown}");
}
