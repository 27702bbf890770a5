//! A cluster with a project, a receiver, and templates whose jobs go there.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestCluster};

/// The cluster and what it calls.
pub(super) struct Templates {
    pub(super) cluster: TestCluster,
    pub(super) receiver: Receiver,
    pub(super) project: u64,
}

impl Templates {
    /// Starts so many nodes.
    pub(super) async fn start(count: u64) -> Self {
        let receiver = Receiver::start().await;
        let cluster = TestCluster::start(count).await;
        let project = cluster.project(1, "templates").await;
        Self { cluster, receiver, project }
    }

    /// Creates a template with these fields; its id.
    pub(super) async fn template(&self, kind: &str, fields: Value) -> u64 {
        let mut body = json!({
            "projectId": self.project, "type": kind, "startInSeconds": 1,
            "payloadSchema": {"n": {"type": "uint"}}, "payload": {"n": 1},
            "target": {"http": {"url": self.receiver.at("/run"), "body": {"data": "{{data}}"}}},
        });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, made) = self.cluster.post(1, "/api/v1/templates", &body).await;
        assert_eq!(status, 201, "{made}");
        made["data"]["id"].as_u64().unwrap()
    }

    /// Makes an instance; its job.
    pub(super) async fn instance(&self, template: u64, fields: Value) -> u64 {
        let path = format!("/api/v1/templates/{template}/instances");
        let (status, made) = self.cluster.post(1, &path, &fields).await;
        assert_eq!(status, 201, "{made}");
        made["data"]["id"].as_u64().unwrap()
    }

    /// The instances of a template as a node has them, in a state, by their ids.
    pub(super) async fn instances(&self, node: u64, template: u64, state: &str) -> Vec<u64> {
        let path = format!("/api/v1/templates/{template}/instances?state={state}&limit=1000");
        let list = self.cluster.get(node, &path).await;
        let jobs = list["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["id"].as_u64().unwrap()).collect()
    }

    /// Waits until a node has another live instance than `before`, exactly one; its job.
    pub(super) async fn next_after(&self, node: u64, template: u64, before: u64) -> u64 {
        let next = async |_: &TestCluster| {
            let live = self.instances(node, template, "live").await;
            assert_eq!(live.len(), 1, "node {node}: {live:?}");
            live.first().copied().filter(|id| *id > before)
        };
        self.cluster.wait_until("the next instance", next).await
    }

    /// Waits until a node has so many finished instances.
    pub(super) async fn finished(&self, node: u64, template: u64, least: usize) {
        let enough = async |_: &TestCluster| {
            let over = self.instances(node, template, "over").await;
            (over.len() >= least).then_some(())
        };
        self.cluster.wait_until("instances are over", enough).await;
    }
}
