//! The warning of a queue whose runs wait and that no worker asks for, in the status of a whole
//! node: it comes after its time, and goes when a worker claims.

use std::time::Duration;

use serde_json::json;

use super::{MINUTE, SECOND};
use crate::harness::VirtualClockNode;

impl VirtualClockNode {
    /// The warnings of the status that name a queue.
    async fn warnings_of(&self, queue: &str) -> Vec<String> {
        let (status, body) = self.ask("GET", "/api/v1/cluster/status", None).await;
        assert_eq!(status, 200, "{body}");
        let texts = body["data"]["warnings"].as_array().unwrap().clone();
        let texts = texts.iter().map(|text| text.as_str().unwrap().to_owned());
        texts.filter(|text| text.starts_with(&format!("queue {queue}:"))).collect()
    }

    async fn make(&self, path: &str, body: serde_json::Value) -> serde_json::Value {
        let (status, body) = self.ask("POST", path, Some(body)).await;
        assert_eq!(status, 201, "{body}");
        body["data"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_runs_and_no_worker_is_warned_of_until_a_worker_claims() {
    let node = VirtualClockNode::build().await;
    let project = node.make("/api/v1/projects", json!({"name": "p", "description": "d"})).await;
    let queue = json!({"name": "emails", "type": "worker", "worker": {"bus": "embedded"}});
    let queue = node.make("/api/v1/executors", queue).await["id"].clone();
    let at = scheduler0::model::time::rfc3339(node.now() + 5 * SECOND);
    let job = json!({"projectId": project["id"], "at": at, "executorId": queue, "data": "{}"});
    let job = json!([job]);
    let job = node.make("/api/v1/jobs", job).await[0]["id"].clone();
    let offers = async |node: &VirtualClockNode| {
        let (_, body) = node.ask("GET", "/api/v1/queues", None).await;
        let waiting = body["data"]["queues"][0]["offers"].as_u64().unwrap_or(0);
        (waiting == 1).then_some(())
    };
    node.until("the run waits for a worker", offers).await;
    assert_eq!(node.warnings_of("emails").await, Vec::<String>::new(), "it has not waited long");
    node.jump_to(node.now() + MINUTE);
    let warned = async |node: &VirtualClockNode| node.warnings_of("emails").await.pop();
    let said = node.until_by(Duration::from_secs(1), "the warning", warned).await;
    for part in ["1 run waits since", "no worker has asked", "scheduler0 worker --queue emails"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let claim = json!({"workerId": "w", "queues": ["emails"], "wait": "0s"});
    let claimed = async |node: &VirtualClockNode| {
        let (_, body) = node.ask("POST", "/api/v1/workers/claim", Some(claim.clone())).await;
        body["data"]["runs"].as_array()?.first().map(|run| run["jobId"].clone())
    };
    assert_eq!(node.until("a worker claims it", claimed).await, job);
    assert_eq!(node.warnings_of("emails").await, Vec::<String>::new(), "somebody works for it");
}
