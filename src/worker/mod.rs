//! What every node does with the shards it owns: keep what is due, fire it, write down what came of
//! it.
//!
//! ```text
//!   changes ──> changes ──> load ──> queue (classes) ──┐             ┌──> request ──> fire ──> executor
//!                                rows (pending) ───┴──> engine ──┘                 │
//!                       tracker (what is out, W) <────────┴──── record <───────────┘
//!                                                                 │
//!   store <── collector <────────────────────────────────────── journal
//! ```
//!
//! [`engine`] owns the pure parts (`queue`, `tracker`, `rows`) and is the only one that changes
//! them; `guard` is where everybody asks the lease. The worker reads the store, and
//! what it did reaches them by way of the journal. It proposes one thing only: that a run begins which
//! must not overlap with another (`BeginRun`), before its request goes out. Everything is level-triggered: a changes that
//! was lost, a task that failed, a lease that came back lead to a look at how things are.

mod adaptive_limit;
mod admission;
mod backlog;
mod builder;
mod changes;
mod classify;
pub mod due_queue;
mod engine;
mod guard;
mod hanging_calls;
pub mod holder;
mod id_set;
mod isolate;
mod load;
pub mod misfire;
pub mod pauses;
mod pending;
pub mod plan;
mod plans;
pub mod poison;
mod ports;
mod record;
mod render;
pub mod renewal;
mod response;
mod route;
mod secrets;
mod sender;
pub mod shard_queue;
mod status;
#[cfg(test)]
mod tests;
pub mod tracker;
mod view;
mod wait;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

pub use guard::LeaseGuard;
pub use poison::PoisonRegister;
pub use ports::{Dispatcher, Lease, StateStore};
pub use status::Snapshot;

use crate::clock::SchedulerTime;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::attempt::JournalEntry;
use crate::model::shard::ShardId;
use crate::model::{Millis, NodeId};
use crate::secret::Keys;
use crate::store::meta;

/// How late an occurrence may be after a restart or a take-over and still fire as if nothing had
/// been, unless configured otherwise.
pub const MISFIRE_GRACE: Duration = Duration::from_mins(1);

/// So many senders ask the cluster at a time whether a run may begin: 64 of one project, where
/// nobody else does.
const MAX_BEGINNING: usize = 144;

/// How a worker behaves: resolved configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node.
    pub node: NodeId,
    /// `MaxQueue`: requests that are built and wait.
    pub max_queue: usize,
    /// `HTTPExecutorPayloadMaxSizeMb`, in bytes.
    pub payload_max_bytes: usize,
    /// `JobExecutionRetryMax`: retries after the first attempt, for jobs that name none.
    pub retry_max: u32,
    /// `JobExecutionRetryDelay`: before the first retry; doubles from there.
    pub retry_delay: Duration,
    /// `JobExecutionTimeout`: of an attempt, answer included, for jobs that name none.
    pub timeout: Duration,
    /// `MaxJobTimeout`: no attempt takes longer, whatever a job says.
    pub max_timeout: Duration,
    /// Usually [`MISFIRE_GRACE`].
    pub misfire_grace: Duration,
}

/// What a worker is given to work with.
pub struct Deps<B, H, L> {
    /// The store and their changes: the cluster.
    pub store: B,
    /// The executor.
    pub dispatcher: H,
    /// The lease: a [`LeaseGuard`].
    pub lease: Arc<L>,
    /// Opens what callbacks are signed with.
    pub keys: Arc<Keys>,
    /// This node's journal, open.
    pub journal: Journal,
    /// The journal's entries that were not forgotten when it was opened.
    pub unforgotten: Vec<(u64, JournalEntry)>,
    /// This node's time.
    pub time: Arc<SchedulerTime>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// What earlier processes died with.
    pub register: PoisonRegister,
    /// Where senders and readers run; the engine itself runs where `start` is called.
    pub runtime: Runtime,
}

/// A running worker.
pub struct Worker {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// The engine ended, and nobody had asked it to.
    broken: Arc<AtomicBool>,
    status: Arc<status::Status>,
    /// With the worker the process ends, however that comes about but by its death.
    _ending: poison::Ending,
}

/// The watermarks that a journal's entries state, the highest of each epoch: what a lease
/// [`Holder`](holder::Holder) must know from its start.
pub fn stated_watermarks(
    entries: &[(u64, JournalEntry)],
) -> impl Iterator<Item = ((ShardId, u64), Millis)> {
    let mut highest: BTreeMap<(ShardId, u64), Millis> = BTreeMap::new();
    for (_, entry) in entries {
        if let JournalEntry::Watermarks(marks) = entry {
            for mark in marks {
                let seen = highest.entry((mark.shard, mark.epoch)).or_insert(mark.at);
                *seen = mark.at.max(*seen);
            }
        }
    }
    highest.into_iter()
}

impl Worker {
    /// Starts the engine on the current (core) runtime. It waits for the cluster to be born, then
    /// fires what its shards have due, until [`Worker::stop`].
    pub fn start<B: StateStore, H: Dispatcher, L: Lease>(
        options: Options,
        with: Deps<B, H, L>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(status::Status::default());
        let broken = Arc::new(AtomicBool::new(false));
        let ending = with.register.ending();
        let engine = tokio::spawn(run(options, with, Arc::clone(&status), stopped.clone()));
        let task = tokio::spawn(attend(engine, stopped, Arc::clone(&broken)));
        Self { stop, task: Mutex::new(Some(task)), broken, status, _ending: ending }
    }

    /// How it stands.
    pub fn status(&self) -> Snapshot {
        self.status.get()
    }

    /// Whether the engine runs, or has ended because it was to be stopped: what it wrote down then is
    /// still to be collected. One that panicked does not.
    pub fn is_running(&self) -> bool {
        !self.broken.load(Ordering::SeqCst)
    }

    /// Begins nothing more, waits for what is in flight (at most 10 s), writes down what came of it
    /// and the last watermarks. To be called when the shards are released.
    pub async fn stop(&self) {
        // A worker that has ended by itself needs no telling.
        let _ = self.stop.send(true);
        if let Some(task) = self.task.lock().await.take() {
            // A panic in it has been printed.
            let _ = task.await;
        }
    }
}

/// Waits for the end of the engine, and takes note if it came unasked.
async fn attend(engine: JoinHandle<()>, stopped: watch::Receiver<bool>, broken: Arc<AtomicBool>) {
    let why = match engine.await {
        // A worker that was dropped is told to stop by that.
        Ok(()) if *stopped.borrow() || stopped.has_changed().is_err() => return,
        Ok(()) => "it returned",
        Err(error) if error.is_panic() => "it panicked",
        // The runtime ends.
        Err(_) => return,
    };
    broken.store(true, Ordering::SeqCst);
    tracing::error!(
        why,
        "the engine has ended by itself: this node fires nothing and renews no lease until it is \
         started anew"
    );
}

/// The life of a worker.
async fn run<B: StateStore, H: Dispatcher, L: Lease>(
    options: Options,
    with: Deps<B, H, L>,
    status: Arc<status::Status>,
    mut stop: watch::Receiver<bool>,
) {
    let mut changes = with.store.changes();
    let cluster = loop {
        match with.store.load(meta::cluster_id).await {
            Ok(Some(cluster)) => break cluster,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the store cannot be read; trying again"),
        }
        let again = with.time.clock().boot() + 250;
        tokio::select! {
            // Anything may have been the birth; a lost changes is made up for by the clock.
            _ = changes.recv() => {}
            () = with.time.clock().sleep_until(again) => {}
            stopped = stop.changed() => if stopped.is_err() || *stop.borrow() { return },
        }
    };
    let mut rows = pending::PendingRows::default();
    for (_, entry) in &with.unforgotten {
        if let JournalEntry::Attempt(record) = entry
            && let Some(id) = record.pending
        {
            rows.recorded_earlier(id, record.shard, pending::RowResult::of(record));
        }
    }
    let (sent, sent_rx) = mpsc::unbounded_channel();
    let (events, events_rx) = mpsc::unbounded_channel();
    let view = Arc::new(view::SenderView::default());
    let plans = Arc::new(plans::Plans::default());
    let hanging_calls = Arc::new(hanging_calls::HangingCalls::default());
    let in_flight_limits =
        adaptive_limit::AdaptiveLimits::new(options.max_queue.max(1), with.dispatcher.at_most());
    let sender = Arc::new(sender::Sender {
        store: with.store.clone(),
        dispatcher: with.dispatcher,
        lease: Arc::clone(&with.lease),
        view: Arc::clone(&view),
        plans: Arc::clone(&plans),
        time: Arc::clone(&with.time),
        metrics: with.metrics,
        secrets: Arc::new(secrets::SecretCache::new(with.keys)),
        register: with.register,
        defaults: route::Defaults {
            retry_max: options.retry_max,
            retry_delay: options.retry_delay,
            timeout: options.timeout,
            max_timeout: options.max_timeout,
        },
        node: options.node,
        cluster,
        max_bytes: options.payload_max_bytes,
        in_flight_limits,
        begin_admission: admission::Admission::new(MAX_BEGINNING),
        hanging_calls: Arc::clone(&hanging_calls),
        in_flight: AtomicU64::new(0),
        runtime: with.runtime,
        events: sent,
        urgent: Arc::default(),
    });
    let store = with.store.clone();
    let engine = engine::Engine {
        node: options.node,
        store: with.store,
        lease: with.lease,
        journal: with.journal,
        stated_boot: with.time.clock().boot(),
        time: with.time,
        view,
        plans,
        status,
        sender,
        grace: options.misfire_grace.as_millis() as Millis,
        max_queue: options.max_queue.max(1),
        queue: due_queue::DueQueue::default(),
        tracker: tracker::Tracker::default(),
        rows,
        pauses: pauses::Pauses::default(),
        pending_reads: changes::PendingReads::default(),
        reading: false,
        reads: 0,
        caught_up_to: Millis::MIN,
        loading: BTreeMap::new(),
        generation: 0,
        awaiting_read: BTreeMap::new(),
        results: record::Results::default(),
        appending: false,
        dirty: false,
        retry_boot: 0,
        has_room: true,
        building: 0,
        rows_first: false,
        events,
    };
    let watch = tokio::spawn(hanging_calls::cancel_deleted(store, hanging_calls));
    engine.run(changes, sent_rx, events_rx, stop).await;
    watch.abort();
}
