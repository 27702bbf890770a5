//! Who may send next: `MaxWorkers` workers for calls, shared out fairly among projects, and within
//! a project among destinations.
//!
//! [`Executor`](super::Executor) takes a [`Turn`] before each call. The calls of a project to a
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
//! allow; a destination never more than the operator allows, whoever calls it (`ceilings`). A
//! destination that keeps failing takes nothing of a project for a while (`verdicts`), and what
//! waits for it is turned away.
//!
//! ```text
//!   project 1  a:3000  [c c c c]  \
//!              b:443   [c]        -+- fewest in flight first --\
//!   project 2  a:3000  [c]        ----------------------------- +- fewest workers first --> worker
//!                                                                       |  1 s
//!                                                      ceilings, verdicts, rate      --> hangs
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::breaker::{Leave, Outcome};
use super::ceilings::{Ceilings, Step};
use super::destination::{Destination, Load, Refusal, Shares, Shut, Wish};
use super::fair::{Capacity, FairQueue, FlowId, Stage};
use super::hanging::{HangingCall, HangingCalls};
use super::pauses::Pauses;
use super::rate::Bucket;
use super::verdicts::Verdicts;
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
pub struct Lanes {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    capacity: Capacity,
    queue: FairQueue<Key, Waiting, Terms>,
    ceilings: Ceilings,
    verdicts: Verdicts,
    pauses: Pauses,
    hanging: HangingCalls,
    /// Calls turned away because a breaker was open.
    refused: u64,
}

/// What is kept of a flow.
#[derive(Debug, Default)]
struct Terms {
    /// It was set up.
    known: bool,
    /// The rate of its own limits.
    bucket: Option<Bucket>,
    /// What it is parked for.
    parked: Option<Parked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parked {
    /// The outcome of a probe.
    Probe,
    /// Its own rate.
    Rate,
    /// A place below the ceiling of its destination.
    Ceiling,
}

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    sender: oneshot::Sender<Result<Turn, Refusal>>,
}

/// Leave for one call: held while it is under way, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    lanes: Lanes,
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

impl Lanes {
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
            ceilings: Ceilings::new(options.limits),
            verdicts: Verdicts::new(options.breaker),
            pauses: Pauses::default(),
            hanging: HangingCalls::default(),
            refused: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// The most calls of one flow that may be under way.
    pub fn share(&self) -> usize {
        self.lock().capacity.flow
    }

    /// Waits for a worker, or is turned away. Giving up (dropping the future) gives up the wait,
    /// and the turn if it was just granted.
    pub async fn turn(&self, destination: &Destination, wish: Wish) -> Result<Turn, Refusal> {
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
        if let Some(until) = state.pauses.until(destination, project, now) {
            return Some(Refusal { until, obstacle: Obstacle::Asked });
        }
        match state.verdicts.look((destination, project), path, now) {
            Leave::No(until) => {
                state.refused += 1;
                Some(Refusal { until, obstacle: Obstacle::Failing })
            }
            Leave::Go | Leave::Probe | Leave::Wait => None,
        }
    }

    /// Every destination with something under way or waiting, in order of its name.
    pub fn load(&self) -> Vec<Load> {
        let mut loads: BTreeMap<Destination, (usize, usize)> = BTreeMap::new();
        let state = self.lock();
        for flow in state.queue.flows() {
            let queued = flow.waiting.iter().filter(|w| !w.sender.is_closed()).count();
            if flow.in_flight + queued > 0 {
                let load = loads.entry(flow.key.0.clone()).or_default();
                *load = (load.0 + flow.in_flight, load.1 + queued);
            }
        }
        let load = |(destination, (in_flight, queued))| Load { destination, in_flight, queued };
        loads.into_iter().map(load).collect()
    }

    /// How the calls of all projects stand.
    pub fn shares(&self) -> Shares {
        let state = self.lock();
        let (in_flight, workers) = state.queue.load();
        Shares {
            hanging: in_flight - workers,
            capacity: state.capacity.in_flight,
            over_share: state.queue.over_share(),
        }
    }

    /// Every destination that takes nothing, in order of its name.
    pub fn shut(&self) -> Vec<Shut> {
        let now = self.clock.boot();
        self.lock().verdicts.shut(now)
    }

    /// The destinations that have asked projects to wait, and how many projects each, in order of
    /// its name.
    pub fn asked(&self) -> Vec<(Destination, usize)> {
        self.lock().pauses.asked(self.clock.boot())
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
    /// that wait for the same destination's ceiling may go on.
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
            state.park(flow, Parked::Rate);
            return self.look_again(ready, move |state| state.unpark(flow));
        }
        if !state.ceilings.take(destination, now) {
            state.park(flow, Parked::Ceiling);
            return state.ceilings.wait(destination, flow, now);
        }
        if let Some(until) = state.pauses.until(destination, wish.project, now) {
            return state.turn_away(flow, Refusal { until, obstacle: Obstacle::Asked });
        }
        let whose = (destination, wish.project);
        let leave = state.verdicts.ask(whose, wish.path, wish.probe, now);
        match leave {
            Leave::Wait => return state.park(flow, Parked::Probe),
            Leave::No(until) => {
                state.refused += 1;
                return state.turn_away(flow, Refusal { until, obstacle: Obstacle::Failing });
            }
            Leave::Go | Leave::Probe => {}
        }
        let Some(first) = state.queue.pop(flow) else { return };
        let turn = Turn {
            lanes: self.clone(),
            flow,
            destination: destination.clone(),
            path: wish.path,
            project: wish.project,
            probe: leave == Leave::Probe,
            stage: Stage::Quick,
            hanging: None,
            counted: true,
        };
        match first.sender.send(Ok(turn)) {
            Ok(()) => {
                if let Some(bucket) = &mut state.queue.data(flow).bucket {
                    bucket.take(now);
                }
                state.ceilings.begin(destination, now);
                state.queue.begin(flow);
            }
            // The turn must not take the lock we hold.
            Err(Ok(mut turn)) => {
                turn.counted = false;
                state.settle(&turn, now, Outcome::Nothing, now);
            }
            Err(Err(_)) => {}
        }
    }

    /// Lets the next one go on that waits for a destination's ceiling, if it may.
    fn go_on(&self, state: &mut State, destination: &Destination, now: u64) {
        if state.ceilings.are_off() {
            return;
        }
        match state.ceilings.next(destination, now) {
            None => {}
            Some(Step::Wake(flow)) => state.unpark(flow),
            Some(Step::Later(at)) => {
                let (lanes, to) = (self.clone(), destination.clone());
                self.look_again(at, move |state| {
                    state.ceilings.time(&to);
                    lanes.go_on(state, &to, lanes.clock.boot());
                });
            }
        }
    }

    /// Does something at an instant of the boot clock, and then lets begin what may.
    fn look_again(&self, at: u64, then: impl FnOnce(&mut State) + Send + 'static) {
        // Outside of a runtime (it is being shut down) nobody is served any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let lanes = self.clone();
        runtime.spawn(async move {
            while lanes.clock.boot() < at {
                lanes.clock.sleep_until(at).await;
            }
            let mut state = lanes.lock();
            then(&mut state);
            lanes.grant(&mut state);
        });
    }
}

impl State {
    /// The flow of a call, set up.
    fn flow(&mut self, destination: &Destination, wish: &Wish, now: u64) -> FlowId {
        self.queue.prune(|terms: &Terms| terms.bucket.is_none_or(|bucket| bucket.is_full(now)));
        let flow = self.queue.flow(wish.project, &(destination.clone(), wish.limits));
        let terms = self.queue.data(flow);
        if !terms.known {
            terms.known = true;
            terms.bucket = wish.limits.rate_per_second.map(|rate| Bucket::new(rate, now));
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
        let most = [limits.max_concurrency, self.verdicts.ramp(to, project)];
        let most = most.into_iter().flatten().min();
        self.queue.set_most(flow, most.map_or(self.capacity.flow, |most| most as usize));
    }

    /// So many calls may hang: the workers' places are left to those that do not.
    fn most_hanging(&self) -> usize {
        self.capacity.in_flight - self.capacity.workers
    }

    fn park(&mut self, flow: FlowId, why: Parked) {
        self.queue.data(flow).parked = Some(why);
        self.queue.park(flow, true);
    }

    fn unpark(&mut self, flow: FlowId) {
        self.queue.data(flow).parked = None;
        self.queue.park(flow, false);
    }

    /// Lets the next one go on that waits for a ceiling and may begin, if one that was woken
    /// there may not.
    fn pass_over(&mut self, now: u64) -> bool {
        let queue = &self.queue;
        let next = self.ceilings.pass_over(now, |flow| queue.may_begin(flow));
        next.map(|flow| self.unpark(flow)).is_some()
    }

    /// Lets a project's flows to a destination be looked at: its breaker may have moved.
    fn wake(&mut self, to: &Destination, project: ProjectId) {
        let flows = self.queue.flows_from(project, (to.clone(), Limits::default()));
        let flows = flows.take_while(|((of, _), _)| of == to);
        for (limits, flow) in flows.map(|((_, limits), flow)| (*limits, flow)).collect::<Vec<_>>() {
            self.bound(flow, to, project, limits);
            if self.queue.data(flow).parked == Some(Parked::Probe) {
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
    fn settle(&mut self, turn: &Turn, began: u64, outcome: Outcome, now: u64) {
        let (to, project) = (&turn.destination, turn.project);
        match outcome {
            Outcome::Asked { after } => {
                self.pauses.note(to, project, now.saturating_add(after), now);
            }
            Outcome::Fine => self.pauses.clear(to, project, began),
            Outcome::Failed { .. } | Outcome::Nothing => {}
        }
        let had = self.verdicts.has(to, project);
        self.verdicts.over((to, project), (turn.path, turn.probe, began), outcome, now);
        if had || self.verdicts.has(to, project) {
            self.wake(to, project);
        }
    }
}

impl Turn {
    /// Says how far this call has come: who waits may have its worker.
    pub fn advance(&mut self, next: Stage) {
        let lanes = self.lanes.clone();
        let mut state = lanes.lock();
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
        lanes.grant(&mut state);
    }

    /// Returns when the call is to end since others need its place: never before it hangs.
    pub async fn ended(&mut self) {
        match &mut self.hanging {
            Some(call) => call.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Says what came of the call, which began at an instant (boot clock).
    pub fn over(mut self, began: u64, outcome: Outcome) {
        let lanes = self.lanes.clone();
        lanes.lock().settle(&self, began, outcome, lanes.clock.boot());
        self.probe = false;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let now = self.lanes.clock.boot();
        let mut state = self.lanes.lock();
        state.queue.end(self.flow, self.stage);
        if let Some(call) = &self.hanging {
            state.hanging.remove(self.project, call);
        }
        if self.probe {
            state.settle(self, now, Outcome::Nothing, now);
        }
        if !state.ceilings.are_off() {
            state.ceilings.end(&self.destination);
            self.lanes.go_on(&mut state, &self.destination, now);
        }
        self.lanes.grant(&mut state);
    }
}

#[cfg(test)]
mod tests;
