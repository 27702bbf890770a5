//! Who may send next: `MaxWorkers` workers for calls, shared out fairly among projects, and within
//! a project among destinations.
//!
//! [`Executor`](super::Executor) takes a [`CallPermit`] before each call. The calls of a project to a
//! destination (scheme, host and port) under the same limits are a flow: within it first come is
//! first served. Among flows and projects [`FairQueue`] decides; its head has the two bounds.
//!
//! A call that has been under way for a tenth of a second is slow: another project may have its
//! worker. After a second it hangs: it gives its worker back, always, and only
//! counts as in flight. What bounds hanging calls is [`Options::max_hanging`](super::Options), a
//! figure derived from the file descriptors. No project ever has more than half of that and the
//! workers together: its calls beyond that wait, and are put off in the store after [`PATIENCE_MS`].
//!
//! As many projects as there are places could take all of them, one each. So a call that hangs is
//! ended (`hanging` says which) when more than `max_hanging` do, or when nothing is free and a
//! project that has nothing under way waits. A project that is alone never sees that.
//!
//! A flow never has more than three quarters of the workers in flight, or than its own limits
//! allow; a destination never more than the operator allows, whoever calls it (`destination_limits`). A
//! destination that keeps failing takes nothing of a project for a while (`breakers`), and what
//! waits for it is turned away.
//!
//! ```text
//!   project 1  a:3000  [c c c c]  \
//!              b:443   [c]        -+- fewest in flight first --\
//!   project 2  a:3000  [c]        ----------------------------- +- fewest workers first --> worker
//!                                                                       |  1 s
//!                                                      destination_limits, breakers, rate      --> hangs
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::backoffs::Backoffs;
use super::breaker::{CallOutcome, Decision};
use super::breakers::Breakers;
use super::destination::{Destination, DestinationLoad, Occupancy, Outage, PermitRequest, Refusal};
use super::destination_limits::{DestinationLimits, Step};
use super::fair_queue::{Capacity, FairQueue, FlowId, Stage};
use super::hanging_calls::{HangingCall, HangingCalls};
use super::token_bucket::TokenBucket;
use super::{Limits, Options};
use crate::clock::Clock;
use crate::model::ProjectId;
use crate::model::postponement::Obstacle;

/// So long a call waits for its turn; then it is turned away for as long. Not whole seconds: at
/// those, others are due.
const PATIENCE_MS: u64 = 10_250;
/// Why a call waits whose project has its share.
const SHARE: &str = "the project has its share of the calls that this node may have under way";

/// So many calls that hang are ended at a time, at most, for projects that have nothing under way.
const MOST_ENDING: usize = 16;

/// What tells the flows of a project apart.
type Key = (Destination, Limits);

/// The queues. Cloning gives another handle to the same ones.
#[derive(Clone)]
pub struct DestinationQueues {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for DestinationQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    capacity: Capacity,
    queue: FairQueue<Key, Waiting, FlowState>,
    destination_limits: DestinationLimits,
    breakers: Breakers,
    backoffs: Backoffs,
    hanging: HangingCalls,
    /// Calls turned away because a breaker was open.
    refused: u64,
}

/// What is kept of a flow.
#[derive(Debug, Default)]
struct FlowState {
    /// It was set up.
    known: bool,
    /// The rate of its own limits.
    bucket: Option<TokenBucket>,
    /// What it is parked for.
    parked: Option<ParkReason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParkReason {
    /// The outcome of a probe.
    Probe,
    /// Its own rate.
    Rate,
    /// A place below the limit of its destination.
    DestinationLimit,
}

#[derive(Debug)]
struct Waiting {
    wish: PermitRequest,
    sender: oneshot::Sender<Result<CallPermit, Refusal>>,
}

/// Decision for one call: held while it is under way, given back when dropped.
#[derive(Debug)]
pub struct CallPermit {
    queues: DestinationQueues,
    flow: FlowId,
    destination: Destination,
    path: u64,
    project: ProjectId,
    probe: bool,
    stage: Stage,
    /// Once it hangs.
    hanging: Option<HangingCall>,
    /// False only for a turn that could not be handed over: it never counted.
    counted: bool,
}

impl DestinationQueues {
    /// Queues for `max_workers` workers (at least one).
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        let workers = options.max_workers.max(1);
        let capacity = Capacity {
            workers,
            // A project alone has half of it.
            in_flight: workers + options.max_hanging.max(1),
            flow: if workers <= 2 { workers } else { workers * 3 / 4 },
        };
        let state = State {
            capacity,
            queue: FairQueue::new(capacity),
            destination_limits: DestinationLimits::new(options.limits),
            breakers: Breakers::new(options.breaker),
            backoffs: Backoffs::default(),
            hanging: HangingCalls::default(),
            refused: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// The most calls of one flow that may be under way.
    pub fn flow_limit(&self) -> usize {
        self.lock().capacity.flow
    }

    /// Waits for a worker, or is turned away. Giving up (dropping the future) gives up the wait,
    /// and the turn if it was just granted.
    pub async fn acquire(
        &self,
        destination: &Destination,
        wish: PermitRequest,
    ) -> Result<CallPermit, Refusal> {
        let now = self.clock.boot();
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            let flow = state.flow(destination, &wish, now);
            state.queue.push(flow, Waiting { wish, sender });
            self.grant(&mut state);
        }
        if let Ok(granted) = receiver.try_recv() {
            return granted;
        }
        let deadline = now + PATIENCE_MS;
        let full = |until| Err(Refusal { until, obstacle: Obstacle::Full });
        loop {
            tokio::select! {
                biased;
                granted = &mut receiver => return granted.unwrap_or(full(deadline)),
                () = self.clock.sleep_until(deadline) => {}
            }
            if self.clock.boot() >= deadline {
                let over_share = self.lock().queue.is_capped(wish.project);
                let obstacle =
                    if over_share { Obstacle::Node(SHARE.to_owned()) } else { Obstacle::Full };
                return Err(Refusal { until: deadline + PATIENCE_MS, obstacle });
            }
        }
    }

    /// Why a destination takes nothing for a path and a project, if it does not.
    pub fn refusal(
        &self,
        destination: &Destination,
        path: u64,
        project: ProjectId,
    ) -> Option<Refusal> {
        let now = self.clock.boot();
        let mut state = self.lock();
        if let Some(until) = state.backoffs.until(destination, project, now) {
            return Some(Refusal { until, obstacle: Obstacle::Asked });
        }
        match state.breakers.look((destination, project), path, now) {
            Decision::No(until) => {
                state.refused += 1;
                Some(Refusal { until, obstacle: Obstacle::Failing })
            }
            Decision::Go | Decision::Probe | Decision::Wait => None,
        }
    }

    /// Every destination with something under way or waiting, in order of its name.
    pub fn load(&self) -> Vec<DestinationLoad> {
        let mut loads: BTreeMap<Destination, (usize, usize)> = BTreeMap::new();
        let state = self.lock();
        for flow in state.queue.flows() {
            let queued = flow.waiting.iter().filter(|w| !w.sender.is_closed()).count();
            if flow.in_flight + queued > 0 {
                let load = loads.entry(flow.key.0.clone()).or_default();
                *load = (load.0 + flow.in_flight, load.1 + queued);
            }
        }
        let load =
            |(destination, (in_flight, queued))| DestinationLoad { destination, in_flight, queued };
        loads.into_iter().map(load).collect()
    }

    /// How the calls of all projects stand.
    pub fn occupancy(&self) -> Occupancy {
        let state = self.lock();
        let (in_flight, workers) = state.queue.load();
        Occupancy {
            hanging: in_flight - workers,
            capacity: state.capacity.in_flight,
            over_share: state.queue.over_share(),
        }
    }

    /// Every destination that takes nothing, in order of its name.
    pub fn outages(&self) -> Vec<Outage> {
        let now = self.clock.boot();
        self.lock().breakers.outages(now)
    }

    /// The destinations that have asked projects to wait, and how many projects each, in order of
    /// its name.
    pub fn backoffs(&self) -> Vec<(Destination, usize)> {
        self.lock().backoffs.asked(self.clock.boot())
    }

    /// How many calls were turned away because their destination keeps failing.
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets begin what may.
    fn grant(&self, state: &mut State) {
        let now = self.clock.boot();
        loop {
            while let Some(flow) = state.queue.next_flow() {
                self.serve(state, flow, now);
            }
            if !state.pass_over(now) {
                break;
            }
        }
        if state.hanging.count() > 0 {
            let wanted = state.queue.locked_out(MOST_ENDING);
            while state.hanging.ending() < wanted && state.hanging.end_one() {}
        }
    }

    /// Serves a flow whose turn it is. Afterwards fewer wait there, or the flow is parked; others
    /// that wait for the same destination's limit may go on.
    fn serve(&self, state: &mut State, flow: FlowId, now: u64) {
        let Some((destination, _)) = state.queue.key(flow).cloned() else { return };
        self.serve_first(state, flow, &destination, now);
        self.go_on(state, &destination, now);
    }

    fn serve_first(&self, state: &mut State, flow: FlowId, destination: &Destination, now: u64) {
        while state.queue.first(flow).is_some_and(|first| first.sender.is_closed()) {
            // One who gave up is passed over.
            state.queue.pop(flow);
        }
        let Some(wish) = state.queue.first(flow).map(|first| first.wish) else { return };
        let bucket = state.queue.data(flow).bucket;
        if let Some(ready) = bucket.map(|b| b.ready_at(now)).filter(|at| *at > now) {
            state.park(flow, ParkReason::Rate);
            return self.look_again(ready, move |state| state.unpark(flow));
        }
        if !state.destination_limits.take(destination, now) {
            state.park(flow, ParkReason::DestinationLimit);
            return state.destination_limits.wait(destination, flow, now);
        }
        if let Some(until) = state.backoffs.until(destination, wish.project, now) {
            return state.turn_away(flow, Refusal { until, obstacle: Obstacle::Asked });
        }
        let whose = (destination, wish.project);
        let leave = state.breakers.ask(whose, wish.path, wish.probe, now);
        match leave {
            Decision::Wait => return state.park(flow, ParkReason::Probe),
            Decision::No(until) => {
                state.refused += 1;
                return state.turn_away(flow, Refusal { until, obstacle: Obstacle::Failing });
            }
            Decision::Go | Decision::Probe => {}
        }
        let Some(first) = state.queue.pop(flow) else { return };
        let turn = CallPermit {
            queues: self.clone(),
            flow,
            destination: destination.clone(),
            path: wish.path,
            project: wish.project,
            probe: leave == Decision::Probe,
            stage: Stage::Quick,
            hanging: None,
            counted: true,
        };
        match first.sender.send(Ok(turn)) {
            Ok(()) => {
                if let Some(bucket) = &mut state.queue.data(flow).bucket {
                    bucket.take(now);
                }
                state.destination_limits.begin(destination, now);
                state.queue.begin(flow);
            }
            // The turn must not take the lock we hold.
            Err(Ok(mut turn)) => {
                turn.counted = false;
                state.settle(&turn, now, CallOutcome::Nothing, now);
            }
            Err(Err(_)) => {}
        }
    }

    /// Lets the next one go on that waits for a destination's limit, if it may.
    fn go_on(&self, state: &mut State, destination: &Destination, now: u64) {
        if state.destination_limits.is_unlimited() {
            return;
        }
        match state.destination_limits.next(destination, now) {
            None => {}
            Some(Step::Wake(flow)) => state.unpark(flow),
            Some(Step::Later(at)) => {
                let (queues, to) = (self.clone(), destination.clone());
                self.look_again(at, move |state| {
                    state.destination_limits.time(&to);
                    queues.go_on(state, &to, queues.clock.boot());
                });
            }
        }
    }

    /// Does something at an instant of the boot clock, and then lets begin what may.
    fn look_again(&self, at: u64, then: impl FnOnce(&mut State) + Send + 'static) {
        // Outside of a runtime (it is being shut down) nobody is served any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let queues = self.clone();
        runtime.spawn(async move {
            while queues.clock.boot() < at {
                queues.clock.sleep_until(at).await;
            }
            let mut state = queues.lock();
            then(&mut state);
            queues.grant(&mut state);
        });
    }
}

impl State {
    /// The flow of a call, set up.
    fn flow(&mut self, destination: &Destination, wish: &PermitRequest, now: u64) -> FlowId {
        self.queue.prune(|terms: &FlowState| terms.bucket.is_none_or(|bucket| bucket.is_full(now)));
        let flow = self.queue.flow(wish.project, &(destination.clone(), wish.limits));
        let terms = self.queue.data(flow);
        if !terms.known {
            terms.known = true;
            terms.bucket = wish.limits.rate_per_second.map(|rate| TokenBucket::new(rate, now));
            self.bound(flow, destination, wish.project, wish.limits);
        }
        // Those who gave up would gather where a flow is not served for long.
        while self.queue.first(flow).is_some_and(|first| first.sender.is_closed()) {
            self.queue.pop(flow);
        }
        flow
    }

    /// Says how many of a flow may be under way, as its limits and its breaker are now.
    fn bound(&mut self, flow: FlowId, to: &Destination, project: ProjectId, limits: Limits) {
        let most = [limits.max_concurrency, self.breakers.ramp(to, project)];
        let most = most.into_iter().flatten().min();
        self.queue.set_most(flow, most.map_or(self.capacity.flow, |most| most as usize));
    }

    /// So many calls may hang: the workers' places are left to those that do not.
    fn most_hanging(&self) -> usize {
        self.capacity.in_flight - self.capacity.workers
    }

    fn park(&mut self, flow: FlowId, why: ParkReason) {
        self.queue.data(flow).parked = Some(why);
        self.queue.park(flow, true);
    }

    fn unpark(&mut self, flow: FlowId) {
        self.queue.data(flow).parked = None;
        self.queue.park(flow, false);
    }

    /// Lets the next one go on that waits for a limit and may begin, if one that was woken
    /// there may not.
    fn pass_over(&mut self, now: u64) -> bool {
        let queue = &self.queue;
        let next = self.destination_limits.pass_over(now, |flow| queue.may_begin(flow));
        next.map(|flow| self.unpark(flow)).is_some()
    }

    /// Lets a project's flows to a destination be looked at: its breaker may have moved.
    fn wake(&mut self, to: &Destination, project: ProjectId) {
        let flows = self.queue.flows_from(project, (to.clone(), Limits::default()));
        let flows = flows.take_while(|((of, _), _)| of == to);
        for (limits, flow) in flows.map(|((_, limits), flow)| (*limits, flow)).collect::<Vec<_>>() {
            self.bound(flow, to, project, limits);
            if self.queue.data(flow).parked == Some(ParkReason::Probe) {
                self.unpark(flow);
            }
        }
    }

    /// Tells who waits first in a flow to come again.
    fn turn_away(&mut self, flow: FlowId, why: Refusal) {
        if let Some(first) = self.queue.pop(flow) {
            // Whoever gave up meanwhile needs no answer.
            let _ = first.sender.send(Err(why));
        }
    }

    /// Notes what came of a turn's call.
    fn settle(&mut self, turn: &CallPermit, began: u64, outcome: CallOutcome, now: u64) {
        let (to, project) = (&turn.destination, turn.project);
        match outcome {
            CallOutcome::Asked { after } => {
                self.backoffs.note(to, project, now.saturating_add(after), now);
            }
            CallOutcome::Fine => self.backoffs.clear(to, project, began),
            CallOutcome::Failed { .. } | CallOutcome::Nothing => {}
        }
        let had = self.breakers.has(to, project);
        self.breakers.over((to, project), (turn.path, turn.probe, began), outcome, now);
        if had || self.breakers.has(to, project) {
            self.wake(to, project);
        }
    }
}

impl CallPermit {
    /// Says how far this call has come: who waits may have its worker.
    pub fn advance(&mut self, next: Stage) {
        let queues = self.queues.clone();
        let mut state = queues.lock();
        let before = std::mem::replace(&mut self.stage, next);
        state.queue.advance(self.flow, before, next);
        if next == Stage::Hanging && self.hanging.is_none() {
            self.hanging = Some(state.hanging.add(self.project));
            if state.hanging.count() > state.most_hanging() {
                state.hanging.end_one();
            }
        }
        if self.probe && next == Stage::Hanging {
            // Nobody waits for a probe that hangs.
            state.wake(&self.destination, self.project);
        }
        queues.grant(&mut state);
    }

    /// Returns when the call is to end since others need its place: never before it hangs.
    pub async fn ended(&mut self) {
        match &mut self.hanging {
            Some(call) => call.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Says what came of the call, which began at an instant (boot clock).
    pub fn over(mut self, began: u64, outcome: CallOutcome) {
        let queues = self.queues.clone();
        queues.lock().settle(&self, began, outcome, queues.clock.boot());
        self.probe = false;
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let now = self.queues.clock.boot();
        let mut state = self.queues.lock();
        state.queue.end(self.flow, self.stage);
        if let Some(call) = &self.hanging {
            state.hanging.remove(self.project, call);
        }
        if self.probe {
            state.settle(self, now, CallOutcome::Nothing, now);
        }
        if !state.destination_limits.is_unlimited() {
            state.destination_limits.end(&self.destination);
            self.queues.go_on(&mut state, &self.destination, now);
        }
        self.queues.grant(&mut state);
    }
}

#[cfg(test)]
mod tests;
