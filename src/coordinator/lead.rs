//! A term of leadership: it drives the pure [`Grantor`] with the events of this node, proposes the
//! moves that the grantor wants, and runs the collector and the housekeeping beside it. Started by
//! the node; outside a term of its own it answers that somebody else leads.
//!
//! Everything of a term dies with it: tasks are aborted, leases granted before go on by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::collect::{Collector, JournalGrowth, ReadJournal};
use super::housekeeping::Housekeeping;
use super::leases::{Grantor, LeaderPosition, Settled};
use crate::clock::SchedulerTime;
use crate::cluster::{Cluster, Leadership};
use crate::command::Command;
use crate::model::attempt::JournalBatch;
use crate::model::lease::{CLOCK_TOLERANCE, Now, Position, Renewal, Reply, Timing};
use crate::model::shard::{Move, Shard};
use crate::model::{Millis, NodeId};
use crate::store;

/// Time between two plans of what should move, in milliseconds.
const TICK_MS: u64 = 50;

/// The parts and the configuration of a coordinator.
pub struct Options {
    /// The cluster, to read from and to propose to.
    pub cluster: Cluster,
    /// This node.
    pub node: NodeId,
    /// Scheduler time.
    pub time: Arc<SchedulerTime>,
    /// The protocol's lengths of time.
    pub timing: Timing,
    /// Reads this node's own journal.
    pub own_journal: Arc<dyn Fn(&ReadJournal) -> JournalBatch + Send + Sync>,
    /// Journals read at a time.
    pub fan_in: usize,
    /// Time between two rounds of the collector.
    pub fetch_interval: Duration,
    /// Age at which history is dropped.
    pub history_max_age: Duration,
    /// Dead letters older than this are dropped.
    pub dead_letters_max_age: Duration,
    /// Size at which the oldest history is dropped, in bytes.
    pub history_max_bytes: u64,
    /// Age at which rows of the audit are dropped.
    pub audit_max_age: Duration,
    /// Size at which the oldest of them are dropped, in bytes.
    pub audit_max_bytes: u64,
    /// Says whether this node's disk is nearly full: then history goes early.
    pub disk_short: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The coordinator; cheap to clone.
#[derive(Clone)]
pub struct Coordinator(Arc<Inner>);

struct Inner {
    options: Options,
    term: Mutex<Option<Term>>,
    growth: Arc<JournalGrowth>,
    /// The leadership is being handed on because of this node's clock.
    stepping_down: AtomicBool,
}

/// The state of a term; gone when it is over.
struct Term {
    grantor: Grantor,
    view: View,
    /// The last journal position that each node reported.
    reported: BTreeMap<NodeId, u64>,
}

/// The replicated state that a term goes by, read at one moment.
#[derive(Default)]
struct View {
    assign_index: u64,
    shards: Vec<Shard>,
    draining: BTreeSet<NodeId>,
}

impl Coordinator {
    /// Starts it on the current runtime: it acts whenever this node leads.
    pub fn start(options: Options) -> Self {
        let coordinator = Self(Arc::new(Inner {
            options,
            term: Mutex::new(None),
            growth: Arc::default(),
            stepping_down: AtomicBool::new(false),
        }));
        let running = coordinator.clone();
        tokio::spawn(async move { running.run().await });
        coordinator
    }

    /// Answers a renewal.
    pub fn renew(&self, renewal: &Renewal) -> Reply {
        let cluster = &self.0.options.cluster;
        let mut term = self.term();
        let Some(term) = term.as_mut() else {
            return Reply::NotLeader(cluster.leadership().borrow().leader);
        };
        if let Some(at) = cluster.quorum_acked_boot() {
            term.grantor.quorum_acked(at);
        }
        let answer = term.grantor.renewal(self.now(), renewal, self.position(term));
        let reported = term.reported.entry(renewal.node).or_default();
        // Less than before is a journal that was lost and begun anew.
        if renewal.facts.journaled != *reported {
            *reported = renewal.facts.journaled;
            self.0.growth.note(renewal.node);
        }
        Reply::Answer(answer)
    }

    /// Asks the collector to look now: this node's journal has grown.
    pub fn collect_now(&self) {
        self.0.growth.note(self.0.options.node);
    }

    fn term(&self) -> MutexGuard<'_, Option<Term>> {
        // A lock that a panic poisoned is safe to take: the term is state of this process only, and
        // every grant is checked anew.
        self.0.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        let time = &self.0.options.time;
        Now { boot: time.clock().boot(), sched: time.now() }
    }

    fn position(&self, term: &Term) -> LeaderPosition {
        let cluster = &self.0.options.cluster;
        let applied = *cluster.applied().borrow();
        LeaderPosition {
            applied: Position { index: applied.index, stamp: applied.stamp },
            commit_index: cluster.commit_index(),
            assign_index: term.view.assign_index,
        }
    }

    async fn run(self) {
        let mut leadership = self.0.options.cluster.leadership();
        let mut begun = None;
        loop {
            let leads = *leadership.borrow_and_update();
            if leads.me && leads.first_applied {
                let again = begun.replace(leads.term) == Some(leads.term);
                if let Err(error) = self.lead(leads.term, again, &mut leadership).await {
                    tracing::warn!(term = leads.term, %error, "the term of leadership is given up");
                }
                *self.term() = None;
            }
            // A term that ended early, while Raft still leads, begins anew with nothing remembered.
            let now = *leadership.borrow();
            if now.me && now.first_applied {
                let pause = self.0.options.time.clock().boot() + TICK_MS;
                self.0.options.time.clock().sleep_until(pause).await;
            } else if leadership.changed().await.is_err() {
                return;
            }
        }
    }

    /// One term, until this node does not lead it any more.
    async fn lead(
        &self,
        number: u64,
        again: bool,
        leadership: &mut watch::Receiver<Leadership>,
    ) -> Result<(), crate::cluster::Error> {
        let options = &self.0.options;
        let cluster = &options.cluster;
        let mut feed = cluster.changes();
        if again {
            // An assignment whose outcome was unknown may still be on its way into the state, and
            // nobody may be granted a lease without it: this entry goes behind it.
            if let Err(error) = cluster.propose_as_leader(number, Command::Tick).await {
                tracing::debug!(term = number, %error, "the term is not begun anew yet");
                return Ok(());
            }
        }
        tracing::info!(term = number, "this node leads the cluster");
        let members = || cluster.members().into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>();
        let mut grantor =
            Grantor::new(options.node, number, members(), options.timing, self.now().boot);
        grantor.set_members(members(), cluster.voters());
        grantor.first_entry_applied();
        for (node, process) in cluster.peers().speakers().may_be_leased() {
            grantor.spoke_before(node, process);
        }
        // Read before anybody can ask: a grant names the newest assignment in the state.
        let view = self.read_view().await?;
        *self.term() = Some(Term { grantor, view, reported: BTreeMap::new() });

        let mut tasks = JoinSet::new();
        tasks.spawn(
            Collector {
                cluster: cluster.clone(),
                me: options.node,
                own: options.own_journal.clone(),
                term: number,
                fan_in: options.fan_in,
                interval: options.fetch_interval,
                growth: self.0.growth.clone(),
            }
            .run(),
        );
        tasks.spawn(
            Housekeeping {
                cluster: cluster.clone(),
                term: number,
                time: options.time.clone(),
                max_age: options.history_max_age,
                dead_letters_max_age: options.dead_letters_max_age,
                max_bytes: options.history_max_bytes,
                audit_max_age: options.audit_max_age,
                audit_max_bytes: options.audit_max_bytes,
                disk_short: options.disk_short.clone(),
            }
            .run(),
        );
        let mut moving: JoinSet<Option<u64>> = JoinSet::new();
        // Outside the loop: changes that are published all the time must not defer the next look.
        let mut next = options.time.clock().boot() + TICK_MS;
        loop {
            tokio::select! {
                changed = leadership.changed() => {
                    let leads = *leadership.borrow_and_update();
                    if changed.is_err() || !leads.me || leads.term != number {
                        return Ok(());
                    }
                }
                published = feed.recv() => {
                    // Lagging is no loss: the view is read whole.
                    if published.map_or(true, |c| c.shards || c.nodes || c.replaced) {
                        self.reread().await?;
                    }
                    continue;
                }
                Some(settled) = moving.join_next() => {
                    // The view has what was applied before grants go on.
                    self.reread().await?;
                    let settled = match settled {
                        Ok(Some(index)) => Settled::Applied(index),
                        _ => Settled::Unknown,
                    };
                    if let Some(term) = self.term().as_mut() {
                        term.grantor.assigned(settled);
                    }
                    continue;
                }
                () = options.time.clock().sleep_until(next) => {}
            }
            next = options.time.clock().boot() + TICK_MS;
            let moves = {
                let mut term = self.term();
                let Some(term) = term.as_mut() else { return Ok(()) };
                if term.grantor.is_over() {
                    return Ok(());
                }
                if let Some(at) = cluster.quorum_acked_boot() {
                    term.grantor.quorum_acked(at);
                }
                term.grantor.set_members(members(), cluster.voters());
                term.grantor.set_draining(term.view.draining.clone());
                let now = self.now();
                let error = term.grantor.own_clock_error(now.boot);
                if error.abs() > CLOCK_TOLERANCE {
                    self.judge_own_clock(error, term.grantor.agreeing(now.boot));
                }
                term.grantor.tick(now, &term.view.shards)
            };
            if !moves.is_empty() {
                tell(&moves);
                let cluster = cluster.clone();
                moving.spawn(async move {
                    match cluster.propose_as_leader(number, Command::Assign(moves)).await {
                        Ok((index, _)) => Some(index),
                        // Raft takes nothing while it misses its quorum, or hands over.
                        Err(error) if error.is_unwritten() => {
                            tracing::debug!(%error, "an assignment was not written");
                            Some(0)
                        }
                        Err(error) => {
                            tracing::warn!(%error, "an assignment's outcome is unknown");
                            None
                        }
                    }
                });
            }
        }
    }

    /// A leader whose own clock is off the median may not stamp: it follows its wall clock if that
    /// one is right, else it says so loudly and hands the leadership on to one that agrees with the
    /// median. Where nobody does (two nodes that differ), it stays, and nobody fires.
    fn judge_own_clock(&self, error: Millis, agreeing: Vec<NodeId>) {
        let options = &self.0.options;
        if (options.time.error() + error).abs() <= CLOCK_TOLERANCE / 2 {
            if options.time.follow_wall() {
                tracing::warn!(
                    off_ms = error,
                    "the leader's scheduler time follows its wall clock"
                );
            }
            return;
        }
        // One attempt at a time, and a pause after it: nobody may be there to take over.
        if self.0.stepping_down.swap(true, Ordering::SeqCst) {
            return;
        }
        if agreeing.is_empty() {
            tracing::error!(
                off_ms = error,
                "the nodes' clocks differ and nobody knows which is right: nothing is fired until \
                 they agree; check their time services"
            );
        } else {
            tracing::error!(
                off_ms = error,
                "the leader's clock differs from the others': it steps down; check its time service"
            );
        }
        let this = self.clone();
        tokio::spawn(async move {
            let options = &this.0.options;
            for to in agreeing {
                match options.cluster.transfer_leader(to).await {
                    Ok(()) => break,
                    Err(error) => tracing::warn!(%error, to, "did not take the leadership"),
                }
            }
            let clock = options.time.clock();
            clock.sleep_until(clock.boot() + options.timing.ttl).await;
            this.0.stepping_down.store(false, Ordering::SeqCst);
        });
    }

    /// Reads the view of the state anew into the term.
    async fn reread(&self) -> Result<(), crate::cluster::Error> {
        let view = self.read_view().await?;
        if let Some(term) = self.term().as_mut() {
            term.view = view;
        }
        Ok(())
    }

    async fn read_view(&self) -> Result<View, crate::cluster::Error> {
        let cluster = &self.0.options.cluster;
        cluster
            .read(|conn| {
                Ok(View {
                    assign_index: store::meta::assign_index(conn)?,
                    shards: store::shards::all(conn)?,
                    draining: {
                        let nodes = store::nodes::all(conn)?.into_iter();
                        nodes.filter(|bound| bound.draining).map(|bound| bound.node).collect()
                    },
                })
            })
            .await
    }
}

fn tell(moves: &[Move]) {
    let targets: BTreeSet<NodeId> = moves.iter().map(|m| m.to).collect();
    tracing::info!(shards = moves.len(), ?targets, "shards are moved");
}
