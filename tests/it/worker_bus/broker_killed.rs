//! Nodes and brokers that are killed while runs are out: nothing is lost, and nothing is stuck.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::BusCluster;
use super::worker::PublishedWorker;
use crate::harness::rabbitmq::{self, RabbitMq};
use crate::harness::{PATIENCE, TestCluster, now};

/// Lets the broker kill itself with SIGKILL, once `rabbitmqctl` has its answer.
const KILL: &str =
    r#"os:cmd("(: >$HOME/killed; sleep 0.1; kill -9 " ++ os:getpid() ++ ") >/dev/null 2>&1 &")."#;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn runs_that_are_out_when_their_owner_is_killed_are_ended_by_their_workers() {
    const JOBS: usize = 900;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let mut bus = BusCluster::start(rabbit, 3).await;
    let mut worker = bus.worker(rabbit, "owned").await;
    let at = scheduler0::model::time::rfc3339(now() + 5_000);
    let job = bus.nodes.job(json!({"at": at, "workerName": "owned", "retryMax": 5}));
    // Of many shards, so that each node owns some.
    bus.nodes.cluster.jobs(1, &json!(vec![job; JOBS])).await;
    let mut out: BTreeMap<String, u64> = BTreeMap::new();
    while out.len() < JOBS {
        let told = worker.told().await;
        assert_eq!(told.action, "run");
        *out.entry(told.run.clone()).or_default() += 1;
        worker.say(&told.run, "running").await;
    }
    assert!(out.values().all(|times| *times == 1), "no fault, and a run came twice");
    bus.nodes.cluster.kill(2);
    // What the dead owner consumed comes to the next one.
    for run in out.keys() {
        worker.say(run, "completed").await;
    }
    for run in out.keys() {
        let done = async |_: &TestCluster| {
            bus.nodes.run(1, run).await.filter(|run| run["state"] == "completed")
        };
        bus.nodes.cluster.wait_until(&format!("{run} is completed"), done).await;
    }
}

/// Performs whatever it is told, until it is aborted; a new connection after each loss.
async fn perform(rabbit: &'static RabbitMq, vhost: String, name: &'static str) {
    loop {
        let (vhost, name) = (vhost.clone(), name.to_owned());
        let connection = tokio::spawn(async move {
            let mut worker = PublishedWorker::start(rabbit, &vhost, &name).await;
            loop {
                let told = worker.told().await;
                let words: &[&str] = match told.action.as_str() {
                    "run" => &["running", "completed"],
                    _ => &["cancelled"],
                };
                for word in words {
                    worker.say(&told.run, word).await;
                }
            }
        });
        // The broker is away.
        let _ = connection.await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_broker_that_is_killed_under_load_leaves_nothing_stuck() {
    const JOBS: usize = 20;
    const KILLS: usize = 2;
    let Some(rabbit) = RabbitMq::start() else { return };
    let rabbit: &'static RabbitMq = Box::leak(Box::new(rabbit));
    let bus = BusCluster::start(rabbit, 1).await;
    let worker = tokio::spawn(perform(rabbit, bus.vhost.clone(), "killed"));
    // Transient words of the worker are lost with the broker: silence finds such runs.
    let job = json!({"spec": "@every 1s", "workerName": "killed", "heartbeatTimeout": "3s",
        "startTimeout": "5s", "cancelTimeout": "1s", "retryMax": 50, "retryDelay": "100ms",
        "retryOn": ["lost", "timeout", "failed"]});
    let jobs = bus.nodes.cluster.jobs(1, &json!(vec![bus.nodes.job(job); JOBS])).await;
    let from = now();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_secs(4)).await;
        tokio::task::block_in_place(|| {
            rabbit.control(&["eval", KILL]);
            let until = Instant::now() + PATIENCE;
            while std::net::TcpStream::connect(("127.0.0.1", rabbit.port())).is_ok() {
                assert!(Instant::now() < until, "the broker is not killed");
                std::thread::sleep(Duration::from_millis(5));
            }
            rabbit.wait();
        });
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let project = bus.nodes.project;
    let (status, body) = bus.nodes.post(1, &format!("/projects/{project}/pause"), json!({})).await;
    assert!(status < 300, "{body}");
    for job in &jobs {
        bus.rests(job["id"].as_u64().unwrap()).await;
    }
    worker.abort();
    // Every occurrence has an end. Those that waited longer than they may for the broker were
    // cancelled.
    let until = scheduler0::model::time::rfc3339(now());
    let from = scheduler0::model::time::rfc3339(from + 1_000);
    let (mut completed, mut all) = (0, 0);
    for job in &jobs {
        let path = format!("/api/v1/jobs/{}/occurrences?from={from}&until={until}", job["id"]);
        let page: Value = bus.nodes.cluster.get(1, &format!("{path}&limit=1000")).await;
        for occurrence in page["occurrences"].as_array().unwrap() {
            let state = occurrence["state"].as_str().unwrap();
            all += 1;
            completed += usize::from(matches!(state, "delivered" | "completed"));
            let is_open = matches!(state, "pending" | "running" | "cancelling" | "queued");
            assert!(!is_open, "{occurrence}");
        }
    }
    assert!(all >= JOBS * 10 && completed >= JOBS * 4, "{completed} of {all}");
}
