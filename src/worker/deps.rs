//! A worker's configuration and the things that it is given to work with. The node fills them in;
//! `handle` takes them apart.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle as Runtime;

use super::send::PoisonRegister;
use crate::bus::Bus;
use crate::clock::SchedulerTime;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::NodeId;
use crate::model::attempt::JournalEntry;
use crate::model::claim::{HandOutQuestion, HandedOut, RunHeartbeat};

/// The resolved configuration of a worker.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node.
    pub node: NodeId,
    /// `MaxQueue`: the most requests that are built and wait for their first byte.
    pub max_queue: usize,
    /// `JobExecutionRetryMax`: retries after the first attempt, for jobs that name none.
    pub retry_max: u32,
    /// `JobExecutionRetryDelay`: the delay before the first retry; it doubles from there.
    pub retry_delay: Duration,
    /// `JobExecutionTimeout` of an attempt, answer included, for jobs that name none.
    pub timeout: Duration,
    /// `MaxJobTimeout`: the upper bound of every attempt, also of jobs that name more.
    pub max_timeout: Duration,
    /// `WorkerHeartbeatTimeoutSeconds`: the longest silence of a worker, for jobs and queues that
    /// name none.
    pub heartbeat_timeout: Duration,
    /// `WorkerCancelTimeoutSeconds`: the time in which a worker confirms a cancel, for jobs that
    /// name none.
    pub cancel_timeout: Duration,
    /// The grace of jobs that name none, usually [`MISFIRE_GRACE`](super::MISFIRE_GRACE).
    pub misfire_grace: Duration,
}

/// Passes signs of life on to the owners of their runs. It must not wait.
pub type Elsewhere = Arc<dyn Fn(Vec<RunHeartbeat>) + Send + Sync>;

/// Asks the owners of runs whether attempts were handed out: an answer for each, in their order.
pub type AskOwners =
    Arc<dyn Fn(Vec<HandOutQuestion>) -> BoxFuture<'static, Vec<HandedOut>> + Send + Sync>;

/// The ports and services of a worker.
pub struct Deps<B, H, L> {
    /// The replicated state and its change feed: the cluster.
    pub store: B,
    /// Makes the calls: the node's call queue, with its executors.
    pub dispatcher: H,
    /// The bus of queues whose workers are at a broker.
    pub bus: Arc<dyn Bus>,
    /// Passes signs of life on that came over a broker to a node that does not own their runs.
    pub elsewhere: Elsewhere,
    /// Asks the owners of runs of which a worker at a broker speaks.
    pub ask_owners: AskOwners,
    /// The lease: a [`LeaseGuard`](super::LeaseGuard).
    pub lease: Arc<L>,
    /// This node's journal, open.
    pub journal: Journal,
    /// The journal's entries that were not forgotten when it was opened.
    pub unforgotten: Vec<(u64, JournalEntry)>,
    /// This node's scheduler time.
    pub time: Arc<SchedulerTime>,
    /// The node's counters.
    pub metrics: Arc<Metrics>,
    /// The occurrences that earlier processes of this node died with.
    pub register: PoisonRegister,
    /// Tells the leader that the journal has grown, so that its collector comes. Called at most
    /// every 20 ms.
    pub journal_grew: Arc<dyn Fn() + Send + Sync>,
    /// The runtime of senders and readers. The engine runs where `start` is called.
    pub runtime: Runtime,
}
