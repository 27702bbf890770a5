//! Many workers: two hundred that hang up at random, and five thousand claims that wait at an empty
//! queue. Each run ends once, waiting costs no entry of the log, and clients are served meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::task::JoinSet;

use super::faulty_workers::{Habits, Workers};
use super::fixture::{QUEUE, QueueCluster};
use crate::harness::{TestCluster, client, now};

/// The workers that perform runs.
const WORKERS: usize = 200;
/// The runs that they perform, which fall due within twenty seconds.
const RUNS: usize = 1_000;
/// The claims that wait.
const CLAIMS: usize = 5_000;
/// The time in which waiting claims must cost nothing.
const WAITING: Duration = Duration::from_secs(20);

impl QueueCluster {
    /// The values of a metric at a node, by its labels.
    async fn metric(&self, node: u64, name: &str) -> BTreeMap<String, f64> {
        let answer = self.cluster.http().get(self.cluster.url(node, "/metrics")).send().await;
        let text = answer.unwrap().text().await.unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
        let values = lines.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap()));
        values.filter(|(labels, _)| labels.is_empty() || labels.starts_with('{')).collect()
    }

    /// The commands that a node has applied, by name, but for the clock's; and how often it
    /// recorded what journals say, which is the watermarks alone where nothing falls due.
    async fn applied(&self, node: u64) -> (BTreeMap<String, f64>, f64) {
        let mut applied = self.metric(node, "scheduler0_applied_total").await;
        applied.retain(|labels, _| !labels.contains("\"tick\""));
        let recorded = applied.remove("{command=\"record\"}").unwrap_or_default();
        (applied, recorded)
    }

    /// The claims that wait at all nodes; `None` when one did not say.
    async fn waiting(&self) -> Option<usize> {
        let shown = self.cluster.get(1, "/api/v1/queues").await;
        let queue = shown["queues"].as_array()?.iter().find(|queue| queue["name"] == QUEUE)?;
        shown["unanswered"].is_null().then(|| queue["waitingClaims"].as_u64())?.map(|n| n as usize)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn two_hundred_workers_that_hang_up_complete_each_run_once() {
    let fixture = QueueCluster::start(3).await;
    let terms = json!({"heartbeatTimeout": "10s", "retryMax": 100, "retryDelay": "100ms"});
    let jobs = fixture.one_offs(RUNS, (now() + 3_000, 20), &terms).await;
    let habits = Habits { timeout: 10_000, hangs_up: 0.1, strays: 0.03, longest: 3_000 };
    let mut workers = Workers::start(&fixture, WORKERS, habits);
    let completed = workers.shared.completed.subscribe();
    workers.reach("completed runs", completed, RUNS as u64).await;
    for node in 1..=3 {
        fixture.all_completed(node, RUNS).await;
    }
    let evidence = workers.stop().await;
    let verdict = evidence.judge();
    println!(
        "{} hand-outs, {} of them again, {} reached nobody; {} claims without an answer",
        evidence.hand_outs.len(),
        verdict.again,
        verdict.lost,
        evidence.unanswered.len()
    );
    assert!(!evidence.unanswered.is_empty(), "the workers had no faults");
    assert!(verdict.broken.is_empty(), "{:#?}", verdict.broken);
    for node in 1..=3 {
        fixture.assert_completed_once(node, &jobs).await;
    }
    fixture.cluster.assert_same_state(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn five_thousand_waiting_claims_cost_no_entry_and_keep_no_client_out() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let fixture = QueueCluster::start(3).await;
    let http = client();
    let mut claims = JoinSet::new();
    let claim = |number: usize| {
        let url = fixture.cluster.url(number as u64 % 3 + 1, "/api/v1/workers/claim");
        let body = json!({"workerId": format!("w-{number}"), "queues": [QUEUE], "wait": "60s"});
        let request = http.post(url).timeout(Duration::from_mins(2)).json(&body);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    for number in 0..CLAIMS {
        claims.spawn(claim(number));
        if number % 250 == 249 {
            // A listener has room for so many at a time.
            let parked =
                async |_: &TestCluster| fixture.waiting().await.filter(|count| *count > number);
            fixture.cluster.wait_until(&format!("{} claims wait", number + 1), parked).await;
        }
    }
    let mut before = Vec::new();
    for node in 1..=3 {
        before.push(fixture.applied(node).await);
    }
    // What is looked at is the log of this time.
    tokio::time::sleep(WAITING).await;
    assert_eq!(fixture.waiting().await, Some(CLAIMS), "they wait");
    for (node, (before, recorded)) in (1..).zip(before) {
        let (applied, now) = fixture.applied(node).await;
        assert_eq!(applied, before, "node {node}");
        // An entry for each of a hundred claims would be too much already.
        assert!(now - recorded < CLAIMS as f64 / 100.0, "node {node}: {recorded}, then {now}");
    }

    // Clients are served, and what falls due goes to those that wait.
    for node in 1..=3 {
        let jobs = fixture.cluster.get(node, "/api/v1/jobs?limit=10").await;
        assert_eq!(jobs["total"], 0, "{jobs}");
    }
    fixture.one_offs(100, (now() + 2_000, 10), &json!({"retryMax": 0})).await;
    for _ in 0..100 {
        assert_eq!(
            claims.join_next().await.unwrap().unwrap(),
            200,
            "a run, not the end of the wait"
        );
    }
    claims.shutdown().await;
}
