//! Durability: three nodes under write load are killed at once, again and again. Afterwards each
//! node has each acknowledged job, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::harness::{PATIENCE, Receiver, TestCluster, client, every, judge, now, planned};

/// The number of times that all nodes are killed, unless `SCHEDULER0_KILLS` sets it.
const KILLS: usize = if cfg!(feature = "slow") { 2 } else { 1 };
/// The number of jobs in a batch, for each writer. The last size is staged: its jobs are committed
/// in several log entries and become jobs with a further one.
const SIZES: [usize; 3] = [3, 40, 1_500];
/// The number of batches of each writer between two kills, at least.
const BETWEEN: usize = 3;

/// A client that posts batch after batch through one node. A batch without an answer is posted
/// again under its idempotency key until it has one. It must be created once, whatever happens.
struct Writer {
    name: usize,
    url: String,
    project: u64,
    size: usize,
    stop: AtomicBool,
    done: AtomicUsize,
    /// The ids of the jobs of each acknowledged batch.
    acknowledged: Mutex<BTreeMap<String, BTreeSet<u64>>>,
}

impl Writer {
    async fn write(&self) {
        let http = client();
        let mut ticker = interval(Duration::from_millis(20));
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.stop.load(Ordering::SeqCst) {
            let batch = format!("{}-{}", self.name, self.done.load(Ordering::SeqCst));
            let job = json!({
                "projectId": self.project, "spec": "@every 100h", "timezone": "UTC",
                "callbackUrl": "http://127.0.0.1:9/", "data": batch,
            });
            let body = Value::from(vec![job; self.size]);
            let jobs = loop {
                ticker.tick().await;
                let ask = http.post(&self.url).json(&body);
                let ask = ask.header("idempotency-key", &batch);
                let Ok(answer) = ask.header("prefer", "return=representation").send().await else {
                    continue;
                };
                let status = answer.status();
                // Only a complete answer is an acknowledgement.
                let Ok(body) = answer.json::<Value>().await else { continue };
                if status.as_u16() == 201 {
                    break body["data"].as_array().unwrap().clone();
                }
                assert!(status.is_server_error(), "batch {batch}: {status} {body}");
            };
            let ids: BTreeSet<u64> = jobs.iter().map(|job| job["id"].as_u64().unwrap()).collect();
            assert_eq!(ids.len(), self.size, "batch {batch}");
            self.acknowledged.lock().unwrap().insert(batch, ids);
            self.done.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// All jobs of a project on a node, by their data.
async fn all(cluster: &TestCluster, node: u64, project: u64) -> BTreeMap<String, BTreeSet<u64>> {
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let (mut seen, mut total) = (0, 1);
    while seen < total {
        let path = format!(
            "/api/v1/jobs?projectId={project}&orderBy=id&orderByDirection=asc&limit=1000&offset={seen}\
             &consistency=linearizable"
        );
        let page = cluster.get(node, &path).await;
        total = page["total"].as_u64().unwrap();
        let jobs = page["jobs"].as_array().unwrap();
        assert!(!jobs.is_empty() || total == 0, "node {node}: {seen} of {total}");
        for job in jobs {
            let batch = job["data"].as_str().unwrap().to_owned();
            let fresh = found.entry(batch).or_default().insert(job["id"].as_u64().unwrap());
            assert!(fresh, "node {node} shows a job twice: {job}");
        }
        seen += jobs.len() as u64;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_the_death_of_all_nodes() {
    let kills = std::env::var("SCHEDULER0_KILLS");
    let kills = kills.map_or(KILLS, |text| text.parse().expect("SCHEDULER0_KILLS is a number"));
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let busy = cluster.project(1, "busy").await;
    let fired = planned(&cluster.jobs(2, &every("@every 1s", busy, &receiver.url(), 64)).await);
    let project = cluster.project(1, "durable").await;
    let mut tasks = JoinSet::new();
    let writers: Vec<Arc<Writer>> = (1_u64..=3)
        .zip(SIZES)
        .map(|(node, size)| {
            Arc::new(Writer {
                name: node as usize,
                url: cluster.url(node, "/api/v1/jobs"),
                project,
                size,
                stop: AtomicBool::new(false),
                done: AtomicUsize::new(0),
                acknowledged: Mutex::default(),
            })
        })
        .collect();
    for writer in &writers {
        let writer = Arc::clone(writer);
        tasks.spawn(async move { writer.write().await });
    }

    for kill in 1..=kills {
        let before: Vec<usize> = writers.iter().map(|w| w.done.load(Ordering::SeqCst)).collect();
        cluster
            .wait_until("every writer gets on", async |_: &TestCluster| {
                let on = |(w, was): (&Arc<Writer>, &usize)| {
                    w.done.load(Ordering::SeqCst) >= was + BETWEEN
                };
                writers.iter().zip(&before).all(on).then_some(())
            })
            .await;
        cluster.kill_all();
        for id in 1..=3 {
            cluster.spawn(id);
        }
        for id in 1..=3 {
            cluster.ready(id).await;
        }
        cluster.assert_same_state(kill as u64 % 3 + 1, 3).await;
    }

    for writer in &writers {
        writer.stop.store(true, Ordering::SeqCst);
    }
    let finish = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, finish).await.expect("every batch gets its answer");
    let mut acknowledged = BTreeMap::new();
    for writer in &writers {
        acknowledged.append(&mut writer.acknowledged.lock().unwrap());
    }
    let jobs: usize = acknowledged.values().map(BTreeSet::len).sum();
    println!("{kills} kills, {} batches, {jobs} jobs", acknowledged.len());
    for node in 1..=3 {
        let there = all(&cluster, node, project).await;
        // The message shows the first difference: maps of thousands are not readable.
        let missing = acknowledged.iter().find(|(batch, ids)| there.get(*batch) != Some(ids));
        let has = missing.and_then(|(batch, _)| there.get(batch));
        assert!(missing.is_none(), "node {node}: acknowledged {missing:?}, but it has {has:?}");
        let extra = there.keys().find(|batch| !acknowledged.contains_key(*batch));
        assert!(extra.is_none(), "node {node}: nobody wrote {extra:?}");
    }
    // The jobs that fired during the kills missed nothing.
    let until = now();
    receiver
        .wait_until("all jobs go on", PATIENCE, |arrivals| {
            let on: BTreeSet<u64> =
                arrivals.iter().filter(|a| a.scheduled > until).map(|a| a.job).collect();
            fired.iter().all(|job| on.contains(&job.job))
        })
        .await;
    judge(&fired, &receiver.arrivals(), 0, until, 50).assert_sound();

    a_rejected_batch_leaves_nothing(&cluster, project).await;
    cluster.assert_same_state(1, 3).await;
}

/// One bad job makes a batch fail as a whole, small or staged. It runs on the cluster of the test
/// above.
async fn a_rejected_batch_leaves_nothing(cluster: &TestCluster, project: u64) {
    let before = all(cluster, 1, project).await;
    for (size, bad) in [(10, 4), (2_500, 2_499)] {
        for (field, value) in [("spec", json!("0 0 30 2 *")), ("projectId", json!(999_999))] {
            let job = json!({
                "projectId": project, "spec": "@every 100h", "timezone": "UTC",
                "callbackUrl": "http://127.0.0.1:9/", "data": "spoilt",
            });
            let mut jobs = vec![job; size];
            jobs[bad][field] = value;
            let (status, body) = cluster.post(2, "/api/v1/jobs", &Value::from(jobs)).await;
            assert!((400..500).contains(&status), "{field}: {status} {body}");
            assert_eq!(body["error"]["index"], bad, "{body}");
            assert_eq!(body["error"]["field"], field, "{body}");
        }
    }
    for node in 1..=3 {
        assert_eq!(all(cluster, node, project).await.len(), before.len(), "node {node}");
        assert!(!all(cluster, node, project).await.contains_key("spoilt"), "node {node}");
    }
}
