//! The fault injector: it finds the nodes that have a role, begins and heals each fault of a plan,
//! and records the affected nodes and times for `judge`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::broker::Broker;
use crate::faults::{Fault, FaultKind, Role};
use crate::folder_faults;
use crate::hosts::{Hosts, now};
use crate::net::Net;
use crate::proxy::{LinkFault, Links};
use crate::receiver::{Behavior, Receivers};
use crate::workers;

/// The time that a node may take to be ready again after a fault.
const RECOVERY: Duration = Duration::from_mins(1);

/// The time that a fault of the leader waits for a leader.
const ELECTION: Duration = Duration::from_secs(10);

/// A fault as it happened.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The kind.
    pub(crate) what: FaultKind,
    /// The role that it was meant for.
    pub(crate) role: Role,
    /// The affected destination, for a fault of a receiver or the broker.
    pub(crate) destination: Option<usize>,
    /// The affected nodes; empty for a fault of anything else.
    pub(crate) nodes: Vec<u64>,
    /// The leader at its beginning.
    pub(crate) leader: Option<u64>,
    /// Its beginning, in milliseconds since the epoch.
    pub(crate) from: i64,
    /// Its end: it is healed and the nodes are ready.
    pub(crate) to: i64,
}

/// Everything that a fault may act on, and the record of the faults.
pub(crate) struct FaultInjector {
    /// The network.
    pub(crate) net: Arc<Net>,
    /// The nodes.
    pub(crate) hosts: Arc<Hosts>,
    /// The links between the nodes.
    pub(crate) links: Arc<Links>,
    /// The destinations.
    pub(crate) receivers: Arc<Receivers>,
    /// The broker, where there is one.
    pub(crate) broker: Option<Arc<Broker>>,
    /// The workers.
    pub(crate) workers: Arc<workers::Shared>,
    /// The faults so far.
    pub(crate) windows: Mutex<Vec<Window>>,
    /// Faults that could not be carried out.
    pub(crate) failed: Mutex<Vec<String>>,
    /// One lock per node, held by the faults that copy its data folder or fill its disk: a folder
    /// that is put back on a full disk would be damaged by the test and not by a fault.
    pub(crate) folders: BTreeMap<u64, tokio::sync::Mutex<()>>,
}

impl FaultInjector {
    /// Carries a plan out; returns when all faults are healed.
    pub(crate) async fn run(self: &Arc<Self>, plan: &[Fault]) {
        let begun = Instant::now();
        let mut faults = JoinSet::new();
        for fault in plan {
            sleep_until(begun + fault.at).await;
            let (this, fault) = (Arc::clone(self), *fault);
            faults.spawn(async move { this.fault(fault).await });
        }
        while let Some(ended) = faults.join_next().await {
            if let Err(error) = ended {
                self.failed.lock().unwrap().push(format!("a fault ended badly: {error}"));
            }
        }
    }

    async fn fault(&self, fault: Fault) {
        let (mut leader, mut owners) = self.roles().await;
        // A fault of the leader waits for one, but not too long.
        let begun = Instant::now();
        while fault.role == Role::Leader && leader.is_none() && begun.elapsed() < ELECTION {
            sleep(Duration::from_millis(200)).await;
            (leader, owners) = self.roles().await;
        }
        let nodes = self.targets(&fault, leader, &owners);
        let from = now();
        let window = {
            let mut windows = self.windows.lock().unwrap();
            windows.push(Window {
                what: fault.what,
                role: fault.role,
                destination: fault.destination(),
                nodes: nodes.clone(),
                leader,
                from,
                to: i64::MAX,
            });
            windows.len() - 1
        };
        eprintln!("{fault}: nodes {nodes:?}, the leader is {leader:?}");
        if let Err(error) = self.carry_out(&fault, &nodes).await {
            self.failed.lock().unwrap().push(format!("{fault}: {error:#}"));
        }
        for node in nodes {
            if !self.hosts.ready(node, RECOVERY).await {
                let text = format!("{fault}: node {node} is not ready {RECOVERY:?} after it");
                self.failed.lock().unwrap().push(text);
            }
        }
        self.windows.lock().unwrap()[window].to = now();
    }

    /// The leader by the majority of the nodes that answer, and the owners of shards by the leader.
    async fn roles(&self) -> (Option<u64>, BTreeSet<u64>) {
        let statuses = self.statuses().await;
        let mut votes = BTreeMap::<u64, usize>::new();
        for (_, status) in &statuses {
            if let Some(leader) = status["leader"].as_u64() {
                *votes.entry(leader).or_default() += 1;
            }
        }
        let leader = votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(leader, _)| leader);
        let told = statuses.iter().find(|(node, _)| Some(*node) == leader).or(statuses.first());
        let shards = told.and_then(|(_, status)| status["shards"].as_array()).into_iter().flatten();
        (leader, shards.filter_map(|shard| shard["owner"].as_u64()).collect())
    }

    /// The status of the cluster, as each node sees it that answers soon.
    pub(crate) async fn statuses(&self) -> Vec<(u64, serde_json::Value)> {
        let ask = self.hosts.ids().map(async |id| Some((id, self.hosts.status(id).await?)));
        futures_util::future::join_all(ask).await.into_iter().flatten().collect()
    }

    /// The nodes that have the role of a fault now.
    fn targets(&self, fault: &Fault, leader: Option<u64>, owners: &BTreeSet<u64>) -> Vec<u64> {
        let all: Vec<u64> = self.hosts.ids().collect();
        let among = |nodes: &[u64]| nodes[fault.choice as usize % nodes.len()];
        let others: Vec<u64> = all.iter().copied().filter(|id| Some(*id) != leader).collect();
        match fault.role {
            Role::Receiver | Role::Broker | Role::Workers => Vec::new(),
            Role::All => all,
            Role::Leader => vec![leader.unwrap_or_else(|| among(&all))],
            Role::Owner => {
                let firing: Vec<u64> =
                    others.iter().copied().filter(|id| owners.contains(id)).collect();
                vec![among(if firing.is_empty() { &others } else { &firing })]
            }
            Role::Minority => {
                let first = fault.choice as usize % all.len();
                let size = (all.len() - 1) / 2;
                (0..size).map(|n| all[(first + n) % all.len()]).collect()
            }
        }
    }

    async fn carry_out(&self, fault: &Fault, nodes: &[u64]) -> anyhow::Result<()> {
        let Fault { what, length, choice, .. } = *fault;
        let mut held = Vec::new();
        if matches!(what, FaultKind::DiskFull | FaultKind::Copy | FaultKind::PutBack) {
            // In the order of the ids, so that two faults never wait for each other.
            for (_, folder) in self.folders.iter().filter(|(id, _)| nodes.contains(id)) {
                held.push(folder.lock().await);
            }
        }
        match what {
            FaultKind::Kill => {
                self.hosts.kill(nodes);
                sleep(length).await;
                nodes.iter().try_for_each(|node| self.hosts.spawn(*node))?;
            }
            FaultKind::Freeze => {
                for node in nodes {
                    self.hosts.freeze(*node, true);
                }
                sleep(length).await;
                for node in nodes {
                    self.hosts.freeze(*node, false);
                }
            }
            FaultKind::Partition | FaultKind::Isolate | FaultKind::Deaf | FaultKind::Silent => {
                let rules = self.rules(what, nodes);
                let pass = |rules: &[(u64, String)]| {
                    rules.iter().try_for_each(|(node, rule)| self.net.pass_packets(*node, rule))
                };
                for (index, (node, rule)) in rules.iter().enumerate() {
                    if let Err(error) = self.net.drop_packets(*node, rule) {
                        pass(&rules[..index])?;
                        return Err(error);
                    }
                }
                sleep(length).await;
                pass(&rules)?;
            }
            FaultKind::Slow(ms) => {
                let delay = Some(Duration::from_millis(ms));
                let numbers = self.add_link_faults(nodes, delay);
                sleep(length).await;
                self.links.remove(&numbers);
            }
            FaultKind::Flap => {
                let end = Instant::now() + length;
                while Instant::now() < end {
                    let numbers = self.add_link_faults(nodes, None);
                    sleep(Duration::from_millis(200 + choice % 500)).await;
                    self.links.remove(&numbers);
                    sleep(Duration::from_millis(300 + choice % 900)).await;
                }
            }
            FaultKind::DiskFull => {
                let filled =
                    nodes.iter().try_for_each(|node| self.hosts.node_home.fill_disk(*node));
                sleep(length).await;
                for node in nodes {
                    self.hosts.node_home.free_disk(*node);
                }
                filled?;
            }
            FaultKind::Clock(seconds) | FaultKind::WrongStart(seconds) => {
                let restart = matches!(what, FaultKind::WrongStart(_));
                if restart {
                    self.hosts.kill(nodes);
                }
                for node in nodes {
                    self.hosts.node_home.set_clock(*node, seconds)?;
                    if restart {
                        self.hosts.spawn(*node)?;
                    }
                }
                let starts: Vec<u64> = nodes.iter().map(|id| self.hosts.starts(*id)).collect();
                sleep(length).await;
                for (node, before) in nodes.iter().zip(starts) {
                    self.hosts.node_home.set_clock(*node, 0)?;
                    // A node that started with a wrong clock must be started again.
                    if restart || self.hosts.starts(*node) != before {
                        self.hosts.kill(&[*node]);
                        self.hosts.spawn(*node)?;
                    }
                }
                // libfaketime reads the new time within this.
                sleep(Duration::from_secs(2)).await;
            }
            FaultKind::Copy => {
                for node in nodes {
                    folder_faults::copy_beside(&self.hosts, *node, length).await?;
                }
            }
            FaultKind::PutBack => {
                for node in nodes {
                    folder_faults::put_back(&self.hosts, *node, length).await?;
                }
            }
            FaultKind::Stall => {
                for node in nodes {
                    folder_faults::stall(&self.hosts, *node, length).await?;
                }
            }
            FaultKind::Fails(_)
            | FaultKind::Hangs
            | FaultKind::Lags(_)
            | FaultKind::Mute
            | FaultKind::Cuts => {
                let behavior = match what {
                    FaultKind::Fails(status) => Behavior::Fails(status),
                    FaultKind::Lags(ms) => Behavior::Slow(Duration::from_millis(ms)),
                    FaultKind::Mute => Behavior::Mute,
                    FaultKind::Cuts => Behavior::Cuts,
                    _ => Behavior::Hangs,
                };
                let destination = fault.destination().context("a fault of a receiver")?;
                let number = self.receivers.set(destination, behavior);
                sleep(length).await;
                self.receivers.unset(number);
            }
            FaultKind::WorkerFreeze => {
                self.workers.freeze(choice, true);
                sleep(length).await;
                self.workers.freeze(choice, false);
            }
            FaultKind::BrokerKill => self.broker()?.kill().await?,
            FaultKind::BrokerAlarm => self.broker()?.alarm(length).await?,
            FaultKind::BrokerCut => {
                let (broker, end) = (self.broker()?, Instant::now() + length);
                while Instant::now() < end {
                    broker.cut();
                    sleep(Duration::from_millis(20 + choice % 300)).await;
                }
            }
        }
        Ok(())
    }

    fn broker(&self) -> anyhow::Result<&Broker> {
        self.broker.as_deref().context("there is no broker")
    }

    /// The rules by which packets are dropped, each with its node.
    fn rules(&self, what: FaultKind, nodes: &[u64]) -> Vec<(u64, String)> {
        let mut rules = Vec::new();
        let others: Vec<u64> = self.hosts.ids().filter(|id| !nodes.contains(id)).collect();
        for node in nodes {
            if what == FaultKind::Isolate {
                rules.push((*node, "INPUT ! -i lo".to_owned()));
                rules.push((*node, "OUTPUT ! -o lo".to_owned()));
                continue;
            }
            for other in &others {
                if what != FaultKind::Silent {
                    rules.push((*node, format!("INPUT -s {}", self.net.proxy_address(*other))));
                }
                if what != FaultKind::Deaf {
                    rules.push((*node, format!("OUTPUT -d {}", self.net.proxy_address(*other))));
                }
            }
        }
        rules
    }

    /// Adds a fault to all links to and from some nodes; returns the numbers that remove it.
    fn add_link_faults(&self, nodes: &[u64], delay: Option<Duration>) -> Vec<u64> {
        let mut numbers = Vec::new();
        for node in nodes {
            for (from, to) in [(Some(*node), None), (None, Some(*node))] {
                numbers.push(self.links.add(LinkFault { from, to, delay }));
            }
        }
        numbers
    }
}
