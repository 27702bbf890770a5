//! The fixture of the tests of delivery: three nodes, an endpoint that a test scripts, and the
//! ledger as each node shows it.

use std::collections::{BTreeMap, BTreeSet};

use scheduler0::model::shard::shard_of;
use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use super::cluster::{PATIENCE, TestCluster};
use super::oracle::{Arrival, Planned};
use super::receiver::{Receiver, now};
use super::workload::instants;

/// Three settled nodes, a project and an endpoint.
pub(crate) struct DeliveryFixture {
    /// The endpoint.
    pub(crate) receiver: Receiver,
    /// The nodes.
    pub(crate) cluster: TestCluster,
    /// The node that led when the test began.
    pub(crate) leader: u64,
    /// The two nodes that owned the shards when the test began.
    pub(crate) others: [u64; 2],
    /// The project of the jobs.
    pub(crate) project: u64,
}

/// An occurrence as the ledger shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerEntry {
    /// The state, such as `delivered`.
    pub(crate) state: String,
    /// The reason of a skip; empty otherwise.
    pub(crate) reason: String,
}

impl LedgerEntry {
    /// True for a skip with this reason.
    pub(crate) fn is_skipped(&self, reason: &str) -> bool {
        self.state == "skipped" && self.reason == reason
    }
}

impl DeliveryFixture {
    /// Starts the nodes. Breakers are off, so that only a job's own terms decide when it is
    /// retried.
    pub(crate) async fn start() -> Self {
        let receiver = Receiver::start().await;
        let settings = [
            ("SCHEDULER0_BREAKER_FAILURES", "0"),
            ("SCHEDULER0_EXECUTION_LOG_FETCH_INTERVAL_SECONDS", "0.2"),
        ];
        let cluster = TestCluster::start_with(3, &settings).await;
        let (leader, others) = cluster.settled_roles().await;
        let project = cluster.project(others[0], "delivery").await;
        Self { receiver, cluster, leader, others: [others[0], others[1]], project }
    }

    /// A job with a request of its own for each occurrence, at a path of the endpoint.
    pub(crate) fn single(&self, path: &str, more: Value) -> Value {
        let http = json!({"method": "POST", "url": self.receiver.at(path)});
        let job = json!({"projectId": self.project, "timezone": "UTC", "http": http});
        merged(job, more)
    }

    /// A job whose occurrences are sent in batches.
    pub(crate) fn batched(&self, more: Value) -> Value {
        let url = self.receiver.url();
        merged(json!({"projectId": self.project, "timezone": "UTC", "callbackUrl": url}), more)
    }

    /// Creates a job through a node; returns its id.
    pub(crate) async fn create(&self, node: u64, job: Value) -> u64 {
        self.cluster.jobs(node, &json!([job])).await[0]["id"].as_u64().unwrap()
    }

    /// POST that must be answered with a success; the envelope's data.
    pub(crate) async fn post(&self, node: u64, path: &str, body: Value) -> Value {
        let (status, body) = self.cluster.post(node, path, &body).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {body}");
        body["data"].clone()
    }

    /// Waits until the arrivals satisfy a condition.
    pub(crate) async fn arrives(&self, what: &str, holds: impl FnMut(&[Arrival]) -> bool) {
        self.receiver.wait_until(what, PATIENCE, holds).await;
    }

    /// Waits until the clock is past an instant.
    pub(crate) async fn past(&self, instant: i64) {
        let past = async |_: &TestCluster| (now() > instant).then_some(());
        self.cluster.wait_until("time", past).await;
    }

    /// Waits until a node shows an execution in a state.
    pub(crate) async fn becomes(&self, node: u64, execution: &str, state: &str) {
        let path = format!("/api/v1/executions/{execution}");
        let what = format!("{execution} becomes {state} on node {node}");
        let is = async |c: &TestCluster| {
            let answer = c.http().get(c.url(node, &path)).send().await.ok()?;
            let body: Value = answer.json().await.ok()?;
            (body["data"]["state"] == state).then_some(())
        };
        self.cluster.wait_until(&what, is).await;
    }

    /// Waits for another leader than the one that died; returns it.
    pub(crate) async fn next_leader(&self, ask: u64, dead: u64) -> u64 {
        let found = async |c: &TestCluster| c.leader(ask).await.filter(|leader| *leader != dead);
        self.cluster.wait_until("a new leader", found).await
    }

    /// The node that owns a job's shard.
    pub(crate) async fn owner(&self, job: u64) -> u64 {
        let status = self.cluster.get(self.leader, "/api/v1/cluster/status").await;
        status["shards"][usize::from(shard_of(job))]["owner"].as_u64().unwrap()
    }

    /// The ledger of a job as a node shows it, of what is due from one instant to another.
    pub(crate) async fn ledger(
        &self,
        node: u64,
        job: u64,
        from: i64,
        until: i64,
    ) -> BTreeMap<i64, LedgerEntry> {
        let (from, until) = (rfc3339(from), rfc3339(until));
        let path = format!("/api/v1/jobs/{job}/occurrences?from={from}&until={until}&limit=1000");
        let found = self.cluster.get(node, &path).await;
        let occurrences = found["occurrences"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        occurrences
            .map(|o| {
                let at = parse_rfc3339(o["scheduledAt"].as_str().unwrap()).unwrap();
                (at, LedgerEntry { state: text(&o["state"]), reason: text(&o["reason"]) })
            })
            .collect()
    }

    /// Waits until each occurrence of a job up to an instant has an end state. Returns the ledger,
    /// which must be the same on all nodes and have exactly the instants of the plan.
    pub(crate) async fn accounted(&self, plan: &Planned, until: i64) -> BTreeMap<i64, LedgerEntry> {
        let mut ledgers = Vec::new();
        for node in 1..=3 {
            let what = format!("all of job {} is accounted for on node {node}", plan.job);
            let ended = async |_: &TestCluster| {
                let found = self.ledger(node, plan.job, plan.from + 1, until).await;
                let is_end =
                    |entry: &LedgerEntry| ["delivered", "dead", "skipped"].contains(&&*entry.state);
                if !found.values().all(is_end) {
                    assert!(found.values().all(|entry| entry.state != "missing"), "{found:?}");
                    return None;
                }
                Some(found)
            };
            ledgers.push(self.cluster.wait_until(&what, ended).await);
        }
        let planned: BTreeSet<i64> = instants(plan, until).collect();
        assert_eq!(ledgers[0].keys().copied().collect::<BTreeSet<_>>(), planned);
        assert_eq!(ledgers[0], ledgers[1]);
        assert_eq!(ledgers[0], ledgers[2]);
        ledgers.swap_remove(0)
    }

    /// Asserts that all nodes hold the same replicated state.
    pub(crate) async fn assert_same_state(&self) {
        self.cluster.assert_same_state(1, 3).await;
    }
}

/// A JSON object with the fields of another one laid over it.
pub(crate) fn merged(mut job: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is not an object") };
    job.as_object_mut().unwrap().extend(more);
    job
}
