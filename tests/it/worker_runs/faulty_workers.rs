//! Worker processes that speak plain HTTP with any node and have their faults: they hang up in the
//! middle of claims, heartbeats and reports, and go away with runs. They keep the rule of workers:
//! who has no answer to a heartbeat in time stops.
//!
//! `reporting` performs the runs that they get, and `verdict` judges their record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fixture::{Handed, HeardRuns, QUEUE, QueueCluster};
use super::verdict::{Ending, Evidence, HandOut, Unanswered};
use crate::harness::{PATIENCE, client};

/// The time between two heartbeats of a worker.
const BEAT: Duration = Duration::from_millis(500);
/// The wait of a claim.
const WAIT: &str = "1s";
/// The time in which the first heartbeat of a claim is due, in milliseconds.
const FIRST_HEARTBEAT: i64 = 15_000;

/// How the workers behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// The heartbeat timeout of the jobs, in milliseconds.
    pub(super) timeout: i64,
    /// The share of calls that a worker hangs up in the middle of.
    pub(super) hangs_up: f64,
    /// The share of runs that end otherwise than by a report that they are done: in silence, by a
    /// failure or by a release, as often each.
    pub(super) strays: f64,
    /// The longest time that a run takes, in milliseconds.
    pub(super) longest: u64,
}

/// The state that all workers share.
pub(super) struct Shared {
    pub(super) habits: Habits,
    nodes: Vec<String>,
    http: reqwest::Client,
    start: Instant,
    stop: AtomicBool,
    evidence: Mutex<Evidence>,
    /// The number of runs whose completion was accepted.
    pub(super) completed: watch::Sender<u64>,
    /// The number of runs that workers got.
    pub(super) handed: watch::Sender<u64>,
}

/// The workers; they work until they are stopped.
pub(super) struct Workers {
    pub(super) shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// One worker process.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) shared: Arc<Shared>,
    held: Mutex<BTreeMap<String, Held>>,
}

/// A run that a worker has.
struct Held {
    /// The place of its hand-out in the evidence.
    place: usize,
    attempt: u64,
    /// The instant at which the worker has to stop, unless a heartbeat is answered before.
    deadline: i64,
    /// The work is done, and its end is being reported.
    is_done: bool,
}

impl Shared {
    /// Milliseconds since the start.
    pub(super) fn now(&self) -> i64 {
        self.start.elapsed().as_millis() as i64
    }

    /// Sends a request to a node, any one. `None` when no answer came: the node is gone, or the
    /// worker hung up. The second value says whether the request may have arrived.
    pub(super) async fn post(&self, path: &str, body: &Value) -> (Option<(u16, Value)>, bool) {
        let node = rand::random_range(0..self.nodes.len());
        let request = self.http.post(format!("{}{path}", self.nodes[node])).json(body);
        let call = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let bytes = answer.bytes().await?;
            let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            Ok::<_, reqwest::Error>((status, value))
        };
        if rand::random_bool(self.habits.hangs_up) {
            let moment = Duration::from_millis(rand::random_range(0..40));
            let Ok(Ok(answer)) = tokio::time::timeout(moment, call).await else {
                return (None, true);
            };
            return (Some(answer), true);
        }
        match call.await {
            Ok(answer) => (Some(answer), true),
            Err(error) => (None, !error.is_connect()),
        }
    }

    /// Changes a hand-out in the evidence.
    pub(super) fn note(&self, place: usize, change: impl FnOnce(&mut HandOut)) {
        change(&mut self.evidence.lock().unwrap().hand_outs[place]);
    }

    pub(super) fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

impl Workers {
    /// Starts `count` workers.
    pub(super) fn start(fixture: &QueueCluster, count: usize, habits: Habits) -> Self {
        let cluster = &fixture.cluster;
        let shared = Arc::new(Shared {
            habits,
            nodes: cluster.ids().map(|id| cluster.url(id, "/api/v1")).collect(),
            http: client(),
            start: Instant::now(),
            stop: AtomicBool::new(false),
            evidence: Mutex::default(),
            completed: watch::Sender::new(0),
            handed: watch::Sender::new(0),
        });
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (name, shared) = (format!("w-{number}"), Arc::clone(&shared));
            let worker = Arc::new(Worker { name, shared, held: Mutex::default() });
            tasks.spawn(Arc::clone(&worker).claim_all());
            tasks.spawn(worker.beat_all());
        }
        Self { shared, tasks }
    }

    /// Notes that an owner of runs is killed now.
    pub(super) fn owner_dies(&self) {
        let now = self.shared.now();
        self.shared.evidence.lock().unwrap().kills.push(now);
    }

    /// Waits until a number of the shared state is reached. Fails when it stands still.
    pub(super) async fn reach(&mut self, what: &str, of: watch::Receiver<u64>, count: u64) {
        let mut of = of;
        loop {
            let before = *of.borrow_and_update();
            if before >= count {
                return;
            }
            let moved = tokio::time::timeout(PATIENCE, of.changed());
            tokio::select! {
                Some(ended) = self.tasks.join_next() => ended.unwrap(),
                moved = moved => assert!(moved.is_ok(), "{what} stand still at {before} of {count}"),
            }
        }
    }

    /// Stops the workers; returns their record.
    pub(super) async fn stop(mut self) -> Evidence {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.shared.evidence.lock().unwrap())
    }
}

impl Worker {
    /// Claims until it is stopped, and until what it has is over.
    async fn claim_all(self: Arc<Self>) {
        let mut performing = JoinSet::new();
        while !self.shared.stops() {
            let max = rand::random_range(1..=20_u64);
            let key = format!("{:032x}", rand::random::<u128>());
            let body = json!({"workerId": self.name, "queues": [QUEUE], "max": max, "wait": WAIT,
                              "key": key});
            let sent = self.shared.now();
            // A worker that got no answer repeats its claim, or has forgotten it.
            loop {
                let (answer, arrived) = self.shared.post("/workers/claim", &body).await;
                match answer {
                    Some((200, envelope)) => {
                        for run in Handed::read_all(&envelope) {
                            if let Some(place) = self.take(&run, sent) {
                                performing.spawn(Arc::clone(&self).perform(run, place));
                            }
                        }
                        break;
                    }
                    Some((204, _)) => break,
                    Some((503, _)) => {}
                    Some((status, body)) => panic!("a claim is answered {status}: {body}"),
                    None if arrived => {
                        let lost = Unanswered { from: sent, max };
                        self.shared.evidence.lock().unwrap().unanswered.push(lost);
                    }
                    None => {}
                }
                if self.shared.stops() || rand::random_bool(0.5) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while let Some(ended) = performing.join_next().await {
            ended.unwrap();
        }
    }

    /// Notes a run that came. `None` for one that came with an earlier answer to the same claim.
    fn take(&self, run: &Handed, sent: i64) -> Option<usize> {
        let now = self.shared.now();
        let deadline = sent + self.shared.habits.timeout.min(FIRST_HEARTBEAT);
        let mut held = self.held.lock().unwrap();
        if held.get(&run.id).is_some_and(|held| held.attempt == run.attempt) {
            return None;
        }
        let hand_out = HandOut {
            run: run.id.clone(),
            attempt: run.attempt,
            worker: self.name.clone(),
            from: now,
            until: i64::MAX,
            ending: Ending::Held,
            overdue: false,
        };
        let mut evidence = self.shared.evidence.lock().unwrap();
        let place = evidence.hand_outs.len();
        evidence.hand_outs.push(hand_out);
        drop(evidence);
        let is = Held { place, attempt: run.attempt, deadline, is_done: false };
        held.insert(run.id.clone(), is);
        self.shared.handed.send_modify(|count| *count += 1);
        Some(place)
    }

    /// Sends heartbeats for all that it has.
    async fn beat_all(self: Arc<Self>) {
        let mut ticker = tokio::time::interval(BEAT);
        while !self.shared.stops() || !self.held.lock().unwrap().is_empty() {
            ticker.tick().await;
            self.fence();
            let runs: Vec<_> = {
                let held = self.held.lock().unwrap();
                let alive = |(id, held): (&String, &Held)| json!({"id": id, "attempt": held.attempt, "progress": 50});
                held.iter().map(alive).collect()
            };
            if runs.is_empty() {
                continue;
            }
            let wait = if rand::random_bool(0.3) { "300ms" } else { "0s" };
            let (sent, body) = (self.shared.now(), json!({"runs": runs, "wait": wait}));
            let path = format!("/workers/{}/heartbeat", self.name);
            let (answer, _) = self.shared.post(&path, &body).await;
            match answer {
                Some((200, envelope)) => self.hear(&HeardRuns::read(&envelope), &runs, sent),
                Some((503, _)) | None => {}
                Some((status, body)) => panic!("a heartbeat is answered {status}: {body}"),
            }
        }
    }

    /// Takes in the answer to a heartbeat.
    fn hear(&self, heard: &HeardRuns, runs: &[Value], sent: i64) {
        for run in runs {
            let (id, attempt) = (run["id"].as_str().unwrap().to_owned(), run["attempt"].as_u64());
            let mut held = self.held.lock().unwrap();
            let Some(its) = held.get_mut(&id).filter(|its| Some(its.attempt) == attempt) else {
                continue;
            };
            if heard.gone.contains(&id) || heard.cancel.contains(&id) {
                // What is done may be over before its report is answered.
                if !its.is_done {
                    let place = its.place;
                    held.remove(&id);
                    drop(held);
                    let gone = heard.gone.contains(&id);
                    self.let_go(place, if gone { Ending::Gone } else { Ending::Cancelled });
                }
            } else if !heard.unknown.contains(&id) {
                its.deadline = its.deadline.max(sent + self.shared.habits.timeout);
            }
        }
    }

    fn let_go(&self, place: usize, ending: Ending) {
        let now = self.shared.now();
        self.shared.note(place, |one| (one.until, one.ending) = (now, ending));
    }

    /// Stops what had no answer in time.
    pub(super) fn fence(&self) {
        let now = self.shared.now();
        self.held.lock().unwrap().retain(|_, held| {
            if held.deadline > now {
                return true;
            }
            let Held { place, deadline, is_done, .. } = *held;
            self.shared.note(place, |one| {
                if is_done {
                    one.overdue = true;
                } else {
                    (one.until, one.ending) = (deadline.max(one.from), Ending::Fenced);
                }
            });
            is_done
        });
    }

    /// Marks the work on a run as done, if the worker still has it.
    pub(super) fn is_done(&self, run: &Handed, place: usize) -> bool {
        self.fence();
        let mut held = self.held.lock().unwrap();
        let Some(its) = held.get_mut(&run.id).filter(|its| its.place == place) else {
            return false;
        };
        its.is_done = true;
        true
    }

    /// Forgets a run.
    pub(super) fn forget(&self, run: &Handed, place: usize) {
        let mut held = self.held.lock().unwrap();
        if held.get(&run.id).is_some_and(|its| its.place == place) {
            held.remove(&run.id);
        }
    }
}
