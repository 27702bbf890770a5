//! A running worker: starting it, asking how it stands, stopping it. The node calls this; what the
//! worker does is the engine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Mutex, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::deps::{Deps, Options};
use super::engine::{Engine, PendingRows, Status, WorkerStatus};
use super::ports::{Dispatcher, Lease, StateStore};
use super::queue::Plans;
use super::send::{
    AdaptiveLimits, Admission, CleanExit, Defaults, HangingCalls, Sender, SenderView,
    cancel_deleted,
};
use super::supervision::{self, Inbox, Supervision, Task};
use crate::clock::SchedulerTime;
use crate::command::Change;
use crate::store::meta;

/// The most senders that ask the cluster at one time whether a run may begin. A project alone gets
/// 64 of them.
const MAX_BEGINNING: usize = 144;

/// Pause between two tries to read the cluster's id, in milliseconds.
const RETRY_MS: u64 = 250;

/// A running worker.
pub struct Worker {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// The engine ended, and nobody had asked it to.
    broken: Arc<AtomicBool>,
    status: Arc<Status>,
    supervision: Supervision,
    /// Notes the good end of this process when the worker is dropped, so also after a panic that
    /// the process survives. Only a process that dies leaves its marks as a crash.
    _clean_exit: CleanExit,
}

impl Worker {
    /// Starts the engine on the current (core) runtime. It waits for the cluster to be born, then
    /// fires what its shards have due, until [`Worker::stop`].
    pub fn start<B: StateStore, H: Dispatcher, L: Lease>(
        options: Options,
        deps: Deps<B, H, L>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(Status::default());
        let broken = Arc::new(AtomicBool::new(false));
        let clean_exit = deps.register.clean_exit();
        let (supervision, inbox) = Supervision::new(options.node);
        let engine = tokio::spawn(run(
            options,
            deps,
            Arc::clone(&status),
            (supervision.clone(), inbox),
            stopped.clone(),
        ));
        let task = tokio::spawn(attend(engine, stopped, Arc::clone(&broken)));
        Self {
            stop,
            task: Mutex::new(Some(task)),
            broken,
            status,
            supervision,
            _clean_exit: clean_exit,
        }
    }

    /// The engine's last published status.
    pub fn status(&self) -> WorkerStatus {
        let supervisor = self.supervision.supervisor();
        let (offers, taken) = supervisor.totals();
        let status = self.status.get();
        WorkerStatus { offers, taken, working: status.working || supervisor.is_busy(), ..status }
    }

    /// The supervisor of worker runs, which gateways ask.
    pub fn supervision(&self) -> Supervision {
        self.supervision.clone()
    }

    /// Says whether the engine runs, or has ended because it was asked to. What such a worker
    /// recorded is still to be collected. After a panic of the engine this is `false`.
    pub fn is_running(&self) -> bool {
        !self.broken.load(Ordering::SeqCst)
    }

    /// Begins nothing more, waits at most 10 s for what is in flight, records its results and
    /// states the last watermarks. To be called once the shards are released.
    pub async fn stop(&self) {
        // A worker that has ended by itself has no receiver any more.
        let _ = self.stop.send(true);
        if let Some(task) = self.task.lock().await.take() {
            // A panic in it has been printed.
            let _ = task.await;
        }
    }
}

/// Waits for the end of the engine, and notes an end that nobody asked for.
pub(super) async fn attend(
    engine: JoinHandle<()>,
    stopped: watch::Receiver<bool>,
    broken: Arc<AtomicBool>,
) {
    let why = match engine.await {
        // Dropping the worker tells the engine to stop, too.
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

/// Puts engine, senders and supervision together, and runs the engine to its end.
async fn run<B: StateStore, H: Dispatcher, L: Lease>(
    options: Options,
    deps: Deps<B, H, L>,
    status: Arc<Status>,
    (supervision, inbox): (Supervision, Inbox),
    mut stop: watch::Receiver<bool>,
) {
    let mut changes = deps.store.changes();
    let Some(cluster) = cluster_id(&deps.store, &deps.time, &mut changes, &mut stop).await else {
        return;
    };
    let (send_events, send_events_rx) = mpsc::unbounded_channel();
    let (events, events_rx) = mpsc::unbounded_channel();
    let hanging_calls = Arc::new(HangingCalls::default());
    let clock = Arc::clone(deps.time.clock());
    let max_queue = options.max_queue.max(1);
    let (runtime, kinds) = (deps.runtime.clone(), deps.dispatcher.executors().clone());
    let sender = Arc::new(Sender {
        store: deps.store.clone(),
        in_flight_limits: AdaptiveLimits::new(max_queue, deps.dispatcher.max_in_flight()),
        dispatcher: deps.dispatcher,
        lease: deps.lease,
        view: Arc::new(SenderView::default()),
        plans: Arc::new(Plans::default()),
        time: deps.time,
        metrics: deps.metrics,
        register: deps.register,
        defaults: Defaults {
            retry_max: options.retry_max,
            retry_delay: options.retry_delay,
            timeout: options.timeout,
            max_timeout: options.max_timeout,
            heartbeat_timeout: options.heartbeat_timeout,
            cancel_timeout: options.cancel_timeout,
        },
        node: options.node,
        cluster,
        begin_admission: Admission::new(MAX_BEGINNING),
        hanging_calls: Arc::clone(&hanging_calls),
        in_flight: AtomicU64::new(0),
        runtime: deps.runtime,
        events: send_events.clone(),
        handovers: supervision.handovers(),
        urgent: Arc::default(),
    });
    let parts = supervision::Parts {
        node: options.node,
        cluster,
        store: deps.store.clone(),
        lease: Arc::clone(&sender.lease),
        journal: deps.journal.clone(),
        kinds,
        plans: Arc::clone(&sender.plans),
        defaults: sender.defaults,
        time: Arc::clone(&sender.time),
        metrics: Arc::clone(&sender.metrics),
        bus: deps.bus,
        elsewhere: deps.elsewhere,
        ask_owners: deps.ask_owners,
        engine: send_events,
        journal_grew: deps.journal_grew,
    };
    let (feed, stopping) = (changes.resubscribe(), stop.clone());
    let (end, ended) = oneshot::channel();
    let supervisor = Arc::clone(supervision.supervisor());
    let mut task = runtime.spawn(async move {
        Task::start(parts, &supervision, feed).run(inbox, stopping, ended).await;
    });
    let rows = PendingRows::from_journal(&deps.unforgotten);
    let engine = Engine::new(&options, sender, deps.journal, supervisor, rows, status, events);
    let watch = tokio::spawn(cancel_deleted(deps.store, hanging_calls, clock));
    tokio::select! {
        () = engine.run(changes, send_events_rx, events_rx, stop) => {
            // Its entries are behind those of the engine. It may have ended by itself.
            let _ = end.send(());
            let _ = task.await;
        }
        // Without it no dispatch to workers ends: it panicked, or the runtime ends.
        _ = &mut task => {}
    }
    watch.abort();
}

/// Waits until the cluster is born; `None` when the worker is to stop before that.
async fn cluster_id<B: StateStore>(
    store: &B,
    time: &SchedulerTime,
    changes: &mut broadcast::Receiver<Arc<Change>>,
    stop: &mut watch::Receiver<bool>,
) -> Option<u128> {
    loop {
        match store.load(meta::cluster_id).await {
            Ok(Some(cluster)) => return Some(cluster),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the state cannot be read; trying again"),
        }
        let again = time.clock().boot() + RETRY_MS;
        tokio::select! {
            // Any change may have been the birth; the clock makes up for a lost notification.
            _ = changes.recv() => {}
            () = time.clock().sleep_until(again) => {}
            stopped = stop.changed() => if stopped.is_err() || *stop.borrow() { return None },
        }
    }
}
