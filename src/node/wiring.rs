//! The wiring of everything on the core runtime: cluster, journal, lease, worker, coordinator, the
//! peer RPC and the watches. Called once by `Node::start`; it decides nothing after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::bind::bind;
use super::descriptors::Shares;
use super::error::Error;
use super::other_owners::OtherOwners;
use super::pulse::Pulse;
use super::rpc::{self, PeerRpc};
use super::view::View;
use super::{journal_gc, pressure};
use crate::app::Pressure;
use crate::bus::rabbitmq::{RabbitMq, RabbitMqOptions};
use crate::clock::SchedulerTime;
use crate::cluster::{self, Cluster};
use crate::command::LEVEL;
use crate::config::Config;
use crate::coordinator::lead::{self, Coordinator};
use crate::delivery::breaker::Rules;
use crate::delivery::call_queue::CallQueue;
use crate::delivery::destination::Limits;
use crate::delivery::destination_queues::QueueOptions;
use crate::delivery::registry::Registry;
use crate::events::{EventFeed, RateFeed};
use crate::executor;
use crate::executor::guard::TargetGuard;
use crate::executor::member_guard::{MemberGuard, OwnAddresses, Source};
use crate::executor::raft_addresses::RaftAddresses;
use crate::gateway::{self, ClusterSupervisors, Gateway, OwnReplica};
use crate::journal::{self, Journal};
use crate::metrics::Metrics;
use crate::model::lease::{Facts, Position, Timing};
use crate::model::process::Process;
use crate::peer;
use crate::raft::types::Member;
use crate::secret::Keys;
use crate::worker::lease::{Holder, LeaseState, Renewer, stated_watermarks};
use crate::worker::{self, LeaseGuard, Worker};

/// The inputs from which the parts are made.
pub(super) struct Wiring {
    pub(super) config: Arc<Config>,
    pub(super) keys: Arc<Keys>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) instance: u128,
    pub(super) process: Process,
    pub(super) raft_connections: peer::Bounds,
    /// The shares of the file descriptors.
    pub(super) shares: Shares,
    /// The API's runtime.
    pub(super) main: Handle,
    /// The senders' runtime.
    pub(super) callbacks: Handle,
}

/// The parts that run on the core runtime.
pub(super) struct Started {
    pub(super) cluster: Cluster,
    pub(super) guard: Arc<LeaseGuard>,
    pub(super) worker: Arc<Worker>,
    pub(super) gateway: Gateway,
    pub(super) events: EventFeed,
    pub(super) rates: RateFeed,
    pub(super) coordinator: Coordinator,
    pub(super) journal: Journal,
    pub(super) executors: Registry,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) nudge: Arc<Notify>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) rpc: PeerRpc,
    pub(super) timing: Timing,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

/// The addresses of the members as this node knows them, and its own.
fn members(cluster: &Cluster, config: &Config) -> Source {
    let (cluster, raft) = (cluster.clone(), config.raft_address.clone());
    let api = format!("http://{}", config.listen_address());
    Arc::new(move || {
        let members = cluster.members();
        let of_raft = members.iter().map(|(_, member)| member.raft_address.as_str());
        let of_apis = members.iter().map(|(_, member)| member.address.as_str());
        OwnAddresses {
            raft: RaftAddresses::new(of_raft.chain([raft.as_str()])),
            apis: RaftAddresses::of_urls(of_apis.chain([api.as_str()])),
        }
    })
}

impl Wiring {
    /// Makes and wires them, in this order.
    pub(super) async fn start(self) -> Result<Started, Error> {
        let config = &self.config;
        let timing = Timing::from(
            config.raft_heartbeat_timeout.as_millis() as u64,
            config.raft_election_timeout.as_millis() as u64,
        );
        let listeners = bind("RaftAddress", &config.raft_address).await?;
        let cluster = Cluster::start(self.cluster_options()).await?;
        if cluster.members().len() > 1 {
            cluster.set_clock_unconfirmed();
        }
        let (journal, unforgotten) =
            Journal::open(&config.data_dir.join("journal"), journal::Options::default())?;
        let connections = executor::Options {
            payload_max_bytes: config.payload_max_bytes,
            max_idle: self.shares.idle,
            guard: TargetGuard::of(config),
            member_guard: Arc::new(MemberGuard::new(members(&cluster, config))),
            proxy: config.egress_proxy.clone(),
            ..executor::Options::default()
        };
        let messages = self.metrics.messages.clone();
        let executors =
            executor::registry(connections.clone(), messages, &self.keys, self.time.clock())?;
        let calls = CallQueue::new(executors.clone(), &self.queue_options(), self.time.clone());
        let watched = calls.clone();
        self.metrics.watch_calls(move || watched.calls());
        self.metrics.watch_disk(config.data_dir.clone());
        let term = cluster.leadership().borrow().term;
        let stated = stated_watermarks(&unforgotten);
        let holder = Holder::new(config.node_id, self.instance, self.process.boot, term, stated);
        let guard = LeaseGuard::new(config.node_id, holder, self.time.clone());
        let nudge = Arc::new(Notify::new());
        let owners = OtherOwners::new(self.main.clone());
        let worker = Arc::new(Worker::start(
            worker::Options {
                node: config.node_id,
                max_queue: config.max_queue,
                retry_max: config.job_execution_retry_max,
                retry_delay: config.job_execution_retry_delay,
                timeout: config.job_execution_timeout,
                max_timeout: config.max_job_timeout,
                heartbeat_timeout: config.worker_heartbeat_timeout,
                cancel_timeout: config.worker_cancel_timeout,
                misfire_grace: worker::MISFIRE_GRACE,
            },
            worker::Deps {
                store: cluster.clone(),
                dispatcher: calls.clone(),
                bus: self.bus(connections),
                elsewhere: owners.elsewhere(),
                ask_owners: owners.ask(),
                lease: guard.clone(),
                journal: journal.clone(),
                unforgotten,
                time: self.time.clone(),
                metrics: self.metrics.clone(),
                register: self.register(),
                journal_grew: {
                    let nudge = nudge.clone();
                    // The next renewal says how far the journal is.
                    Arc::new(move || nudge.notify_one())
                },
                runtime: self.callbacks.clone(),
            },
        ));
        let (gateway, supervisors) = self.gateway(&cluster, &worker, &executors);
        owners.reach_by(gateway.clone());
        let own_journal = {
            let (journal, node) = (journal.clone(), config.node_id);
            Arc::new(move |ask: &_| rpc::read_journal(&journal, node, ask))
        };
        let pressure = Arc::new(Pressure::default());
        let coordinator = Coordinator::start(lead::Options {
            cluster: cluster.clone(),
            node: config.node_id,
            time: self.time.clone(),
            timing,
            own_journal,
            fan_in: config.execution_log_fetch_fan_in,
            fetch_interval: config.execution_log_fetch_interval,
            history_max_age: config.history_max_age,
            dead_letters_max_age: config.dead_letters_max_age,
            history_max_bytes: config.history_max_bytes,
            audit_max_age: config.audit_max_age,
            audit_max_bytes: config.audit_max_bytes,
            disk_short: {
                let pressure = pressure.clone();
                Arc::new(move || pressure.disk_is_short())
            },
        });
        let draining = Arc::new(AtomicBool::new(false));
        let memory = Arc::new(AtomicU8::new(0));
        let lease_state = watch::Sender::new(LeaseState::default());

        let limit = Duration::from_millis(timing.ttl);
        let (api_pulse, api_beating) = Pulse::start(&self.main, "the API", limit);
        let (pulse, beating) = Pulse::start(&self.callbacks, "the callbacks", limit);

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
        let events = EventFeed::new(config.event_buffer);
        let rates = RateFeed::default();
        let view = View {
            cluster: cluster.clone(),
            guard: guard.clone(),
            worker: worker.clone(),
            calls,
            gateway: gateway.clone(),
            journal: journal.clone(),
            draining: draining.clone(),
            lease: lease_state.subscribe(),
            events: events.clone(),
            metrics: self.metrics.clone(),
            time: self.time.clone(),
            timing,
        };
        let renewer = Renewer {
            cluster: cluster.clone(),
            node: config.node_id,
            time: self.time.clone(),
            guard: guard.clone(),
            facts,
            able: {
                let (journal, worker) = (journal.clone(), worker.clone());
                Arc::new(move || {
                    // Each is asked, so that each says when it changes.
                    let alive = [api_pulse.is_alive(), pulse.is_alive()];
                    !journal.state().failed && worker.is_running() && alive == [true; 2]
                })
            },
            coordinator: {
                let coordinator = coordinator.clone();
                Arc::new(move |renewal: &_| coordinator.renew(renewal))
            },
            timing,
            nudge: nudge.clone(),
            state: lease_state,
        };
        let watch = pressure::Watch {
            dir: config.data_dir.clone(),
            max_memory: config.max_memory,
            disk_reserve: config.disk_reserve,
            pressure: pressure.clone(),
            memory,
            journal: journal.clone(),
            metrics: self.metrics.clone(),
            clock: self.time.clock().clone(),
        };
        let rpc = PeerRpc {
            cluster: cluster.clone(),
            coordinator: coordinator.clone(),
            journal: journal.clone(),
            node: config.node_id,
            report: {
                let view = view.clone();
                Arc::new(move || view.report())
            },
            lag: {
                let (metrics, time) = (self.metrics.clone(), self.time.clone());
                Arc::new(move || metrics.lag_minutes.show(&metrics.lag, time.now()))
            },
        };
        let tasks = vec![
            tokio::spawn(guard.clone().follow(cluster.clone())),
            tokio::spawn(renewer.run()),
            tokio::spawn(watch.run()),
            tokio::spawn(journal_gc::run(cluster.clone(), journal.clone(), config.node_id)),
            tokio::spawn(view.run()),
            self.main.spawn(gateway.clone().run()),
            self.main.spawn(events.clone().follow(cluster.clone())),
            self.main.spawn(rates.clone().follow(cluster.clone())),
            api_beating,
            beating,
        ];
        let of_gateways =
            gateway::peer_routes(gateway.clone(), supervisors, self.callbacks.clone());
        let routes = rpc::routes(rpc.clone()).merge(of_gateways);
        cluster.serve_within(listeners, routes, self.raft_connections);
        Ok(Started {
            cluster,
            guard,
            worker,
            gateway,
            events,
            rates,
            coordinator,
            journal,
            executors,
            draining,
            nudge,
            pressure,
            rpc,
            timing,
            tasks,
        })
    }

    /// The bus of queues whose workers are at a broker. Its connections are those of callbacks.
    fn bus(&self, connections: executor::Options) -> Arc<RabbitMq> {
        Arc::new(RabbitMq::new(RabbitMqOptions {
            connections,
            messages: self.metrics.messages.clone(),
            metrics: self.metrics.bus.clone(),
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(self.time.clock()),
        }))
    }

    /// What workers speak to. Those that wait take at most half of the API's connections.
    fn gateway(
        &self,
        cluster: &Cluster,
        worker: &Worker,
        executors: &Registry,
    ) -> (Gateway, ClusterSupervisors) {
        let supervisors =
            ClusterSupervisors::new(self.config.node_id, cluster.clone(), worker.supervision());
        let replica = OwnReplica::new(cluster.clone(), executors.clone());
        let gateway = Gateway::new(
            Arc::new(supervisors.clone()),
            Arc::new(replica),
            Arc::clone(self.time.clock()),
            self.shares.api / 2,
        );
        (gateway, supervisors)
    }

    /// Opens the register of occurrences that earlier processes of this node died with. The node
    /// works without it as well.
    fn register(&self) -> worker::PoisonRegister {
        let dir = self.config.data_dir.join("rendering");
        worker::PoisonRegister::open(&dir, self.process.boot, self.time.now()).unwrap_or_else(
            |error| {
                tracing::error!(%error, "no poison occurrence is recognized until the next start");
                worker::PoisonRegister::default()
            },
        )
    }

    /// The turns, limits and breakers of calls.
    fn queue_options(&self) -> QueueOptions {
        let config = &self.config;
        QueueOptions {
            max_workers: config.max_workers,
            max_hanging: self.shares.hanging,
            limits: Limits {
                max_concurrency: config.destination_concurrency,
                rate_per_second: config.destination_rate_per_second,
                ..Limits::default()
            },
            breaker: Rules {
                failures: config.breaker_failures,
                cooldown: config.breaker_cooldown.as_millis() as u64,
            },
        }
    }

    fn cluster_options(&self) -> cluster::Options {
        let config = &self.config;
        let member = |r: &crate::config::Replica| {
            let member =
                Member { raft_address: r.raft_address.clone(), address: r.address.clone() };
            (r.node_id, member)
        };
        // What all members keep, and forward, takes half of the connections that one of them takes.
        let share = self.raft_connections.members / (2 * config.replicas.len().max(1));
        cluster::Options {
            dir: config.data_dir.clone(),
            node: config.node_id,
            instance: self.instance,
            process: self.process,
            members: config.replicas.iter().map(member).collect(),
            bootstrap: config.bootstrap,
            level: LEVEL,
            peer_token: self.keys.peer_token().into(),
            heartbeat: config.raft_heartbeat_timeout,
            election: config.raft_election_timeout,
            snapshot_interval: config.raft_snapshot_interval,
            snapshot_threshold: config.raft_snapshot_threshold,
            apply_timeout: config.raft_apply_timeout,
            transport_timeout: config.raft_transport_timeout,
            transport_pool: config.raft_transport_max_pool.min(share),
            time: self.time.clone(),
        }
    }
}
