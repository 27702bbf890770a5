//! The state that all use cases share. `node` makes it once; the files of the nouns add the use
//! cases.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::app::actor::{Actor, ActorKind};
use crate::app::backups::slot::BackupSlot;
use crate::app::cluster_admin::ClusterAdmin;
use crate::app::error::Error;
use crate::app::forecast::ForecastCache;
use crate::app::pressure::{Pressure, adds};
use crate::app::readiness::Readiness;
use crate::app::reads::queue::ReadQueue;
use crate::app::runs::arrivals::RunArrivals;
use crate::app::runs::gather::ReportGatherer;
use crate::auth::Auth;
use crate::clock::SchedulerTime;
use crate::cluster::Cluster;
use crate::command::{Command, Outcome};
use crate::config::Config;
use crate::delivery::registry::Registry;
use crate::events::{EventFeed, RateFeed};
use crate::executor::guard::TargetGuard;
use crate::executor::raft_addresses::RaftAddresses;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::model::Millis;
use crate::model::actor::RequestOrigin;
use crate::secret::Keys;

/// The application of one node.
pub struct App {
    pub(crate) cluster: Cluster,
    pub(in crate::app) keys: Arc<Keys>,
    pub(in crate::app) config: Arc<Config>,
    pub(in crate::app) time: Arc<SchedulerTime>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) auth: Auth,
    pub(in crate::app) reads: ReadQueue,
    /// The reports on runs that are on their way into the log.
    pub(in crate::app) reports: Arc<ReportGatherer>,
    /// The reports that wait for the records of their runs.
    pub(in crate::app) arrivals: Arc<RunArrivals>,
    /// The kinds of target that this node knows.
    pub(in crate::app) executors: Registry,
    pub(in crate::app) backup: BackupSlot,
    pub(in crate::app) pressure: Arc<Pressure>,
    pub(in crate::app) readiness: Arc<Readiness>,
    /// Set when the node is about to stop.
    pub(in crate::app) leaving: Arc<AtomicBool>,
    pub(in crate::app) forecasts: Arc<ForecastCache>,
    /// `None` until the node has said where events are.
    events: Option<EventFeed>,
    /// Knows nothing until the node has said where results by the minute are.
    pub(in crate::app) rates: RateFeed,
    /// `None` until the node has said what serves workers.
    gateway: Option<Gateway>,
    /// `None` until the node has said what administers the cluster.
    admin: Option<Arc<dyn ClusterAdmin>>,
}

impl App {
    /// The application of a node. The caller runs [`Auth::follow`] of the `auth` it passes as a
    /// task.
    pub fn new(
        cluster: Cluster,
        keys: Arc<Keys>,
        config: Arc<Config>,
        time: Arc<SchedulerTime>,
        metrics: Arc<Metrics>,
        auth: Auth,
    ) -> Self {
        Self {
            backup: BackupSlot::new(time.clone()),
            reports: ReportGatherer::new(&cluster),
            arrivals: Arc::default(),
            cluster,
            keys,
            config,
            time,
            metrics,
            auth,
            reads: ReadQueue::default(),
            executors: Registry::new([]),
            pressure: Arc::default(),
            readiness: Arc::default(),
            leaving: Arc::default(),
            forecasts: Arc::default(),
            events: None,
            rates: RateFeed::default(),
            gateway: None,
            admin: None,
        }
    }

    /// Asks these executors about the settings of their kinds.
    #[must_use]
    pub fn with_executors(mut self, executors: Registry) -> Self {
        self.executors = executors;
        self
    }

    /// Shows and changes the cluster through this. Without it the use cases of the cluster are not
    /// available.
    #[must_use]
    pub fn with_cluster_admin(mut self, admin: Arc<dyn ClusterAdmin>) -> Self {
        self.admin = Some(admin);
        self
    }

    /// Refuses writes by this pressure instead of none.
    #[must_use]
    pub fn with_pressure(mut self, pressure: Arc<Pressure>) -> Self {
        self.pressure = pressure;
        self
    }

    /// Probes find the node not ready once this is set.
    #[must_use]
    pub fn with_leaving(mut self, leaving: Arc<AtomicBool>) -> Self {
        self.leaving = leaving;
        self
    }

    /// Streams the events of this feed. Without it there are none.
    #[must_use]
    pub fn with_events(mut self, events: EventFeed) -> Self {
        self.events = Some(events);
        self
    }

    /// Shows the results by the minute of this feed. Without it none is known.
    #[must_use]
    pub fn with_rates(mut self, rates: RateFeed) -> Self {
        self.rates = rates;
        self
    }

    /// Serves workers by this gateway. Without it they are refused.
    #[must_use]
    pub fn with_gateway(mut self, gateway: Gateway) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// The readiness that probes are told. The caller runs [`Readiness::follow`] as a task.
    pub fn readiness(&self) -> Arc<Readiness> {
        Arc::clone(&self.readiness)
    }

    /// Refuses a write while the node is short of memory or disk.
    pub(crate) fn admit_write(&self) -> Result<(), Error> {
        self.pressure.admit()
    }

    /// The time by which the scheduler counts, in milliseconds since 1970.
    pub fn now(&self) -> Millis {
        self.time.now()
    }

    /// The node's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The rule of which targets this node calls: by its configuration, and none of the cluster's
    /// own Raft ports.
    pub(in crate::app) fn guard(&self) -> TargetGuard {
        let members = self.cluster.members();
        let raft = members.iter().map(|(_, member)| member.raft_address.as_str());
        let apis = members.iter().map(|(_, member)| member.address.as_str());
        TargetGuard {
            members: Arc::new(RaftAddresses::new(raft)),
            apis: Arc::new(RaftAddresses::of_urls(apis)),
            ..TargetGuard::of(&self.config)
        }
    }

    /// The events of this node; `None` while the node is starting.
    pub(in crate::app) fn events(&self) -> Option<&EventFeed> {
        self.events.as_ref()
    }

    /// The gateway of workers; `None` while the node is starting.
    pub(in crate::app) fn gateway(&self) -> Option<&Gateway> {
        self.gateway.as_ref()
    }

    /// The administration of the cluster.
    pub(super) fn admin(&self) -> Result<&dyn ClusterAdmin, Error> {
        let starting = || Error::unavailable("this node is starting: try again");
        self.admin.as_deref().ok_or_else(starting)
    }

    /// Waits until this node has applied everything that was committed anywhere.
    ///
    /// # Errors
    ///
    /// `Unavailable` while there is no leader.
    pub async fn linearize(&self) -> Result<(), Error> {
        Ok(self.cluster.linearize().await?)
    }

    /// Proposes a command for an actor, whom the log names, and waits until this node has applied
    /// it. A command that adds to what is stored is refused while the node is short of memory or
    /// disk, whichever way the request came.
    pub(in crate::app) async fn propose(
        &self,
        actor: &Actor,
        command: Command,
    ) -> Result<Outcome, Error> {
        if adds(&command) {
            self.admit_write()?;
        }
        // A key's own reach is looked up where the command takes effect.
        let command = match actor.kind {
            ActorKind::Operator => command.within(actor.reach()),
            ActorKind::Client { .. } | ActorKind::Token(_) => command,
        };
        let origin = RequestOrigin { node: self.config.node_id, address: actor.address };
        Ok(self.cluster.propose(command.asked_by(actor.into()).received(origin)).await?)
    }
}
