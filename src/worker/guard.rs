//! Where the lease holder sits: one lock around it, with the shards that this node knows to be its
//! own, read from the store. The node makes one, the engine and its senders ask it before every
//! request and every watermark, the renewal loop carries answers to it.
//!
//! What counts as applied is the index that the shards here were read at, not the machine's: a
//! lease is only as good as the node's own knowledge of what it lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use super::holder::{Answered, Holder};
use super::ports::Lease;
use crate::clock::SchedulerTime;
use crate::cluster::Cluster;
use crate::model::lease::{Answer, Facts, Now, Position, Renewal, Timing};
use crate::model::shard::{Ownership, Shard, ShardId};
use crate::model::{Millis, NodeId};
use crate::store;

/// See the head of this file.
pub struct LeaseGuard {
    node: NodeId,
    time: Arc<SchedulerTime>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

struct State {
    holder: Holder,
    shards: Vec<Shard>,
    /// What `shards` were read at, and what has been applied since without touching them.
    position: Position,
}

impl LeaseGuard {
    /// A guard that lets nothing through until the store are read and the first lease is there.
    pub fn new(node: NodeId, holder: Holder, time: Arc<SchedulerTime>) -> Arc<Self> {
        let state = State { holder, shards: Vec::new(), position: Position::default() };
        let changed = watch::Sender::new(0);
        Arc::new(Self { node, time, state: Mutex::new(state), changed })
    }

    /// Follows the store until dropped.
    pub async fn follow(self: Arc<Self>, cluster: Cluster) {
        let mut changes = cluster.changes();
        let mut read = true;
        loop {
            if read {
                // Asked before the store are read: they are at least as new.
                let applied = *cluster.applied().borrow();
                match cluster.read(store::shards::all).await {
                    Ok(shards) => {
                        let position = Position { index: applied.index, stamp: applied.stamp };
                        self.take(shards, position);
                    }
                    Err(error) => {
                        tracing::error!(%error, "the shards cannot be read; nothing is fired");
                        let boot = self.time.clock().boot();
                        self.time.clock().sleep_until(boot + 100).await;
                        continue;
                    }
                }
            }
            read = match changes.recv().await {
                Ok(change) if change.replaced => {
                    self.lock().holder.replaced(change.index);
                    true
                }
                Ok(change) if change.shards => true,
                Ok(change) => {
                    self.moved_on(Position { index: change.index, stamp: change.stamp });
                    false
                }
                Err(broadcast::error::RecvError::Lagged(_)) => true,
                Err(broadcast::error::RecvError::Closed) => return,
            };
        }
    }

    fn take(&self, shards: Vec<Shard>, position: Position) {
        let mut state = self.lock();
        state.holder.shards_applied(&shards);
        state.holder.rebuilt(position.index);
        state.position = position;
        state.shards = shards;
        drop(state);
        self.notify();
    }

    /// The store went on without touching the shards.
    fn moved_on(&self, position: Position) {
        let boot = self.time.clock().boot();
        let mut state = self.lock();
        // Older bells than the read are no news.
        if position.index <= state.position.index {
            return;
        }
        let before = state.holder.usable(boot, state.position);
        state.position = position;
        state.holder.rebuilt(position.index);
        let usable = state.holder.usable(boot, position);
        drop(state);
        if usable && !before {
            self.notify();
        }
    }

    /// The next renewal; see [`Holder::renewal`]. `facts.applied` is filled in here.
    pub fn renewal(&self, term: u64, facts: Facts) -> Renewal {
        let now = self.now();
        let mut state = self.lock();
        state.holder.saw_term(term);
        let applied = state.position;
        state.holder.renewal(now, Facts { applied, ..facts })
    }

    /// Takes an answer; see [`Holder::answered`].
    ///
    /// `term` is the one that this node's Raft knows by now: an election may have come between the
    /// question and its answer, and a grant of the term before is refused then.
    pub fn answered(&self, term: u64, answer: &Answer) -> Answered {
        let now = self.now();
        let mut state = self.lock();
        state.holder.saw_term(term);
        let State { holder, shards, position } = &mut *state;
        let answered = holder.answered(now, *position, answer, shards);
        drop(state);
        self.notify();
        answered
    }

    /// Voids the lease; see [`Holder::clock_jumped`].
    pub fn clock_jumped(&self) {
        self.lock().holder.clock_jumped();
    }

    /// How many milliseconds the lease lasts.
    pub fn lease_left(&self) -> u64 {
        self.lock().holder.lease_left(self.time.clock().boot())
    }

    /// Milliseconds since the renewal that brought the present lease was sent; `None` without one.
    pub fn lease_age(&self, timing: Timing) -> Option<u64> {
        let left = self.lease_left();
        (left > 0).then(|| Timing::usable(timing.ttl).saturating_sub(left))
    }

    /// How many shards this node owns by the store it knows, and how many it still closes.
    pub fn owned(&self) -> (u64, u64) {
        let state = self.lock();
        let node = self.node;
        let owned = state.shards.iter().filter(|s| s.owner == node && s.epoch > 0).count();
        let closing =
            state.shards.iter().filter(|s| s.closing.as_ref().is_some_and(|c| c.node == node));
        (owned as u64, closing.count() as u64)
    }

    fn now(&self) -> Now {
        Now { boot: self.time.clock().boot(), sched: self.time.now() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves numbers that are all checked before use.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

impl State {
    /// Whether the part is this node's by the store that the guard knows.
    fn knows(&self, node: NodeId, shard: ShardId, part: &Ownership) -> bool {
        self.shards.iter().any(|s| s.id == shard && s.is_live(node, part.epoch))
    }
}

impl Lease for LeaseGuard {
    fn fires_until(&self, shard: ShardId, part: &Ownership) -> Millis {
        let now = self.now();
        let state = self.lock();
        if !state.knows(self.node, shard, part) || !state.holder.usable(now.boot, state.position) {
            return Millis::MIN;
        }
        state.holder.promised(shard, part.epoch).unwrap_or(Millis::MAX).min(part.until)
    }

    fn may_fire(&self, shard: ShardId, part: &Ownership, due: Millis) -> bool {
        let now = self.now();
        let state = self.lock();
        state.knows(self.node, shard, part)
            && state.holder.may_fire(now, state.position, shard, part, due)
    }

    fn may_send(&self, shard: ShardId, part: &Ownership, due: Millis) -> bool {
        let now = self.now();
        let state = self.lock();
        state.knows(self.node, shard, part)
            && state.holder.may_send(now, state.position, shard, part, due)
    }

    fn max_watermark(&self, shard: ShardId, part: &Ownership) -> Millis {
        let now = self.now();
        let state = self.lock();
        if !state.knows(self.node, shard, part) || !state.holder.usable(now.boot, state.position) {
            return Millis::MIN;
        }
        // Under a promise W stays below H until the store say that the part is closing.
        let promised = state.holder.promised(shard, part.epoch).filter(|_| !part.closing);
        let most = promised.map_or(Millis::MAX, |until| until - 1);
        most.min(part.until).min(state.position.stamp).min(now.sched)
    }

    fn state_watermark(&self, shard: ShardId, part: &Ownership, w: Millis) -> bool {
        let now = self.now();
        let mut state = self.lock();
        let position = state.position;
        state.knows(self.node, shard, part)
            && state.holder.state_watermark(now, position, shard, part, w)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::model::lease::Grant;

    #[test]
    fn a_lease_that_waited_for_the_books_rings_when_they_are_there() {
        let time = Arc::new(SchedulerTime::new(TestClock::new(1_000)));
        let guard = LeaseGuard::new(1, Holder::new(1, 1, 1, 0, []), time);
        guard.take(Vec::new(), Position { index: 5, stamp: 900 });
        let applied = Position::default();
        let facts = Facts { applied, has_room: true, draining: false, memory: 0, journaled: 0 };
        let renewal = guard.renewal(1, facts);
        let grant = Grant { ttl: 4_000, needs_index: 7, commit_index: 7, log_time: 1_000 };
        let answered = guard.answered(
            1,
            &Answer {
                term: 1,
                boot: 1,
                number: renewal.number,
                verdict: Ok(grant),
                release: Vec::new(),
                clock_error: 0,
            },
        );
        assert!(answered.granted);
        let mut changed = guard.changed();
        guard.moved_on(Position { index: 6, stamp: 950 });
        assert!(!changed.has_changed().unwrap());
        guard.moved_on(Position { index: 7, stamp: 960 });
        assert!(changed.has_changed().unwrap(), "now it may be used");
        changed.mark_unchanged();
        guard.moved_on(Position { index: 8, stamp: 970 });
        assert!(!changed.has_changed().unwrap(), "no news");
    }
}
