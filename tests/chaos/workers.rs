//! The workers of a run: processes of a user, here tasks, that perform runs. Some claim runs of an
//! embedded queue through random nodes, keep them by heartbeats and end them by reports. Others
//! take runs from a broker, as published workers do, and report by it. They hang up in the middle
//! of calls, give messages back, go away without a word, say things twice, freeze as `inject` says,
//! and die. They keep the rule of workers: who has no answer to a heartbeat in time stops.
//!
//! `worker` claims and sends heartbeats, `performing` performs and reports; `bus_worker` and
//! `bus_performing` do it over the broker. `held` is what a worker has, `record` is what they leave
//! for `judge`.

mod bus_performing;
mod bus_worker;
mod held;
mod performing;
pub(crate) mod record;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::hosts::{self, Hosts, now};
use bus_worker::BusWorker;
use record::{HandOut, Record};
use worker::Worker;

/// The name of the embedded queue.
pub(crate) const QUEUE: &str = "chaos";
/// The name of the queue at the broker.
pub(crate) const BUS_QUEUE: &str = "chaos-bus";
/// The longest silence of a worker, in milliseconds; its text is for the queue.
pub(crate) const SILENCE: (i64, &str) = (5_000, "5s");
/// The longest silence of a worker over the broker, for the queue. Its worker stops after
/// [`SILENCE`]: that the broker has a heartbeat does not mean that a node has heard it.
pub(crate) const BUS_SILENCE: &str = "8s";
/// The number of names under which jobs of the queue at the broker have their workers.
pub(crate) const BUS_NAMES: u64 = 3;
/// The number of workers that claim, at a time.
const WORKERS: u64 = 8;
/// The number of workers over the broker at a time: as many for each name.
const BUS_WORKERS: u64 = 2 * BUS_NAMES;
/// A frozen worker is one of so many. The workers of a name are of different groups.
const GROUPS: u64 = 2;
/// The seconds that a worker lives.
const LIFE: std::ops::Range<u64> = 5..60;
/// The time until the successor of a dead worker starts.
const RESTART: Duration = Duration::from_millis(500);
/// The time that a worker gives a node for an answer.
const CALL: Duration = Duration::from_millis(2_500);
/// The share of calls that a worker hangs up in the middle of.
const HANGS_UP: f64 = 0.04;
/// The share of cancels that a worker does not confirm, although it stops.
const UNCONFIRMED: f64 = 0.3;
/// The time until all have stopped, which includes that they end what they have.
const STOPPED: Duration = Duration::from_secs(30);

/// The name under which a job has its workers at the broker.
pub(crate) fn bus_name(number: u64) -> String {
    format!("chaos{}", number % BUS_NAMES)
}

/// All workers; dropping it ends them.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// The state that all workers share.
pub(crate) struct Shared {
    hosts: Arc<Hosts>,
    http: reqwest::Client,
    stop: AtomicBool,
    /// The number of freezes that hold, by group of workers.
    frozen: watch::Sender<[u32; GROUPS as usize]>,
    record: Mutex<Record>,
    deaths: AtomicU64,
}

/// A worker process.
enum Process {
    Claims(Arc<Worker>),
    OverBroker(Arc<BusWorker>),
}

impl Workers {
    /// Starts the workers; those over the broker where there is one.
    pub(crate) fn start(hosts: &Arc<Hosts>, broker: Option<&Arc<Broker>>) -> Self {
        let shared = Arc::new(Shared {
            hosts: Arc::clone(hosts),
            http: hosts::client(CALL),
            stop: AtomicBool::new(false),
            frozen: watch::Sender::default(),
            record: Mutex::default(),
            deaths: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        for place in 0..WORKERS {
            let one = Arc::clone(&shared);
            tasks.spawn(generations(Arc::clone(&shared), move |generation| {
                let name = format!("w{place}-{generation}");
                Process::Claims(Arc::new(Worker::new(name, place, &one)))
            }));
        }
        for place in 0..broker.map_or(0, |_| BUS_WORKERS) {
            let (one, broker) = (Arc::clone(&shared), broker.cloned());
            tasks.spawn(generations(Arc::clone(&shared), move |generation| {
                let name = format!("b{place}-{generation}");
                // There are such places only with a broker.
                let broker = broker.clone().unwrap();
                Process::OverBroker(Arc::new(BusWorker::new(name, place, &one, broker)))
            }));
        }
        Self { shared, tasks }
    }

    /// What `inject` freezes workers with.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Lets the workers end what they have and stop; returns their record.
    pub(crate) async fn stop(mut self) -> Record {
        self.shared.stop.store(true, Ordering::SeqCst);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Who does not come to an end has runs that nobody judges: they were due after the faults.
        let _ = tokio::time::timeout(STOPPED, all).await;
        self.tasks.shutdown().await;
        let mut record = self.shared.record.lock().unwrap();
        record.deaths = self.shared.deaths.load(Ordering::SeqCst);
        std::mem::take(&mut *record)
    }
}

impl Shared {
    /// Freezes a group of the workers, or lets it go on.
    pub(crate) fn freeze(&self, choice: u64, is_frozen: bool) {
        let group = (choice % GROUPS) as usize;
        self.frozen.send_modify(|count| {
            count[group] = if is_frozen { count[group] + 1 } else { count[group] - 1 };
        });
    }

    /// Returns when a group is not frozen. A frozen process does nothing, and does not notice.
    async fn thawed(&self, group: usize) {
        let mut frozen = self.frozen.subscribe();
        // The sender lives as long as the workers.
        let _ = frozen.wait_for(|counts| counts[group] == 0).await;
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Adds a hand-out to the record; returns its place there.
    fn add(&self, one: HandOut) -> usize {
        let mut record = self.record.lock().unwrap();
        record.hand_outs.push(one);
        record.hand_outs.len() - 1
    }

    /// Changes a hand-out in the record.
    fn note(&self, place: usize, change: impl FnOnce(&mut HandOut)) {
        change(&mut self.record.lock().unwrap().hand_outs[place]);
    }

    /// Sends a request to a random node. The second value says whether it may have arrived where no
    /// answer came.
    async fn post(&self, path: &str, body: &Value) -> (Option<(u16, Value)>, bool) {
        let node = rand::random_range(self.hosts.ids());
        let request = self.http.post(self.hosts.url(node, &format!("/api/v1{path}"))).json(body);
        let call = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let bytes = answer.bytes().await?;
            Ok::<_, reqwest::Error>((status, serde_json::from_slice(&bytes).unwrap_or_default()))
        };
        if rand::random_bool(HANGS_UP) {
            let moment = Duration::from_millis(rand::random_range(0..60));
            return match tokio::time::timeout(moment, call).await {
                Ok(Ok(answer)) => (Some(answer), true),
                _ => (None, true),
            };
        }
        match call.await {
            Ok(answer) => (Some(answer), true),
            Err(error) => (None, !error.is_connect()),
        }
    }

    /// Notes an answer that no rule allows.
    fn wrong(&self, what: &str, status: u16, body: &Value) {
        self.record.lock().unwrap().wrong.push(format!("{what} is answered {status}: {body}"));
    }

    /// Notes a message that no rule allows.
    fn wrong_message(&self, what: &str, text: &str) {
        self.record.lock().unwrap().wrong.push(format!("{what}: {text}"));
    }
}

/// True for an answer that says "later": nobody is to blame for it.
fn is_refused_for_now(status: u16) -> bool {
    status == 429 || status > 500
}

impl Process {
    /// Works until it is stopped, and until what it has is over.
    async fn live(&self) {
        match self {
            Self::Claims(worker) => Arc::clone(worker).live().await,
            Self::OverBroker(worker) => Arc::clone(worker).live().await,
        }
    }

    /// Notes that the process has died.
    async fn is_dead(&self) {
        match self {
            Self::Claims(worker) => worker.is_dead(now()),
            Self::OverBroker(worker) => worker.is_dead(now()).await,
        }
    }
}

/// The workers of one place, one after the other.
async fn generations(shared: Arc<Shared>, start: impl Fn(u64) -> Process) {
    let mut generation = 0;
    while !shared.stops() {
        generation += 1;
        let process = start(generation);
        let life = Duration::from_secs(rand::random_range(LIFE));
        let death = async {
            tokio::time::sleep(life).await;
            if shared.stops() {
                // It is to end what it has.
                std::future::pending::<()>().await;
            }
        };
        let is_killed = tokio::select! {
            () = process.live() => false,
            () = death => true,
        };
        if is_killed {
            shared.deaths.fetch_add(1, Ordering::SeqCst);
            process.is_dead().await;
            tokio::time::sleep(RESTART).await;
        }
    }
}
