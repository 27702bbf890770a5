//! The whole house put together: which part is started when, on which thread, and in which order
//! they stop. `cli` starts one node a process; tests start several, with clocks of their own.
//!
//! ```text
//!   core runtime (one thread)                      callbacks' runtime   the caller's runtime
//!     Raft, peers, leases, due queue, coordinator    senders, client      API
//!
//!   start: identity -> cluster -> journal -> lease -> worker -> coordinator -> peers -> API
//!   stop:  drain -> worker -> leadership -> journal collected -> API -> cluster
//! ```
//!
//! What fires on time must not wait behind somebody's bulk import, nor either of them behind receivers
//! that keep the client busy: hence the threads of their own ([`runtimes`]).
//! Nothing here knows what a part does.

mod descriptors;
mod ear;
mod forget;
mod identity;
mod members;
mod parts;
mod pressure;
mod pulse;
pub mod restore;
mod runtimes;
mod show;
mod status;
mod stop;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::api::{self, AppState, Sources};
use crate::auth::Auth;
use crate::clock::{Clock, SchedulerTime, SystemClock};
use crate::cluster::{self, Cluster};
use crate::config::Config;
use crate::coordinator::lead::Coordinator;
use crate::disk::{modes, spare};
use crate::executor;
use crate::journal::{self, Journal};
use crate::listen::{self, Bounds, Listeners};
use crate::metrics::Metrics;
use crate::model::NodeId;
use crate::model::lease::Timing;
use crate::peer;
use crate::secret::Keys;
use crate::server;
use crate::worker::{Seat, Worker};

pub use identity::Identity;

/// How long the names that a node listens on may take to resolve after its start.
const RESOLVES_WITHIN: Duration = Duration::from_secs(20);

/// The most connections of the API, where there are descriptors for them.
const API_CONNECTIONS: usize = 4_096;

/// What a node is started with beside its configuration.
pub struct Options {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Adds the echo endpoint of `scheduler0 dev`.
    pub dev: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), dev: false }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// An address.
    #[error("{key} {address}: {why}")]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: String,
        /// What is wrong with it.
        why: listen::Error,
    },
    /// Log and state.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The HTTP client.
    #[error(transparent)]
    Executor(#[from] executor::Error),
    /// The threads.
    #[error("the node's threads cannot be started: {0}")]
    Runtime(std::io::Error),
}

/// A running node.
pub struct Node {
    address: SocketAddr,
    id: NodeId,
    time: Arc<SchedulerTime>,
    cluster: Cluster,
    seat: Arc<Seat>,
    worker: Arc<Worker>,
    coordinator: Coordinator,
    journal: Journal,
    draining: Arc<AtomicBool>,
    nudge: Arc<Notify>,
    ear: ear::Ear,
    timing: Timing,
    stop_api: watch::Sender<bool>,
    api: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    runtimes: runtimes::Runtimes,
    _identity: Identity,
}

impl Node {
    /// Starts a node; returns when its API listens. It serves and fires until [`Node::stop`].
    pub async fn start(config: Config, keys: Keys, options: Options) -> Result<Self, Error> {
        let members = config.replicas.len();
        let shares = descriptors::share_out(config.max_workers, members, API_CONNECTIONS);
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
        let api_listeners = listen("Host", &config.listen_address()).await?;
        let address = api_listeners.address().map_err(|source| Error::Listen {
            key: "Host",
            address: config.listen_address(),
            why: listen::Error::Bind(source.to_string()),
        })?;
        let runtimes = runtimes::Runtimes::start().map_err(Error::Runtime)?;
        let parts = parts::Parts {
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
            .spawn(parts.start())
            .await
            .unwrap_or_else(|e| Err(Error::Runtime(std::io::Error::other(e))))?;

        let auth = Auth::new(keys.clone());
        let following = tokio::spawn(auth.clone().follow(started.cluster.clone()));
        let timing = started.timing;
        let ear = started.ear.clone();
        let (of_status, of_members, of_changes) = (ear.clone(), ear.clone(), ear.clone());
        let sources = Sources {
            status: Some(Arc::new(move || Box::pin(status::status(of_status.clone(), timing)))),
            checksum: Some(Arc::new(move || Box::pin(status::checksums(ear.clone())))),
            members: Some(Arc::new(move || Box::pin(members::members(of_members.clone())))),
            change: Some(Arc::new(move |step| Box::pin(members::change(of_changes.clone(), step)))),
        };
        let budget = Arc::new(api::Budget::within(config.max_memory));
        let state = AppState::new(
            started.cluster.clone(),
            keys,
            config.clone(),
            time.clone(),
            metrics,
            auth,
        )
        .pressure(started.pressure.clone())
        .sources(sources)
        .leaving(started.draining.clone())
        .budget(budget)
        .echo(options.dev);
        let (readiness, of) = (state.readiness(), started.cluster.clone());
        let ready = tokio::spawn(async move { readiness.follow(&of).await });
        let (stop_api, stopped) = watch::channel(false);
        let router = api::router(state);
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
        let mut tasks = started.tasks;
        tasks.extend([following, ready]);
        tracing::info!(node = config.node_id, %address, boot = identity.boot, "the node is up");
        Ok(Self {
            address,
            id: config.node_id,
            time,
            cluster: started.cluster,
            seat: started.seat,
            worker: started.worker,
            coordinator: started.coordinator,
            journal: started.journal,
            draining: started.draining,
            nudge: started.nudge,
            ear: started.ear,
            timing,
            stop_api,
            api,
            tasks,
            runtimes,
            _identity: identity,
        })
    }

    /// Where its API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The door, for tests and the command line.
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

    async fn halt(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.cluster.shutdown().await;
        self.runtimes.end();
    }
}

async fn listen(key: &'static str, address: &str) -> Result<Listeners, Error> {
    let bound = Listeners::bind(address, RESOLVES_WITHIN).await;
    bound.map_err(|why| Error::Listen { key, address: address.to_owned(), why })
}
