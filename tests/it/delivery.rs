//! Stories of delivery, told with real processes: three nodes, an endpoint that fails or takes its
//! time, and nodes that die in between. The oracle says what had to arrive, the ledger what the books
//! make of it, and both must agree on every node.

mod letters;
mod misfire;
mod once;
mod pauses;
mod retries;
mod runs;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use scheduler0::model::shard::shard_of;
use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE};
use crate::oracle::{Arrival, Planned};
use crate::receiver::{Receiver, now};

/// What the clocks of sender and receiver may differ here, in milliseconds.
const TOLERANCE: i64 = 50;

/// Three nodes, settled, with a project and an endpoint.
struct Stage {
    receiver: Receiver,
    cluster: Cluster,
    leader: u64,
    others: [u64; 2],
    project: u64,
}

/// What the ledger says of an occurrence: its state and, of a skip, the reason.
type Word = (String, String);

impl Stage {
    /// The breaker is off: what is tried when is each job's own business.
    async fn set() -> Self {
        let receiver = Receiver::start().await;
        let settings = [
            ("SCHEDULER0_BREAKER_FAILURES", "0"),
            ("SCHEDULER0_EXECUTION_LOG_FETCH_INTERVAL_SECONDS", "0.2"),
        ];
        let cluster = Cluster::start_with(3, &settings).await;
        let leader = cluster.leader(1).await.unwrap();
        let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
        cluster.settled(leader, &others).await;
        let project = cluster.project(others[0], "delivery").await;
        Self { receiver, cluster, leader, others: [others[0], others[1]], project }
    }

    /// A job with a request of its own for each occurrence, at a path of the endpoint.
    fn single(&self, path: &str, more: Value) -> Value {
        let http = json!({"method": "POST", "url": self.receiver.at(path)});
        let job = json!({"projectId": self.project, "timezone": "UTC", "http": http});
        with(job, more)
    }

    /// A job whose occurrences go out in batches.
    fn batched(&self, more: Value) -> Value {
        let url = self.receiver.url();
        with(json!({"projectId": self.project, "timezone": "UTC", "callbackUrl": url}), more)
    }

    /// Creates a job through a node; its id.
    async fn create(&self, node: u64, job: Value) -> u64 {
        self.cluster.jobs(node, &json!([job])).await[0]["id"].as_u64().unwrap()
    }

    /// POST; the data of an answer that must be a success.
    async fn post(&self, node: u64, path: &str, body: Value) -> Value {
        let (status, body) = self.cluster.post(node, path, &body).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {body}");
        body["data"].clone()
    }

    /// Waits until the arrivals satisfy a condition.
    async fn arrives(&self, what: &str, holds: impl FnMut(&[Arrival]) -> bool) {
        self.receiver.wait_until(what, PATIENCE, holds).await;
    }

    /// Waits until the clock is past an instant.
    async fn past(&self, instant: i64) {
        self.cluster.wait_until("time", async |_: &Cluster| (now() > instant).then_some(())).await;
    }

    /// Waits for another leader than the one that died; it.
    async fn next_leader(&self, ask: u64, dead: u64) -> u64 {
        let found = async |c: &Cluster| c.leader(ask).await.filter(|leader| *leader != dead);
        self.cluster.wait_until("a new leader", found).await
    }

    /// The node that a job's occurrences go out from.
    async fn owner(&self, job: u64) -> u64 {
        let status = self.cluster.get(self.leader, "/api/v1/cluster/status").await;
        status["shards"][usize::from(shard_of(job))]["owner"].as_u64().unwrap()
    }

    /// What a node's ledger says of a job's occurrences due from one instant to another.
    async fn ledger(&self, node: u64, job: u64, from: i64, until: i64) -> BTreeMap<i64, Word> {
        let (from, until) = (rfc3339(from), rfc3339(until));
        let path = format!("/api/v1/jobs/{job}/occurrences?from={from}&until={until}&limit=1000");
        let found = self.cluster.get(node, &path).await;
        let occurrences = found["occurrences"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        occurrences
            .map(|o| {
                let at = parse_rfc3339(o["scheduledAt"].as_str().unwrap()).unwrap();
                (at, (text(&o["state"]), text(&o["reason"])))
            })
            .collect()
    }

    /// The ledger of a job up to an instant, once each occurrence has an end state; the same on every
    /// node, with exactly the instants that the oracle knows.
    async fn accounted(&self, plan: &Planned, until: i64) -> BTreeMap<i64, Word> {
        let mut ledgers = Vec::new();
        for node in 1..=3 {
            let what = format!("all of job {} is accounted for on node {node}", plan.job);
            let ended = async |_: &Cluster| {
                let found = self.ledger(node, plan.job, plan.from + 1, until).await;
                let end = |(state, _): &Word| ["delivered", "dead", "skipped"].contains(&&**state);
                if !found.values().all(end) {
                    assert!(found.values().all(|(state, _)| state != "missing"), "{found:?}");
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

    /// All nodes hold the same books.
    async fn alike(&self) {
        let sums = self.cluster.checksums(1).await;
        assert_eq!(sums.len(), 3);
        assert!(sums.windows(2).all(|w| w[0] == w[1]), "{sums:?}");
    }
}

/// A job with more fields.
fn with(mut job: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is not an object") };
    job.as_object_mut().unwrap().extend(more);
    job
}

/// The instants of a plan up to one.
fn instants(plan: &Planned, until: i64) -> impl Iterator<Item = i64> {
    let next = move |after: i64| plan.schedule.next(plan.anchor, after).filter(|at| *at <= until);
    std::iter::successors(next(plan.from), move |at| next(*at))
}

/// An answer without a body.
fn says(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap().into_response()
}

/// Arrivals by execution id, each in the order in which they came.
fn by_id(arrivals: &[Arrival]) -> BTreeMap<&str, Vec<&Arrival>> {
    let mut found: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        found.entry(&arrival.execution_id).or_default().push(arrival);
    }
    found
}
