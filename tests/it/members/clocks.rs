//! Clocks that differ: a node that is more than a second off the median of the living nodes neither
//! leads, nor stamps, nor fires, and warns. Of two clocks that differ neither is known to be right.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use scheduler0::clock::{Clock, SystemClock};
use scheduler0::config::{Config, LoadOptions};
use scheduler0::node::{Node, Options};
use scheduler0::secret::Keys;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, interval};

use crate::harness::{PATIENCE, client, free_port};

const HOUR: i64 = 3_600_000;

/// The machine's clocks, with the wall clock off by this many milliseconds.
struct SkewedClock(i64);

impl Clock for SkewedClock {
    fn wall(&self) -> i64 {
        SystemClock.wall() + self.0
    }

    fn boot(&self) -> u64 {
        SystemClock.boot()
    }

    fn sleep_until(&self, boot: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SystemClock.sleep_until(boot)
    }
}

/// Nodes in this process with clocks that differ.
struct SkewedCluster {
    nodes: Vec<Node>,
    http: reqwest::Client,
    dir: TempDir,
}

impl SkewedCluster {
    /// Starts nodes whose clocks are off by these milliseconds; the first founds the cluster.
    async fn build(off: &[i64]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let replicas: Vec<Value> = (1..=off.len())
            .map(|id| {
                json!({"nodeId": id, "address": format!("http://127.0.0.1:{}", free_port()),
                    "raft_address": format!("127.0.0.1:{}", free_port())})
            })
            .collect();
        let mut cluster = Self { nodes: Vec::new(), http: client(), dir };
        for (own, off) in replicas.iter().zip(off) {
            let id = own["nodeId"].to_string();
            let port = own["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
            let env = [
                ("SCHEDULER0_NODE_ID", id.clone()),
                ("SCHEDULER0_BOOTSTRAP", (id == "1").to_string()),
                ("SCHEDULER0_PORT", port),
                ("SCHEDULER0_REPLICAS", Value::from(replicas.clone()).to_string()),
                ("SCHEDULER0_DATA_DIR", cluster.dir.path().join(id).display().to_string()),
            ];
            let env: BTreeMap<_, _> = env.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            let work_dir = cluster.dir.path().to_owned();
            let config = Config::load(&LoadOptions { env, work_dir, ..LoadOptions::default() });
            let keys = Keys::new(&"5a".repeat(32), "admin", "admin-password").unwrap();
            let options = Options { clock: Arc::new(SkewedClock(*off)), dev: false };
            cluster.nodes.push(Node::start(config.unwrap(), keys, options).await.unwrap());
        }
        cluster
    }

    fn url(&self, id: u64, path: &str) -> String {
        format!("http://{}{path}", self.nodes[id as usize - 1].address())
    }

    async fn status(&self, id: u64) -> Option<Value> {
        let url = self.url(id, "/api/v1/cluster/status");
        let body: Value = self.http.get(url).send().await.ok()?.json().await.ok()?;
        Some(body["data"].clone())
    }

    async fn until<T>(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let mut ticker = interval(Duration::from_millis(50));
        let deadline = Instant::now() + PATIENCE;
        loop {
            ticker.tick().await;
            if let Some(found) = holds(self).await {
                return found;
            }
            assert!(Instant::now() < deadline, "{what}: {:?}", self.status(1).await);
        }
    }

    async fn end(self) {
        for node in self.nodes {
            node.crash().await;
        }
    }
}

fn warns(status: &Value, node: u64) -> bool {
    let warnings = status["warnings"].as_array().into_iter().flatten();
    let about = format!("node {node}: it gets no lease: its clock");
    warnings.filter_map(Value::as_str).any(|warning| warning.starts_with(&about))
}

fn shards_of(status: &Value, node: u64) -> usize {
    let shards = status["shards"].as_array().into_iter().flatten();
    shards.filter(|shard| shard["owner"] == node).count()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn of_three_the_one_an_hour_off_neither_fires_nor_leads() {
    let cluster = SkewedCluster::build(&[0, 30, HOUR]).await;
    let status = cluster
        .until("the third is told, the others share the work", async |cluster| {
            let status = cluster.status(1).await?;
            let fine = warns(&status, 3) && shards_of(&status, 1) + shards_of(&status, 2) == 64;
            fine.then_some(status)
        })
        .await;
    assert_eq!(shards_of(&status, 3), 0);
    let off = status["nodes"][2]["clockOffsetMs"].as_i64().unwrap();
    assert!((off - HOUR).abs() < 1_000, "{off}");
    assert!(!warns(&status, 1) && !warns(&status, 2), "{status}");
    let metrics = cluster.http.get(cluster.url(3, "/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("clock_offset"), "{metrics}");

    let url = cluster.url(2, "/api/v1/cluster/leader");
    let answer = cluster.http.post(&url).json(&json!({"id": 3})).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 409);
    let said = answer.text().await.unwrap();
    assert!(said.contains("it may not lead"), "{said}");
    // Its wrong time is not in the log.
    let project = json!({"name": "p", "description": "d"});
    let made = cluster.http.post(cluster.url(3, "/projects")).json(&project).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let stamp = cluster.nodes[0].cluster().applied().borrow().stamp;
    assert!(stamp < SystemClock.wall() + HOUR / 2, "{stamp}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn of_two_that_differ_nobody_fires_and_both_say_so() {
    let cluster = SkewedCluster::build(&[0, HOUR]).await;
    cluster
        .until("both are told", async |cluster| {
            let status = cluster.status(1).await?;
            (warns(&status, 1) && warns(&status, 2)).then_some(())
        })
        .await;
    let status = cluster.status(1).await.unwrap();
    assert_eq!(shards_of(&status, 1) + shards_of(&status, 2), 0, "{status}");
    // No write is stamped: the right time is unknown.
    let project = json!({"name": "p", "description": "d"});
    let made = cluster.http.post(cluster.url(1, "/projects")).json(&project).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 503);
    cluster.end().await;
}
