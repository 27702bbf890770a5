//! Where the lease holder sits: one lock around it, with the clocks and the applied position that
//! it must be asked with. `node` renews through it, the engine and its senders ask it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::lease::Holder;
use super::seams::Lease;
use crate::clock::SchedulerTime;
use crate::cluster::Applied;
use crate::model::Millis;
use crate::model::lease::{Now, Position};
use crate::model::shard::{Part, Shard, ShardId};

/// A shared [`Holder`].
pub struct Seat {
    holder: Mutex<Holder>,
    time: Arc<SchedulerTime>,
    applied: watch::Receiver<Applied>,
    moved: watch::Sender<u64>,
}

impl Seat {
    /// Takes in a holder; `applied` is the cluster's.
    pub fn new(
        holder: Holder,
        time: Arc<SchedulerTime>,
        applied: watch::Receiver<Applied>,
    ) -> Arc<Self> {
        Arc::new(Self { holder: Mutex::new(holder), time, applied, moved: watch::Sender::new(0) })
    }

    /// Both clocks, now.
    pub fn now(&self) -> Now {
        Now { boot: self.time.clock().boot(), sched: self.time.now() }
    }

    /// How far this node has applied.
    pub fn applied(&self) -> Position {
        let applied = self.applied.borrow();
        Position { index: applied.index, stamp: applied.stamp }
    }

    /// Lets something happen to the holder (a renewal, an answer, a clock jump), and lets the
    /// engine look again.
    pub fn with<T>(&self, f: impl FnOnce(&mut Holder) -> T) -> T {
        let value = f(&mut self.lock());
        self.moved.send_modify(|moved| *moved += 1);
        value
    }

    /// Looks at the holder without changing it.
    pub fn look<T>(&self, f: impl FnOnce(&Holder) -> T) -> T {
        f(&self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease for Seat {
    fn fires_until(&self, shard: ShardId, part: &Part) -> Millis {
        let (now, applied) = (self.now(), self.applied());
        self.look(|holder| {
            if !holder.usable(now.boot, applied) {
                return Millis::MIN;
            }
            holder.promised(shard, part.epoch).unwrap_or(Millis::MAX).min(part.until)
        })
    }

    fn may_fire(&self, shard: ShardId, part: &Part, due: Millis) -> bool {
        let (now, applied) = (self.now(), self.applied());
        self.look(|holder| holder.may_fire(now, applied, shard, part, due))
    }

    fn may_send(&self, shard: ShardId, part: &Part, due: Millis) -> bool {
        let (now, applied) = (self.now(), self.applied());
        self.look(|holder| holder.may_send(now, applied, shard, part, due))
    }

    fn states_until(&self, shard: ShardId, part: &Part) -> Millis {
        let (now, applied) = (self.now(), self.applied());
        self.look(|holder| {
            if !holder.usable(now.boot, applied) {
                return Millis::MIN;
            }
            let promised = holder.promised(shard, part.epoch).filter(|_| !part.closing);
            let most = promised.map_or(Millis::MAX, |until| until - 1);
            most.min(part.until).min(applied.stamp).min(now.sched)
        })
    }

    fn state(&self, shard: ShardId, part: &Part, w: Millis) -> bool {
        let (now, applied) = (self.now(), self.applied());
        self.lock().state_watermark(now, applied, shard, part, w)
    }

    fn shards_applied(&self, shards: &[Shard]) {
        self.lock().shards_applied(shards);
    }

    fn rebuilt(&self, index: u64) {
        self.lock().rebuilt(index);
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}
