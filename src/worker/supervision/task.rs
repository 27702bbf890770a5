//! The task: one step of the supervisor after the other. It takes in what waits (results of
//! effects, questions of gateways, what senders hand over), and everything that waits before each
//! tick: a heartbeat that has come must not count as silence.
//!
//! `handle` starts it on the senders' runtime and ends it behind the engine. A worker that stops
//! hands out nothing more, and what still waits outside the journal is journaled at once.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::answers::Answers;
use super::bus_parts::start_bus;
use super::dispatches::Dispatches;
use super::done::Done;
use super::figures::{Ending, Phases};
use super::handle::Supervision;
use super::lookup::Lookup;
use super::prepare::Preparer;
use super::proposer::Proposer;
use super::publishing::{Publisher, PublisherParts};
use super::reader::{Reader, Wish};
use super::requests::{AskedClaim, Inbox, Request};
use super::shared::SharedSupervisor;
use super::task_parts::{Parts, WorkerLease};
use super::writer::{Appending, Writer, tell_growth};
use crate::clock::SchedulerTime;
use crate::command::Change;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::NodeId;
use crate::model::claim::{MAX_CLAIM, QueueHint};
use crate::model::lease::Now;
use crate::worker::deps::Elsewhere;
use crate::worker::ports::{Lease, StateStore};
use crate::worker::send::{Handover, SendEvent};
use crate::worker::supervisor::{Beat, Claim, Event, Heartbeat, Moment, is_publish};

/// Time between two ticks, in milliseconds.
const TICK_MS: u64 = 200;
/// The most claims that are prepared or written at one time. Later ones wait in the inbox.
const MAX_CLAIMS: usize = 1_024;
/// The most that is taken in of each kind before the clock is looked at.
const AT_ONCE: usize = 2_048;
/// The longest wait, at the end, for entries that are being written, in milliseconds.
const END_MS: u64 = 2_000;

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
    pub(super) publisher: Publisher<L>,
    pub(super) elsewhere: Elsewhere,
    pub(super) appends: mpsc::UnboundedSender<Appending>,
    pub(super) wishes: mpsc::UnboundedSender<Wish>,
    pub(super) preparer: Arc<Preparer<B>>,
    pub(super) proposer: Proposer,
    /// The phases of the runs, as they were a short time ago.
    pub(super) phases: Phases,
    /// The worker stops: nothing is handed out.
    stopping: bool,
    done: mpsc::UnboundedReceiver<Done>,
    /// Reader, writer and the like; they end with the task.
    parts: JoinSet<()>,
    /// Claims that are prepared, and data that are read again for their answers.
    pub(super) questions: JoinSet<()>,
}

impl<B: StateStore, L: Lease> Task<B, L> {
    /// Puts the task together, and starts its reader and its writer on the current runtime.
    /// `changes` was subscribed before anything was read.
    pub(in crate::worker) fn start(
        parts: Parts<B, L>,
        supervision: &Supervision,
        changes: broadcast::Receiver<Arc<Change>>,
    ) -> Self {
        let (done_tx, done) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        start_bus(&parts, &done_tx, &changes, &mut tasks);
        let Parts { node, store, lease, journal, kinds, plans, defaults, time, .. } = parts;
        let (appends, appends_rx) = mpsc::unbounded_channel();
        let (wishes, wishes_rx) = mpsc::unbounded_channel();
        let grew = Arc::new(Notify::new());
        let reader = Reader {
            supervisor: Arc::clone(supervision.supervisor()),
            store: store.clone(),
            journal: journal.clone(),
            node,
            plans: Arc::clone(&plans),
            kinds: kinds.clone(),
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
        let publisher = Publisher::new(PublisherParts {
            bus: parts.bus,
            node,
            cluster: parts.cluster,
            lease: Arc::clone(&lease),
            time: Arc::clone(&time),
            done: done_tx.clone(),
        });
        let lookup = Lookup { node, plans, kinds, defaults };
        let preparer = Preparer::new(store.clone(), lookup, Arc::clone(&time), done_tx);
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
            publisher,
            elsewhere: parts.elsewhere,
            appends,
            wishes,
            preparer: Arc::new(preparer),
            phases: Phases::default(),
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
                self.stop();
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
                    self.stop();
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

    /// Hands out nothing more.
    fn stop(&mut self) {
        self.stopping = true;
        self.publisher.stop();
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

    /// Makes a step at this moment, and carries out what follows.
    pub(super) fn step(&mut self, event: Event) {
        if let Event::Heartbeat(heartbeat) = &event {
            self.metrics.runs.beats.inc_by(heartbeat.runs.len() as u64);
        }
        let ending = Ending::of(&event);
        let (effects, ended) = {
            let mut supervisor = self.supervisor.lock();
            let lease = self.lease_now();
            let ending = ending.and_then(|ending| Some((ending, ending.queue(&supervisor)?)));
            let effects = supervisor.step(&self.moment(&lease), event);
            // A run that the store does not know yet goes on.
            (effects, ending.filter(|(ending, _)| ending.queue(&supervisor).is_none()))
        };
        if let Some((ending, queue)) = ended {
            self.count_end(ending, queue);
        }
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn lease_now(&self) -> WorkerLease<'_, L> {
        WorkerLease { lease: &*self.lease, stopping: self.stopping }
    }

    fn moment<'a>(&self, lease: &'a WorkerLease<'_, L>) -> Moment<'a> {
        let now = Now { boot: self.time.clock().boot(), sched: self.time.now() };
        Moment { now, lease, has_room: self.journal.state().has_room }
    }

    fn take_done(&mut self, done: Done) {
        match done {
            Done::Event(event) => {
                if let Event::Shards(shards) = &event {
                    self.publisher.set_shards(shards);
                }
                let is_written = matches!(event, Event::Appended { .. });
                self.step(event);
                if is_written {
                    self.supervisor.end_effect();
                }
            }
            Done::Queues(queues) => self.publisher.set_queues(queues),
            Done::Alive(beats) => self.take_beats(beats),
            Done::Loaded(loaded) => {
                self.step(Event::Loaded(loaded));
                self.supervisor.end_effect();
            }
            Done::Prepared { claim, parts, data } => {
                if is_publish(claim) {
                    self.publisher.keep_data(claim, data);
                } else {
                    self.answers.add_data(claim, data);
                }
                self.step(Event::Prepared { claim, parts });
                self.publisher.drop_data(claim);
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
            Request::HandedOut(asked, answer) => {
                let (lease, supervisor) = (self.lease_now(), self.supervisor.lock());
                let at = self.moment(&lease);
                let told = asked.iter().map(|one| supervisor.handed_out(&at, one)).collect();
                drop(answer.send(told));
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
