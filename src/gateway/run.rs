//! The task beside a gateway: it follows the change feed and the hints of this node's supervisor,
//! tells other nodes of notices, and keeps time. `node` starts it with the gateway.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;

use super::messages::Notices;
use super::state::{Gateway, Inner};
use crate::command::Change;
use crate::model::NodeId;
use crate::model::claim::QueueHint;

/// The time for which notices gather, in milliseconds.
const GATHER: u64 = 5;
/// Time between two looks at claims that wait, in milliseconds.
const TICK: u64 = 250;

/// The nodes that notices are on their way to: each has one message at a time.
#[derive(Clone, Default)]
struct Telling(Arc<Mutex<BTreeSet<NodeId>>>);

impl Telling {
    fn nodes(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Runs until dropped.
    pub async fn run(self) {
        let inner = &self.0;
        let telling = Telling::default();
        let (mut changes, mut hints) = (inner.replica.changes(), inner.supervisors.hints());
        let (mut feed_ended, mut hints_ended) = (false, false);
        // What was read before the feed was followed may be old.
        inner.miss_changes();
        let mut tick = inner.now() + TICK;
        let mut flush: Option<u64> = None;
        loop {
            let next = flush.map_or(tick, |flush| flush.min(tick));
            tokio::select! {
                change = changes.recv(), if !feed_ended => match change {
                    Ok(change) => inner.take_change(&change),
                    Err(RecvError::Lagged(_)) => inner.miss_changes(),
                    Err(RecvError::Closed) => feed_ended = true,
                },
                hint = hints.recv(), if !hints_ended => match hint {
                    Ok((gateway, hint)) => self.send_hint(gateway, hint),
                    // What was missed is asked for again by the wants.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => hints_ended = true,
                },
                () = inner.work.notified() => {
                    flush.get_or_insert(inner.now() + GATHER);
                }
                () = inner.clock.sleep_until(next) => {
                    let now = inner.now();
                    if tick <= now {
                        tick = now + TICK;
                        inner.tick(now);
                    }
                    flush = None;
                    self.flush(&telling, now);
                }
            }
        }
    }

    /// Takes a hint of another node's supervisor, or of this one's.
    pub fn take_hint(&self, from: NodeId, hint: QueueHint) {
        let inner = &self.0;
        inner.claims().take_hint(from, hint, inner.now());
    }

    /// Passes a hint of this node's supervisor on to its gateway.
    fn send_hint(&self, gateway: NodeId, hint: QueueHint) {
        let own = self.0.supervisors.own();
        if gateway == own {
            return self.take_hint(own, hint);
        }
        self.0.notices.add_hint(gateway, hint);
        self.0.work.notify_one();
    }

    /// Tells each node what waits for it, unless it is being told something.
    fn flush(&self, telling: &Telling, now: u64) {
        let inner = &self.0;
        for (node, wants) in inner.claims().wants(now) {
            inner.notices.add_wants(node, wants);
        }
        let busy = telling.nodes().clone();
        for (node, notices) in inner.notices.take(&busy) {
            telling.nodes().insert(node);
            tokio::spawn(tell(self.clone(), telling.clone(), node, notices));
        }
    }
}

async fn tell(gateway: Gateway, telling: Telling, node: NodeId, notices: Notices) {
    if let Err(error) = gateway.0.supervisors.notify(node, notices).await {
        tracing::debug!(node, %error, "a node was not told of reports, wants or hints");
    }
    telling.nodes().remove(&node);
    gateway.0.work.notify_one();
}

impl Inner {
    fn take_change(&self, change: &Change) {
        if change.replaced {
            return self.miss_changes();
        }
        if change.shards {
            self.owners.clear();
        }
        if change.targets {
            self.queues.clear();
        }
        self.watches.take_change(change);
    }

    /// Takes all that it knows of the store for old.
    fn miss_changes(&self) {
        self.cluster_id.clear();
        self.owners.clear();
        self.queues.clear();
        self.watches.wake_all();
    }

    fn tick(&self, now: u64) {
        let nodes = self.nodes();
        let mut claims = self.claims();
        claims.set_nodes(nodes);
        claims.tick(now);
        drop(claims);
        self.seen().tick(now);
    }
}
