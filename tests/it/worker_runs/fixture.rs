//! The fixture of these tests and of `worker_bus`: nodes with a queue, and what workers and clients
//! ask of them.

use serde_json::{Value, json};

use crate::harness::{TestCluster, merged};

/// The name of the queue.
pub(crate) const QUEUE: &str = "emails";

/// Nodes with a queue and a project.
pub(crate) struct QueueCluster {
    pub(crate) cluster: TestCluster,
    /// The number of the queue.
    pub(crate) queue: u64,
    pub(crate) project: u64,
}

/// A run as a claim gave it.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    /// The execution id.
    pub(crate) id: String,
    pub(crate) run_id: String,
    pub(crate) attempt: u64,
    pub(crate) scheduled_at: String,
    pub(crate) data: String,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeardRuns {
    pub(crate) cancel: Vec<String>,
    pub(crate) gone: Vec<String>,
    pub(crate) unknown: Vec<String>,
}

impl Handed {
    /// Reads the runs of the answer to a claim.
    pub(crate) fn read_all(envelope: &Value) -> Vec<Self> {
        let runs = envelope["data"]["runs"].as_array().unwrap_or_else(|| panic!("{envelope}"));
        let text = |run: &Value, name: &str| run[name].as_str().unwrap().to_owned();
        let read = |run: &Value| Self {
            id: text(run, "id"),
            run_id: text(run, "runId"),
            attempt: run["attempt"].as_u64().unwrap(),
            scheduled_at: text(run, "scheduledAt"),
            data: text(run, "data"),
        };
        runs.iter().map(read).collect()
    }

    /// The run in the body of a heartbeat.
    pub(crate) fn alive(&self) -> Value {
        json!({"id": self.id, "attempt": self.attempt})
    }
}

impl HeardRuns {
    /// Reads the answer to a heartbeat.
    pub(crate) fn read(envelope: &Value) -> Self {
        let ids = |name: &str| {
            let all = envelope["data"][name].as_array().unwrap_or_else(|| panic!("{envelope}"));
            all.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
        };
        Self { cancel: ids("cancel"), gone: ids("gone"), unknown: ids("unknown") }
    }
}

impl QueueCluster {
    /// Starts one node or three with an embedded queue, and waits until they own the shards.
    pub(crate) async fn start(nodes: u64) -> Self {
        Self::start_with(nodes, json!({"bus": "embedded"})).await
    }

    /// As [`QueueCluster::start`], with these settings of the queue.
    pub(crate) async fn start_with(nodes: u64, worker: Value) -> Self {
        let settings = [("SCHEDULER0_EXECUTION_LOG_FETCH_INTERVAL_SECONDS", "0.2")];
        let cluster = TestCluster::start_with(nodes, &settings).await;
        if nodes == 1 {
            cluster.settled(1, &[1]).await;
        } else {
            cluster.settled_roles().await;
        }
        let queue = json!({"name": QUEUE, "type": "worker", "worker": worker});
        let (status, body) = cluster.post(1, "/api/v1/executors", &queue).await;
        assert_eq!(status, 201, "{body}");
        let queue = body["data"]["id"].as_u64().unwrap();
        let project = cluster.project(1, "worker runs").await;
        Self { cluster, queue, project }
    }

    /// A job of the queue.
    pub(crate) fn job(&self, more: Value) -> Value {
        let job = json!({"projectId": self.project, "executorId": self.queue, "timezone": "UTC"});
        merged(job, more)
    }

    /// Creates a job of the queue; returns its id.
    pub(crate) async fn create(&self, more: Value) -> u64 {
        let made = self.cluster.jobs(1, &json!([self.job(more)])).await;
        made[0]["id"].as_u64().unwrap()
    }

    /// POST; status and body.
    pub(crate) async fn post(&self, node: u64, path: &str, body: Value) -> (u16, Value) {
        self.cluster.post(node, &format!("/api/v1{path}"), &body).await
    }

    /// Claims once, with this wait.
    pub(crate) async fn ask(&self, node: u64, worker: &str, max: u64, wait: &str) -> Vec<Handed> {
        let body = json!({"workerId": worker, "queues": [QUEUE], "max": max, "wait": wait});
        let (status, answer) = self.post(node, "/workers/claim", body).await;
        match status {
            204 => Vec::new(),
            200 => Handed::read_all(&answer),
            other => panic!("{other}: {answer}"),
        }
    }

    /// Claims until a run comes, which is the only one that does.
    pub(crate) async fn claim(&self, node: u64, worker: &str) -> Handed {
        let claim = async |_: &TestCluster| self.ask(node, worker, 1, "10s").await.pop();
        self.cluster.wait_until(&format!("{worker} gets a run"), claim).await
    }

    /// Sends a heartbeat.
    pub(crate) async fn beat(&self, node: u64, worker: &str, runs: &[&Handed]) -> HeardRuns {
        let runs: Vec<_> = runs.iter().map(|run| run.alive()).collect();
        let path = format!("/workers/{worker}/heartbeat");
        let (status, answer) = self.post(node, &path, json!({"runs": runs})).await;
        assert_eq!(status, 200, "{answer}");
        HeardRuns::read(&answer)
    }

    /// Sends heartbeats until an answer satisfies a condition.
    pub(crate) async fn hears(
        &self,
        node: u64,
        worker: &str,
        run: &Handed,
        holds: impl Fn(&HeardRuns) -> bool,
    ) -> HeardRuns {
        let heard = async |_: &TestCluster| {
            Some(self.beat(node, worker, &[run]).await).filter(|heard| holds(heard))
        };
        self.cluster.wait_until(&format!("{worker} hears of {}", run.id), heard).await
    }

    /// Reports on a run as its worker; status and body.
    pub(crate) async fn report(
        &self,
        node: u64,
        worker: &str,
        run: &Handed,
        what: &str,
    ) -> (u16, Value) {
        let body = json!({"attempt": run.attempt, "workerId": worker});
        self.post(node, &format!("/runs/{}/{what}", run.id), body).await
    }

    /// Asks for the end of a run; status and body.
    pub(crate) async fn cancel(&self, node: u64, id: &str) -> (u16, Value) {
        self.post(node, &format!("/runs/{id}/cancel"), json!({})).await
    }

    /// A run as a node shows it; `None` where it does not know it (yet).
    pub(crate) async fn run(&self, node: u64, id: &str) -> Option<Value> {
        let url = self.cluster.url(node, &format!("/api/v1/runs/{id}"));
        let response = self.cluster.http().get(url).send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert!(matches!(status, 200 | 404), "{status}: {body}");
        (status == 200).then(|| body["data"].clone())
    }

    /// Waits until each node shows a run in a state; returns the run.
    pub(crate) async fn becomes(&self, id: &str, state: &str) -> Value {
        let mut shown = Value::Null;
        for node in self.cluster.ids() {
            let is = async |_: &TestCluster| {
                self.run(node, id).await.filter(|run| run["state"] == state)
            };
            let what = format!("{id} becomes {state} on node {node}");
            shown = self.cluster.wait_until(&what, is).await;
        }
        shown
    }

    /// The runs of a job in these states, as a node lists them.
    pub(crate) async fn runs(&self, node: u64, job: u64, states: &str) -> Vec<Value> {
        let path = format!("/api/v1/runs?jobId={job}&state={states}&limit=100");
        self.cluster.get(node, &path).await["runs"].as_array().unwrap().clone()
    }

    /// Waits until a job has so many runs in these states; returns them.
    pub(crate) async fn has_runs(&self, job: u64, states: &str, count: usize) -> Vec<Value> {
        let found = async |_: &TestCluster| {
            Some(self.runs(1, job, states).await).filter(|runs| runs.len() >= count)
        };
        self.cluster.wait_until(&format!("{count} runs of job {job}: {states}"), found).await
    }
}
