//! The task: one step of the supervisor after the other. It takes in what waits (results of
//! effects, questions of gateways, what senders hand over), and everything that waits before each
//! tick: a heartbeat that has come must not count as silence.
//!
//! `handle` starts it on the senders' runtime and ends it behind the engine. A worker that stops
//! hands out nothing more, and what still waits outside the journal is journaled at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::answers::Answers;
use super::dispatches::Dispatches;
use super::done::Done;
use super::handle::Supervision;
use super::lookup::Lookup;
use super::prepare::Preparer;
use super::proposer::Proposer;
use super::reader::{Reader, Wish};
use super::requests::{AskedClaim, Inbox, Request};
use super::shared::SharedSupervisor;
use super::writer::{Appending, Writer, tell_growth};
use crate::clock::SchedulerTime;
use crate::command::Change;
use crate::delivery::registry::Registry;
use crate::journal::Journal;
use crate::metrics::{Metrics, QueueFigures};
use crate::model::NodeId;
use crate::model::claim::{MAX_CLAIM, QueueCounts, QueueHint};
use crate::model::lease::Now;
use crate::model::shard::ShardId;
use crate::worker::ports::{Lease, StateStore};
use crate::worker::queue::Plans;
use crate::worker::send::{Defaults, Handover, SendEvent};
use crate::worker::supervisor::{Beat, Claim, Event, HandOutLease, Heartbeat, Moment, QueueId};

/// Time between two ticks, in milliseconds.
const TICK_MS: u64 = 200;
/// The most claims that are prepared or written at one time. Later ones wait in the inbox.
const MAX_CLAIMS: usize = 1_024;
/// The most that is taken in of each kind before the clock is looked at.
const AT_ONCE: usize = 2_048;
/// The longest wait, at the end, for entries that are being written, in milliseconds.
const END_MS: u64 = 2_000;

/// What the task is given to work with.
pub(in crate::worker) struct Parts<B, L> {
    pub(in crate::worker) node: NodeId,
    pub(in crate::worker) store: B,
    pub(in crate::worker) lease: Arc<L>,
    pub(in crate::worker) journal: Journal,
    /// The kinds of target, which say what a queue is.
    pub(in crate::worker) kinds: Registry,
    pub(in crate::worker) plans: Arc<Plans>,
    pub(in crate::worker) defaults: Defaults,
    pub(in crate::worker) time: Arc<SchedulerTime>,
    pub(in crate::worker) metrics: Arc<Metrics>,
    /// The engine, which hears what became of its dispatches.
    pub(in crate::worker) engine: mpsc::UnboundedSender<SendEvent>,
    /// Tells the leader that the journal has grown.
    pub(in crate::worker) journal_grew: Arc<dyn Fn() + Send + Sync>,
}

/// The task; see the head of this file.
pub(in crate::worker) struct Task<B, L> {
    pub(super) supervisor: Arc<SharedSupervisor>,
    pub(super) store: B,
    pub(super) lease: Arc<L>,
    pub(super) journal: Journal,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) engine: mpsc::UnboundedSender<SendEvent>,
    pub(super) hints: broadcast::Sender<(NodeId, QueueHint)>,
    pub(super) answers: Answers,
    pub(super) dispatches: Dispatches,
    names: BTreeMap<QueueId, String>,
    pub(super) appends: mpsc::UnboundedSender<Appending>,
    pub(super) wishes: mpsc::UnboundedSender<Wish>,
    pub(super) preparer: Arc<Preparer<B>>,
    pub(super) proposer: Proposer,
    /// The worker stops: nothing is handed out.
    stopping: bool,
    done: mpsc::UnboundedReceiver<Done>,
    /// Reader, writer and the like; they end with the task.
    parts: JoinSet<()>,
    /// Claims that are prepared, and data that are read again for their answers.
    pub(super) questions: JoinSet<()>,
}

/// The lease, of a worker that may be stopping.
struct WorkerLease<'a, L> {
    lease: &'a L,
    stopping: bool,
}

impl<L: Lease> HandOutLease for WorkerLease<'_, L> {
    fn usable_since(&self) -> Option<u64> {
        self.lease.usable_since()
    }

    fn is_promised(&self, shard: ShardId, epoch: u64) -> bool {
        self.stopping || self.lease.is_promised(shard, epoch)
    }
}

impl<B: StateStore, L: Lease> Task<B, L> {
    /// Puts the task together, and starts its reader and its writer on the current runtime.
    /// `changes` was subscribed before anything was read.
    pub(in crate::worker) fn start(
        parts: Parts<B, L>,
        supervision: &Supervision,
        changes: broadcast::Receiver<Arc<Change>>,
    ) -> Self {
        let Parts { node, store, lease, journal, kinds, plans, defaults, time, .. } = parts;
        let (done_tx, done) = mpsc::unbounded_channel();
        let (appends, appends_rx) = mpsc::unbounded_channel();
        let (wishes, wishes_rx) = mpsc::unbounded_channel();
        let grew = Arc::new(Notify::new());
        let reader = Reader {
            store: store.clone(),
            journal: journal.clone(),
            node,
            plans: Arc::clone(&plans),
            time: Arc::clone(&time),
            done: done_tx.clone(),
        };
        let writer = Writer {
            journal: journal.clone(),
            time: Arc::clone(&time),
            appends: appends_rx,
            done: done_tx.clone(),
            engine: parts.engine.clone(),
            metrics: Arc::clone(&parts.metrics),
            grew: Arc::clone(&grew),
        };
        let lookup = Lookup { node, plans, kinds, defaults };
        let preparer = Preparer::new(store.clone(), lookup, Arc::clone(&time), done_tx);
        let mut tasks = JoinSet::new();
        tasks.spawn(reader.run(changes, wishes_rx));
        tasks.spawn(writer.run());
        let (proposer, proposing) = Proposer::new(store.clone(), Arc::clone(&parts.metrics));
        tasks.spawn(proposing);
        tasks.spawn(tell_growth(grew, parts.journal_grew, Arc::clone(&time)));
        Self {
            supervisor: Arc::clone(supervision.supervisor()),
            proposer,
            store,
            lease,
            journal,
            time,
            metrics: parts.metrics,
            engine: parts.engine,
            hints: supervision.hint_sender(),
            answers: Answers::default(),
            dispatches: Dispatches::default(),
            names: BTreeMap::new(),
            appends,
            wishes,
            preparer: Arc::new(preparer),
            stopping: false,
            done,
            parts: tasks,
            questions: JoinSet::new(),
        }
    }

    /// Runs until it is to end and nothing is on its way to the journal, or [`END_MS`] later.
    pub(in crate::worker) async fn run(
        mut self,
        mut inbox: Inbox,
        mut stop: watch::Receiver<bool>,
        mut end: oneshot::Receiver<()>,
    ) {
        let clock = Arc::clone(self.time.clock());
        let (mut next_tick, mut ends) = (clock.boot(), None);
        let questions = Arc::clone(&self.supervisor).take_questions();
        loop {
            let now = clock.boot();
            if !self.stopping && *stop.borrow() {
                self.stopping = true;
                // What waits outside the journal is journaled now.
                next_tick = now;
            }
            self.take_in(&mut inbox);
            if std::iter::from_fn(|| self.questions.try_join_next()).any(has_panicked) {
                break;
            }
            if now >= next_tick {
                self.tick();
                next_tick = now + TICK_MS;
            }
            if let Some(until) = ends
                && (self.supervisor.lock().is_at_rest() || now >= until)
            {
                break;
            }
            let has_room = self.answers.claims() < MAX_CLAIMS;
            tokio::select! {
                Some(done) = self.done.recv() => self.take_done(done),
                Some(request) = inbox.requests.recv() => self.take_request(request),
                Some(handover) = inbox.handovers.recv() => self.take_handover(handover),
                Some(asked) = inbox.claims.recv(), if has_room => self.take_claim(asked),
                () = clock.sleep_until(next_tick) => {}
                stopped = stop.changed(), if !self.stopping => if stopped.is_err() {
                    self.stopping = true;
                    next_tick = now;
                },
                // Without its answer the claim would wait for ever.
                Some(ended) = self.questions.join_next() => if has_panicked(ended) { break },
                // Without its reader or its writer the task would wait for ever.
                Some(ended) = self.parts.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a part of the supervision has ended by itself");
                    }
                    break;
                }
                _ = &mut end, if ends.is_none() => ends = Some(clock.boot() + END_MS),
            }
        }
        drop(questions);
        // Nothing is written to the journal any more when the worker is stopped.
        self.questions.shutdown().await;
        self.parts.shutdown().await;
    }

    /// Takes in all that waits, up to [`AT_ONCE`] of each kind.
    fn take_in(&mut self, inbox: &mut Inbox) {
        for _ in 0..AT_ONCE {
            let Ok(done) = self.done.try_recv() else { break };
            self.take_done(done);
        }
        for _ in 0..AT_ONCE {
            let Ok(request) = inbox.requests.try_recv() else { break };
            self.take_request(request);
        }
        for _ in 0..AT_ONCE {
            let Ok(handover) = inbox.handovers.try_recv() else { break };
            self.take_handover(handover);
        }
        while self.answers.claims() < MAX_CLAIMS {
            let Ok(asked) = inbox.claims.try_recv() else { break };
            self.take_claim(asked);
        }
    }

    fn tick(&mut self) {
        self.step(Event::Tick);
        let (queues, since) = {
            let supervisor = self.supervisor.lock();
            (supervisor.queues(), supervisor.waiting_since())
        };
        self.supervisor.publish(&queues);
        let now = self.time.now();
        let figures = |counts: QueueCounts| {
            let waited = since.get(&counts.queue).map_or(0, |since| now.saturating_sub(*since));
            Some(QueueFigures {
                // It is known a moment later.
                queue: self.names.get(&counts.queue)?.clone(),
                offers: counts.offers,
                taken: counts.taken,
                oldest_seconds: u64::try_from(waited).unwrap_or(0) / 1_000,
            })
        };
        self.metrics.runs.set_queues(queues.into_iter().filter_map(figures));
    }

    /// Makes a step at this moment, and carries out what follows.
    pub(super) fn step(&mut self, event: Event) {
        let effects = {
            let mut supervisor = self.supervisor.lock();
            let lease = WorkerLease { lease: &*self.lease, stopping: self.stopping };
            let now = Now { boot: self.time.clock().boot(), sched: self.time.now() };
            let has_room = self.journal.state().has_room;
            supervisor.step(&Moment { now, lease: &lease, has_room }, event)
        };
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn take_done(&mut self, done: Done) {
        match done {
            Done::Event(event) => {
                let is_written = matches!(event, Event::Appended { .. });
                self.step(event);
                if is_written {
                    self.supervisor.end_effect();
                }
            }
            Done::Names(names) => self.names = names,
            Done::Loaded(loaded) => {
                self.step(Event::Loaded(loaded));
                self.supervisor.end_effect();
            }
            Done::Prepared { claim, parts, data } => {
                self.answers.add_data(claim, data);
                self.step(Event::Prepared { claim, parts });
            }
        }
    }

    fn take_claim(&mut self, asked: AskedClaim) {
        let AskedClaim { ask, answer } = asked;
        if answer.is_closed() {
            return; // whoever asked is gone, and would never hear of its runs
        }
        self.metrics.runs.claims.inc();
        let id = self.answers.add_claim(answer);
        self.step(Event::Claim(Claim {
            id,
            worker: ask.worker.into(),
            queues: ask.queues,
            max: ask.max.min(MAX_CLAIM) as usize,
            order: ask.order,
            key: ask.key,
        }));
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::Heartbeat(beat, answer) => {
                let id = self.answers.add_heartbeat(answer);
                let runs = beat.runs.into_iter().map(|run| Beat {
                    of: run.occurrence,
                    attempt: run.attempt,
                    progress: run.progress,
                    message: run.message,
                });
                let runs = runs.collect();
                self.step(Event::Heartbeat(Heartbeat { id, worker: beat.worker.into(), runs }));
            }
            Request::Reports(reports) => {
                for report in reports {
                    self.step(Event::Reported {
                        of: report.occurrence,
                        attempt: report.attempt,
                        worker: report.worker.into(),
                        ends: report.ends,
                    });
                }
            }
            // Whoever asked may be gone.
            Request::Live(of, answer) => {
                let (boot, supervisor) = (self.time.clock().boot(), self.supervisor.lock());
                let live = of.into_iter().filter_map(|of| supervisor.live(of, boot)).collect();
                drop(answer.send(live));
            }
            Request::Queues(answer) => drop(answer.send(self.supervisor.lock().queues())),
            Request::Want(gateway, wants) => {
                let now = self.time.clock().boot();
                for want in wants {
                    let until = now.saturating_add(want.for_ms);
                    self.step(Event::Want { gateway, queue: want.queue, until });
                }
            }
        }
    }

    fn take_handover(&mut self, handover: Handover) {
        let Handover { mut dispatch, piece } = handover;
        dispatch.id = self.dispatches.add(piece);
        self.step(Event::Dispatch(Box::new(dispatch)));
    }
}

/// Says whether the preparation of a claim has panicked; then the claim has no end.
fn has_panicked(ended: Result<(), JoinError>) -> bool {
    ended.inspect_err(|error| tracing::error!(%error, "a claim cannot be prepared")).is_err()
}
