//! Runs over a real RabbitMQ broker through whole nodes, with workers as they were published for
//! Simple Scheduler: a topic exchange and three queues a job, and JSON bodies.

mod broker_killed;
mod cancelling;
mod hostile;
mod moved;
mod performing;
mod silence;
mod statuses;
mod worker;

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use self::worker::PublishedWorker;
use crate::harness::rabbitmq::{PASSWORD, RabbitMq, USER};
use crate::harness::{TestCluster, merged};
use crate::worker_runs::fixture::QueueCluster;

/// Nodes with a queue at a virtual host of a broker.
struct BusCluster {
    nodes: QueueCluster,
    vhost: String,
}

impl BusCluster {
    /// Starts one node or three.
    async fn start(rabbit: &RabbitMq, nodes: u64) -> Self {
        Self::start_with(rabbit, nodes, json!({})).await
    }

    /// As [`BusCluster::start`], with more settings of the queue.
    async fn start_with(rabbit: &RabbitMq, nodes: u64, more: Value) -> Self {
        let vhost = rabbit.vhost();
        let worker = merged(json!({"bus": "rabbitmq", "url": url_of(rabbit, &vhost)}), more);
        let nodes = QueueCluster::start_with(nodes, worker).await;
        Self { nodes, vhost }
    }

    /// A published worker of a job, which takes actions from now on.
    async fn worker(&self, rabbit: &RabbitMq, name: &str) -> PublishedWorker {
        PublishedWorker::start(rabbit, &self.vhost, name).await
    }

    /// The number of messages of workers by kind and outcome, over all nodes.
    async fn counted(&self, kind: &str, outcome: &str) -> u64 {
        let series =
            format!("scheduler0_bus_messages_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} ");
        let mut sum = 0;
        for node in self.nodes.cluster.ids() {
            let url = self.nodes.cluster.url(node, "/metrics");
            let Ok(answer) = self.nodes.cluster.http().get(url).send().await else { continue };
            let text = answer.text().await.unwrap_or_default();
            let value = text.lines().find_map(|line| line.strip_prefix(&series));
            sum += value.map_or(0, |value| value.parse::<u64>().unwrap());
        }
        sum
    }

    /// Waits until so many messages of a kind have had an outcome.
    async fn has_counted(&self, kind: &str, outcome: &str, count: u64) {
        let counted =
            async |_: &TestCluster| (self.counted(kind, outcome).await >= count).then_some(());
        self.nodes.cluster.wait_until(&format!("{count} {kind} {outcome}"), counted).await;
    }

    /// Waits until nothing of a job is under way.
    async fn rests(&self, job: u64) {
        let rests = async |_: &TestCluster| {
            let open = self.nodes.runs(1, job, "queued,pending,running,cancelling").await;
            open.is_empty().then_some(())
        };
        self.nodes.cluster.wait_until(&format!("job {job} rests"), rests).await;
    }
}

/// The URL of a virtual host of a broker, with user and password.
fn url_of(rabbit: &RabbitMq, vhost: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (password, path) = (encoded(PASSWORD), encoded(vhost));
    format!("amqp://{USER}:{password}@127.0.0.1:{}/{path}", rabbit.port())
}

/// The pause between two looks at something that nobody announces.
const LOOK: Duration = Duration::from_millis(20);
