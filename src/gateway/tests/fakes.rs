//! The cluster in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::broadcast;

use crate::clock::{Clock, TestClock};
use crate::command::Change;
use crate::gateway::messages::{NodeWorkers, Notices};
use crate::gateway::replica::Advice;
use crate::gateway::state::Gateway;
use crate::gateway::supervisors::{Answer, Supervisors, Unanswered};
use crate::model::claim::{
    ClaimOrder, ClaimRequest, ClaimedRun, HandOutQuestion, HandedOut, LiveRun, QueueCounts,
    QueueHint, QueueWant, ReportNotice, WorkerHeartbeat,
};
use crate::model::delivery::Retry;
use crate::model::run::Occurrence;
use crate::model::run_report::RunReport;
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::{Millis, NodeId};

pub(super) const NODES: [NodeId; 3] = [1, 2, 3];
pub(super) const QUEUE: u64 = 7;

/// A supervisor in memory.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent faults of a node")]
pub(super) struct Node {
    pub(super) offers: BTreeMap<u64, VecDeque<(Millis, u64)>>,
    wants: Vec<(NodeId, u64)>,
    /// Who is told of changes of a queue, and the queues that have changed.
    watchers: BTreeSet<(NodeId, u64)>,
    changed: BTreeSet<u64>,
    /// Never answers.
    pub(super) is_silent: bool,
    /// Answers claims after 20 ms.
    pub(super) is_slow: bool,
    /// Answers claims without runs, whatever it has.
    pub(super) is_closed: bool,
    /// Its hints do not arrive.
    pub(super) loses_hints: bool,
    /// The claims that it got, a list for each call.
    pub(super) calls: Vec<Vec<ClaimRequest>>,
    pub(super) beats: Vec<Vec<WorkerHeartbeat>>,
    pub(super) reports: Vec<ReportNotice>,
    pub(super) wanted: usize,
    /// The occurrences that it knows nothing of.
    pub(super) unknown: BTreeSet<Occurrence>,
}

/// The cluster.
pub(super) struct Net {
    pub(super) clock: Arc<TestClock>,
    nodes: Mutex<BTreeMap<NodeId, Node>>,
    gateways: Mutex<BTreeMap<NodeId, Gateway>>,
    hints: broadcast::Sender<(NodeId, NodeId, QueueHint)>,
    pub(super) changes: broadcast::Sender<Arc<Change>>,
    pub(super) advice: Mutex<BTreeMap<Occurrence, Advice>>,
    /// The number of runs of each read.
    pub(super) advised: Mutex<Vec<usize>>,
    pub(super) given_back: Mutex<Vec<RunReport>>,
}

/// The ports of one node. `own_replica` has what it reads of the state.
#[derive(Clone)]
pub(super) struct Ports(NodeId, pub(super) Arc<Net>);

/// A run of a job.
pub(super) fn run(job: u64) -> Occurrence {
    Occurrence { job, scheduled: 5, run: 0 }
}

/// A claim of a worker for one run of the queue.
pub(super) fn ask(worker: &str) -> ClaimRequest {
    let (queues, order) = (vec![QUEUE], ClaimOrder::Fair);
    ClaimRequest { worker: worker.into(), queues, max: 1, order, key: None }
}

impl Net {
    /// Starts the gateways, at which at most so many claims and heartbeats wait.
    pub(super) fn start(most_waiting: usize) -> Arc<Self> {
        let net = Arc::new(Self {
            clock: TestClock::new(1_700_000_000_000),
            nodes: Mutex::new(NODES.map(|node| (node, Node::default())).into()),
            gateways: Mutex::default(),
            hints: broadcast::Sender::new(10_000),
            changes: broadcast::Sender::new(100),
            advice: Mutex::default(),
            advised: Mutex::default(),
            given_back: Mutex::default(),
        });
        for node in NODES {
            let ports = Ports(node, Arc::clone(&net));
            let (supervisors, replica) = (Arc::new(ports.clone()), Arc::new(ports));
            let gateway = Gateway::new(supervisors, replica, net.clock.clone(), most_waiting);
            tokio::spawn(gateway.clone().run());
            net.gateways.lock().unwrap().insert(node, gateway);
        }
        tokio::spawn(Arc::clone(&net).tell_changes());
        net
    }

    /// Tells who asked for a queue what has changed, five times a second.
    async fn tell_changes(self: Arc<Self>) {
        loop {
            self.clock.sleep_until(self.clock.boot() + 200).await;
            for node in NODES {
                let told = self.node(node, |it| {
                    let changed = std::mem::take(&mut it.changed);
                    let all = it.watchers.iter().filter(|(_, queue)| changed.contains(queue));
                    all.copied().collect::<Vec<_>>()
                });
                for (gateway, queue) in told {
                    self.hint(node, gateway, queue);
                }
            }
        }
    }

    pub(super) fn gateway(&self, node: NodeId) -> Gateway {
        self.gateways.lock().unwrap()[&node].clone()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Node>> {
        self.nodes.lock().unwrap()
    }

    /// Looks at a node, or changes it.
    pub(super) fn node<T>(&self, node: NodeId, f: impl FnOnce(&mut Node) -> T) -> T {
        f(self.nodes().get_mut(&node).unwrap())
    }

    /// Lets an occurrence of a job wait in a queue at a node.
    pub(super) fn offer(&self, node: NodeId, queue: u64, due: Millis, job: u64) {
        let hinted = self.node(node, |it| {
            it.offers.entry(queue).or_default().push_back((due, job));
            it.changed.insert(queue);
            let at = it.wants.iter().position(|(_, wanted)| *wanted == queue);
            at.map(|at| it.wants.remove(at).0)
        });
        if let Some(gateway) = hinted {
            self.hint(node, gateway, queue);
        }
    }

    fn hint(&self, node: NodeId, gateway: NodeId, queue: u64) {
        let hint = self.node(node, |it| {
            let all = it.offers.get(&queue);
            let oldest = all.and_then(|all| all.front()).map_or(Millis::MAX, |offer| offer.0);
            let hint = QueueHint { queue, count: all.map_or(0, VecDeque::len) as u64, oldest };
            (!it.loses_hints).then_some(hint)
        });
        hint.map(|hint| self.hints.send((node, gateway, hint)));
    }

    fn want(&self, node: NodeId, gateway: NodeId, wants: &[QueueWant]) {
        for QueueWant { queue, .. } in wants {
            let has_some = self.node(node, |it| {
                it.wanted += 1;
                it.wants.retain(|known| *known != (gateway, *queue));
                it.watchers.insert((gateway, *queue));
                let has_some = it.offers.get(queue).is_some_and(|all| !all.is_empty());
                if !has_some {
                    it.wants.push((gateway, *queue));
                }
                has_some
            });
            if has_some {
                self.hint(node, gateway, *queue);
            }
        }
    }

    fn take(&self, node: NodeId, ask: &ClaimRequest) -> Vec<ClaimedRun> {
        self.node(node, |it| {
            let mut runs = Vec::new();
            let queues = ask.queues.iter().filter(|_| !it.is_closed);
            for queue in queues {
                let Some(offers) = it.offers.get_mut(queue) else { continue };
                it.changed.insert(*queue);
                while runs.len() < ask.max as usize
                    && let Some((due, job)) = offers.pop_front()
                {
                    let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
                    runs.push(ClaimedRun {
                        occurrence: run(job),
                        attempt: 1,
                        project: 1,
                        due,
                        external_id: None,
                        data: String::new(),
                        terms: RunTerms::new(BusKind::Embedded, *queue, retry),
                    });
                }
            }
            runs
        })
    }

    /// Publishes a change on every node.
    pub(super) fn change(&self, change: Change) {
        self.changes.send(Arc::new(change)).unwrap();
    }

    /// Lets time pass until a future is ready, a millisecond at a time.
    pub(super) async fn until<T>(&self, future: impl Future<Output = T>) -> T {
        self.until_by((1, 10), future).await
    }

    /// The same, so many milliseconds at a time; before each step the tasks get so many turns.
    async fn until_by<T>(&self, (step, turns): (u64, u32), future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            for _ in 0..turns {
                tokio::select! {
                    biased;
                    out = &mut future => return out,
                    () = tokio::task::yield_now() => {}
                }
            }
            self.clock.advance(Duration::from_millis(step));
        }
    }

    /// Lets so much time pass in longer steps, for tests with thousands of claims.
    pub(super) async fn pass_quickly(&self, ms: u64) {
        let until = self.clock.boot() + ms;
        self.until_by((50, 100), self.clock.sleep_until(until)).await;
    }

    /// Lets so much time pass.
    pub(super) async fn pass(&self, ms: u64) {
        let until = self.clock.boot() + ms;
        self.until(self.clock.sleep_until(until)).await;
    }
}

impl Supervisors for Ports {
    fn own(&self) -> NodeId {
        self.0
    }

    fn others(&self) -> Vec<NodeId> {
        NODES.into_iter().filter(|node| *node != self.0).collect()
    }

    /// The network carries the hints to the gateways that they are for by itself.
    fn hints(&self) -> broadcast::Receiver<(NodeId, QueueHint)> {
        let (own, net) = (self.0, Arc::clone(&self.1));
        let mut all = net.hints.subscribe();
        tokio::spawn(async move {
            while let Ok((from, gateway, hint)) = all.recv().await {
                if gateway == own {
                    net.gateway(own).take_hint(from, hint);
                }
            }
        });
        broadcast::Sender::new(1).subscribe()
    }

    fn claim(&self, at: NodeId, asks: Vec<ClaimRequest>) -> Answer<Vec<Option<Vec<ClaimedRun>>>> {
        let net = Arc::clone(&self.1);
        async move {
            net.node(at, |it| it.calls.push(asks.clone()));
            // A message takes its time.
            tokio::task::yield_now().await;
            if net.node(at, |it| it.is_silent) {
                std::future::pending::<()>().await;
            }
            if net.node(at, |it| it.is_slow) {
                net.clock.sleep_until(net.clock.boot() + 20).await;
            }
            Ok(asks.iter().map(|ask| Some(net.take(at, ask))).collect())
        }
        .boxed()
    }

    fn heartbeat(&self, at: NodeId, beats: Vec<WorkerHeartbeat>) -> Answer<Vec<Vec<Occurrence>>> {
        let net = Arc::clone(&self.1);
        async move {
            if net.node(at, |it| it.is_silent) {
                std::future::pending::<()>().await;
            }
            Ok(net.node(at, |it| {
                it.beats.push(beats.clone());
                let unknown = |beat: WorkerHeartbeat| {
                    let all = beat.runs.into_iter().map(|run| run.occurrence);
                    all.filter(|of| it.unknown.contains(of)).collect()
                };
                beats.into_iter().map(unknown).collect()
            }))
        }
        .boxed()
    }

    fn notify(&self, at: NodeId, notices: Notices) -> Answer<()> {
        let (from, net) = (self.0, Arc::clone(&self.1));
        async move {
            if net.node(at, |it| it.is_silent) {
                return Err(Unanswered::Silent);
            }
            net.node(at, |it| it.reports.extend(notices.reports));
            net.want(at, from, &notices.wants);
            Ok(())
        }
        .boxed()
    }

    /// What a node knows it has handed out; it denies the rest.
    fn handed_out(&self, at: NodeId, asked: Vec<HandOutQuestion>) -> Answer<Vec<HandedOut>> {
        let net = Arc::clone(&self.1);
        async move {
            if net.node(at, |it| it.is_silent) {
                std::future::pending::<()>().await;
            }
            let told = |one: &HandOutQuestion| {
                let is_unknown = net.node(at, |it| it.unknown.contains(&one.occurrence));
                if is_unknown { HandedOut::No } else { HandedOut::Yes }
            };
            Ok(asked.iter().map(told).collect())
        }
        .boxed()
    }

    fn live(&self, at: NodeId, of: Vec<Occurrence>) -> Answer<Vec<LiveRun>> {
        let net = Arc::clone(&self.1);
        async move {
            if net.node(at, |it| it.is_silent) {
                std::future::pending::<()>().await;
            }
            let live = |occurrence| LiveRun {
                occurrence,
                attempt: 1,
                phase: None,
                worker: String::new(),
                heard_ms_ago: None,
                progress: None,
                message: None,
            };
            Ok(of.into_iter().map(live).collect())
        }
        .boxed()
    }

    fn view(&self, at: NodeId, with_workers: bool) -> Answer<NodeWorkers> {
        let (own, net) = (self.0, Arc::clone(&self.1));
        async move {
            if net.node(at, |it| it.is_silent) {
                std::future::pending::<()>().await;
            }
            if at != own {
                return Ok(net.gateway(at).own_view(with_workers).await);
            }
            let queues = net.node(at, |it| {
                let counts = it.offers.iter().map(|(&queue, all)| {
                    let oldest = all.front().map_or(Millis::MAX, |offer| offer.0);
                    let (offers, since) = (all.len() as u64, oldest.saturating_add(9));
                    QueueCounts { queue, offers, taken: 1, oldest, since }
                });
                counts.collect()
            });
            Ok(NodeWorkers { queues, ..NodeWorkers::default() })
        }
        .boxed()
    }
}
