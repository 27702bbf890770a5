//! The whole house put together: which part is started when, on which thread, and in which order
//! they stop. `cli` starts one node a process; tests start several, with clocks of their own.
//!
//! ```text
//!   core runtime (one thread)                      the caller's runtime
//!     Raft, peers, leases, due queue, coordinator    API, callbacks, reads of the books
//!
//!   start: identity -> cluster -> journal -> lease -> worker -> coordinator -> peers -> API
//!   stop:  drain -> worker -> leadership -> journal collected -> API -> cluster
//! ```
//!
//! What fires on time must not wait behind somebody's bulk import: hence the thread of its own.
//! Nothing here knows what a part does.

mod ear;
mod identity;
mod pressure;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::api::{self, AppState, Pressure, Sources};
use crate::auth::Auth;
use crate::clock::{Clock, SchedulerTime, SystemClock};
use crate::cluster::{self, Cluster};
use crate::config::Config;
use crate::coordinator::lead::{self, Coordinator};
use crate::executor::guard::TargetGuard;
use crate::executor::{self, Executor};
use crate::journal::{self, Journal};
use crate::metrics::Metrics;
use crate::model::NodeId;
use crate::model::lease::{Facts, Position, Timing};
use crate::raft::types::Member;
use crate::secret::Keys;
use crate::server;
use crate::store;
use crate::worker::lease::Holder;
use crate::worker::renew::{LeaseState, Renewer};
use crate::worker::{self, Seat, Worker};

pub use identity::Identity;

/// How long a graceful stop waits for each of its steps.
const STEP: Duration = Duration::from_secs(10);

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
    #[error("{key} {address} cannot be listened on: {source}; is another process there?")]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: String,
        /// What the system said.
        source: std::io::Error,
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
    #[error("the core threads cannot be started: {0}")]
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
    stop_api: watch::Sender<bool>,
    api: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    core: Option<Runtime>,
    _identity: Identity,
}

impl Node {
    /// Starts a node; returns when its API listens. It serves and fires until [`Node::stop`].
    pub async fn start(config: Config, keys: Keys, options: Options) -> Result<Self, Error> {
        let identity = Identity::open(&config.data_dir)?;
        let config = Arc::new(config);
        let keys = Arc::new(keys);
        let metrics = Arc::new(Metrics::new());
        let time = Arc::new(SchedulerTime::new(options.clock.clone()));
        let api_listener = listen("Port", &config.listen_address()).await?;
        let address = api_listener.local_addr().map_err(|source| Error::Listen {
            key: "Port",
            address: config.listen_address(),
            source,
        })?;
        let core = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("core")
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let main = Handle::current();
        let parts = Parts {
            config: config.clone(),
            keys: keys.clone(),
            metrics: metrics.clone(),
            time: time.clone(),
            instance: identity.instance,
            boot: identity.boot,
            main,
        };
        // A panic while starting has been printed; what is left is to say that it was one.
        let started = core
            .spawn(parts.start())
            .await
            .unwrap_or_else(|e| Err(Error::Runtime(std::io::Error::other(e))));
        let started = match started {
            Ok(started) => started,
            Err(error) => {
                core.shutdown_background();
                return Err(error);
            }
        };

        let auth = Auth::new(keys.clone());
        let following = tokio::spawn(auth.clone().follow(started.cluster.clone()));
        let timing = started.timing;
        let ear = started.ear.clone();
        let of_status = ear.clone();
        let sources = Sources {
            status: Some(Arc::new(move || Box::pin(status::status(of_status.clone(), timing)))),
            checksum: Some(Arc::new(move || Box::pin(status::checksums(ear.clone())))),
        };
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
        .echo(options.dev);
        let (stop_api, stopped) = watch::channel(false);
        let router = api::router(state);
        let server_options = server::Options {
            allowed_origin: config.allowed_origin.clone(),
            ..server::Options::default()
        };
        let api = tokio::spawn(async move {
            let mut stopped = stopped;
            let stop = async move {
                // The sender lives in the node: gone means stop, too.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            server::serve(api_listener, router, server_options, stop).await;
        });
        let mut tasks = started.tasks;
        tasks.push(following);
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
            stop_api,
            api,
            tasks,
            core: Some(core),
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

    /// The graceful stop: releases the shards, finishes what is due, hands the leadership on, waits
    /// until the cluster has the results, and goes. Each step is bounded.
    pub async fn stop(mut self) {
        tracing::info!("stopping: releasing shards");
        self.draining.store(true, Ordering::SeqCst);
        self.nudge.notify_one();
        let alone = self.cluster.members().len() == 1;
        if !alone {
            self.bounded("shards were still held", self.released()).await;
        }
        self.worker.stop().await;
        if !alone && self.cluster.leadership().borrow().me {
            self.hand_on_leadership().await;
        }
        self.bounded("results were not yet collected", self.collected()).await;
        // Nobody hears of a node that stops before its server is closed; an error means it is.
        let _ = self.stop_api.send(true);
        // A panic in it has been printed.
        let _ = (&mut self.api).await;
        self.halt().await;
        tracing::info!("stopped");
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
        if let Some(core) = self.core.take() {
            core.shutdown_background();
        }
    }

    async fn bounded(&self, otherwise: &str, step: impl Future<Output = ()>) {
        if tokio::time::timeout(STEP, step).await.is_err() {
            tracing::warn!("{otherwise} after {STEP:?}");
        }
    }

    /// Waits until no shard is this node's, in whatever part.
    async fn released(&self) {
        let mut changed = self.seat.follow_shards();
        loop {
            if self.seat.owned() == (0, 0) {
                return;
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    async fn hand_on_leadership(&self) {
        let members = self.cluster.members();
        for (to, _) in members.into_iter().filter(|(id, _)| *id != self.id) {
            match tokio::time::timeout(STEP / 4, self.cluster.transfer_leader(to)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::debug!(to, %error, "did not take the leadership"),
                Err(_) => tracing::debug!(to, "did not take the leadership in time"),
            }
        }
    }

    /// Waits until the cluster has recorded all that the journal holds.
    async fn collected(&self) {
        let mut changes = self.cluster.changes();
        loop {
            let state = self.journal.state();
            if state.forgotten >= state.synced {
                return;
            }
            // Whoever leads hears of it with the next renewal, or at once if it is this node.
            self.nudge.notify_one();
            self.coordinator.collect_now();
            // Anything that is applied may be the record; what was missed is looked up next time.
            let _ = tokio::time::timeout(Duration::from_millis(100), changes.recv()).await;
        }
    }
}

impl Drop for Node {
    /// A runtime must not be dropped where one is running: what is left of it goes by itself.
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            core.shutdown_background();
        }
    }
}

async fn listen(key: &'static str, address: &str) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| Error::Listen { key, address: address.to_owned(), source })
}

/// What the parts on the core runtime are made from.
struct Parts {
    config: Arc<Config>,
    keys: Arc<Keys>,
    metrics: Arc<Metrics>,
    time: Arc<SchedulerTime>,
    instance: u128,
    boot: u64,
    main: Handle,
}

/// What runs on the core runtime.
struct Started {
    cluster: Cluster,
    seat: Arc<Seat>,
    worker: Arc<Worker>,
    coordinator: Coordinator,
    journal: Journal,
    draining: Arc<AtomicBool>,
    nudge: Arc<Notify>,
    pressure: Arc<Pressure>,
    ear: ear::Ear,
    timing: Timing,
    tasks: Vec<JoinHandle<()>>,
}

impl Parts {
    async fn start(self) -> Result<Started, Error> {
        let config = &self.config;
        let timing = Timing::from(
            config.raft_heartbeat_timeout.as_millis() as u64,
            config.raft_election_timeout.as_millis() as u64,
        );
        let listener = listen("RaftAddress", &config.raft_address).await?;
        let cluster = Cluster::start(self.cluster_options()).await?;
        let (journal, unforgotten) =
            Journal::open(&config.data_dir.join("journal"), journal::Options::default())?;
        let executor = Executor::new(
            executor::Options {
                max_workers: config.max_workers,
                timeout: config.job_execution_timeout,
                guard: TargetGuard {
                    allow_loopback: !config.refuse_loopback_targets,
                    allow_private: !config.refuse_private_targets,
                },
                ..executor::Options::default()
            },
            self.time.clock().clone(),
        )?;
        let term = cluster.leadership().borrow().term;
        let stated = worker::stated_watermarks(&unforgotten);
        let holder = Holder::new(config.node_id, self.instance, self.boot, term, stated);
        let seat = Seat::new(config.node_id, holder, self.time.clone());
        let worker = Arc::new(Worker::start(
            worker::Options {
                node: config.node_id,
                max_queue: config.max_queue,
                payload_max_bytes: config.payload_max_bytes,
                retry_max: config.job_execution_retry_max,
                retry_delay: config.job_execution_retry_delay,
                misfire_grace: worker::MISFIRE_GRACE,
            },
            worker::Surroundings {
                books: cluster.clone(),
                hands: executor,
                lease: seat.clone(),
                journal: journal.clone(),
                unforgotten,
                time: self.time.clone(),
                metrics: self.metrics.clone(),
                runtime: self.main.clone(),
            },
        ));
        let own_journal = {
            let (journal, node) = (journal.clone(), config.node_id);
            Arc::new(move |ask: &_| ear::read_journal(&journal, node, ask))
        };
        let coordinator = Coordinator::start(lead::Options {
            cluster: cluster.clone(),
            node: config.node_id,
            time: self.time.clone(),
            timing,
            own_journal,
            fan_in: config.execution_log_fetch_fan_in,
            fetch_interval: config.execution_log_fetch_interval,
            history_max_age: config.history_max_age,
            history_max_bytes: config.history_max_bytes,
        });
        let draining = Arc::new(AtomicBool::new(false));
        let nudge = Arc::new(Notify::new());
        let pressure = Arc::new(Pressure::default());
        let memory = Arc::new(AtomicU8::new(0));
        let lease_state = watch::Sender::new(LeaseState::default());

        let facts = {
            let (draining, memory) = (draining.clone(), memory.clone());
            let (worker, journal) = (worker.clone(), journal.clone());
            Arc::new(move || Facts {
                applied: Position::default(),
                has_room: worker.status().has_room,
                draining: draining.load(Ordering::SeqCst),
                memory: memory.load(Ordering::Relaxed),
                journaled: journal.state().synced,
            })
        };
        let renewer = Renewer {
            cluster: cluster.clone(),
            node: config.node_id,
            time: self.time.clone(),
            seat: seat.clone(),
            facts,
            coordinator: {
                let coordinator = coordinator.clone();
                Arc::new(move |renewal: &_| coordinator.renew(renewal))
            },
            timing,
            nudge: nudge.clone(),
            state: lease_state.clone(),
        };
        let watch = pressure::Watch {
            dir: config.data_dir.clone(),
            max_memory: config.max_memory,
            disk_reserve: config.disk_reserve,
            pressure: pressure.clone(),
            memory,
            metrics: self.metrics.clone(),
            clock: self.time.clock().clone(),
        };
        let ear = ear::Ear {
            cluster: cluster.clone(),
            coordinator: coordinator.clone(),
            journal: journal.clone(),
            node: config.node_id,
            own: self.own_status(&cluster, &seat, &worker, &journal, &draining, &lease_state),
        };
        let tasks = vec![
            tokio::spawn(seat.clone().follow(cluster.clone())),
            tokio::spawn(renewer.run()),
            tokio::spawn(watch.run()),
            tokio::spawn(forget(cluster.clone(), journal.clone(), config.node_id)),
            tokio::spawn(show_raft(
                cluster.clone(),
                self.metrics.clone(),
                seat.clone(),
                journal.clone(),
                lease_state,
                timing,
            )),
        ];
        cluster.serve(listener, ear::routes(ear.clone()));
        Ok(Started {
            cluster,
            seat,
            worker,
            coordinator,
            journal,
            draining,
            nudge,
            pressure,
            ear,
            timing,
            tasks,
        })
    }

    fn cluster_options(&self) -> cluster::Options {
        let config = &self.config;
        let member = |r: &crate::config::Replica| {
            let member =
                Member { raft_address: r.raft_address.clone(), address: r.address.clone() };
            (r.node_id, member)
        };
        cluster::Options {
            dir: config.data_dir.clone(),
            node: config.node_id,
            instance: self.instance,
            members: config.replicas.iter().map(member).collect(),
            bootstrap: config.bootstrap,
            peer_token: self.keys.peer_token().into(),
            heartbeat: config.raft_heartbeat_timeout,
            election: config.raft_election_timeout,
            snapshot_interval: config.raft_snapshot_interval,
            snapshot_threshold: config.raft_snapshot_threshold,
            apply_timeout: config.raft_apply_timeout,
            transport_timeout: config.raft_transport_timeout,
            transport_pool: config.raft_transport_max_pool,
            time: self.time.clone(),
        }
    }

    fn own_status(
        &self,
        cluster: &Cluster,
        seat: &Arc<Seat>,
        worker: &Arc<Worker>,
        journal: &Journal,
        draining: &Arc<AtomicBool>,
        lease: &watch::Sender<LeaseState>,
    ) -> Arc<dyn Fn() -> ear::Own + Send + Sync> {
        let (cluster, seat, worker) = (cluster.clone(), seat.clone(), worker.clone());
        let (journal, draining, lease) = (journal.clone(), draining.clone(), lease.clone());
        let (metrics, time) = (self.metrics.clone(), self.time.clone());
        Arc::new(move || {
            let queues = worker.status();
            let journal = journal.state();
            let lease = *lease.borrow();
            let state = cluster.raft_stats().into_iter().find(|(name, _)| *name == "state");
            let mut warnings: Vec<String> = journal.trouble.into_iter().collect();
            if let Some(refused) = lease.refused {
                warnings.push(format!("it gets no lease: {}", refused.reason()));
            }
            ear::Own {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                applied: cluster.applied().borrow().index,
                state: state.map_or_else(String::new, |(_, value)| value),
                lease_left: seat.lease_left(),
                clock_error: lease.clock_error,
                journal_depth: journal.synced.saturating_sub(journal.forgotten),
                due: queues.due,
                built: queues.built,
                in_flight: queues.in_flight,
                lag: lag(&metrics, time.clock().boot()),
                memory: pressure::anonymous_memory(),
                draining: draining.load(Ordering::SeqCst),
                warnings,
            }
        })
    }
}

/// Median and 99th percentile of the lag, in milliseconds, if anything was late at all lately.
fn lag(metrics: &Metrics, now: u64) -> Option<(u64, u64)> {
    let lag = metrics.lag.quantiles(now);
    (lag.p99 > 0).then_some((lag.p50, lag.p99))
}

/// Lets the journal forget what the cluster has recorded, as soon as it is applied here.
async fn forget(cluster: Cluster, journal: Journal, node: NodeId) {
    let mut applied = cluster.applied();
    loop {
        let incarnation = journal.state().incarnation;
        let cursor =
            cluster.read(move |c| store::cursors::get_incarnation(c, node, incarnation)).await;
        match cursor {
            Ok(Some(upto)) => journal.forget(incarnation, upto),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the journal's cursor cannot be read"),
        }
        loop {
            if applied.changed().await.is_err() {
                return;
            }
            let state = journal.state();
            if state.forgotten < state.synced {
                break;
            }
        }
    }
}

/// Shows Raft's figures, the lease and the journal in the metrics.
async fn show_raft(
    cluster: Cluster,
    metrics: Arc<Metrics>,
    seat: Arc<Seat>,
    journal: Journal,
    lease: watch::Sender<LeaseState>,
    timing: Timing,
) {
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let leads = *cluster.leadership().borrow();
        metrics.raft_term.set(leads.term as i64);
        metrics.raft_leader.set(i64::from(leads.me));
        metrics.raft_commit_index.set(cluster.commit_index() as i64);
        metrics.raft_applied_index.set(cluster.applied().borrow().index as i64);
        let last = cluster.raft_stats().into_iter().find(|(name, _)| *name == "last_log_index");
        if let Some(Ok(last)) = last.map(|(_, value)| value.parse::<i64>()) {
            metrics.raft_last_log_index.set(last);
        }
        let state = journal.state();
        metrics.journal_depth.set(state.synced.saturating_sub(state.forgotten) as i64);
        metrics.lease_age_ms.set(seat.lease_age(timing).map_or(-1, |age| age as i64));
        metrics.clock_offset_ms.set(lease.borrow().clock_error);
    }
}
