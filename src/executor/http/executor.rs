//! The executor: it takes a call, waits for its permit, and has it carried out by `run`. The worker
//! holds one through its ports; `node` asks it for figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;

use super::call::Call;
use super::destination::{destination, path_hash};
use super::guard;
use super::options::{Error, Options};
use super::run::Runner;
use crate::clock::SchedulerTime;
use crate::delivery::attempt::Attempt;
use crate::delivery::availability::{Availability, OpenBreaker};
use crate::delivery::breakers::Outage;
use crate::delivery::destination::Destination;
use crate::delivery::destination_queues::{
    DestinationLoad, DestinationQueues, Occupancy, PermitRequest, Refusal,
};
use crate::delivery::reply::Reply;
use crate::metrics;
use crate::model::{Millis, ProjectId};

/// Sends requests. Cloning gives another handle to the same connections and queues.
#[derive(Clone)]
pub struct Executor {
    runner: Arc<Runner>,
    queues: DestinationQueues,
    options: Arc<Options>,
    time: Arc<SchedulerTime>,
}

impl Executor {
    /// An executor without connections.
    pub fn new(options: Options, time: Arc<SchedulerTime>) -> Result<Self, Error> {
        let options = Arc::new(options);
        let runner = Runner::new(&options, &time)?;
        let queues = DestinationQueues::new(&options.queues(), time.clock().clone());
        Ok(Self { runner: Arc::new(runner), queues, options, time })
    }

    /// Waits for a permit and sends the call. Dropping the future cancels the call.
    pub async fn call(&self, mut call: Call) -> Reply {
        let url = match self.allowed_url(&mut call) {
            Err(error) => {
                return Reply::Done(Attempt {
                    started_boot: self.time.clock().boot(),
                    error: Some(error.to_string()),
                    ..Attempt::default()
                });
            }
            Ok(url) => url,
        };
        let Call { limits, project, probe, .. } = call;
        let request = PermitRequest { path: path_hash(&url), limits, project, probe };
        match self.queues.acquire(&destination(&url), request).await {
            Ok(permit) => self.runner.run(url, permit, call).await,
            Err(Refusal { until, obstacle }) => Reply::Refused { until: self.at(until), obstacle },
        }
    }

    /// The most calls to one destination under way at a time; more of them wait.
    pub fn at_most(&self) -> usize {
        self.queues.flow_limit()
    }

    /// The availability of the destination of a URL for a project. The worker asks before it writes
    /// a request. The answer holds for this moment; the call itself is checked again.
    pub fn availability(&self, url: &str, project: ProjectId) -> Availability {
        let Ok(url) = Url::parse(url) else { return Availability::Available };
        match self.queues.refusal(&destination(&url), path_hash(&url), project) {
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

    /// The figures of its calls, for `/metrics`.
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
        let (refused, own_errors) = (self.queues.refused(), self.runner.local_errors());
        let Occupancy { hanging, capacity, over_share } = self.queues.occupancy();
        metrics::Calls {
            destinations,
            refused,
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

    /// The URL, if it may be called: an address that is written in it never passes through the
    /// resolver.
    fn allowed_url(&self, call: &mut Call) -> Result<Url, guard::Error> {
        let parse = || Url::parse(&call.url).map_err(|e| guard::Error::Invalid(e.to_string()));
        let url = call.parsed.take().map_or_else(parse, Ok)?;
        self.options.guard.check(&url)?;
        Ok(url)
    }
}
