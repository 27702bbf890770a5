//! Two tasks of every node: one publishes who leads and notices that Raft has stopped, the other
//! lets openraft elect this node only while it may be elected. `tasks` starts them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{MissedTickBehavior, interval};

use super::eligibility::Eligibility;
use super::state::Leadership;
use crate::cluster::inner::Inner;

/// Time between two looks at whether this node may be elected.
const LOOK: Duration = Duration::from_millis(100);
/// The rounds, each a tenth of a second, after which a node without a log says what it waits for.
const WAITING: u32 = 11;

/// Lets openraft elect this node, or not.
pub(in crate::cluster) fn tend_election(inner: &Inner) {
    let introduced = inner.introduced.load(Ordering::SeqCst);
    let fit = inner.eligibility() != Eligibility::None && !inner.clock_is_off() && introduced;
    inner.raft.runtime_config().elect(fit);
}

/// Keeps openraft's permission to elect up to date. Nothing in here waits for other nodes: a node
/// whose eligibility changes must not elect, or hold elections up, meanwhile.
pub(in crate::cluster) async fn tend_elections(inner: Arc<Inner>) {
    let mut told = inner.peers.told();
    let mut look = interval(LOOK);
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

/// Keeps the published leadership up to date and notices when Raft stops.
pub(in crate::cluster) async fn watch_raft(inner: Arc<Inner>) {
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
                *inner.elected.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Instant::now());
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
