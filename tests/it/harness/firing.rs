//! A cluster under load: the preamble of the tests in which nodes die while jobs fire.

use super::cluster::TestCluster;
use super::oracle::Planned;
use super::receiver::{Receiver, now};
use super::workload::{every, every_job_again, planned};

/// Three settled nodes, and jobs `@every 1s` each of which has fired.
pub(crate) struct FiringCluster {
    /// The endpoint of all jobs.
    pub(crate) receiver: Receiver,
    /// The nodes.
    pub(crate) cluster: TestCluster,
    /// The node that leads; it fires nothing.
    pub(crate) leader: u64,
    /// The two nodes that own the shards.
    pub(crate) others: Vec<u64>,
    /// The jobs.
    pub(crate) jobs: Vec<Planned>,
}

impl FiringCluster {
    /// Starts the nodes, creates `count` jobs through the leader, and waits until each has fired.
    pub(crate) async fn start(count: usize) -> Self {
        let receiver = Receiver::start().await;
        let cluster = TestCluster::start(3).await;
        let (leader, others) = cluster.settled_roles().await;
        let project = cluster.project(leader, "firing").await;
        let jobs = every("@every 1s", project, &receiver.url(), count);
        let jobs = planned(&cluster.jobs(leader, &jobs).await);
        every_job_again(&receiver, &jobs, now()).await;
        Self { receiver, cluster, leader, others, jobs }
    }
}
