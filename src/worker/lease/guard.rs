//! The lease guard: the lease holder behind one lock, beside the shards as this node has applied
//! them. It is the [`Lease`] that the engine and its senders ask.
//!
//! The node makes one and lets it follow the change feed; the renewal loop brings it the leader's
//! answers. A position counts as applied only when the guard has read the shards at it: a lease is
//! worth no more than the node's own knowledge of what it lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use super::holder::{Answered, Holder};
use crate::clock::SchedulerTime;
use crate::cluster::Cluster;
use crate::model::lease::{Answer, Facts, Now, Position, Renewal, Timing};
use crate::model::shard::{Ownership, Shard, ShardId};
use crate::model::{Millis, NodeId};
use crate::store;
use crate::worker::ports::Lease;

/// The lease, its promises, and this node's shards; see the head of this file.
pub struct LeaseGuard {
    node: NodeId,
    time: Arc<SchedulerTime>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

struct State {
    holder: Holder,
    shards: Vec<Shard>,
    /// The position at which `shards` were read, moved on by each applied entry that left them
    /// alone.
    position: Position,
}

impl LeaseGuard {
    /// A guard that lets nothing through until the shards are read and the first lease is there.
    pub fn new(node: NodeId, holder: Holder, time: Arc<SchedulerTime>) -> Arc<Self> {
        let state = State { holder, shards: Vec::new(), position: Position::default() };
        let changed = watch::Sender::new(0);
        Arc::new(Self { node, time, state: Mutex::new(state), changed })
    }

    /// Follows the change feed until dropped.
    pub async fn follow(self: Arc<Self>, cluster: Cluster) {
        let mut changes = cluster.changes();
        let mut read = true;
        loop {
            if read {
                // Asked before the shards are read, so they are at least as new.
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
        state.holder.usable_since(self.time.clock().boot(), position);
        drop(state);
        self.notify();
    }

    /// Takes note of entries that left the shards alone.
    fn moved_on(&self, position: Position) {
        let boot = self.time.clock().boot();
        let mut state = self.lock();
        // A notification older than the read is no news.
        if position.index <= state.position.index {
            return;
        }
        let before = state.holder.usable(boot, state.position);
        state.position = position;
        state.holder.rebuilt(position.index);
        let usable = state.holder.usable_since(boot, position).is_some();
        drop(state);
        if usable && !before {
            self.notify();
        }
    }

    /// The next renewal; see [`Holder::renewal`]. The guard fills in `facts.applied`.
    pub fn renewal(&self, term: u64, facts: Facts) -> Renewal {
        let now = self.now();
        let mut state = self.lock();
        state.holder.saw_term(term);
        let applied = state.position;
        state.holder.renewal(now, Facts { applied, ..facts })
    }

    /// Takes an answer; see [`Holder::answered`].
    ///
    /// `term` is the term that this node's Raft knows by now. An election may have come between
    /// question and answer; a grant of the term before is refused then.
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

    /// The time that the lease still lasts, in milliseconds.
    pub fn lease_left(&self) -> u64 {
        self.lock().holder.lease_left(self.time.clock().boot())
    }

    /// Milliseconds since the renewal of the present lease was sent; `None` without a lease.
    pub fn lease_age(&self, timing: Timing) -> Option<u64> {
        let left = self.lease_left();
        (left > 0).then(|| Timing::usable(timing.ttl).saturating_sub(left))
    }

    /// The number of shards that this node owns, and the number that it is closing.
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
        // A panic under the lock leaves numbers that are all checked before use.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

impl State {
    /// Says whether the guard knows the ownership range as this node's.
    fn knows(&self, node: NodeId, shard: ShardId, ownership: &Ownership) -> bool {
        self.shards.iter().any(|s| s.id == shard && s.is_live(node, ownership.epoch))
    }
}

impl Lease for LeaseGuard {
    fn fires_until(&self, shard: ShardId, ownership: &Ownership) -> Millis {
        let now = self.now();
        let state = self.lock();
        if !state.knows(self.node, shard, ownership)
            || !state.holder.usable(now.boot, state.position)
        {
            return Millis::MIN;
        }
        state.holder.promised(shard, ownership.epoch).unwrap_or(Millis::MAX).min(ownership.until)
    }

    fn may_fire(&self, shard: ShardId, ownership: &Ownership, due: Millis) -> bool {
        let now = self.now();
        let state = self.lock();
        state.knows(self.node, shard, ownership)
            && state.holder.may_fire(now, state.position, shard, ownership, due)
    }

    fn may_send(&self, shard: ShardId, ownership: &Ownership, due: Millis) -> bool {
        let now = self.now();
        let state = self.lock();
        state.knows(self.node, shard, ownership)
            && state.holder.may_send(now, state.position, shard, ownership, due)
    }

    fn max_watermark(&self, shard: ShardId, ownership: &Ownership) -> Millis {
        let now = self.now();
        let state = self.lock();
        if !state.knows(self.node, shard, ownership)
            || !state.holder.usable(now.boot, state.position)
        {
            return Millis::MIN;
        }
        // Under a promise the watermark stays below the hand-over instant until the shards say that
        // the range is closing (the hand-over rule).
        let promised = state.holder.promised(shard, ownership.epoch).filter(|_| !ownership.closing);
        let most = promised.map_or(Millis::MAX, |until| until - 1);
        most.min(ownership.until).min(state.position.stamp).min(now.sched)
    }

    fn state_watermark(&self, shard: ShardId, ownership: &Ownership, watermark: Millis) -> bool {
        let now = self.now();
        let mut state = self.lock();
        let position = state.position;
        state.knows(self.node, shard, ownership)
            && state.holder.state_watermark(now, position, shard, ownership, watermark)
    }

    fn usable_since(&self) -> Option<u64> {
        let boot = self.time.clock().boot();
        let mut state = self.lock();
        let position = state.position;
        state.holder.usable_since(boot, position)
    }

    fn is_promised(&self, shard: ShardId, epoch: u64) -> bool {
        let state = self.lock();
        let its = |s: &Shard| s.id == shard && (s.owner, s.epoch) == (self.node, epoch);
        !state.shards.iter().any(its) || state.holder.promised(shard, epoch).is_some()
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
    fn a_lease_that_waited_for_the_shards_is_announced_when_they_are_there() {
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
