//! The queue of a node's calls, of all kinds: a call waits for its permit, and its request is sent.
//! The worker calls it through its ports; `node` asks it for figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attempt::Attempt;
use super::availability::{Availability, OpenBreaker};
use super::breakers::Outage;
use super::call::Call;
use super::call_checks::SendCheck;
use super::destination::{Address, Destination, Limits};
use super::destination_queues::{
    DestinationLoad, DestinationQueues, Occupancy, PermitRequest, QueueOptions, Refusal,
};
use super::gate::Gate;
use super::registry::Registry;
use super::reply::Reply;
use super::running_call::RunningCall;
use crate::clock::SchedulerTime;
use crate::metrics;
use crate::model::{Millis, ProjectId};

/// The queue. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct CallQueue {
    executors: Registry,
    queues: DestinationQueues,
    time: Arc<SchedulerTime>,
}

impl CallQueue {
    /// A queue in which nothing waits. The executors share its workers.
    pub fn new(executors: Registry, options: &QueueOptions, time: Arc<SchedulerTime>) -> Self {
        let queues = DestinationQueues::new(options, time.clock().clone());
        Self { executors, queues, time }
    }

    /// The executors.
    pub fn executors(&self) -> &Registry {
        &self.executors
    }

    /// Waits for a permit and sends the request. Dropping the future cancels the call.
    pub async fn call(&self, call: Call) -> Reply {
        if let Err(error) = call.request.admit() {
            return Reply::Done(Attempt {
                started_boot: self.time.clock().boot(),
                error: Some(error),
                ..Attempt::default()
            });
        }
        let Call { request, destination, path, project, probe, limits, jobs, .. } = call;
        let permit = PermitRequest { path, limits, jobs, project, probe };
        match self.queues.acquire(&destination, permit).await {
            Ok(permit) => {
                let check = SendCheck::new(call.before_send, self.time.clock().clone());
                let (timeout, time) = (call.timeout, Arc::clone(&self.time));
                let probe = permit.is_probe();
                let gate = Gate::new(Arc::clone(&check), timeout, probe, project, time);
                let (unwanted, tried) = (call.unwanted, gate.tried());
                let time = Arc::clone(&self.time);
                let running = RunningCall { check, permit, timeout, unwanted, time, tried };
                running.run(request.send(gate)).await
            }
            Err(Refusal { until, obstacle }) => Reply::Refused { until: self.at(until), obstacle },
        }
    }

    /// The most calls to one destination under way at a time; more of them wait.
    pub fn at_most(&self) -> usize {
        self.queues.flow_limit()
    }

    /// The operator's limits of each destination.
    pub fn limits(&self) -> Limits {
        self.queues.limits()
    }

    /// The availability of an address for a project. The worker asks before it writes a request.
    /// The answer holds for this moment; the call itself is checked again.
    pub fn availability(&self, address: &Address, project: ProjectId) -> Availability {
        match self.queues.refusal(&address.destination, address.path, project) {
            None => Availability::Available,
            Some(Refusal { until, obstacle }) => {
                Availability::Unavailable { until: self.at(until), obstacle }
            }
        }
    }

    /// The destinations that take no calls at the moment.
    pub fn open_breakers(&self) -> Vec<OpenBreaker> {
        let open = |outage: Outage| OpenBreaker {
            destination: outage.destination.as_str().to_owned(),
            since: self.at(outage.since),
            failures: outage.failures,
            next_probe: self.at(outage.probe_at),
        };
        self.queues.outages().into_iter().map(open).collect()
    }

    /// The scheduler time of an instant of the boot clock.
    fn at(&self, boot: u64) -> Millis {
        self.time.now() + boot.cast_signed() - self.time.clock().boot().cast_signed()
    }

    /// The load of each destination.
    pub fn load(&self) -> Vec<DestinationLoad> {
        self.queues.load()
    }

    /// The figures of all calls, for `/metrics`.
    pub fn calls(&self) -> metrics::Calls {
        let mut destinations: BTreeMap<String, metrics::Destination> = BTreeMap::new();
        let mut of = |destination: Destination, set: &dyn Fn(&mut metrics::Destination)| {
            let name = destination.as_str().to_owned();
            let new = || metrics::Destination { name: name.clone(), ..Default::default() };
            set(destinations.entry(name.clone()).or_insert_with(new));
        };
        for load in self.queues.load() {
            of(load.destination, &|d| {
                d.in_flight = load.in_flight as u64;
                d.waiting = load.queued as u64;
            });
        }
        for outage in self.queues.outages() {
            of(outage.destination, &|d| d.open = true);
        }
        for (destination, projects) in self.queues.backoffs() {
            of(destination, &|d| d.paused = projects as u64);
        }
        let destinations = destinations.into_values().collect();
        let mut own_errors: Vec<(&'static str, u64)> = Vec::new();
        for (reason, count) in self.executors.all().flat_map(|executor| executor.local_errors()) {
            match own_errors.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, sum)) => *sum += count,
                None => own_errors.push((reason, count)),
            }
        }
        let Occupancy { hanging, capacity, over_share } = self.queues.occupancy();
        metrics::Calls {
            destinations,
            refused: self.queues.refused(),
            own_errors,
            hanging: hanging as u64,
            capacity: capacity as u64,
            over_share: over_share.is_some(),
        }
    }

    /// The calls of all projects, against the capacity.
    pub fn occupancy(&self) -> Occupancy {
        self.queues.occupancy()
    }
}
