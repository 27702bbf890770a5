//! A running node, and its start: the identity first, then everything on the core runtime
//! (`wiring`), then the API. `cli` starts one node a process; tests start several. `stop` ends it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::admin::Admin;
use super::bind::bind;
use super::descriptors;
use super::error::Error;
use super::identity::Identity;
use super::rpc::PeerRpc;
use super::runtimes::Runtimes;
use super::wiring::Wiring;
use crate::api::{self, AppState};
use crate::app::App;
use crate::auth::{Auth, Oidc};
use crate::clock::{Clock, SchedulerTime, SystemClock};
use crate::cluster::Cluster;
use crate::config::Config;
use crate::coordinator::lead::Coordinator;
use crate::disk::{modes, spare};
use crate::events::EventFeed;
use crate::gateway::Gateway;
use crate::journal::Journal;
use crate::listen::{self, Bounds};
use crate::metrics::Metrics;
use crate::model::NodeId;
use crate::model::lease::Timing;
use crate::peer;
use crate::secret::Keys;
use crate::server;
use crate::ui::{self, UiState};
use crate::worker::{LeaseGuard, Worker};

/// The options of a node beside its configuration.
pub struct Options {
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// Adds the echo endpoint of `scheduler0 dev`.
    pub dev: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), dev: false }
    }
}

/// A running node.
pub struct Node {
    pub(super) address: SocketAddr,
    pub(super) id: NodeId,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) cluster: Cluster,
    pub(super) guard: Arc<LeaseGuard>,
    pub(super) worker: Arc<Worker>,
    pub(super) gateway: Gateway,
    pub(super) events: EventFeed,
    pub(super) coordinator: Coordinator,
    pub(super) journal: Journal,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) nudge: Arc<Notify>,
    pub(super) rpc: PeerRpc,
    pub(super) timing: Timing,
    pub(super) stop_api: watch::Sender<bool>,
    pub(super) api: JoinHandle<()>,
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) runtimes: Runtimes,
    _identity: Identity,
}

impl Node {
    /// Starts a node; returns when its API listens. It serves and fires until [`Node::stop`].
    pub async fn start(config: Config, keys: Keys, options: Options) -> Result<Self, Error> {
        let members = config.replicas.len();
        let shares = descriptors::share_out(config.max_workers, members, config.max_connections);
        spare::keep(spare::KEPT);
        let identity = Identity::open(&config.data_dir)?;
        if modes::is_open(&config.backup_dir) {
            // It may be meant for others: a program that fetches backups.
            let folder = config.backup_dir.display();
            tracing::warn!(%folder, "group or others can list the backups: chmod 700 BackupDir");
        }
        let config = Arc::new(config);
        let keys = Arc::new(keys);
        let metrics = Arc::new(Metrics::new());
        let time = Arc::new(SchedulerTime::new(options.clock.clone()));
        let api_listeners = bind("Host", &config.listen_address()).await?;
        let address = api_listeners.address().map_err(|source| Error::Listen {
            key: "Host",
            address: config.listen_address(),
            why: listen::Error::Bind(source.to_string()),
        })?;
        let oidc = match &config.oidc_issuers[..] {
            [] => None,
            issuers => Some(Arc::new(Oidc::new(issuers, time.clone()).map_err(Error::Oidc)?)),
        };
        let runtimes = Runtimes::start().map_err(Error::Runtime)?;
        let wiring = Wiring {
            config: config.clone(),
            keys: keys.clone(),
            metrics: metrics.clone(),
            time: time.clone(),
            instance: identity.instance,
            process: identity.process,
            raft_connections: peer::Bounds {
                strangers: shares.raft_strangers,
                members: shares.raft_members,
            },
            shares,
            main: Handle::current(),
            callbacks: runtimes.callbacks().clone(),
        };
        // A panic while starting has been printed; what is left is to say that it was one.
        let started = runtimes
            .core()
            .spawn(wiring.start())
            .await
            .unwrap_or_else(|e| Err(Error::Runtime(std::io::Error::other(e))))?;

        let mut tasks = started.tasks;
        let mut auth = Auth::new(keys.clone()).with_rate(config.api_rate_per_second);
        if let Some(oidc) = oidc {
            tasks.push(tokio::spawn(Arc::clone(&oidc).follow()));
            auth = auth.with_oidc(oidc);
        }
        let following = tokio::spawn(auth.clone().follow(started.cluster.clone()));
        let admin = Arc::new(Admin { rpc: started.rpc.clone(), timing: started.timing });
        let bodies = Arc::new(api::Bodies::within(config.max_memory));
        let app =
            App::new(started.cluster.clone(), keys, config.clone(), time.clone(), metrics, auth);
        let app = app
            .with_cluster_admin(admin)
            .with_executors(started.executors)
            .with_gateway(started.gateway.clone())
            .with_events(started.events.clone())
            .with_rates(started.rates)
            .with_pressure(started.pressure.clone())
            .with_leaving(started.draining.clone());
        let (readiness, of) = (app.readiness(), started.cluster.clone());
        let app = Arc::new(app);
        let state = AppState::new(app.clone()).bodies(bodies.clone()).echo(options.dev);
        let ready = tokio::spawn(async move { readiness.follow(&of).await });
        let (stop_api, stopped) = watch::channel(false);
        let mut router = api::router(state);
        if config.ui {
            router = ui::router(router, Arc::new(UiState::new(app).bodies(bodies)));
        }
        let server_options = server::Options {
            bounds: Bounds::api(shares.api, config.connections_per_address),
            allowed_origin: config.allowed_origin.clone(),
            leaving: started.draining.clone(),
        };
        let api = tokio::spawn(async move {
            let mut stopped = stopped;
            let stop = async move {
                // The sender lives in the node: gone means stop, too.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            server::serve(api_listeners, router, server_options, stop).await;
        });
        tasks.extend([following, ready]);
        tracing::info!(node = config.node_id, %address, boot = identity.boot, "the node is up");
        Ok(Self {
            address,
            id: config.node_id,
            time,
            cluster: started.cluster,
            guard: started.guard,
            worker: started.worker,
            gateway: started.gateway,
            events: started.events,
            coordinator: started.coordinator,
            journal: started.journal,
            draining: started.draining,
            nudge: started.nudge,
            rpc: started.rpc,
            timing: started.timing,
            stop_api,
            api,
            tasks,
            runtimes,
            _identity: identity,
        })
    }

    /// The address of its API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The cluster, for tests and the command line.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its scheduler time.
    pub fn time(&self) -> &Arc<SchedulerTime> {
        &self.time
    }

    /// Becomes `Some(reason)` when the node cannot go on; report it, and end the process.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.cluster.failed()
    }

    /// Ends without any of the steps of [`Node::stop`], as a crash would; for tests.
    pub async fn crash(mut self) {
        self.api.abort();
        self.halt().await;
    }

    pub(super) async fn halt(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.cluster.shutdown().await;
        self.runtimes.end();
    }
}
