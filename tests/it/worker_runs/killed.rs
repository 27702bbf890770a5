//! Two thousand runs, sixteen workers that hang up at random, and a leader and an owner that are
//! killed meanwhile and start again: each run is completed once, and each second hand-out has a
//! cause.

use std::collections::{BTreeMap, BTreeSet};

use scheduler0::model::time::rfc3339;
use serde_json::{Value, json};

use super::faulty_workers::{Habits, Workers};
use super::fixture::{QUEUE, QueueCluster};
use crate::harness::{TestCluster, now};

/// The runs, which fall due within fifty seconds.
const RUNS: usize = 2_000;

impl QueueCluster {
    /// Creates one-offs of this queue, one every `step` milliseconds from `first` on.
    pub(super) async fn one_offs(
        &self,
        count: usize,
        (first, step): (i64, i64),
        more: &Value,
    ) -> BTreeSet<u64> {
        let mut ids = BTreeSet::new();
        let numbers: Vec<_> = (0..count as i64).collect();
        for part in numbers.chunks(1_000) {
            let job = |n: &i64| {
                let mut job = self.job(json!({"at": rfc3339(first + n * step)}));
                job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                job
            };
            let made = self.cluster.jobs(1, &part.iter().map(job).collect()).await;
            ids.extend(made.iter().map(|job| job["id"].as_u64().unwrap()));
        }
        ids
    }

    /// All pages of a list of a node.
    pub(super) async fn pages(&self, node: u64, path: &str, name: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.cluster.get(node, &format!("{path}&limit=1000{after}")).await;
            all.extend(page[name].as_array().unwrap_or_else(|| panic!("{page}")).clone());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }

    /// Waits until a node lists so many completed runs and none that is not over.
    pub(super) async fn all_completed(&self, node: u64, count: usize) {
        let done = async |_: &TestCluster| {
            let path = format!("/api/v1/runs?queue={QUEUE}&state=");
            let completed = self.pages(node, &format!("{path}completed"), "runs").await;
            let open = format!("{path}queued,pending,running,cancelling");
            let open = self.pages(node, &open, "runs").await;
            (completed.len() >= count && open.is_empty()).then_some(())
        };
        self.cluster.wait_until(&format!("node {node} shows {count} completed runs"), done).await;
    }

    /// Asserts that each job ended by one run that was completed once, as a node shows it.
    pub(super) async fn assert_completed_once(&self, node: u64, jobs: &BTreeSet<u64>) {
        let path = format!("/api/v1/runs?queue={QUEUE}&state=completed,failed,cancelled");
        let runs = self.pages(node, &path, "runs").await;
        let mut of: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
        for run in &runs {
            of.entry(run["jobId"].as_u64().unwrap()).or_default().push(run);
        }
        for (job, runs) in &of {
            let is_one = runs.len() == 1 && runs[0]["state"] == "completed";
            assert!(is_one, "job {job} on node {node}: {runs:?}");
        }
        let seen: BTreeSet<_> = of.keys().copied().collect();
        let missing: Vec<_> = jobs.difference(&seen).collect();
        assert!(missing.is_empty(), "on node {node} these were not completed: {missing:?}");
        assert_eq!(seen.len(), jobs.len(), "on node {node} others were completed, too");

        // The history has one success of each, however often it was reported.
        let path = format!("/api/v1/executions?projectId={}&state=delivered", self.project);
        let attempts = self.pages(node, &path, "executions").await;
        let distinct: BTreeSet<_> =
            attempts.iter().map(|one| one["executionId"].as_str().unwrap()).collect();
        assert_eq!((distinct.len(), attempts.len()), (jobs.len(), jobs.len()), "node {node}");
    }

    /// The node that owns the most shards, other than one.
    async fn an_owner(&self, ask: u64, other_than: u64) -> u64 {
        let found = async |cluster: &TestCluster| {
            let status = cluster.get(ask, "/api/v1/cluster/status").await;
            let mut shards: BTreeMap<u64, u64> = BTreeMap::new();
            for shard in status["shards"].as_array()? {
                *shards.entry(shard["owner"].as_u64()?).or_default() += 1;
            }
            shards.remove(&other_than);
            shards.into_iter().max_by_key(|(_, count)| *count).map(|(owner, _)| owner)
        };
        self.cluster.wait_until("an owner beside the leader", found).await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn each_run_is_completed_once_while_workers_hang_up_and_nodes_die() {
    let mut fixture = QueueCluster::start(3).await;
    let leader = fixture.cluster.leader(1).await.unwrap();
    // A run that is lost is tried again until it is done.
    let terms = json!({"heartbeatTimeout": "5s", "retryMax": 100, "retryDelay": "100ms"});
    let jobs = fixture.one_offs(RUNS, (now() + 4_000, 25), &terms).await;
    let habits = Habits { timeout: 5_000, hangs_up: 0.1, strays: 0.06, longest: 6_000 };
    let mut workers = Workers::start(&fixture, 16, habits);
    let shared = workers.shared.clone();

    workers.reach("hand-outs", shared.handed.subscribe(), 400).await;
    fixture.cluster.kill(leader);
    let ask = if leader == 1 { 2 } else { 1 };
    let elected = async |c: &TestCluster| c.leader(ask).await.filter(|next| *next != leader);
    let next = fixture.cluster.wait_until("a new leader", elected).await;
    let before = *shared.completed.borrow();
    workers
        .reach("completed runs", shared.completed.subscribe(), (before + 200).min(RUNS as u64))
        .await;
    fixture.cluster.restart(leader).await;
    let owner = fixture.an_owner(next, next).await;
    let before = *shared.handed.borrow();
    workers.reach("hand-outs", shared.handed.subscribe(), (before + 100).min(RUNS as u64)).await;
    assert!(*shared.completed.borrow() < RUNS as u64, "all is over before the owner is killed");
    workers.owner_dies();
    fixture.cluster.kill(owner);
    let before = *shared.completed.borrow();
    workers
        .reach("completed runs", shared.completed.subscribe(), (before + 200).min(RUNS as u64))
        .await;
    fixture.cluster.restart(owner).await;
    workers.reach("completed runs", shared.completed.subscribe(), RUNS as u64).await;
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
    assert!(verdict.again > 0 && !evidence.unanswered.is_empty(), "the workers had no faults");
    assert!(verdict.broken.is_empty(), "{:#?}", verdict.broken);
    for node in 1..=3 {
        fixture.assert_completed_once(node, &jobs).await;
    }
    fixture.cluster.assert_same_state(1, 3).await;
}
