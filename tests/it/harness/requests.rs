//! What a test asks of a [`TestCluster`] over HTTP, and the waits for what nodes answer.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::{PATIENCE, TestCluster};

/// Time between two requests about a state that no node announces.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

impl TestCluster {
    /// GET; the envelope's data. Panics on anything but a success.
    pub(crate) async fn get(&self, id: u64, path: &str) -> Value {
        let response = self.http().get(self.url(id, path)).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body["data"].clone()
    }

    /// POST; status and body.
    pub(crate) async fn post(&self, id: u64, path: &str, body: &Value) -> (u16, Value) {
        let response = self.http().post(self.url(id, path)).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// Creates a project through a node; returns its id.
    pub(crate) async fn project(&self, id: u64, name: &str) -> u64 {
        let (status, body) =
            self.post(id, "/projects", &json!({"name": name, "description": "of a test"})).await;
        assert_eq!(status, 201, "{body}");
        body["data"]["id"].as_u64().unwrap()
    }

    /// Creates a project after the leader is gone, as clients are told to: a request that is
    /// answered 503 is repeated under its key.
    pub(crate) async fn project_again(&self, id: u64, name: &str) {
        let body = json!({"name": name, "description": "of a test"});
        self.wait_until("a write is accepted", async |cluster: &Self| {
            let request = cluster.http().post(cluster.url(id, "/projects")).json(&body);
            let response = request.header("idempotency-key", name).send().await.unwrap();
            let status = response.status().as_u16();
            assert!(matches!(status, 201 | 503), "{status}: {}", response.text().await.unwrap());
            (status == 201).then_some(())
        })
        .await;
    }

    /// Creates jobs through a node; returns them as the node shows them.
    pub(crate) async fn jobs(&self, id: u64, jobs: &Value) -> Vec<Value> {
        let response = self
            .http()
            .post(self.url(id, "/api/v1/jobs"))
            .header("prefer", "return=representation")
            .json(jobs)
            .send()
            .await
            .unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, 201, "{body}");
        match &body["data"] {
            Value::Array(jobs) => jobs.clone(),
            job => vec![job.clone()],
        }
    }

    /// The leader, as a node sees it; `None` while there is none.
    pub(crate) async fn leader(&self, id: u64) -> Option<u64> {
        let response = self.http().get(self.url(id, "/healthcheck")).send().await.ok()?;
        let body: Value = response.json().await.ok()?;
        let leader: u64 = body["data"]["leader_id"].as_str()?.parse().ok()?;
        (leader > 0).then_some(leader)
    }

    /// Waits until a condition gives a value. Panics after [`PATIENCE`], with the logs of all
    /// nodes.
    pub(crate) async fn wait_until<F, T>(&self, what: &str, mut holds: F) -> T
    where
        F: AsyncFnMut(&Self) -> Option<T>,
    {
        let mut ticker = tokio::time::interval(POLL_INTERVAL);
        let deadline = Instant::now() + PATIENCE;
        loop {
            ticker.tick().await;
            if let Some(found) = holds(self).await {
                return found;
            }
            if Instant::now() > deadline {
                for id in self.ids() {
                    eprintln!("-- node {id}:\n{}", self.log(id));
                }
                panic!("{what}: not within {PATIENCE:?}");
            }
        }
    }

    /// Waits until each shard has an owner among the given nodes, each of them owns one, and no
    /// hand-over is open.
    pub(crate) async fn settled(&self, ask: u64, owners: &[u64]) {
        self.wait_until("every shard owned and closed", async |cluster: &Self| {
            let response =
                cluster.http().get(cluster.url(ask, "/api/v1/cluster/status")).send().await;
            let body: Value = response.ok()?.json().await.ok()?;
            let shards = body["data"]["shards"].as_array()?.clone();
            let fine = shards.len() == 64
                && shards.iter().all(|s| {
                    s["owner"].as_u64().is_some_and(|o| owners.contains(&o))
                        && s["closing"].is_null()
                })
                && owners.iter().all(|o| shards.iter().any(|s| s["owner"].as_u64() == Some(*o)));
            fine.then_some(())
        })
        .await;
    }

    /// Waits until a cluster of three is settled; returns the leader and the two others, which own
    /// all shards.
    pub(crate) async fn settled_roles(&self) -> (u64, Vec<u64>) {
        let leader = self.leader(1).await.unwrap();
        let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
        self.settled(leader, &others).await;
        (leader, others)
    }

    /// The hash of each node's state at one log index, asked through a node.
    pub(crate) async fn checksums(&self, ask: u64) -> Vec<String> {
        let (status, body) = self.post(ask, "/api/v1/cluster/checksum", &json!({})).await;
        assert_eq!(status, 200, "{body}");
        let nodes = body["data"]["nodes"].as_array().unwrap();
        let hash =
            |node: &Value| node["hash"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
        nodes.iter().map(hash).collect()
    }

    /// Asserts that so many nodes hold the same replicated state.
    pub(crate) async fn assert_same_state(&self, ask: u64, nodes: usize) {
        let sums = self.checksums(ask).await;
        assert_eq!(sums.len(), nodes, "{sums:?}");
        assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{sums:?}");
    }
}
