//! The handle of the queues, and the permits that it gives out. All decisions fall under one lock;
//! nothing waits while it is held. The head of `destination_queues` states the rules.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::PATIENCE_MS;
use super::load::{DestinationLoad, Occupancy};
use super::request::{PermitRequest, QueueOptions, Refusal};
use super::state::{CallKey, ParkReason, State, Waiting};
use crate::clock::Clock;
use crate::delivery::breaker::Decision;
use crate::delivery::breakers::Outage;
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::destination::{Destination, Limits};
use crate::delivery::destination_limits::Step;
use crate::delivery::eviction::EvictableCall;
use crate::delivery::fair_queue::{FlowId, Stage};
use crate::model::ProjectId;
use crate::model::postponement::Obstacle;

/// The reason for which a call waits whose project has its share.
pub(super) const SHARE: &str =
    "the project has its share of the calls that this node may have under way";

/// The most hanging calls that are ended at a time, for projects that have nothing under way.
const MOST_EVICTING: usize = 16;

/// The queues. Cloning gives another handle to the same ones.
#[derive(Clone)]
pub struct DestinationQueues {
    state: Arc<Mutex<State<CallPermit>>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for DestinationQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DestinationQueues").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The permit for one call: held while the call is under way, given back when dropped.
#[derive(Debug)]
pub struct CallPermit {
    queues: DestinationQueues,
    flow: FlowId,
    pub(super) call: CallKey,
    stage: Stage,
    /// `None` before the call hangs.
    hanging: Option<EvictableCall>,
    /// False only for a permit that could not be handed over: it never counted.
    counted: bool,
}

impl DestinationQueues {
    /// Queues for `max_workers` workers (at least one).
    pub fn new(options: &QueueOptions, clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(options))), clock }
    }

    /// The most calls of one flow that may be under way.
    pub fn flow_limit(&self) -> usize {
        self.lock().capacity.flow
    }

    /// Waits for a worker, or is turned away. Dropping the future gives up the wait, and the permit
    /// if it was just granted.
    pub async fn acquire(
        &self,
        destination: &Destination,
        request: PermitRequest,
    ) -> Result<CallPermit, Refusal> {
        let now = self.clock.boot();
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            let flow = state.flow(destination, &request, now);
            state.queue.push(flow, Waiting { request, sender });
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
                let over_share = self.lock().queue.is_capped(request.project);
                let obstacle =
                    if over_share { Obstacle::Node(SHARE.to_owned()) } else { Obstacle::Full };
                return Err(Refusal { until: deadline + PATIENCE_MS, obstacle });
            }
        }
    }

    /// The operator's limits of each destination.
    pub fn limits(&self) -> Limits {
        self.lock().limits.limits()
    }

    /// The refusal of a call to a path for a project; `None` if the destination takes it.
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

    /// Every destination with a call under way or waiting, in order of its name.
    pub fn load(&self) -> Vec<DestinationLoad> {
        self.lock().load()
    }

    /// The calls of all projects, against the capacity.
    pub fn occupancy(&self) -> Occupancy {
        self.lock().occupancy()
    }

    /// Every destination that takes no calls of some project, in order of its name.
    pub fn outages(&self) -> Vec<Outage> {
        let now = self.clock.boot();
        self.lock().breakers.outages(now)
    }

    /// The destinations that have asked projects to wait, with the number of projects, in order of
    /// the name.
    pub fn backoffs(&self) -> Vec<(Destination, usize)> {
        self.lock().backoffs.active(self.clock.boot())
    }

    /// The number of calls turned away because their destination keeps failing.
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, State<CallPermit>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins all calls that may begin.
    fn grant(&self, state: &mut State<CallPermit>) {
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
            let wanted = state.queue.locked_out(MOST_EVICTING);
            while state.hanging.evicting() < wanted && state.hanging.evict_one() {}
        }
    }

    /// Serves a flow whose turn it is. Afterwards fewer calls wait there, or the flow is parked;
    /// other flows that wait for the limits of the same destination may go on.
    fn serve(&self, state: &mut State<CallPermit>, flow: FlowId, now: u64) {
        let Some((destination, _)) = state.queue.key(flow).cloned() else { return };
        self.serve_first(state, flow, &destination, now);
        self.go_on(state, &destination, now);
    }

    fn serve_first(
        &self,
        state: &mut State<CallPermit>,
        flow: FlowId,
        destination: &Destination,
        now: u64,
    ) {
        state.drop_cancelled(flow);
        let Some(request) = state.queue.first(flow).map(|first| first.request) else { return };
        let bucket = state.queue.data(flow).bucket;
        if let Some(ready) = bucket.map(|b| b.ready_at(now)).filter(|at| *at > now) {
            state.park(flow, ParkReason::Rate);
            return self.look_again(ready, move |state| state.unpark(flow));
        }
        if !state.limits.may_begin(destination, now) {
            state.park(flow, ParkReason::DestinationLimit);
            return state.limits.wait(destination, flow, now);
        }
        if let Some(until) = state.backoffs.until(destination, request.project, now) {
            return state.turn_away(flow, Refusal { until, obstacle: Obstacle::Asked });
        }
        let key = (destination, request.project);
        let decision = state.breakers.ask(key, request.path, request.probe, now);
        match decision {
            Decision::Wait => return state.park(flow, ParkReason::Probe),
            Decision::No(until) => {
                state.refused += 1;
                return state.turn_away(flow, Refusal { until, obstacle: Obstacle::Failing });
            }
            Decision::Go | Decision::Probe => {}
        }
        let Some(first) = state.queue.pop(flow) else { return };
        let permit = CallPermit {
            queues: self.clone(),
            flow,
            call: CallKey {
                destination: destination.clone(),
                path: request.path,
                project: request.project,
                probe: decision == Decision::Probe,
            },
            stage: Stage::Quick,
            hanging: None,
            counted: true,
        };
        match first.sender.send(Ok(permit)) {
            Ok(()) => {
                let weight = request.limits.weight(request.jobs);
                if let Some(bucket) = &mut state.queue.data(flow).bucket {
                    bucket.take(weight, now);
                }
                state.limits.begin(destination, weight, now);
                state.queue.begin(flow);
            }
            // Dropping the permit must not take the lock, which is held here.
            Err(Ok(mut permit)) => {
                permit.counted = false;
                state.record(&permit.call, now, CallOutcome::Nothing, now);
            }
            Err(Err(_)) => {}
        }
    }

    /// Lets the next flow go on that waits for the limits of a destination, if it may.
    fn go_on(&self, state: &mut State<CallPermit>, destination: &Destination, now: u64) {
        if state.limits.is_unlimited() {
            return;
        }
        match state.limits.next(destination, now) {
            None => {}
            Some(Step::Wake(flow)) => state.unpark(flow),
            Some(Step::Later(at)) => {
                let (queues, to) = (self.clone(), destination.clone());
                self.look_again(at, move |state| {
                    state.limits.timer_ended(&to);
                    queues.go_on(state, &to, queues.clock.boot());
                });
            }
        }
    }

    /// Changes the state at an instant of the boot clock, and then begins all calls that may begin.
    fn look_again(&self, at: u64, then: impl FnOnce(&mut State<CallPermit>) + Send + 'static) {
        // Without a runtime (it is being shut down) no call is served any more.
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

impl CallPermit {
    /// Whether the call is the probe of its breaker.
    pub fn is_probe(&self) -> bool {
        self.call.probe
    }

    /// Moves the call on to a later stage: a call that waits may have its worker.
    pub fn advance(&mut self, next: Stage) {
        let queues = self.queues.clone();
        let mut state = queues.lock();
        let before = std::mem::replace(&mut self.stage, next);
        state.queue.advance(self.flow, before, next);
        if next == Stage::Hanging && self.hanging.is_none() {
            self.hanging = Some(state.hanging.add(self.call.project));
            if state.hanging.count() > state.most_hanging() {
                state.hanging.evict_one();
            }
        }
        if self.call.probe && next == Stage::Hanging {
            // No call waits for a probe that hangs.
            state.wake(&self.call.destination, self.call.project);
        }
        queues.grant(&mut state);
    }

    /// Returns when the call is to end because others need its place: never before it hangs.
    pub async fn evicted(&mut self) {
        match &mut self.hanging {
            Some(call) => call.evicted().await,
            None => std::future::pending().await,
        }
    }

    /// Records the outcome of the call, which began at an instant of the boot clock.
    pub fn finish(mut self, began: u64, outcome: CallOutcome) {
        let queues = self.queues.clone();
        queues.lock().record(&self.call, began, outcome, queues.clock.boot());
        self.call.probe = false;
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
            state.hanging.remove(self.call.project, call);
        }
        if self.call.probe {
            state.record(&self.call, now, CallOutcome::Nothing, now);
        }
        if !state.limits.is_unlimited() {
            state.limits.end(&self.call.destination);
            self.queues.go_on(&mut state, &self.call.destination, now);
        }
        self.queues.grant(&mut state);
    }
}
