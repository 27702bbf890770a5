//! What the tasks of a worker share.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::event_lines::EventLines;
use super::held::HeldRuns;
use super::keeper::Keeper;
use super::nodes::Nodes;
use crate::cli::client::NodeReply;
use crate::clock::Clock;

/// What a worker was told by its flags.
#[derive(Clone, Debug)]
pub(super) struct WorkerOptions {
    /// The worker's id, which is this process's own.
    pub(super) worker: String,
    /// The names of the queues, by preference.
    pub(super) queues: Vec<String>,
    /// `fair` or `strict`.
    pub(super) order: &'static str,
    /// The most runs at a time.
    pub(super) concurrency: usize,
    /// The time between SIGTERM and SIGKILL for a command that is to stop.
    pub(super) grace: Duration,
    /// The command and its arguments.
    pub(super) command: Vec<OsString>,
}

/// A report that waits to be answered.
#[derive(Debug)]
pub(super) struct QueuedReport {
    /// The execution id of the run.
    pub(super) id: String,
    /// The attempt.
    pub(super) attempt: u32,
    /// The report, as the API takes it.
    pub(super) body: Value,
}

/// What the tasks of a worker share.
pub(super) struct WorkerState {
    /// The flags.
    pub(super) settings: WorkerOptions,
    /// The nodes.
    pub(super) nodes: Nodes,
    /// The runs.
    pub(super) held: HeldRuns,
    /// The output.
    pub(super) lines: Arc<EventLines>,
    /// The clock of deadlines.
    pub(super) clock: Arc<dyn Clock>,
    /// Where reports go. Unbounded in form only: a run keeps its place until its report is
    /// answered.
    pub(super) reports: UnboundedSender<QueuedReport>,
    /// Who kills the commands if this process is killed.
    pub(super) keeper: Option<Keeper>,
    /// Commands in a row that could not be started.
    pub(super) failed_starts: AtomicU32,
    /// The nodes refuse our waits: they allow only shorter ones.
    pub(super) waits_refused: AtomicBool,
}

impl WorkerState {
    /// The path of a route of this worker.
    pub(super) fn worker_path(&self, route: &str) -> String {
        let worker = utf8_percent_encode(&self.settings.worker, NON_ALPHANUMERIC);
        format!("/workers/{worker}/{route}")
    }

    /// Returns whether an answer refuses nothing but the wait of a request, and notes that: the
    /// cluster may be set to shorter ones. Requests leave the wait to the node from then on.
    pub(super) fn note_refused_wait(&self, reply: &NodeReply) -> bool {
        let is_wait = reply.status == 400 && reply.envelope["error"]["field"] == "wait";
        is_wait && !self.waits_refused.swap(true, Ordering::Relaxed)
    }
}
