//! The tasks of a running cluster beside its calls: who leads, elections, the registry, snapshots,
//! addresses, and claims against this node. `start` begins them all; `inner` ends them.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};

use super::inner::Inner;
use super::leadership::duties;
use super::membership::announce::Announcer;
use super::membership::registry;
use super::wire::{WHO, Who};
use super::{doubt, snapshots};

/// Time between two rounds of the tasks that nothing wakes.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn begin(inner: &Arc<Inner>) {
    let mut tasks = inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.push(inner.runtime.spawn(duties::watch_raft(inner.clone())));
    tasks.push(inner.runtime.spawn(registry::watch_registry(inner.clone())));
    tasks.push(inner.runtime.spawn(snapshots::take_snapshots(inner.clone())));
    tasks.push(inner.runtime.spawn(duties::tend_elections(inner.clone())));
    tasks.push(inner.runtime.spawn(announce(inner.clone())));
    tasks.push(inner.runtime.spawn(tend_members(inner.clone())));
    tasks.push(inner.runtime.spawn(tend_twins(inner.clone())));
    tasks.push(inner.runtime.spawn(doubt::tend(inner.clone())));
}

/// This node's own addresses.
async fn announce(inner: Arc<Inner>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut announcer = Announcer::default();
    loop {
        look.tick().await;
        announcer.look(&inner).await;
        // A node that has introduced itself may stand for election.
        duties::tend_election(&inner);
    }
}

/// The members and their addresses, as far as a leader looks after them.
async fn tend_members(inner: Arc<Inner>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if !inner.leadership.borrow().first_applied {
            continue;
        }
        if let Err(error) = inner.tend_members().await {
            tracing::debug!(%error, "the members will be looked at again");
        }
        if let Err(error) = inner.tend_level().await {
            tracing::debug!(%error, "the level will be looked at again");
        }
    }
}

/// Looks who is at the addresses of the nodes for which two processes, on copies of a folder,
/// spoke.
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
