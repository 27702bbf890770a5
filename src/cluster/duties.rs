//! What goes on beside the calls: telling who leads, the cluster's birth and this node's
//! registration, taking snapshots, noticing that Raft has stopped.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::announce::Announcer;
use super::ear::{WHO, Who};
use super::fitness::Fitness;
use super::{Cluster, Inner, Leadership, doubt, start};
use crate::command::{Command, Outcome};

/// How often the slow duties are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Log bytes after which a snapshot is taken whatever the number of entries, unless the state is
/// larger than that: then as many bytes as the last snapshot had.
const SNAPSHOT_BYTES: u64 = 64 << 20;
/// Least time between two snapshots that bytes ask for.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(10);

/// After so many rounds, each a tenth of a second, a node without a log says what it waits for.
const WAITING: u32 = 11;

/// The time that a snapshot took passes this many times before the next one.
const SNAPSHOT_SHARE: u32 = 10;

pub(super) fn begin(inner: &Arc<Inner>) {
    let mut tasks = inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.push(inner.runtime.spawn(watch_raft(inner.clone())));
    tasks.push(inner.runtime.spawn(watch_roll(inner.clone())));
    tasks.push(inner.runtime.spawn(take_snapshots(inner.clone())));
    tasks.push(inner.runtime.spawn(tend_elections(inner.clone())));
    tasks.push(inner.runtime.spawn(announce(inner.clone())));
    tasks.push(inner.runtime.spawn(tend_members(inner.clone())));
    tasks.push(inner.runtime.spawn(tend_twins(inner.clone())));
    tasks.push(inner.runtime.spawn(doubt::tend(inner.clone())));
}

/// Lets openraft elect, or not, by what this node may do.
pub(super) fn tend_election(inner: &Inner) {
    let introduced = inner.introduced.load(Ordering::SeqCst);
    let fit = inner.fitness() != Fitness::None && !inner.clock_is_off() && introduced;
    inner.raft.runtime_config().elect(fit);
}

/// This node's fitness for elections. Nothing in here waits for other nodes: a node whose fitness
/// changes must not elect, or hold elections up, meanwhile.
async fn tend_elections(inner: Arc<Inner>) {
    let mut told = inner.peers.told();
    let mut look = interval(LOOK / 5);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds: u32 = 0;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            changed = told.changed() => if changed.is_err() { return },
        }
        tend_election(&inner);
        let leads = inner.leadership.borrow().me;
        inner.peers.leads_alone(leads && inner.leader_in_effect().is_none());
        rounds = rounds.saturating_add(1);
        if rounds == WAITING && inner.is_waiting() {
            say_how_to_add(&inner);
        }
    }
}

/// This node's own addresses.
async fn announce(inner: Arc<Inner>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut announcer = Announcer::default();
    loop {
        look.tick().await;
        announcer.look(&inner).await;
        // Who has introduced itself may stand for election.
        tend_election(&inner);
    }
}

/// The members and their addresses, as far as a leader looks after them.
async fn tend_members(inner: Arc<Inner>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if inner.leadership.borrow().first_applied
            && let Err(error) = inner.tend_members().await
        {
            tracing::debug!(%error, "the members will be looked at again");
        }
    }
}

fn say_how_to_add(inner: &Inner) {
    let node = inner.options.node;
    if let Some((_, own)) = inner.options.members.iter().find(|(id, _)| *id == node) {
        tracing::info!(
            "waiting for the founder, or to be added: run `scheduler0 cluster add {node} --address \
             {} --raft-address {}` on a member",
            own.address,
            own.raft_address
        );
    }
}

/// Looks who is at the addresses of the nodes for which two processes, on copies of a folder, spoke.
async fn tend_twins(inner: Arc<Inner>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let config = inner.membership();
        let limit = inner.options.transport_timeout;
        let asked = inner.peers.speakers().to_ask().into_iter().filter_map(|node| {
            let address = config.membership().get_node(&node)?.raft_address.clone();
            let inner = &inner;
            Some(async move {
                let who = inner.peers.call_at::<_, Who>(node, &address, WHO, &(), limit).await;
                if let Ok(who) = who
                    && who.node == node
                {
                    inner.peers.speakers().answered(node, who.process);
                }
            })
        });
        join_all(asked).await;
    }
}

/// Keeps `leadership` up to date and notices when Raft stops.
async fn watch_raft(inner: Arc<Inner>) {
    let mut metrics = inner.raft.metrics();
    let mut applied = inner.watches.applied.subscribe();
    let mut members = None;
    let mut two = false;
    loop {
        let config = *metrics.borrow_watched().membership_config.log_id();
        if config.is_some() && config != members {
            members = config;
            inner.peers.learn_members(inner.addresses());
            let voters = inner.voters().len();
            if voters == 2 && !two {
                tracing::warn!(
                    "two nodes are less available than one: both must be up; use one, or three"
                );
            }
            two = voters == 2;
        }
        let (now, running) = {
            let m = metrics.borrow_watched();
            let me = m.state == ServerState::Leader && m.current_leader == Some(m.id);
            let first_applied = me && applied.borrow_and_update().term == m.current_term;
            let leader = m.current_leader;
            (
                Leadership { term: m.current_term, leader, me, first_applied },
                m.running_state.clone(),
            )
        };
        inner.peers.learn_leader(now.leader);
        inner.leadership.send_if_modified(|old| {
            let changed = *old != now;
            if now.me && !old.me {
                inner.heard_leader();
            }
            if changed && (old.term, old.leader) != (now.term, now.leader) {
                tracing::info!(term = now.term, leader = ?now.leader, "leadership");
            }
            *old = now;
            changed
        });
        if let Err(fatal) = running {
            if !inner.is_stopping() {
                inner.peers.fail(format!("raft has stopped: {fatal}"));
            }
            return;
        }
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() {
                if !inner.is_stopping() {
                    inner.peers.fail("raft has stopped".to_owned());
                }
                return;
            },
            // Only a leader that has not yet applied its first entry waits for one.
            changed = applied.changed(), if now.me && !now.first_applied => if changed.is_err() {
                return;
            },
        }
    }
}

/// Passes on who belongs to the cluster, and sees to it that this node does.
async fn watch_roll(inner: Arc<Inner>) {
    let mut roll = inner.watches.roll.subscribe();
    let mut leadership = inner.leadership.subscribe();
    let cluster = Cluster { inner: inner.clone() };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = roll.borrow_and_update().clone();
        inner.peers.learn(now.generation, now.nodes.iter().copied());
        let mine = now.get(inner.options.node);
        if let Err(error) = start::check_roll(&inner.options, &now.nodes) {
            inner.peers.fail(error.to_string());
            return;
        }
        let lead = *leadership.borrow_and_update();
        let command = if now.generation == 0 && lead.first_applied {
            Some(Command::Init { cluster: rand::random::<u128>().max(1) })
        } else if now.generation != 0
            && mine.is_none()
            && lead.leader.is_some()
            && *inner.peers.told().borrow() == 0
        {
            let (node, instance) = (inner.options.node, inner.options.instance);
            Some(Command::Register { node, instance, replace: false })
        } else {
            None
        };
        if let Some(command) = command {
            match cluster.propose(command).await {
                Ok(Outcome::Rejected(why)) => tracing::debug!(%why, "not the first"),
                Ok(_) if roll.has_changed().unwrap_or(false) => continue,
                Ok(outcome) => tracing::debug!(%outcome, "not in the books yet"),
                Err(error) => tracing::debug!(%error, "will be proposed again"),
            }
            look.tick().await;
        }
        let done = now.generation != 0 && mine.is_some();
        tokio::select! {
            changed = roll.changed() => if changed.is_err() { return },
            changed = leadership.changed(), if !done => if changed.is_err() { return },
        }
    }
}

/// Takes a snapshot when the log has grown enough since the last one.
async fn take_snapshots(inner: Arc<Inner>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When the last one was asked for, from which index, and how long it took.
    let mut last: Option<(Instant, u64)> = None;
    let mut took = Duration::ZERO;
    loop {
        look.tick().await;
        inner.boot_offset.sample();
        let applied = inner.watches.applied.borrow().index;
        let snapshot = inner.raft.metrics().borrow_watched().snapshot.map_or(0, |id| id.index);
        if let Some((at, before)) = last
            && took.is_zero()
            && snapshot > before
        {
            took = at.elapsed();
        }
        // However short the configured time is, most of it is not spent on snapshots.
        let pause = took * SNAPSHOT_SHARE;
        let passed = |least: Duration| last.is_none_or(|(at, _)| at.elapsed() >= least.max(pause));
        let entries = applied.saturating_sub(snapshot);
        let by_entries = entries >= inner.options.snapshot_threshold
            && passed(inner.options.snapshot_interval.max(Duration::from_secs(1)));
        let by_bytes = || {
            let size = inner.snapshots.current_size().max(SNAPSHOT_BYTES);
            passed(SNAPSHOT_PAUSE) && inner.log.bytes_after(snapshot) >= size
        };
        // After one that failed the log may grow.
        if inner.snapshots.failures().is_recent() {
            continue;
        }
        if by_entries || (entries > 0 && by_bytes()) {
            (last, took) = (Some((Instant::now(), snapshot)), Duration::ZERO);
            if inner.raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
    }
}
