//! The ports of the worker: what it needs of the store, of the executors and of the lease, and no
//! more. `node` brings the real ones (`Cluster`, `CallQueue`, [`LeaseGuard`](super::LeaseGuard)),
//! tests bring their own.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{broadcast, watch};

use crate::cluster::Cluster;
use crate::command::{Change, Command, Outcome};
use crate::delivery::availability::Availability;
use crate::delivery::call::Call;
use crate::delivery::call_queue::CallQueue;
use crate::delivery::destination::{Address, Limits};
use crate::delivery::registry::Registry;
use crate::delivery::reply::Reply;
use crate::model::postponement::Obstacle;
use crate::model::shard::{Ownership, ShardId};
use crate::model::{Millis, ProjectId};
use crate::store::ReadClass;

/// The replicated state as this node has applied it, its change feed, and the way to propose a
/// change.
pub trait StateStore: Clone + Send + Sync + 'static {
    /// Reads one consistent state for a request that is due, on a thread of its own. It waits only
    /// for reads of the same kind. After an error the worker logs it and tries again.
    fn read<T, F>(&self, read: F) -> impl Future<Output = Result<T, String>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static;

    /// As [`StateStore::read`], for the due queue: requests that are due do not wait for it.
    fn load<T, F>(&self, read: F) -> impl Future<Output = Result<T, String>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read(read)
    }

    /// The change feed: one [`Change`] for each applied transaction, in order.
    fn changes(&self) -> broadcast::Receiver<Arc<Change>>;

    /// Proposes a command; returns when it is applied here. After an error it may have been applied
    /// or not.
    fn propose(&self, command: Command) -> impl Future<Output = Result<Outcome, String>> + Send;
}

/// Makes calls.
pub trait Dispatcher: Send + Sync + 'static {
    /// The executors, which write the requests of calls.
    fn executors(&self) -> &Registry;

    /// Makes one call and returns its outcome.
    fn call(&self, call: Call) -> impl Future<Output = Reply> + Send;

    /// The most calls to one destination that are under way at one time.
    fn max_in_flight(&self) -> usize;

    /// The operator's limits of each destination.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// The instant up to which an address takes nothing of a project, and the reason; `None` while
    /// it takes calls. Asked before a request is built.
    fn closed(&self, address: &Address, project: ProjectId) -> Option<(Millis, Obstacle)>;
}

/// The lease, as far as firing depends on it. All answers hold for this very moment.
pub trait Lease: Send + Sync + 'static {
    /// The latest due instant that the range may fire: its promise, or [`Millis::MAX`].
    /// [`Millis::MIN`] when it may fire nothing.
    fn fires_until(&self, shard: ShardId, ownership: &Ownership) -> Millis;

    /// Says whether a first attempt due at an instant may go out. Asked before its first byte (the
    /// lease rule).
    fn may_fire(&self, shard: ShardId, ownership: &Ownership, due: Millis) -> bool;

    /// Says whether an attempt of a pending row may go out. Asked before its first byte.
    fn may_send(&self, shard: ShardId, ownership: &Ownership, due: Millis) -> bool;

    /// The highest watermark that may be stated for the range; [`Millis::MIN`] for none.
    fn max_watermark(&self, shard: ShardId, ownership: &Ownership) -> Millis;

    /// Asks to state a watermark. The lease notes it if the answer is yes.
    fn state_watermark(&self, shard: ShardId, ownership: &Ownership, watermark: Millis) -> bool;

    /// The instant of the boot clock from which the lease has been usable without a lapse, in
    /// milliseconds; `None` while it may not be used.
    fn usable_since(&self) -> Option<u64>;

    /// Says whether nothing more of a shard may be handed to workers under an epoch: the shard is
    /// promised away, this node is closing that epoch, or it is not this node's.
    fn is_promised(&self, shard: ShardId, epoch: u64) -> bool;

    /// Changes whenever an answer may have become more generous.
    fn changed(&self) -> watch::Receiver<u64>;
}

impl StateStore for Cluster {
    async fn read<T, F>(&self, read: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_as(ReadClass::Firing, read).await.map_err(|error| error.to_string())
    }

    async fn load<T, F>(&self, read: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_as(ReadClass::Queue, read).await.map_err(|error| error.to_string())
    }

    fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        Cluster::changes(self)
    }

    async fn propose(&self, command: Command) -> Result<Outcome, String> {
        Cluster::propose(self, command).await.map_err(|error| error.to_string())
    }
}

impl Dispatcher for CallQueue {
    fn executors(&self) -> &Registry {
        CallQueue::executors(self)
    }

    async fn call(&self, call: Call) -> Reply {
        CallQueue::call(self, call).await
    }

    fn max_in_flight(&self) -> usize {
        CallQueue::at_most(self)
    }

    fn limits(&self) -> Limits {
        CallQueue::limits(self)
    }

    fn closed(&self, address: &Address, project: ProjectId) -> Option<(Millis, Obstacle)> {
        match CallQueue::availability(self, address, project) {
            Availability::Available => None,
            Availability::Unavailable { until, obstacle } => Some((until, obstacle)),
        }
    }
}
