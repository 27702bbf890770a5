//! The state behind the lock of the queues: the fair queue, and everything that may keep a flow
//! from its turn. `queues` calls it with the lock held. It starts no timer and knows no clock; `P`
//! is the permit that a waiting call is sent.

use tokio::sync::oneshot;

use super::request::{PermitRequest, QueueOptions, Refusal};
use crate::delivery::backoffs::Backoffs;
use crate::delivery::breakers::Breakers;
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::destination::{Destination, Limits};
use crate::delivery::destination_limits::DestinationLimits;
use crate::delivery::eviction::EvictableCalls;
use crate::delivery::fair_queue::{Capacity, FairQueue, FlowId};
use crate::delivery::token_bucket::TokenBucket;
use crate::model::ProjectId;

/// The key of a flow within its project.
type FlowKey = (Destination, Limits);

#[derive(Debug)]
pub(super) struct State<P> {
    pub(super) capacity: Capacity,
    pub(super) queue: FairQueue<FlowKey, Waiting<P>, FlowState>,
    pub(super) limits: DestinationLimits,
    pub(super) breakers: Breakers,
    pub(super) backoffs: Backoffs,
    pub(super) hanging: EvictableCalls,
    /// Calls turned away because a breaker was open.
    pub(super) refused: u64,
}

/// A call that waits for its permit.
#[derive(Debug)]
pub(super) struct Waiting<P> {
    pub(super) request: PermitRequest,
    pub(super) sender: oneshot::Sender<Result<P, Refusal>>,
}

/// The data of a flow.
#[derive(Debug, Default)]
pub(super) struct FlowState {
    /// Whether the flow was set up.
    known: bool,
    /// The bucket of the rate of its own limits.
    pub(super) bucket: Option<TokenBucket>,
    /// The reason for which the flow is parked.
    parked: Option<ParkReason>,
}

/// The event that a parked flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParkReason {
    /// The outcome of a probe.
    Probe,
    /// Its own rate.
    Rate,
    /// A place within the operator's limits of its destination.
    DestinationLimit,
}

/// A call under way, as its outcome is recorded.
#[derive(Clone, Debug)]
pub(super) struct CallKey {
    pub(super) destination: Destination,
    pub(super) path: u64,
    pub(super) project: ProjectId,
    /// Whether the call is the probe of its breaker.
    pub(super) probe: bool,
}

impl<P> State<P> {
    pub(super) fn new(options: &QueueOptions) -> Self {
        let workers = options.max_workers.max(1);
        let capacity = Capacity {
            workers,
            // A project that is alone has half of it.
            in_flight: workers + options.max_hanging.max(1),
            flow: if workers <= 2 { workers } else { workers * 3 / 4 },
        };
        Self {
            capacity,
            queue: FairQueue::new(capacity),
            limits: DestinationLimits::new(options.limits),
            breakers: Breakers::new(options.breaker),
            backoffs: Backoffs::default(),
            hanging: EvictableCalls::default(),
            refused: 0,
        }
    }

    /// The flow of a call, set up.
    pub(super) fn flow(&mut self, to: &Destination, request: &PermitRequest, now: u64) -> FlowId {
        self.queue.prune(|flow: &FlowState| flow.bucket.is_none_or(|b| b.is_full(now)));
        let flow = self.queue.flow(request.project, &(to.clone(), request.limits));
        let data = self.queue.data(flow);
        if !data.known {
            data.known = true;
            data.bucket = request.limits.rate_per_second.map(|rate| TokenBucket::new(rate, now));
            self.bound(flow, to, request.project, request.limits);
        }
        // Calls that were cancelled would gather where a flow is not served for long.
        self.drop_cancelled(flow);
        flow
    }

    /// Takes out the calls that were cancelled, up to the first one that was not.
    pub(super) fn drop_cancelled(&mut self, flow: FlowId) {
        while self.queue.first(flow).is_some_and(|first| first.sender.is_closed()) {
            self.queue.pop(flow);
        }
    }

    /// Bounds the calls of a flow by its limits and its breaker as they are now.
    fn bound(&mut self, flow: FlowId, to: &Destination, project: ProjectId, limits: Limits) {
        let most = [limits.max_calls(), self.breakers.ramp(to, project)];
        let most = most.into_iter().flatten().min();
        self.queue.set_most(flow, most.map_or(self.capacity.flow, |most| most as usize));
    }

    /// The most calls that may hang: the places of the workers are left to those that do not.
    pub(super) fn most_hanging(&self) -> usize {
        self.capacity.in_flight - self.capacity.workers
    }

    pub(super) fn park(&mut self, flow: FlowId, reason: ParkReason) {
        self.queue.data(flow).parked = Some(reason);
        self.queue.park(flow, true);
    }

    pub(super) fn unpark(&mut self, flow: FlowId) {
        self.queue.data(flow).parked = None;
        self.queue.park(flow, false);
    }

    /// Lets the next flow go on that waits for the limits of a destination and may begin, if one
    /// that was woken there may not. False if there is no such flow.
    pub(super) fn pass_over(&mut self, now: u64) -> bool {
        let queue = &self.queue;
        let next = self.limits.pass_over(now, |flow| queue.may_begin(flow));
        next.map(|flow| self.unpark(flow)).is_some()
    }

    /// Looks anew at the flows of a project to a destination, as its breaker may have changed.
    pub(super) fn wake(&mut self, to: &Destination, project: ProjectId) {
        let flows = self.queue.flows_from(project, (to.clone(), Limits::default()));
        let flows = flows.take_while(|((of, _), _)| of == to);
        for (limits, flow) in flows.map(|((_, limits), flow)| (*limits, flow)).collect::<Vec<_>>() {
            self.bound(flow, to, project, limits);
            if self.queue.data(flow).parked == Some(ParkReason::Probe) {
                self.unpark(flow);
            }
        }
    }

    /// Turns away the first call that waits in a flow.
    pub(super) fn turn_away(&mut self, flow: FlowId, refusal: Refusal) {
        if let Some(first) = self.queue.pop(flow) {
            // A call that was cancelled meanwhile needs no answer.
            let _ = first.sender.send(Err(refusal));
        }
    }

    /// Records the outcome of a call that began at an instant.
    pub(super) fn record(&mut self, call: &CallKey, began: u64, outcome: CallOutcome, now: u64) {
        let (to, project) = (&call.destination, call.project);
        match outcome {
            CallOutcome::Asked { after } => {
                self.backoffs.note(to, project, now.saturating_add(after), now);
            }
            CallOutcome::Fine => self.backoffs.clear(to, project, began),
            CallOutcome::Failed { .. } | CallOutcome::Nothing => {}
        }
        let had = self.breakers.has(to, project);
        self.breakers.record((to, project), (call.path, call.probe, began), outcome, now);
        if had || self.breakers.has(to, project) {
            self.wake(to, project);
        }
    }
}
